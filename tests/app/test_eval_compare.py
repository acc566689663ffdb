"""compare, power, gate and leaderboard as a person and a pipeline of tests see them: words, JSON, exit codes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from lyceum.app import eval_compare
from lyceum.app.settings import load
from lyceum.core.errors import InvalidInput, NotFound
from lyceum.evals.records import Run
from tests.evals.runs import answered, example, failed, made
from tests.toys import run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs over 120 questions: a base with 40 wrong, one that mends 24 of them, one that breaks as many."""
    folder = tmp_path_factory.mktemp("home")
    asked = [example(n) for n in range(120)]

    def right(wrong: set[int]) -> list[Any]:
        return [
            answered(one, "wrong [a]", rank=None) if n in wrong else answered(one)
            for n, one in enumerate(asked)
        ]

    made("base", right(set(range(40))), folder)
    made("good", right(set(range(24, 42))), folder)
    made("bad", [*right(set(range(64)))[:-1], failed(asked[-1])], folder)
    made("same", right(set(range(40))), folder)
    made("other", [answered(example(n)) for n in range(100, 160)], folder, data="data2")
    (folder / "runs" / "killed").mkdir()
    return folder


def asked(home: Path, name: str, *words: str, output: bool = False) -> int:
    command = argparse.ArgumentParser()
    command.add_argument("--json", action="store_true")
    getattr(eval_compare, f"arguments_{name}")(command)
    arguments = command.parse_args([*words, *(["--json"] if output else [])])
    code: int = run(getattr(eval_compare, f"run_{name}")(arguments, load(str(home), {})))
    return code


def id_of(home: Path, pipeline: str) -> str:
    found = [
        one for one in home.glob("runs/*/summary.json") if json.loads(one.read_text())["pipeline"] == pipeline
    ]
    return found[0].parent.name


def test_compare_in_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, good, bad = (id_of(home, name) for name in ("base", "good", "bad"))
    assert (
        asked(
            home,
            "compare",
            base[:8],
            good[:8],
            str(home / "runs" / bad),
            "--metric",
            "correct",
            "--show",
            "2",
        )
        == 0
    )
    said = " ".join(capsys.readouterr().out.split())
    assert f"good@{good[:6]} is better than base@{base[:6]} in correct: +0.183 [" in said
    assert f"bad@{bad[:6]} is worse than base@{base[:6]} in correct: -0.208 [" in said
    assert "(Holm over 3)" in said
    assert f"1 failed in bad@{bad[:6]}, each scored 0" in said
    assert (
        f"good@{good[:6]} won 24 of 120 against base@{base[:6]} in correct; they part at: search 24" in said
    )
    assert "wrong [a]" in said, "brackets of an answer are no markup"
    assert said.count("What is") == 6, "two in each table, and nothing was won by the worst"


def test_compare_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(home, "compare", id_of(home, "base"), id_of(home, "good"), output=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["metric"], one["verdict"]) for one in told["differences"]] == [
        ("correct", "better"), ("recall@10", "better"),
    ]  # fmt: skip
    assert all(one["sentence"] and one["n"] == 120 for one in told["differences"])
    (duels,) = told["duels"].values()
    assert (len(duels), sum(one["won"] for one in duels)) == (26, 24)
    assert set(duels[0]) == {"id", "question", "won", "answers", "scores", "stage", "parting"}
    assert "Not proven: the rest" in told["rule"]


def test_compare_what_cannot_be(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, other = id_of(home, "base"), id_of(home, "other")
    with pytest.raises(InvalidInput, match="20 are common, 100 only in") as told:
        asked(home, "compare", base, other)
    assert told.value.code == "mixed"
    assert asked(home, "compare", base, other, "--common", "--metric", "correct") == 0
    said = capsys.readouterr().out
    assert "100 left out: only in base" in said
    assert "40 left out: only in other" in said
    for words, problem in (
        ((base,), "One run"),
        ((base, base), "named twice"),
        ((base, "nowhere"), "No runs begin"),
    ):
        with pytest.raises((InvalidInput, NotFound), match=problem):
            asked(home, "compare", *words)
    with pytest.raises(NotFound, match="no finished run"):
        asked(home, "compare", base, "killed")
    with pytest.raises(NotFound, match="6 runs begin with ''"):
        asked(home, "compare", base, "")


@pytest.mark.parametrize(
    ("candidate", "code", "word"), [("good", 0, "passed"), ("same", 0, "passed"), ("bad", 5, "regression")]
)
def test_gate(home: Path, candidate: str, code: int, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    pair = id_of(home, candidate), id_of(home, "base")
    assert asked(home, "gate", *pair) == code
    assert capsys.readouterr().out.startswith(f"{word}: {candidate}@")
    assert asked(home, "gate", *pair, output=True) == code
    assert json.loads(capsys.readouterr().out)["passed"] == (code == 0)


def test_a_gate_that_cannot_know_says_how_many_questions_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def some(name: str, wrong: set[int]) -> Run:
        return made(
            name, [answered(example(n), "wrong" if n in wrong else None) for n in range(40)], tmp_path
        )

    before, after = some("before", {1, 2, 3}), some("after", {3, 4, 5})
    assert asked(tmp_path, "gate", after.summary.id, before.summary.id, "--margin", "0.02") == 5
    said = capsys.readouterr().out
    assert said.startswith("not shown: ")
    assert "questions would show it 8 times in 10" in said
    assert asked(tmp_path, "gate", after.summary.id, before.summary.id, "--margin", "0.2") == 0


def test_power(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fifth of the questions change: (2.8016 / .03)² x (.2 - .0009) = 1736.3."""
    assert asked(home, "power", "--effect", "0.03", output=True) == 0
    rows = {row["scores"]: row["needed"] for row in json.loads(capsys.readouterr().out)}
    assert rows["right or wrong, 20% of the questions change"] == 1737
    assert list(rows.values()) == sorted(rows.values())
    assert asked(home, "power", id_of(home, "base"), "--effect", "0.05") == 0
    said = capsys.readouterr().out
    assert "true difference of 0.05" in said
    assert "120" in said
    with pytest.raises(SystemExit):
        asked(home, "power", "--effect", "3")


def test_leaderboard(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(home, "leaderboard", "toy", output=True) == 0
    boards = json.loads(capsys.readouterr().out)
    first = boards["toy (data1)"]
    assert [one["run"].split("@")[0] for one in first if one["rank"] in (1, 4)] == ["good", "bad"]
    assert [one["against the best"] for one in first] == ["", "worse", "worse", "worse"]
    assert first[3]["n"] == 120, "a failed example counts"
    assert first[3]["correct"] == pytest.approx(55 / 120)
    assert len(boards["toy (data2)"]) == 1
    assert asked(home, "leaderboard") == 0
    said = capsys.readouterr().out
    assert "1 runs did not end" in said
    for place in ((home, "leaderboard", "absent"), (tmp_path, "leaderboard")):
        with pytest.raises(NotFound, match="no finished run to rank"):
            asked(*place)
