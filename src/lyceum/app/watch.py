"""Folders followed: which files are new, changed or gone since they were read, by looking again and again.

A file is read when its time, size and number have not moved for `SETTLE` seconds, so none is read half written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from lyceum.core.errors import LyceumError, NotFound
from lyceum.core.ids import document_id
from lyceum.ingest.pipeline import Job, Outcome, jobs
from lyceum.store.store import Store

POLL, SETTLE = 0.5, 1.0
SHARE = 20  # a look takes at most one part in so many of the time
Stamp = tuple[int, int, int] | None
NEVER: Stamp = (0, 0, 0)


class Folders:
    """What was read of `paths`, and what a look finds there now; `known` are sources read in earlier runs."""

    def __init__(self, paths: Sequence[Path], readers: frozenset[str] | None, known: Iterable[str]) -> None:
        self.paths, self.readers = paths, readers
        self.read: dict[str, Stamp] = {}
        self._since: dict[str, tuple[Stamp, float]] = {}
        for root in (path.resolve().as_posix() for path in paths):
            self.read |= {
                source: NEVER for source in known if source == root or source.startswith(f"{root}/")
            }

    def look(self, settle: float = SETTLE) -> tuple[list[Job], list[str]]:
        """Return the files to read and the sources that are gone, both settled."""
        found = {job.source: job for job in jobs([one for one in self.paths if one.exists()], self.readers)}
        stamps = dict.fromkeys(self.read, None) | {source: _stamp(job.path) for source, job in found.items()}
        now = time.monotonic()
        before = self._since
        self._since = {
            source: before[source] if source in before and before[source][0] == stamp else (stamp, now)
            for source, stamp in stamps.items()
        }
        moved = [
            source
            for source, (stamp, since) in self._since.items()
            if now - since >= settle and stamp != self.read.get(source)
        ]
        # A folder without any file was unmounted rather than emptied: nothing in it counts as gone.
        roots = [f"{path.resolve().as_posix()}/" for path in self.paths]
        lost = tuple(root for root in roots if not any(source.startswith(root) for source in found))
        gone = [one for one in moved if stamps[one] is None and not one.startswith(lost)]
        return [found[one] for one in moved if stamps[one] is not None], gone

    def done(self, source: str) -> None:
        """Take what the last look saw of a source as handled."""
        self.read[source] = self._since[source][0]
        if self.read[source] is None:
            del self.read[source]


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


Ingest = Callable[[Sequence[Job]], Awaitable[Sequence[Outcome]]]


async def follow(
    folders: Folders, store: Store, ingest: Ingest, told: Callable[[Outcome], None], *, delete: bool
) -> None:
    """Read what changes and remove (or only name) what goes, until cancelled; `told` hears of each file."""
    wait = POLL
    while True:
        await asyncio.sleep(wait)
        started = time.monotonic()
        todo, gone = await asyncio.to_thread(folders.look)
        wait = max(POLL, SHARE * (time.monotonic() - started))
        try:
            for outcome in await ingest(todo) if todo else ():
                told(outcome)
                if not outcome.retryable:
                    folders.done(outcome.source)
            for source in gone:
                told(await _gone(store, source, delete))
                folders.done(source)
        except LyceumError as problem:  # of the whole home, not of a file: the same is tried again
            told(Outcome(
                source="", status="failed", code=problem.code, message=problem.message, hint=problem.hint,
            ))  # fmt: skip


async def _gone(store: Store, source: str, delete: bool) -> Outcome:
    doc_id = document_id(source)
    version = (await store.ledger.versions(doc_id)).get(doc_id)
    if delete and version:
        try:
            await store.remove(doc_id, version[1])
        except NotFound:  # nobody may read it, or another process removed it
            return Outcome(source=source, status="gone", document_id=doc_id)
        return Outcome(source=source, status="removed", document_id=doc_id)
    return Outcome(source=source, status="gone", document_id=doc_id)
