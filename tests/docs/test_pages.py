"""Pages that the code writes are fresh, the tour points at what it names, and links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr} Run: make docs"


def test_the_tour_names_enough_places() -> None:
    named = re.findall(r"`(src/[\w/]+\.py):(\d+)` `([\w.]+)`", (ROOT / "docs" / "tour.md").read_text("utf-8"))
    assert len(named) > 30
    for file, line, name in named:
        text = (ROOT / file).read_text("utf-8").splitlines()[int(line) - 1]
        assert re.search(rf"(?:def|class) {name.split('.')[-1]}\b", text), (file, line, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target
