"""`lyceum gateway difficulty` over two runs' folders: what it writes and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lyceum.app.cli import main
from lyceum.evals.records import Outcome
from lyceum.gateway.difficulty import opened
from tests.evals.runs import answered, example, failed
from tests.evals.runs import made as kept


def runs(folder: Path, count: int = 300) -> list[str]:
    """Write a cheap run, right where a question is short, and a dear one that is always right."""
    made = [
        example(
            at, question=f"Who is {at}?" if at % 2 else f"Compare the average of {at} and {at + 1} in 2020"
        )
        for at in range(count)
    ]
    cheap: list[Outcome] = [
        answered(one) if at % 2 else failed(one) if at % 4 else answered(one, "wrong")
        for at, one in enumerate(made)
    ]
    dear = [answered(one) for one in made]
    return [str(kept(name, some, folder).folder) for name, some in (("cheap", cheap), ("dear", dear))]


def test_it_learns_from_runs_and_says_what_it_loses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gateway", "difficulty", *runs(tmp_path), "--model", "chat", "--home", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "that it has not seen" in said
    assert "It loses 0.000 of correct" in said
    learnt = json.loads((tmp_path / "difficulty" / "chat.json").read_text(encoding="utf-8"))
    assert learnt["metric"] == "correct"
    assert 0.4 < learnt["measured"]["shares"][0] < 0.6
    made = opened(tmp_path / "difficulty" / "chat.json", 2)
    assert (made.chosen("Who is 7?"), made.chosen("Compare the average of 8 and 9 in 2020")) == (0, 1)


@pytest.mark.parametrize("argv", [["one", "--model", "m"], ["a", "b", "--model", "../m"]])
def test_what_cannot_be_learnt_is_said(
    tmp_path: Path, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gateway", "difficulty", *argv, "--home", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("lyceum: invalid: ")
