"""Runs made by hand: an example is right, wrong, refused or failed, and its gold stands where it is said to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lyceum.core.ids import digest
from lyceum.core.types import Answer, Chunk, Citation, Document, Example, Found, Gold, Hit, Score
from lyceum.evals.metrics import METRICS
from lyceum.evals.records import Aggregate, Outcome, Run, Summary, write_outcomes, write_summary


def example(number: int, **more: Any) -> Example:
    chosen: dict[str, Any] = {
        "id": f"q{number}", "question": f"What is {number}?", "answers": ((f"A{number}",),),
        "gold": (Gold(document=f"d{number}.md"),),
    }  # fmt: skip
    return Example(**{**chosen, **more})


def hit(name: str, rank: int) -> Hit:
    document = Document(id=name, source=name, version="1")
    by = (Found(part="lexical", rank=rank, score=1.0), Found(part="dense", rank=None, score=0.1))
    return Hit(chunk=Chunk(id=name, doc_id=name, text="words"), document=document, score=1.0 / rank, by=by)


def answered(
    asked: Example, text: str | None = None, rank: int | None = 1, cited: bool = True, refused: str = ""
) -> Outcome:
    """Return an outcome with its scores: right unless `text` says otherwise, gold at `rank` of five hits."""
    gold = [one.document for one in asked.gold] or ["none.md"]
    names = [f"other{place}.md" for place in range(1, 6)]
    if rank:
        names[rank - 1] = gold[0]
    hits = tuple(hit(name, place) for place, name in enumerate(names, 1))
    source = gold[0] if cited and rank else names[-1]
    marks = (Citation(number=1, document_id=source, source=source, title="", quote="words", chunk_id=source),)
    right = asked.answers[0][0] if asked.answers else "text"
    answer = Answer(
        text=right if text is None else text, hits=hits, citations=() if refused else marks,
        abstained=bool(refused), reason=refused,
    )  # fmt: skip
    return Outcome(
        example=asked,
        answer=answer,
        scores={name: METRICS[name](asked, answer) for name in ("correct", "recall@10")},
    )


def failed(asked: Example) -> Outcome:
    return Outcome(example=asked, error="timeout: The model did not answer.")


def summary(outcomes: Sequence[Outcome], pipeline: str, **more: Any) -> Summary:
    means: dict[str, Aggregate] = {}
    for name in dict.fromkeys(name for one in outcomes for name in one.scores):
        values = [
            score.value for one in outcomes if (score := one.scores.get(name)) and score.value is not None
        ]
        means[name] = Aggregate(mean=sum(values) / max(len(values), 1), low=0.0, high=1.0, n=len(values))
    given: Mapping[str, Any] = {
        "id": digest(pipeline), "dataset": "toy", "data": "data1", "pipeline": pipeline, "configuration": "",
        "code": "1", "models": {}, "date": "2026-01-01", "n": len(outcomes),
        "failed": sum(bool(one.error) for one in outcomes), "metrics": means,
    }  # fmt: skip
    return Summary(**{**given, **more})


def made(pipeline: str, outcomes: Sequence[Outcome], home: Path | None = None, **more: Any) -> Run:
    """Return a run; with a home it is written to it as well."""
    told = summary(outcomes, pipeline, **more)
    folder = (home or Path("home")) / "runs" / told.id
    if home:
        folder.mkdir(parents=True)
        write_outcomes(folder / "examples.jsonl", outcomes)
        write_summary(folder, told)
    return Run(folder=folder, summary=told, outcomes=outcomes)


def scores(pipeline: str, values: Mapping[str, Sequence[float]], **more: Any) -> Run:
    """Return a run of which only the scores matter."""
    rows = zip(*values.values(), strict=True)
    outcomes = [
        Outcome(
            example=example(number), answer=Answer(text=""),
            scores={name: Score(value=float(value)) for name, value in zip(values, row, strict=True)},
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
    return made(pipeline, outcomes, **more)
