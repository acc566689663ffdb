"""A pipeline's stages in their order, what one may be asked while it answers, and where gold stood at each of them.

A pipeline under examination is a `Subject`: its parts by name, each of which can be exchanged for one question.
It is watched by wrapping parts, so that whatever runs, runs for real. Knows no index, no file and no model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lyceum.core.protocols import Answerer, View
from lyceum.core.types import Answer, Chunk, Document, Element, Hit, Query

STAGES = (
    "parse", "split", "index", "visible", "lexical", "dense", "fuse", "rerank", "pack", "read", "cite",
)  # fmt: skip
PARTS = ("lexical", "dense")
Wrap = Callable[[Any], Any]
Scored = list[tuple[int, float]]


class Subject(Protocol):
    """A pipeline that is examined.

    `parts` are those it has of: ledger, lexical, dense (views), engine (the retriever that asks the views), reranker,
    retriever (the whole search), asks (what the reader calls for hits), evidence (what judges the hits it reads).
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
    """What went through a pipeline while it answered: for each chunk its best rank (from one) at every stage.

    `offered` is what the whole search gave for reading, `read` what reached the reader.
    """

    parts: dict[str, dict[int, int]] = field(default_factory=lambda: {part: {} for part in PARTS})
    scores: dict[str, dict[int, float]] = field(default_factory=lambda: {part: {} for part in PARTS})
    fused: dict[int, int] = field(default_factory=dict)
    offered: dict[int, int] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)
    depth: int = 0  # candidates that were asked of each part
    wanted: int = 0  # hits that were asked of the engine
    asked: int = 0  # hits that were asked of the whole search
    passed: bool = False  # a reranker was there and left every order as it was
    questions: list[str] = field(default_factory=list)


def best(ranks: Mapping[int, int], numbers: Sequence[int]) -> int | None:
    """Return the best rank of some chunks."""
    return min((ranks[number] for number in numbers if number in ranks), default=None)


def note(ranks: dict[int, int], numbers: Sequence[int]) -> None:
    """Keep the better ranks."""
    for rank, number in enumerate(numbers, 1):
        ranks[number] = min(rank, ranks.get(number, rank))


class Wrapper:
    """Whatever a wrapper does not change is what it wraps."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)


class SeenView(Wrapper):
    """A view that notes what it found."""

    def __init__(self, part: Any, name: str, seen: Seen) -> None:
        super().__init__(part)
        self.called, self.seen = name, seen

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> Scored:
        found: Scored = await self.part.find(query, k, among)
        if among is None:
            self.seen.depth = max(self.seen.depth, k)
            note(self.seen.parts[self.called], [number for number, _ in found])
        for number, score in found:
            self.seen.scores[self.called].setdefault(number, score)
        return found


class SeenSearch(Wrapper):
    """A retriever that notes its hits: those of the engine, or of the whole search."""

    def __init__(self, part: Any, seen: Seen, *, whole: bool) -> None:
        super().__init__(part)
        self.whole, self.seen = whole, seen

    async def __call__(self, query: Query) -> list[Hit]:
        hits: list[Hit] = await self.part(query)
        numbers = [hit.chunk.number for hit in hits]
        if self.whole:
            self.seen.asked = max(self.seen.asked, query.top_k)
            self.seen.questions.append(query.text)
        else:
            self.seen.wanted = max(self.seen.wanted, query.top_k)
        note(self.seen.offered if self.whole else self.seen.fused, numbers)
        return hits


class SeenRerank(Wrapper):
    """A reranker that notes whether it ever changed an order."""

    def __init__(self, part: Any, seen: Seen) -> None:
        super().__init__(part)
        self.seen, self.same = seen, True

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        found: list[Hit] = await self.part(query, hits)
        self.same &= [one.chunk.number for one in found] == [one.chunk.number for one in hits]
        self.seen.passed = self.same and len(hits) > 2
        return found


class SeenReading(Wrapper):
    """Evidence that notes the hits that it is given to read."""

    def __init__(self, part: Any, seen: Seen) -> None:
        super().__init__(part)
        self.seen = seen

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> Any:
        note(self.seen.read, [hit.chunk.number for hit in hits])
        return await self.part(query, hits)


async def watched(
    subject: Subject, query: Query, repairs: Sequence[Mapping[str, Wrap]] = ()
) -> tuple[Answer, Seen]:
    """Return the answer of a pipeline with its parts repaired, and what went through it."""
    seen = Seen()
    wraps: dict[str, list[Wrap]] = {name: [] for name in subject.parts}
    for repair in repairs:
        for name, wrap in repair.items():
            wraps[name].append(wrap)
    eyes: dict[str, Wrap] = {
        "lexical": lambda part: SeenView(part, "lexical", seen),
        "dense": lambda part: SeenView(part, "dense", seen),
        "engine": lambda part: SeenSearch(part, seen, whole=False),
        "reranker": lambda part: SeenRerank(part, seen),
        "retriever": lambda part: SeenSearch(part, seen, whole=True),
        "evidence": lambda part: SeenReading(part, seen),
    }
    for name, eye in eyes.items():
        if name in wraps:
            wraps[name].append(eye)
    answer: Awaitable[Answer] = subject.exchanged(wraps)(query)
    found = await answer
    if "evidence" not in wraps:
        note(seen.read, [hit.chunk.number for hit in found.hits])
    return found, seen
