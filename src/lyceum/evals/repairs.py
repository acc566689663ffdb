"""Oracles: wrappers that let one part do its work right for the chunks that hold the gold words, and nothing else.

Each wraps a part by its core shape; what goes through it otherwise goes through the real part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lyceum.core.protocols import View
from lyceum.core.types import Chunk, Document, Hit, Query
from lyceum.evals.stages import Scored, Wrapper

Extra = Mapping[int, tuple[Chunk, Document]]


class AddedLedger(Wrapper):
    """A ledger that holds some more chunks, in the place of others."""

    def __init__(self, part: Any, extra: Extra, gone: Collection[int] = ()) -> None:
        super().__init__(part)
        self.extra, self.gone = extra, gone

    async def get(self, numbers: Sequence[int], readers: frozenset[str]) -> dict[int, tuple[Chunk, Document]]:
        found = await self.part.get([n for n in numbers if n not in self.extra], readers)
        mine = {n: self.extra[n] for n in numbers if n in self.extra and self.extra[n][1].readers & readers}
        return {**{n: one for n, one in found.items() if n not in self.gone}, **mine}


class AddedView(Wrapper):
    """A view that finds some more chunks, with the true scores that another view, `fresh`, gives them."""

    def __init__(self, part: Any, fresh: View, extra: Extra, gone: Collection[int] = ()) -> None:
        super().__init__(part)
        self.fresh, self.extra, self.gone = fresh, extra, gone

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> Scored:
        mine = [n for n in (self.extra if among is None else among) if n in self.extra]
        others = None if among is None else [n for n in among if n not in self.extra]
        found: Scored = []
        if others is None or others:
            found = await self.part.find(query, k + len(self.gone), others)
        new = await self.fresh.find(query, len(mine), mine) if mine else []
        kept = [one for one in found if one[0] not in self.gone]
        return sorted([*kept, *new], key=lambda one: (-one[1], one[0]))[:k]


class Lifted(Wrapper):
    """A view that ranks some chunks first, as well as its best."""

    def __init__(self, part: Any, numbers: Sequence[int]) -> None:
        super().__init__(part)
        self.numbers = numbers

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> Scored:
        found: Scored = await self.part.find(query, k, among)
        lifted = [n for n in self.numbers if among is None or n in among]
        if not lifted:
            return found
        top = await self.part.find(query, 1)
        score = max((one for _, one in [*found, *top]), default=1.0)
        rest = [one for one in found if one[0] not in lifted]
        return [*((n, score) for n in lifted), *rest][:k]


def changed(part: Any, **values: Any) -> Any:
    """Return a part with other values: another weight of a fusion, another budget of a reader."""
    twin = object.__new__(type(part))
    vars(twin).update(vars(part), **values)
    return twin


class Promoted(Wrapper):
    """A retriever that puts the best hit of some chunks at a rank, if it stands lower or is missing."""

    def __init__(self, part: Any, numbers: Sequence[int], rank: int) -> None:
        super().__init__(part)
        self.numbers, self.rank = numbers, rank

    async def __call__(self, query: Query) -> list[Hit]:
        hits: list[Hit] = await self.part(query)
        missing = [n for n in self.numbers if n not in {hit.chunk.number for hit in hits}]
        found = await self.part.ledger.get(missing, query.readers) if missing else {}
        fetched = [Hit(chunk=chunk, document=document, score=0.0) for chunk, document in found.values()]
        return promoted([*hits, *fetched], self.numbers, self.rank)[: query.top_k]


class First(Wrapper):
    """A reranker that ranks some chunks first, and the others by the real one or, without it, as they came."""

    def __init__(self, part: Any, numbers: Sequence[int], *, real: bool) -> None:
        super().__init__(part)
        self.numbers, self.real = numbers, real

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        return promoted(await self.part(query, hits) if self.real else hits, self.numbers)


class Kept:
    """All that the search gives for reading, some chunks first, so that nothing between can lose them."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = numbers
        self.search: Any = None

    def found(self, part: Any) -> Any:
        """Keep the whole search in mind as it is."""
        self.search = part
        return part

    def given(self, _part: Any) -> Kept:
        """Take the place of what the reader asks for hits."""
        return self

    async def __call__(self, query: Query) -> list[Hit]:
        """Return what the whole search finds."""
        return promoted(await self.search(query), self.numbers)


def promoted(hits: Sequence[Hit], numbers: Sequence[int], rank: int = 1) -> list[Hit]:
    """Return hits with those of some chunks not below a rank; each takes the score of the one that it displaces."""
    ordered = list(hits)
    for number in reversed(numbers):
        at = next((place for place, hit in enumerate(ordered) if hit.chunk.number == number), -1)
        if at >= rank:
            moved = ordered.pop(at)
            ordered.insert(rank - 1, replace(moved, score=ordered[rank - 1].score))
    return ordered
