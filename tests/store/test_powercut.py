"""Power cuts in small: the states of bench/powercut.py, a few of them, with the control that must lose something."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
TRIED = (
    subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False)
    if shutil.which("strace")
    else None
)


@pytest.mark.skipif(TRIED is None or TRIED.returncode != 0, reason="strace is missing or may not trace")
@pytest.mark.parametrize(("form", "sound"), [("reader-ledger-FULL", True), ("reader-ledger-NORMAL", False)])
def test_confirmed_documents_survive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, sound: bool
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    for name in ("common", "crash", "recorded", "powercut"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import powercut

    calls = powercut.recording(tmp_path, form)
    found = powercut.ledger_states(calls, tmp_path / form, 200, random.Random(1))
    assert found["states"] >= 180
    assert (found["well"] == found["states"]) == sound, found
