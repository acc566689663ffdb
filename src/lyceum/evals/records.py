"""A run's folder: what was asked, answered and measured, one line an example; knows neither pipeline nor metric."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lyceum.core.errors import InvalidInput, NotFound
from lyceum.core.types import Answer, Example, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One example with its answer and scores; a failed one has no answer and says `error` (code: message)."""

    example: Example
    answer: Answer | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A mean over `n` scored examples with its 95 % interval; `failed` could not be scored, and count in no mean."""

    mean: float
    low: float
    high: float
    n: int
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run measured: `id` is a hash of data, pipeline, models and code; `slices` are by tag, then metric."""

    id: str
    dataset: str
    data: str
    pipeline: str
    configuration: str
    code: str
    models: Mapping[str, str]
    date: str
    n: int
    failed: int
    metrics: Mapping[str, Aggregate]
    slices: Mapping[str, Mapping[str, Aggregate]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as read from its folder, outcomes in the order of the examples."""

    folder: Path
    summary: Summary
    outcomes: Sequence[Outcome]


@cache
def _adapter(noun: Any) -> TypeAdapter[Any]:
    return TypeAdapter(noun)


def line(outcome: Outcome) -> str:
    """Return an outcome as a line of JSON; hits keep where they stand and lose their text."""
    answer = outcome.answer
    if answer:
        hits = tuple(replace(hit, chunk=replace(hit.chunk, text="", pieces=())) for hit in answer.hits)
        outcome = replace(outcome, answer=replace(answer, hits=hits))
    return str(_adapter(Outcome).dump_json(outcome).decode()) + "\n"


def read_outcomes(file: Path) -> list[Outcome]:
    """Return the outcomes of a file in its order; a line that a kill cut off at the end is left out."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    whole, _, _cut = text.rpartition("\n")
    try:
        return [_adapter(Outcome).validate_json(row) for row in whole.splitlines() if row]
    except ValidationError as problem:
        hint = "Another release may have written it: run the evaluation again."
        raise InvalidInput(
            f"{file} is no record of a run: {problem.errors()[0]['msg']}.", hint=hint
        ) from problem


def write_outcomes(file: Path, outcomes: Iterable[Outcome]) -> None:
    """Write outcomes in one step: a kill leaves the file as it was."""
    draft = file.with_suffix(".draft")
    draft.write_text("".join(map(line, outcomes)), encoding="utf-8")
    draft.replace(file)


def write_summary(folder: Path, summary: Summary) -> None:
    """Write summary.json."""
    made = json.loads(_adapter(Summary).dump_json(summary))
    (folder / "summary.json").write_text(json.dumps(made, ensure_ascii=False, indent=1), encoding="utf-8")


def read_run(folder: Path) -> Run:
    """Read a finished run.

    Raises NotFound where there is none or it did not end.
    """
    file = folder / "summary.json"
    if not file.exists():
        raise NotFound(f"{folder} holds no finished run.", hint="`lyceum eval leaderboard` lists runs.")
    try:
        summary = _adapter(Summary).validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as problem:
        raise InvalidInput(
            f"{file} is no summary of a run.", hint="Remove its folder.", code="run"
        ) from problem
    return Run(folder=folder, summary=summary, outcomes=read_outcomes(folder / "examples.jsonl"))
