"""Examples, an answerer and metrics to a run's folder; a killed run goes on. It knows no index and no configuration.

Each finished example is appended to examples.jsonl and synced in batches; at the end the file stands in the order of
the examples. What could not be answered is data: it counts as zero for every metric that applies to its example.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from lyceum.core.errors import Busy, InvalidInput, LyceumError
from lyceum.core.protocols import Judge, Metric
from lyceum.core.text import language
from lyceum.core.types import Answer, Example, Query, Score
from lyceum.evals.records import (
    Aggregate,
    Outcome,
    Run,
    Summary,
    line,
    read_outcomes,
    write_outcomes,
    write_summary,
)
from lyceum.evals.statistics import interval

KEPT, WAITED = 32, 2.0  # finished examples, and seconds, that a kill may cost at most
BLANK = Answer(text="")  # asked of a metric to learn whether it applies to an example that failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: examples done (of them failed) of `total`, money spent, examples a second, seconds left."""

    done: int
    total: int
    failed: int
    cost: float
    rate: float
    left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Asks `answerer` `jobs` questions at a time and measures what it says.

    `media` tells the type of each gold document; `prices` are money for a million tokens in and out.
    """

    answerer: Callable[[Query], Awaitable[Answer]]
    metrics: Mapping[str, Metric | Judge]
    media: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 1
    prices: tuple[float, float] = (0.0, 0.0)
    tell: Callable[[Progress], None] = lambda progress: None

    async def __call__(self, folder: Path, head: Summary, examples: Sequence[Example]) -> Run:
        """Return the finished run; `head` names it and says what was asked of what.

        Examples that failed before are asked again. Raises Busy while another process is at the same run.
        """
        if not examples:
            raise InvalidInput("There is no question to ask.", hint="Look at the set, --half and --limit.")
        order = {example.id: at for at, example in enumerate(examples)}
        if len(order) < len(examples):
            raise InvalidInput("Two examples have the same id.", hint="Give each an id of its own.")
        try:
            with _lock(folder):
                file = folder / "examples.jsonl"
                await self._ask(file, examples)
                outcomes = sorted(read_outcomes(file), key=lambda one: order[one.example.id])
                write_outcomes(file, outcomes)
                summary = summarise(head, outcomes, self.media)
                write_summary(folder, summary)
        except Timeout as problem:
            raise Busy(f"Another process is at the run {folder.name}.", hint="Wait for its end.") from problem
        return Run(folder=folder, summary=summary, outcomes=outcomes)

    async def _ask(self, file: Path, examples: Sequence[Example]) -> None:
        """Append what is missing in the file."""
        known = {one.example.id: one for one in read_outcomes(file) if not one.error}
        if known.keys() - {example.id for example in examples}:
            raise InvalidInput(
                f"{file} holds answers to other questions.", hint="Remove the folder and run again.",
                code="mixed_run",
            )  # fmt: skip
        write_outcomes(file, known.values())  # without what a kill cut off
        todo = iter([example for example in examples if example.id not in known])
        log = _Log(file, list(known.values()), len(examples), self.tell)

        async def work() -> None:
            for example in todo:
                log.add(await self.outcome(example))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.jobs):
                    group.create_task(work())
        except ExceptionGroup as problems:
            raise problems.exceptions[0] from None
        finally:
            log.close()

    async def outcome(self, example: Example) -> Outcome:
        """Return what became of one example."""
        started = time.perf_counter()
        query = Query(text=example.question, readers=example.readers, history=example.history)
        try:
            answer = await self.answerer(query)
        except LyceumError as problem:
            error, seconds = f"{problem.code}: {problem}", time.perf_counter() - started
            scores = {name: _failed(metric, example, error) for name, metric in self.metrics.items()}
            return Outcome(example=example, scores=scores, error=error, seconds=seconds)
        seconds = time.perf_counter() - started
        scores = {name: await _score(metric, example, answer) for name, metric in self.metrics.items()}
        tokens = (answer.usage.input_tokens, answer.usage.output_tokens)
        cost = sum(price * number for price, number in zip(self.prices, tokens, strict=True)) / 1e6
        return Outcome(example=example, answer=answer, scores=scores, seconds=seconds, cost=cost)


def _lock(folder: Path) -> FileLock:
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "lock", timeout=0, thread_local=False)


async def _score(metric: Metric | Judge, example: Example, answer: Answer) -> Score:
    try:
        made = metric(example, answer)
        return await made if inspect.isawaitable(made) else made
    except LyceumError as problem:
        return Score(reason=f"{problem.code}: {problem}", failed=True)


def _failed(metric: Metric | Judge, example: Example, error: str) -> Score:
    """Return 0 where the metric says something of such an example; a judge is not asked and always does."""
    if not inspect.iscoroutinefunction(metric) and not inspect.iscoroutinefunction(type(metric).__call__):
        blank = metric(example, BLANK)
        if isinstance(blank, Score) and blank.value is None and not blank.failed:
            return blank
    return Score(value=0.0, reason=error)


class _Log:
    """Appends outcomes to a file, in batches that reach the disk, and tells how far the run is."""

    def __init__(
        self, file: Path, known: Sequence[Outcome], total: int, tell: Callable[[Progress], None]
    ) -> None:
        self.file, self.tell, self.total = file.open("ab"), tell, total
        self.done, self.before, self.failed = len(known), len(known), 0
        self.cost = sum(one.cost for one in known)
        self.started = self.synced = time.monotonic()
        self.waiting = 0

    def add(self, outcome: Outcome) -> None:
        self.file.write(line(outcome).encode())
        self.done, self.waiting = self.done + 1, self.waiting + 1
        self.failed, self.cost = self.failed + bool(outcome.error), self.cost + outcome.cost
        now = time.monotonic()
        if self.waiting >= KEPT or now - self.synced > WAITED:
            self._sync()
            self.waiting, self.synced = 0, now
        rate = (self.done - self.before) / max(now - self.started, 1e-6)
        left = (self.total - self.done) / rate
        self.tell(
            Progress(
                done=self.done, total=self.total, failed=self.failed, cost=self.cost, rate=rate, left=left
            )
        )

    def _sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self._sync()
        self.file.close()


def summarise(head: Summary, outcomes: Sequence[Outcome], media: Mapping[str, str]) -> Summary:
    """Return the head with what was measured: over all, by tag, by the question's language, by type of the gold."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        for name in _slices(one.example, media):
            groups[name].append(one)
    answers = [one.answer for one in outcomes if one.answer]
    return replace(
        head, n=len(outcomes), failed=sum(bool(one.error) for one in outcomes), metrics=_measured(outcomes),
        slices={name: _measured(some) for name, some in sorted(groups.items()) if len(some) < len(outcomes)},
        seconds=_times([one.seconds for one in outcomes]), cost=sum(one.cost for one in outcomes),
        tokens=sum(one.usage.input_tokens + one.usage.output_tokens for one in answers),
    )  # fmt: skip


def _slices(example: Example, media: Mapping[str, str]) -> list[str]:
    kinds = sorted({media[gold.document] for gold in example.gold if media.get(gold.document)})
    spoken = language(example.question)
    return [
        *(f"tag:{tag}" for tag in dict.fromkeys(example.tags)),
        *([f"language:{spoken}"] if spoken else []),
        *(f"type:{kind}" for kind in kinds),
    ]


def _measured(outcomes: Sequence[Outcome]) -> dict[str, Aggregate]:
    names = dict.fromkeys(name for one in outcomes for name in one.scores)
    found = {name: aggregate([one.scores[name] for one in outcomes if name in one.scores]) for name in names}
    return {name: one for name, one in found.items() if one.n or one.failed}


def aggregate(scores: Iterable[Score]) -> Aggregate:
    """Return the mean of what was scored; zero of none where nothing was."""
    values: list[float] = []
    failed = 0
    for score in scores:
        failed += score.failed
        values += [] if score.value is None else [score.value]
    if not values:
        return Aggregate(mean=0.0, low=0.0, high=0.0, n=0, failed=failed)
    low, high = interval(values)
    return Aggregate(mean=sum(values) / len(values), low=low, high=high, n=len(values), failed=failed)


def _times(seconds: Sequence[float]) -> dict[str, float]:
    ranked = sorted(seconds)
    middle, late = (ranked[math.ceil(len(ranked) * share) - 1] for share in (0.5, 0.95))  # nearest rank
    return {"p50": middle, "p95": late, "total": sum(ranked)}
