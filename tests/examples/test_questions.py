"""The example questions are what they claim: counted, answerable where they say, and phrased as people ask."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.types import Document
from lyceum.ingest.media import PARSERS, detect

EXAMPLES = Path(__file__).parents[2] / "examples"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / name).read_text("utf-8").splitlines()]


QUESTIONS = rows("questions.jsonl")
ALL = [*QUESTIONS, *rows("questions-dev.jsonl")]


def squashed(text: str) -> str:
    return re.sub(r"[\s|\\]+", "", text)


@lru_cache
def pages(name: str) -> dict[tuple[int | None, str | None], str]:
    """Return a document's text by page or sheet, as Lyceum reads it."""
    data = (EXAMPLES / "documents" / name).read_bytes()
    media = detect(data, name)
    module, _, function = PARSERS[media].partition(":")
    parse = getattr(importlib.import_module(module), function)
    found: dict[tuple[int | None, str | None], str] = {}
    for page in parse(data, Document(id="d", source=name, version="1", media=media)):
        for element in page.elements:
            for piece in element.pieces:
                key = (piece.place.page, piece.place.sheet)
                found[key] = found.get(key, "") + squashed(element.text[piece.start : piece.end])
    return found


def test_there_are_enough_of_every_kind() -> None:
    tags = Counter(tag for row in QUESTIONS for tag in row["tags"])
    assert len(QUESTIONS) >= 240
    assert len({row["id"] for row in ALL}) == len({row["question"] for row in ALL}) == len(ALL)
    assert tags["unanswerable"] >= 60
    assert tags["near-miss"] * 2 >= tags["unanswerable"]
    assert tags["cross-lingual"] <= len(QUESTIONS) / 10
    assert min(tags[name] for name in ("lookup", "table", "two-documents", "version", "Chinese")) > 10


@pytest.mark.parametrize("row", ALL, ids=lambda row: row["id"])
def test_the_gold_passage_is_where_it_says(row: dict[str, Any]) -> None:
    held = ""
    for gold in row["gold"]:
        found = pages(gold["document"])
        text = found[gold["page"], None] if "page" in gold else "".join(found.values())
        assert squashed(gold.get("evidence", "")) in text
        held += squashed(gold.get("evidence", ""))
    for part in row["answers"]:
        assert any(squashed(one) in held for one in part), part
    assert bool(row["answers"]) == ("unanswerable" not in row["tags"])


def test_half_of_the_questions_share_few_words_with_their_passage() -> None:
    script = EXAMPLES / "measure_questions.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    for low, total in re.findall(r"(\d+) of (\d+) answerable", done.stdout):
        assert int(low) * 2 >= int(total), done.stdout


def test_the_documents_are_what_the_script_makes(tmp_path: Path) -> None:
    """The same sources give the same bytes, so the committed files are the script's."""
    code = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import make_corpus as m; from pathlib import Path;"
    subprocess.run(
        [sys.executable, "-c", f"{code} m.TARGET = Path({str(tmp_path / 'made')!r}); m.main()"], check=True
    )
    for file in (EXAMPLES / "documents").iterdir():
        assert (tmp_path / "made" / file.name).read_bytes() == file.read_bytes(), file.name
