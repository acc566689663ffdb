"""Two runs that have everything a report shows: each state, each kind of metric, and words that mean harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lyceum.core.types import Answer, Chunk, Citation, Document, Example, Found, Gold, Hit, Place, Score
from lyceum.evals import records
from lyceum.evals.records import Aggregate, Outcome, Run, Summary

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src="http://192.0.2.1/x.png" onerror="alert(1)">',
    "</style><style>body{background:url(http://192.0.2.1/y)}</style>",
    "</bdi></p></details></main><iframe src='http://192.0.2.1/z'></iframe>",
    "{{ 7 * 7 }} {% raw %} {0} {} %s",
    "<a href='javascript:alert(1)'>click</a><!-- <base href='http://192.0.2.1/'>",
    "'; </title><meta http-equiv='refresh' content='0; url=http://192.0.2.1/'>",
    "\u202eright to left\u202c ]]> &lt;b&gt; &amp;",
    "x" * 650,
)
Words = Callable[[str], str]


def harmless(text: str) -> str:
    """Return the text as it is."""
    return text


class Harm:
    """Adds to each text one of the hostile ones, in turn."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, text: str) -> str:
        self.count += 1
        return f"{text} {HOSTILE[self.count % len(HOSTILE)]}"


def hit(number: int, source: str, words: Words) -> Hit:
    """Return a hit of a document without its text, as a run keeps it."""
    chunk = Chunk(id=f"c{number}", doc_id=source, text="", title=words("Title"))
    by = (Found(part=words("bm25"), rank=number, score=3.5), Found(part="vectors", rank=None, score=0.1))
    return Hit(
        chunk=chunk, document=Document(id=source, source=f"/files/{source}", version="1"), score=1.0, by=by
    )


def outcome(number: int, became: str, words: Words, confidence: float = 0.5, **more: Any) -> Outcome:
    """Return an outcome in one of the states, each with its own seconds."""
    gold = (Gold(document="gold.pdf", page=3, text=words("Seven is the answer.")),)
    example = Example(
        id=words(f"q{number}"), question=words(f"Question {number}?"), answers=((words("seven"), words("7")),),
        tags=(words("lookup"),), **{"gold": gold, **more},
    )  # fmt: skip
    seconds = 0.01 * (number + 1)
    if became == "failed":
        return Outcome(example=example, error=words("timeout: The model did not answer."), seconds=seconds)
    source = words("gold.pdf" if became == "right" else "other.pdf")
    quote = Citation(
        number=1, document_id="d", source=words("/files/gold.pdf"), title=words("Gold"), quote=words("Seven."),
        chunk_id="c1", place=Place(part=words("mail.eml/gold.pdf"), page=3),
    )  # fmt: skip
    refused = became == "refused" or not example.answerable
    answer = Answer(
        text="" if refused else words(f"It is {number}.\nSee [1]."), confidence=confidence, abstained=refused,
        reason=words("The documents say nothing of it.") if refused else "", citations=() if refused else (quote,),
        hits=(hit(1, "other.pdf", words), hit(2, source, words)),
    )  # fmt: skip
    scores = {
        "correct": Score(value=float(became == "right")),
        "faithful": Score(reason=words("the judge returned junk"), failed=True),
    }
    if became == "unjudged":
        scores["correct"] = Score(reason=words("no gold answer"))
    return Outcome(example=example, answer=answer, scores=scores, seconds=seconds)


STATES = ("right", "right", "wrong", "right", "refused", "unjudged", "wrong", "failed")


def run(folder: Path, words: Words = harmless, shift: int = 0, states: tuple[str, ...] = STATES) -> Run:
    """Return a run over the states, those of another run shifted by some questions."""
    folder.mkdir(parents=True, exist_ok=True)
    moved = states[shift:] + states[:shift]
    outcomes = [outcome(n, one, words, 0.9 - n / (8 * len(moved))) for n, one in enumerate(moved)]
    outcomes.append(outcome(len(moved), "right", words, answerable=False, gold=()))
    metrics = {
        "correct": Aggregate(mean=0.614, low=0.207, high=0.891, n=7),
        words("faithful"): Aggregate(mean=0.555, low=0.333, high=0.777, n=2, failed=6),
        words("words"): Aggregate(mean=41.5, low=30.25, high=52.75, n=8),
    }
    summary = Summary(
        id=f"{folder.name}", dataset=words("squad"), data="d1", pipeline=words(folder.name), configuration="c1",
        code=words("abc1234"), models={words("encoder"): words("minilm")}, date="2026-11-25", n=len(outcomes),
        failed=moved.count("failed"), metrics=metrics, tokens=1234, cost=5.678,
        slices={
            words(name): {"correct": Aggregate(mean=0.444, low=0.111, high=0.888, n=3)}
            for name in ("language:en", "tag:lookup", "type:pdf", "half")
        },
        seconds={"p50": 0.04, "p95": 0.09, "total": 1234.5},
    )  # fmt: skip
    return Run(folder=folder, summary=summary, outcomes=outcomes)


def save(made: Run) -> None:
    """Write a run as the engine does."""
    records.write_outcomes(made.folder / "examples.jsonl", made.outcomes)
    records.write_summary(made.folder, made.summary)


def autopsy(words: Words = harmless) -> dict[str, Any]:
    """Return what an autopsy finds."""
    stages = "parse split index visible lexical dense fuse rerank pack read cite".split()
    waterfall = [[one, 0.0625 * n, n] for n, one in enumerate([*stages[:2], words("elsewhere"), *stages[2:]])]
    cause = {"stage": "read", "facts": words("It stood at rank 12."), "fix": words("top_k = 20")}
    causes = [
        {"example": words("q2"), "with": ["pack", words("elsewhere")], **cause},
        {"example": "q4", "with": [], **cause},
    ]
    return {"waterfall": waterfall, "causes": causes}


def comparison(words: Words = harmless) -> dict[str, Any]:
    """Return what a comparison finds."""
    found = {
        words("correct"): ("not proven", 0.1, -0.02, 0.22, 0.081), "faithful": ("worse", -0.2, -0.3, -0.1, 0.002),
        "recall@10": ("better", 0.3, 0.2, 0.4, 0.001), "words": ("no difference", 0.0, -0.01, 0.01, 0.9),
    }  # fmt: skip
    names = ("verdict", "difference", "low", "high", "adjusted")
    rows = [{"metric": name, **dict(zip(names, row, strict=True))} for name, row in found.items()]
    rows.append({**rows[0], "verdict": words("something new")})
    stages = (
        ("q6", "search"), ("q6", "ranking"), ("q7", "reading"), ("q0", "refusal"), ("q0", words("elsewhere")),
    )  # fmt: skip
    duels = [{"id": name, "stage": one, "parting": words("first at 3")} for name, one in stages]
    return {"metrics": rows, "sentences": [words("Not proven for correct.")], "duels": duels}
