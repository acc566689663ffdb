"""A run's confidences to a threshold on the command line, and what cannot be promised."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.app.cli import main
from lyceum.evals.records import Outcome
from tests.evals.runs import answered, example, made


def outcomes(wrong_below: float, refused_below: float = 0.0, n: int = 300) -> list[Outcome]:
    """Answers that are right from one confidence on, and refused below another."""
    found = []
    for number in range(n):
        sure = number / n
        refused = "weak" if sure < refused_below else ""
        one = answered(example(number), text=None if sure >= wrong_below else "no", refused=refused)
        assert one.answer is not None
        found.append(replace(one, answer=replace(one.answer, confidence=sure)))
    return found


def asked(
    home: Path, found: list[Outcome], *more: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, float]]:
    run = made("default", found, home)
    code = main(["eval", "threshold", "--json", "--home", str(home), run.folder.name, *more])
    return code, json.loads(capsys.readouterr().out)


def test_the_threshold_lies_where_answers_become_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = asked(tmp_path, outcomes(0.5), capsys=capsys)
    assert code == 0
    assert 0.4 < told["threshold"] <= 0.5
    assert told["seen"] <= 0.1
    assert told["coverage"] == pytest.approx(1 - told["threshold"], abs=0.02)


def test_what_was_refused_is_not_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = asked(tmp_path, outcomes(0.0, refused_below=0.6, n=600), capsys=capsys)
    assert code == 0
    assert told["threshold"] == pytest.approx(0.6, abs=0.01)
    assert told["coverage"] == pytest.approx(0.4, abs=0.01)


def test_nothing_can_be_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(tmp_path / "a", outcomes(1.0), capsys=capsys) == (
        5, {"risk": 0.1, "delta": 0.05, "questions": 300, "threshold": None},
    )  # fmt: skip
    assert asked(tmp_path / "b", outcomes(0.0, n=20), capsys=capsys)[0] == 5


def test_shares_are_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = asked(tmp_path, outcomes(0.5), "--risk", "10", capsys=capsys)
    assert code == 1
    assert "error" in told
