"""Two dense views side by side: one answers, the other is being built or kept for the way back.

HOME/encoders.json names the tables that make each side and which of them answers. It is read again whenever it
changes, so that a switch holds in every process at its next question, without a restart. Knows no encoder.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lyceum.core.disk import on_disk
from lyceum.core.errors import LyceumError
from lyceum.core.protocols import View
from lyceum.core.types import Change, Query
from lyceum.store.state import replaced

FILE = "encoders.json"
log = logging.getLogger(__name__)
Tables = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """One or two sides by what makes them, and which of them answers."""

    tables: tuple[Tables, ...] = ()
    active: int = 0


def read(home: Path) -> Sides:
    """Return the sides of a home; none where the encoder was never changed, or the file is not readable."""
    try:
        found = json.loads((home / FILE).read_bytes())
        sides = Sides(tables=tuple(found["sides"]), active=int(found["active"]))
        return sides if 0 <= sides.active < len(sides.tables) else Sides()
    except (OSError, ValueError, KeyError, TypeError):
        return Sides()


def write(home: Path, sides: Sides) -> None:
    """Replace the file in one step that a crash cannot halve."""
    with on_disk(home):
        replaced(home / FILE, {"active": sides.active, "sides": list(sides.tables)})


class Beside:
    """A View that is one of two; `own` was made of `tables`, `made` makes the other when it is needed.

    A process that was started with other tables than those that answer keeps to its own: a trial, for example.
    """

    def __init__(self, home: Path, own: View, tables: Tables, made: Callable[[Tables], View | None]) -> None:
        self._home, self._own, self._tables, self._made = home, own, tables, made
        sides = read(home)
        # None: there was nothing to follow yet; it is followed from the day on that it names these tables.
        self._follows = sides.tables[sides.active] == tables if sides.tables else None
        self._stamp: tuple[int, int] | None = None
        self._views: list[tuple[Tables, View]] = [(tables, own)]
        self._shown, self._other = own, None
        self._ledger = ""

    _other: View | None

    @property
    def name(self) -> str:
        """The name of the side that answers."""
        return self.shown().name

    @property
    def embedder(self) -> Any:
        """The encoder of the side that answers."""
        return getattr(self.shown(), "embedder", None)

    @property
    def ledger(self) -> str:
        """The identity of the ledger that both follow."""
        return self._ledger

    @ledger.setter
    def ledger(self, identity: str) -> None:
        self._ledger = identity
        for _, view in self._views:
            view.ledger = identity

    def shown(self) -> View:
        """Return the side that answers; a side that cannot be made here leaves the one before in its place."""
        try:
            found = (self._home / FILE).stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = (0, 0)
        if stamp != self._stamp and self._follows is not False:
            self._stamp = stamp
            self._choose(read(self._home))
        return self._shown

    def other(self) -> View | None:
        """Return the side that does not answer."""
        self.shown()
        return self._other

    def _choose(self, sides: Sides) -> None:
        if sides.tables and self._follows is None:
            self._follows = self._tables in sides.tables
        if not sides.tables or not self._follows:
            self._other = None
            return
        try:
            views = [self._view(tables) for tables in sides.tables]
        except LyceumError as problem:
            log.warning("The other encoder cannot be used here: %s", problem)
            return
        self._shown, self._other = views[sides.active], views[1 - sides.active] if len(views) > 1 else None

    def _view(self, tables: Tables) -> View:
        for known, view in self._views:
            if known == tables:
                return view
        made = self._made(tables)
        if made is None:
            raise LyceumError("There is no such encoder.", hint="Run: lyceum models list")
        made.ledger = self._ledger
        self._views.append((tables, made))
        return made

    async def position(self) -> int:
        """Return how far the side that answers has come."""
        return await self.shown().position()

    async def reset(self) -> None:
        """Forget what the side that answers holds."""
        await self.shown().reset()

    async def check(self) -> tuple[int, list[str]]:
        """Return what the side that answers holds."""
        return await self.shown().check()

    async def apply(self, changes: Sequence[Change]) -> None:
        """Let both follow; one that is still being built is left to who builds it."""
        await self.shown().apply(changes)
        if (other := self.other()) is None or not changes:
            return
        try:
            if await other.position() >= changes[0].sequence - 1:
                await other.apply(changes)
        except LyceumError as problem:
            log.warning("%s stays behind: %s", other.name, problem)

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """Ask the side that answers; a vector that was made beforehand fits this process's own alone."""
        view = self.shown()
        if query.vector is not None and view is not self._own and query.text.strip():
            query = replace(query, vector=None)
        return await view.find(query, k, among)

    async def groups(self) -> list[Any]:
        """Return the vectors by readers where the side that answers keeps them here; none of a database's."""
        view: Any = self.shown()
        return await view.groups() if hasattr(view, "groups") else []

    async def close(self) -> None:
        """Close the sides that hold connections."""
        for _, view in self._views:
            if hasattr(view, "close"):
                await view.close()
