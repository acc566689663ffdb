"""The dense view in a database: ledger changes to rows there, questions to searches there, filtered inside them.

It knows no database: an adapter (`Database`) speaks to one. How far the view has come stands in the database
itself, written with or after the rows, so that a kill only repeats work that is harmless to repeat. A database
that fails while a question is asked leaves the question to the other views, and says so in the trace.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from lyceum.core import ids
from lyceum.core.errors import ConfigError, StoreError
from lyceum.core.protocols import Embedder
from lyceum.core.text import language, script
from lyceum.core.trace import span
from lyceum.core.types import Change, Query
from lyceum.store.facets import facets, wanted
from lyceum.store.ledger import Ledger
from lyceum.store.state import must_begin
from lyceum.store.vectors import Asked, Keep, packed_of, unpacked
from lyceum.store.vectors import Floats as Floats

log = logging.getLogger(__name__)
Scored = list[tuple[int, float]]
T = TypeVar("T")
Soon: TypeAlias = T | Awaitable[T]
EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A chunk as a database keeps it: its number, its vector and what it is filtered by."""

    number: int
    vector: Floats
    readers: list[str]
    facets: list[str]
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Must:
    """What a row must be: of each field one of the values; not in language `unlike`, where that is not empty."""

    groups: tuple[tuple[str, tuple[str, ...]], ...]
    unlike: str


class Database(Protocol):
    """One collection of rows and its mark, a small JSON object. Each function may be plain, and runs in a thread.

    `failures` are the exceptions by which it says that the database does not answer or refuses; the view adds to
    the name of the collection and sets the width of its vectors before it asks anything.
    """

    name: str
    collection: str
    width: int
    failures: tuple[type[Exception], ...]

    def mark(self) -> Soon[Mapping[str, Any]]:
        """Return the mark; empty where there is no collection."""
        ...

    def clear(self) -> Soon[None]:
        """Make the collection anew, empty and without a mark."""
        ...

    def drop(self) -> Soon[None]:
        """Remove the collection."""
        ...

    def write(self, rows: Sequence[Row], gone: Sequence[int], mark: Mapping[str, Any]) -> Soon[None]:
        """Put rows in the place of those with their numbers, delete others, and only then set the mark."""
        ...

    def settle(self) -> Soon[None]:
        """Build what makes searching quick: nothing more is to be written for now."""
        ...

    def count(self) -> Soon[int]:
        """Return how many rows there are."""
        ...

    def search(self, vector: Floats, k: int, must: Must) -> Soon[Scored]:
        """Return the k rows with the highest inner product, best first."""
        ...

    def score(self, vector: Floats, numbers: Sequence[int], must: Must) -> Soon[Scored]:
        """Return the exact inner products of the rows with these numbers, in any order."""
        ...

    def close(self) -> Soon[None]:
        """Close connections."""
        ...


class InDatabase:
    """A View; each home (`folder`) and encoder has a collection of its own.

    `keep` writes vectors that had to be computed into the ledger.
    """

    def __init__(
        self, database: Database, folder: Path, embedder: Embedder, ledger: Ledger, keep: Keep
    ) -> None:
        database.collection += "_" + ids.digest(str(folder.absolute()), embedder.name)[:12]
        database.width = embedder.dimension
        self.name = f"{database.name}-{embedder.name}"
        self.database, self.embedder = database, embedder
        self.ledger = ""
        self._ledger, self._keep = ledger, keep
        self._asked = Asked(embedder)

    async def position(self) -> int:
        """Return the last change applied; 0 after another encoder, ledger or release."""
        mark: Mapping[str, Any] = await self._ask(self.database.mark)
        same = all(mark.get(name) == value for name, value in self._mark(0).items() if name != "position")
        return int(mark["position"]) if same else 0

    def _mark(self, position: int) -> dict[str, Any]:
        return {"format": 1, "encoder": self.embedder.name, "ledger": self.ledger, "position": position}

    async def reset(self) -> None:
        """Forget everything."""
        await self._ask(self.database.clear)

    async def drop(self) -> None:
        """Remove the collection: this view is not wanted any more."""
        await self._ask(self.database.drop)

    async def apply(self, changes: Sequence[Change]) -> None:
        """Write chunks as they are now, whatever has changed of them, and delete those that are gone."""
        if not changes:
            return
        if not await self.position():
            await self.reset()
            must_begin(changes, self.name)
        latest = {change.number: change for change in changes}
        living = [change for change in latest.values() if change.kind != "remove" and change.chunk]
        chunks = [change.chunk for change in living if change.chunk]
        packed = await packed_of(chunks, self.embedder, self._ledger, self._keep)
        rows = [_row(change, packed[change.number]) for change in living]
        last = changes[-1].sequence
        gone = sorted(latest.keys() - packed.keys())
        await self._ask(self.database.write, rows, gone, self._mark(last))
        if last == await self._ledger.sequence():
            await self._ask(self.database.settle)

    async def check(self) -> tuple[int, list[str]]:
        """Return how many chunks can be found; a database looks after its files itself."""
        held = await self._ask(self.database.mark)
        return (await self._ask(self.database.count) if held else 0), []

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> Scored:
        """Return at most k (number, inner product of unit vectors), best first."""
        empty = query.vector is None and not query.text.strip()
        if not query.readers or empty or (among is not None and not among):
            return []
        vector = (await self._asked(query))[0]
        with span("store.find", view=self.name) as facts:
            try:
                if among is None:
                    found: Scored = await self._ask(self.database.search, vector, k, self._must(query))
                    return found
                found = await self._ask(self.database.score, vector, among, self._must(query))
            except StoreError as problem:
                facts["warning"] = f"{problem}"
                log.warning("%s is left out: %s", self.name, problem)
                return []
        return sorted(found, key=lambda one: (-one[1], one[0]))[:k]

    async def _ask(self, work: Callable[..., Any], *given: Any) -> Any:
        """Call a function of the database, a plain one in a thread, and turn its exceptions into ours."""
        try:
            if inspect.iscoroutinefunction(work):
                return await work(*given)
            return await asyncio.to_thread(work, *given)
        except self.database.failures as problem:
            said = f"{self.database.name} refused: {type(problem).__name__}, {str(problem)[:300]}."
            hint = "See that it runs and that [dense] names it; it holds nothing that could not be rebuilt."
            raise StoreError(said, hint=hint, code="database", retryable=True) from problem

    def _must(self, query: Query) -> Must:
        spoken = script(query.text)
        groups = [("readers", tuple(sorted(query.readers)))]
        groups += [("facets", group) for group in wanted(query.filters)]
        return Must(groups=tuple(groups), unlike="" if spoken in self.embedder.languages else spoken)

    async def close(self) -> None:
        """Close the database's connections."""
        await self._ask(self.database.close)


def _row(change: Change, packed: bytes) -> Row:
    assert change.chunk is not None
    assert change.document is not None
    return Row(
        number=change.number, vector=unpacked(packed), readers=sorted(change.document.readers),
        facets=list(facets(change.document)), language=language(change.chunk.text),
    )  # fmt: skip


def dots(vector: Floats, numbers: Sequence[int], vectors: Any) -> Scored:
    """Return inner products with vectors that a database has handed out."""
    if not len(numbers):
        return []
    scores = np.asarray(vectors, np.float32) @ vector
    return list(zip(map(int, numbers), scores.tolist(), strict=True))


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say how to install the client of a database."""
    try:
        yield
    except ImportError as problem:
        said = f"This kind of [dense] needs a package that is not installed: {problem.name}."
        raise ConfigError(said, hint=f"Run: pip install 'lyceum[{name}]'") from problem
