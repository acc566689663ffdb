"""Pipelines with one stage broken, and which stage that is: each fault is done to the real thing that it names.

A fault of reading or cutting files is a wrapper around the house's reader or splitter, and the files go through
ingest again; a fault of an index or of readers' rights is done to the views and the ledger of a home on disk; the
others wrap or configure a part of the answering pipeline. Every fault aims at the documents of the questions that it
is tried on; what it does not aim at stays whole.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from broken_files import Aims, BrokenTables, CutAnswers, DroppedPages, aimed

from lyceum.answer.evidence import Evidence, Judged
from lyceum.core.ids import document_id
from lyceum.core.types import (
    Answer,
    Change,
    Chunk,
    Delta,
    Document,
    Done,
    Event,
    Example,
    Hit,
    Message,
    Query,
)  # fmt: skip
from lyceum.evals.stages import Wrapper
from lyceum.wire import Platform

Parts = Mapping[str, Any]
Tables = Mapping[str, Mapping[str, Any]]
BOARD = frozenset({"board"})

# What is computed over tables is left out: faults are planted into what reads and quotes.
QUOTED: Tables = {"computed": {"kind": "none"}}
PIPELINES: dict[str, Tables] = {
    "default": {},
    "lexical": {"retriever": {"kind": "search.lexical"}},
    "dense": {"retriever": {"kind": "search.hybrid", "weight": 0.9}},
    "reranked": {
        "retriever": {
            "kind": "search.reranked", "retriever": {"kind": "search.hybrid"}, "reranker": {"kind": "answer.rerank"},
        }
    },
    "generative": {
        "retriever": {"kind": "search.lexical"}, "answerer": {"kind": "answer.generative", "budget": 3000},
    },
    "generative, dense": {
        "retriever": {"kind": "search.hybrid", "weight": 0.9},
        "answerer": {"kind": "answer.generative", "budget": 3000},
    },
    "generative, lean": {"answerer": {"kind": "answer.generative", "budget": 350}},
}  # fmt: skip


# --- the store -------------------------------------------------------------------------------------------


async def hide(platform: Platform, aims: Aims) -> None:
    """Give the documents to readers who do not ask."""
    for source in sorted({aimed(one) for one in aims}):
        await platform.store.set_readers(document_id(source), BOARD)


async def make_stale(platform: Platform, aims: Aims) -> None:
    """Take the documents' chunks out of the lexical index, which goes on saying that it has followed the ledger."""
    view = platform.store.views[0]
    last = await platform.store.position(view)
    numbers = [
        chunk.number for source in sorted({aimed(one) for one in aims})
        for chunk in await platform.store.ledger.chunks(document_id(source))
    ]  # fmt: skip
    await view.apply([Change(sequence=last, kind="remove", number=number) for number in numbers])


# --- search ----------------------------------------------------------------------------------------------


class Shuffled(Wrapper):
    """A dense view whose rows have been mixed up: each chunk is found by another chunk's vector."""

    def __init__(self, view: Any, numbers: Sequence[int]) -> None:
        super().__init__(view)
        others = list(numbers)
        random.Random(1).shuffle(others)
        self.told = dict(zip(numbers, others, strict=True))
        self.meant = dict(zip(others, numbers, strict=True))

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        inside = None if among is None else [self.meant.get(number, number) for number in among]
        return [(self.told.get(n, n), score) for n, score in await self.part.find(query, k, inside)]


async def shuffle(platform: Platform, aims: Aims) -> None:
    """Mix up the rows of the dense view."""
    changes = await platform.store.ledger.changes(0, 1_000_000)
    numbers = sorted({change.number for change in changes if change.kind == "put"})
    hybrid: Any = platform.retriever
    hybrid.dense = Shuffled(hybrid.dense, numbers)


class Inverted(Wrapper):
    """A reranker that puts the best hit last."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        found = await self.part(query, hits)
        scores = [hit.score for hit in found]
        return [replace(hit, score=score) for hit, score in zip(reversed(found), scores, strict=True)]


async def invert(platform: Platform, aims: Aims) -> None:
    """Turn the reranker round."""
    reranked: Any = platform.retriever
    reranked.reranker = Inverted(reranked.reranker)


# --- answer ----------------------------------------------------------------------------------------------


class Fewer(Wrapper):
    """Hits on the way to the reader, of which the first half is lost."""

    async def __call__(self, query: Query) -> list[Hit]:
        hits = await self.part(query)
        return list(hits[len(hits) // 2 :])


async def cut(platform: Platform, aims: Aims) -> None:
    """Lose hits between the retriever and the reader."""
    answerer: Any = platform.answerer
    answerer.retriever = Fewer(answerer.retriever)


class Blind(Wrapper):
    """Evidence that gives every statement the place and score of another one of the same hits."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Judged]:
        judged = await self.part(query, hits)
        mixed = judged[len(judged) // 2 :] + judged[: len(judged) // 2]
        return [replace(good, statement=one.statement) for good, one in zip(judged, mixed, strict=True)]


async def blind(platform: Platform, aims: Aims) -> None:
    """Let the reader choose wrong statements."""
    answerer: Any = platform.answerer
    answerer.evidence = Blind(answerer.evidence)


class Miscited(Wrapper):
    """An answerer whose citations point at another document than the one they quote."""

    async def __call__(self, query: Query) -> Answer:
        answer: Answer = await self.part(query)
        return replace(answer, citations=tuple(self._wrong(one, answer.hits) for one in answer.citations))

    def _wrong(self, cited: Any, hits: Sequence[Hit]) -> Any:
        other = next((hit for hit in hits if hit.document.id != cited.document_id), None)
        if other is None:
            return replace(cited, source="", document_id="")
        place = other.chunk.pieces[0].place if other.chunk.pieces else cited.place
        return replace(
            cited, document_id=other.document.id, source=other.document.source, title=other.document.title,
            chunk_id=other.chunk.id, quote=other.chunk.text[:200], place=place, boxes=(), start=None, end=None,
        )  # fmt: skip


async def miscite(platform: Platform, aims: Aims) -> None:
    """Turn every citation to another document."""
    platform.answerer = Miscited(platform.answerer)


class Quoting:
    """A stand-in for a Chat, named as such: it quotes the statement of its passages that answers best."""

    name = "quoting"
    _passage = re.compile(r'<passage number="(\d+)">\n(.*?)\n(.*?)\n</passage>', re.S)

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    async def __call__(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[Event]:
        passages, _, question = messages[-1].content.rpartition("\n\nQuestion: ")
        document = Document(id="", source="", version="")
        hits = [
            Hit(document=document, score=0.0, chunk=Chunk(
                id=number, doc_id="", text=text, title=title, kind="table" if text.startswith("|") else "text",
            ))
            for number, title, text in self._passage.findall(passages)
        ]  # fmt: skip
        judged = await self.evidence(Query(text=question), hits)
        for one in judged[:1]:
            yield Delta(text=f"{one.statement.quote} [{one.statement.hit.chunk.id}]")
        yield Done(model=self.name)


# --- the table ---------------------------------------------------------------------------------------------

After = Callable[[Platform, Aims], Awaitable[None]]


async def nothing(platform: Platform, aims: Aims) -> None:
    """Leave a platform as it is."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is broken in which pipeline, and the stage that has to be named for it.

    `parts` wraps parts before files are read (they are then read again); `after` works on the finished platform;
    `tables` changes the configuration; `only` says on which questions it can act; `rare` that it breaks few of them,
    so that all are tried.
    """

    name: str
    stage: str
    what: str
    pipeline: str = "default"
    parts: Callable[[Parts, Aims], Parts] | None = None
    after: After = nothing
    tables: Tables = field(default_factory=dict)
    only: Callable[[Example], bool] = lambda example: True
    rare: bool = False


def both(one: Fault, other: Fault) -> Fault:
    """Return two faults of one pipeline as one."""

    async def after(platform: Platform, aims: Aims) -> None:
        await one.after(platform, aims)
        await other.after(platform, aims)

    made = [fault.parts for fault in (one, other) if fault.parts]
    return Fault(
        name=f"{one.name} + {other.name}", stage=f"{one.stage}+{other.stage}", pipeline=one.pipeline,
        what=f"{one.what}; {other.what}", after=after, tables={**one.tables, **other.tables},
        parts=(lambda parts, aims: {key: value for make in made for key, value in make(parts, aims).items()})
        if made else None,
        only=lambda example: one.only(example) and other.only(example),
    )  # fmt: skip


FAULTS = (
    Fault(
        name="page dropped", stage="parse", what="the parser loses the page that holds the evidence (PDF)",
        parts=lambda parts, aims: {"reader": DroppedPages(parts["reader"], aims)},
        only=lambda example: example.gold[0].page is not None,
    ),
    Fault(
        name="table broken", stage="parse",
        what="the answer's column is lost or run into another, or the first one slips",
        parts=lambda parts, aims: {"reader": BrokenTables(parts["reader"], aims)},
        only=lambda example: "table" in example.tags, rare=True,
    ),
    Fault(
        name="chunk boundary", stage="split", what="a chunk ends in the middle of the answer",
        parts=lambda parts, aims: {"splitter": CutAnswers(parts["splitter"], aims)},
    ),
    Fault(name="not visible", stage="visible", what="the document belongs to other readers", after=hide),
    Fault(
        name="lexical stale", stage="index", pipeline="lexical", after=make_stale,
        what="the lexical index lacks the document and says that it is up to date",
    ),
    Fault(
        name="dense shuffled", stage="index", pipeline="dense", after=shuffle,
        what="the dense view's rows are mixed up",
    ),
    Fault(
        name="fusion weight", stage="fuse", pipeline="generative, lean", rare=True,
        what="all weight lies on the dense part, which fails for these questions",
        tables={"retriever": {"kind": "search.hybrid", "weight": 1.0}},
    ),
    Fault(name="reranker inverted", stage="rerank", pipeline="reranked", what="the best hit is put last",
          after=invert),
    Fault(name="context cut", stage="pack", what="the first half of the hits is lost before reading", after=cut),
    Fault(
        name="context budget", stage="pack", pipeline="generative", rare=True,
        what="only the first passage fits the budget",
        tables={"answerer": {"kind": "answer.generative", "budget": 40}},
    ),
    Fault(name="reader blind", stage="read", what="wrong statements are chosen from the right hits", after=blind),
    Fault(name="citation wrong", stage="cite", what="citations point at another document", after=miscite),
)  # fmt: skip
NAMED = {fault.name: fault for fault in FAULTS}
PAIRS = tuple(
    both(NAMED[one], NAMED[other])
    for one, other in (
        ("page dropped", "reader blind"), ("chunk boundary", "context cut"), ("not visible", "citation wrong"),
        ("lexical stale", "reader blind"),
    )
)  # fmt: skip
# The same fault where another stage is weak as well, so that two answers are true: reported apart.
APART = (replace(NAMED["context budget"], name="context budget, dense", pipeline="generative, dense"),)
