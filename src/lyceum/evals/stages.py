"""A pipeline's stages in their order, what one may be asked while it answers, and where gold stood at each of them.

A pipeline under examination is a `Subject`: its parts by name, each of which can be exchanged for one question.
It is watched by wrapping parts, so that whatever runs, runs for real. Knows no index, no file and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from lyceum.core.protocols import Answerer, View
from lyceum.core.types import Answer, Chunk, Document, Element, Hit, Query

STAGES = (
    "parse", "split", "index", "visible", "lexical", "dense", "fuse", "rerank", "pack", "read", "cite",
)  # fmt: skip
PARTS = ("lexical", "dense")
# "offered" is what the whole search gives, "read" what reaches the reader.
PLACES = (*PARTS, "fused", "offered", "read")
Wrap = Callable[[Any], Any]
Scored = list[tuple[int, float]]


class Subject(Protocol):
    """A pipeline that is examined.

    `parts` are those it has of: ledger, lexical, dense (views), engine (the retriever that asks the views), reranker,
    retriever (the whole search), asks (what the reader calls for hits), evidence (what judges the hits it reads),
    reader (what answers from them).
    """

    parts: Mapping[str, Any]

    def exchanged(self, wraps: Mapping[str, Sequence[Wrap]]) -> Answerer:
        """Return the same pipeline with parts wrapped, innermost wrap first; the pipeline itself stays as it is."""
        ...

    async def document(self, name: str) -> Document | None:
        """Return a document by its source or the end of it, whoever may read it."""
        ...

    async def elements(self, document: Document) -> Sequence[Element]:
        """Return what the parser made of it."""
        ...

    async def chunks(self, document: Document) -> Sequence[Chunk]:
        """Return its current chunks as the ledger holds them."""
        ...

    async def plain(self, name: str) -> Sequence[tuple[int | None, str]]:
        """Return the pages of the source file as another, simple extraction gives them; nothing without the file."""
        ...

    def split(self, document: Document, elements: Sequence[Element]) -> Sequence[Chunk]:
        """Cut elements with the pipeline's own splitter."""
        ...

    async def fresh(self, part: str) -> View:
        """Return a view like `part`, built anew out of the ledger."""
        ...


@dataclass(slots=True)
class Seen:
    """What went through a pipeline while it answered: each chunk's best rank (from one) and its score, by stage.

    `asked` is how many hits were asked for there; `passed` says that a reranker left every order as it was.
    """

    ranks: dict[str, dict[int, int]] = field(default_factory=lambda: {place: {} for place in PLACES})
    scores: dict[str, dict[int, float]] = field(default_factory=lambda: {place: {} for place in PLACES})
    asked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))
    passed: bool = False

    def note(self, place: str, found: Sequence[tuple[int, float]], asked: int = 0) -> None:
        """Keep what is better than what was known."""
        self.asked[place] = max(self.asked[place], asked)
        ranks, scores = self.ranks[place], self.scores[place]
        for rank, (number, score) in enumerate(found, 1):
            ranks[number] = min(rank, ranks.get(number, rank))
            scores[number] = max(score, scores.get(number, score))

    def best(self, place: str, numbers: Sequence[int]) -> int | None:
        """Return the best rank of some chunks."""
        ranks = self.ranks[place]
        return min((ranks[number] for number in numbers if number in ranks), default=None)


class Wrapper:
    """Whatever a wrapper does not change is what it wraps."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)


class Watched(Wrapper):
    """A part that notes what it found, or, where hits are read, what it was given."""

    def __init__(self, part: Any, place: str, seen: Seen) -> None:
        super().__init__(part)
        self.place, self.seen, self.same = place, seen, True

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> Scored:
        found: Scored = await self.part.find(query, k, among)
        if among is None:
            self.seen.note(self.place, found, k)
        return found

    async def __call__(self, query: Query, *given: Sequence[Hit]) -> Any:
        if self.place == "read":
            self.seen.note("read", _scored(given[0]))
            return await self.part(query, *given)
        hits: list[Hit] = await self.part(query, *given)
        if self.place == "reranker":
            self.same &= [n for n, _ in _scored(hits)] == [n for n, _ in _scored(given[0])]
            self.seen.passed = self.same and len(hits) > 1
        else:
            self.seen.note(self.place, _scored(hits), query.top_k)
        return hits


def _scored(hits: Sequence[Hit]) -> Scored:
    return [(hit.chunk.number, hit.score) for hit in hits]


EYES = {
    "lexical": "lexical", "dense": "dense", "engine": "fused", "reranker": "reranker", "retriever": "offered",
    "evidence": "read",
}  # fmt: skip


async def watched(
    subject: Subject, query: Query, repairs: Sequence[Mapping[str, Wrap]] = ()
) -> tuple[Answer, Seen]:
    """Return the answer of a pipeline with its parts repaired, and what went through it."""
    seen = Seen()
    wraps: dict[str, list[Wrap]] = {name: [] for name in subject.parts}
    for repair in repairs:
        for name, wrap in repair.items():
            wraps[name].append(wrap)
    for name, place in EYES.items():
        if name in wraps:
            wraps[name].append(partial(Watched, place=place, seen=seen))
    answer = await subject.exchanged(wraps)(query)
    if "evidence" not in wraps:
        seen.note("read", _scored(answer.hits))
    return answer, seen
