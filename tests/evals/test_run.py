"""A run: every example counted, failures among them, the same result however often it was killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lyceum.core.errors import Busy, InvalidInput, ProviderError
from lyceum.core.types import Answer, Example, Gold, Query, Score, Usage
from lyceum.evals.metrics import METRICS
from lyceum.evals.records import Outcome, Summary, read_outcomes, read_run
from lyceum.evals.run import Evaluation, Progress
from tests.toys import run

ROOT = Path(__file__).parents[2]
HEAD = Summary(
    id="toy", dataset="toy", data="d", pipeline="p", configuration="c", code="v", models={},
    date="2026-01-01", n=0, failed=0, metrics={},
)  # fmt: skip


class Echo:
    """A stand-in answerer: says the number in the question, fails for some, counts what it is asked."""

    def __init__(self, failing: Sequence[str] = (), pause: float = 0.0) -> None:
        self.failing, self.pause = set(failing), pause
        self.asked: list[str] = []
        self.now = self.most = 0

    async def __call__(self, query: Query) -> Answer:
        self.asked.append(query.text)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.pause)
        self.now -= 1
        number = query.text.split()[-1]
        if number in self.failing:
            raise ProviderError("The model is away.", hint="Try again.")
        return Answer(text=f"It is {number}.", usage=Usage(input_tokens=1000, output_tokens=10))


def examples(count: int) -> list[Example]:
    """Return examples of which every third expects something else than it is told."""
    return [
        Example(
            id=f"e{n}", question=f"What is number {n}", answers=((str(n) if n % 3 else "none",),),
            gold=(Gold(document="a.pdf" if n % 2 else "b.md"),), tags=("odd",) if n % 2 else (),
        )
        for n in range(count)
    ]  # fmt: skip


def plain(outcomes: Sequence[Outcome]) -> list[Any]:
    return [replace(one, seconds=0.0) for one in outcomes]


def test_every_example_counts_in_order_with_intervals_and_slices(tmp_path: Path) -> None:
    told: list[Progress] = []
    evaluation = Evaluation(
        answerer=Echo(), metrics=METRICS, media={"a.pdf": "pdf", "b.md": "markdown"}, jobs=3, prices=(2.0, 10.0),
        tell=told.append,
    )  # fmt: skip
    asked = examples(30)
    made = run(evaluation(tmp_path / "r", HEAD, asked))
    assert [one.example for one in made.outcomes] == asked
    correct = made.summary.metrics["correct"]
    assert (correct.n, correct.failed, correct.mean) == (30, 0, pytest.approx(20 / 30))
    assert 0.4 < correct.low < correct.mean < correct.high < 0.9
    assert set(made.summary.slices) == {"tag:odd", "type:pdf", "type:markdown"}  # all are English: no slice
    assert made.summary.slices["tag:odd"]["correct"].n == 15
    assert (made.summary.tokens, made.summary.cost) == (30_300, pytest.approx(30 * 0.0021))
    assert (told[-1].done, told[-1].total, told[-1].left) == (30, 30, 0.0)
    assert told[-1].cost == pytest.approx(30 * 0.0021)
    again = read_run(tmp_path / "r")
    assert (again.summary, plain(again.outcomes)) == (made.summary, plain(made.outcomes))


def test_an_example_over_two_types_counts_for_both(tmp_path: Path) -> None:
    both = (Gold(document="a.pdf"), Gold(document="b.md"))
    asked = [replace(examples(1)[0], gold=both), *examples(3)[1:]]
    media = {"a.pdf": "pdf", "b.md": "markdown"}
    made = run(Evaluation(answerer=Echo(), metrics=METRICS, media=media)(tmp_path / "r", HEAD, asked))
    counted = {name: one["correct"].n for name, one in made.summary.slices.items() if "type" in name}
    single = [one.gold[0].document for one in asked[1:]]
    assert counted == {"type:pdf": 1 + single.count("a.pdf"), "type:markdown": 1 + single.count("b.md")}


def test_a_failed_example_counts_as_zero_and_is_shown(tmp_path: Path) -> None:
    asked = examples(12)
    asked[5] = replace(asked[5], answers=(), gold=())  # neither metric says anything of it, failed or not
    asked[7] = replace(asked[7], answers=(), answerable=False)  # refusing is right, failing is not
    whole = run(Evaluation(answerer=Echo(), metrics=METRICS)(tmp_path / "whole", HEAD, asked))
    failing = Echo(failing=("1", "5", "7"))
    made = run(Evaluation(answerer=failing, metrics=METRICS)(tmp_path / "failing", HEAD, asked))
    assert (made.summary.n, made.summary.failed) == (12, 3)
    assert made.outcomes[1].error == "provider: The model is away. Try again."
    assert made.outcomes[1].answer is None
    for name in ("correct", "recall@10"):
        assert made.summary.metrics[name].n == whole.summary.metrics[name].n == 11
        assert made.outcomes[5].scores[name].value is None
        assert made.outcomes[7].scores[name].value == 0.0
    assert made.summary.metrics["correct"].mean == pytest.approx(
        whole.summary.metrics["correct"].mean - 1 / 11
    )


def test_what_failed_is_asked_again(tmp_path: Path) -> None:
    asked = examples(6)
    run(Evaluation(answerer=Echo(failing=("2",)), metrics=METRICS)(tmp_path / "r", HEAD, asked))
    better = Echo()
    made = run(Evaluation(answerer=better, metrics=METRICS)(tmp_path / "r", HEAD, asked))
    assert better.asked == ["What is number 2"]
    assert made.summary.failed == 0


def test_a_judge_that_cannot_judge_is_counted_apart(tmp_path: Path) -> None:
    async def judged(example: Example, answer: Answer) -> Score:
        number = int(example.id[1:])
        if number == 0:
            raise ProviderError("The judge is away.")
        return Score(reason="junk", failed=True) if number == 1 else Score(value=0.5)

    evaluation = Evaluation(answerer=Echo(failing=("2",)), metrics={"judged": judged})
    made = run(evaluation(tmp_path / "r", HEAD, examples(6)))
    found = made.summary.metrics["judged"]
    assert (found.n, found.failed, found.mean) == (4, 2, pytest.approx(1.5 / 4))
    assert made.outcomes[0].scores["judged"].reason == "provider: The judge is away."


@pytest.mark.parametrize("jobs", [1, 4])
def test_as_many_at_a_time_as_allowed(tmp_path: Path, jobs: int) -> None:
    answerer = Echo(pause=0.002)
    run(Evaluation(answerer=answerer, metrics=METRICS, jobs=jobs)(tmp_path / "r", HEAD, examples(20)))
    assert answerer.most == jobs


def test_a_line_that_was_cut_off_is_asked_again(tmp_path: Path) -> None:
    asked = examples(10)
    made = run(Evaluation(answerer=Echo(), metrics=METRICS)(tmp_path / "r", HEAD, asked))
    file = tmp_path / "r" / "examples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[8], *lines[:5], lines[6][:40]]))
    (tmp_path / "r" / "summary.json").unlink()
    resumed = Echo()
    again = run(Evaluation(answerer=resumed, metrics=METRICS)(tmp_path / "r", HEAD, asked))
    assert len(resumed.asked) == 4
    assert plain(again.outcomes) == plain(made.outcomes)
    assert read_run(tmp_path / "r").summary.metrics == made.summary.metrics


PROGRAM = """
import sys
from pathlib import Path
from lyceum.evals.metrics import METRICS
from lyceum.evals.run import Evaluation
from tests.evals.test_run import HEAD, Echo, examples
from tests.toys import run
answerer = Echo(failing=("4",), pause=0.004)
run(Evaluation(answerer=answerer, metrics=METRICS, jobs=2)(Path(sys.argv[1]), HEAD, examples(150)))
"""


def test_killed_twice_it_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    file = tmp_path / "killed" / "examples.jsonl"

    def begin() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, str(file.parent)]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    kept = 0
    for _ in range(2):
        process = begin()
        deadline = time.monotonic() + 20
        while (now := file.read_bytes().count(b"\n") if file.exists() else 0) <= kept:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = max(now, len(read_outcomes(file)))
        assert kept < 150
    assert not (file.parent / "summary.json").exists()
    assert begin().wait() == 0
    asked = examples(150)
    whole = run(Evaluation(answerer=Echo(failing=("4",)), metrics=METRICS)(tmp_path / "whole", HEAD, asked))
    killed = read_run(file.parent)
    assert plain(killed.outcomes) == plain(whole.outcomes)
    assert replace(killed.summary, seconds={}) == replace(whole.summary, seconds={})


def test_one_process_at_a_time(tmp_path: Path) -> None:
    evaluation = Evaluation(answerer=Echo(), metrics=METRICS)
    (tmp_path / "r").mkdir()
    with FileLock(tmp_path / "r" / "lock"), pytest.raises(Busy, match="Another process"):
        run(evaluation(tmp_path / "r", HEAD, examples(3)))
    assert run(evaluation(tmp_path / "r", HEAD, examples(3))).summary.n == 3


def test_clear_errors(tmp_path: Path) -> None:
    evaluation = Evaluation(answerer=Echo(), metrics=METRICS)
    with pytest.raises(InvalidInput, match="no question"):
        run(evaluation(tmp_path / "r", HEAD, []))
    with pytest.raises(InvalidInput, match="same id"):
        run(evaluation(tmp_path / "r", HEAD, examples(3) * 2))
    run(evaluation(tmp_path / "r", HEAD, examples(3)))
    with pytest.raises(InvalidInput, match="answers to other questions") as problem:
        run(evaluation(tmp_path / "r", HEAD, examples(2)))
    assert problem.value.code == "mixed_run"
    (tmp_path / "r" / "examples.jsonl").write_text(json.dumps({"example": 1}) + "\n")
    with pytest.raises(InvalidInput, match="no record of a run"):
        run(evaluation(tmp_path / "r", HEAD, examples(3)))
