"""The writer: keeps the ledger and its views in step (stage, apply, flip, sweep) under one file lock.

Whoever reads needs no lock. It knows no file format, no model and no question.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lyceum.core.disk import PASSING, on_disk
from lyceum.core.errors import REBUILD, Busy, LyceumError, StoreError
from lyceum.core.protocols import View
from lyceum.core.trace import span
from lyceum.store import writes
from lyceum.store.files import Files
from lyceum.store.ledger import Ledger
from lyceum.store.state import sync_folder

log = logging.getLogger(__name__)
BATCH = 2_000
Also = Callable[[sqlite3.Connection], None]


class Store:
    """A ledger with the views that follow it; `views` may grow until the first use."""

    def __init__(self, folder: Path, ledger: Ledger, wait_seconds: float = 60.0) -> None:
        self.folder = folder
        self.ledger = ledger
        self.files = Files(folder)
        self.views: list[View] = []
        self.wait_seconds = wait_seconds
        self._turn = asyncio.Lock()
        self._dropped = True  # versions are gone and their originals perhaps not; at first, nobody knows

    async def put(self, batch: writes.Batch, also: Also = lambda db: None) -> None:
        """Write documents with their chunks; on return all of them are current and will survive a power cut.

        A document that was there keeps answering with its old version until its new one is complete. `also` runs
        in the transaction that makes them current; when it raises, none of them is and nothing of them is left.
        """
        if not batch:
            return
        async with self.writing():
            with span("store.stage", documents=len(batch), chunks=sum(len(chunks) for _, _, chunks in batch)):
                keys = await self.ledger.write(lambda db: writes.stage(db, batch))
            await self._apply()
            for document, _, _ in batch:
                if document.meta.get("kept"):
                    await asyncio.to_thread(self.files.settle, document.meta["sha256"])

            def flip(db: sqlite3.Connection) -> int:
                dropped = writes.flip(db, keys, batch)
                also(db)
                return dropped

            try:
                with span("store.flip"):
                    self._dropped |= await self.ledger.write(flip) > 0
            except LyceumError:
                self._dropped = True
                await self.ledger.write(writes.drop_leftovers)
                await self._apply()
                raise

    async def remove(self, document_id: str, readers: frozenset[str]) -> None:
        """Delete a document from the ledger and from every view."""
        async with self.writing():  # first, so that "not there" too is said of what is safely written
            await self.ledger.document(readers, document_id)
            self._dropped |= await self.ledger.write(lambda db: writes.remove(db, document_id))
            await self._apply()

    async def set_readers(
        self, document_id: str, readers: frozenset[str], also: Also = lambda db: None
    ) -> None:
        """Change who may read a document; on return revocations and grants both hold. `also` as in `put`."""

        def change(db: sqlite3.Connection) -> None:
            writes.set_readers(db, document_id, readers)
            also(db)

        async with self.writing():
            await self.ledger.write(change)
            await self._apply()

    async def set_tags(self, document_id: str, tags: frozenset[str]) -> bool:
        """Change a document's tags; say whether they were others. On return the views hold the new ones."""
        async with self.writing():
            changed = await self.ledger.write(lambda db: writes.set_tags(db, document_id, tags))
            await self._apply()
        return changed

    async def versions(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return the current version and the readers of every document.

        "Unchanged" is a confirmation as well: what an earlier failure left in doubt is written anew first.
        """
        async with self.writing():
            return await self.ledger.versions()

    async def keep_file(self, path: Path, sha256: str) -> None:
        """Stage the original of a document that is put next, with `kept` in its meta."""
        await asyncio.to_thread(self.files.stage, path, sha256)

    async def keep_vectors(self, encoder: str, rows: list[tuple[bytes, bytes]]) -> None:
        """Store computed vectors; called by views while this process holds the lock."""
        sql = "INSERT OR REPLACE INTO vectors (hash, encoder, vector) VALUES (?, ?, ?)"
        named = [(key, encoder, vector) for key, vector in rows]
        await self.ledger.write(lambda db: db.executemany(sql, named))

    async def catch_up(self) -> None:
        """Bring every view to the ledger's last change; skipped when another process is writing right now.

        On a disk that is full or read-only what is there still answers.
        """
        if behind := await self.behind():
            if max(behind.values()) > BATCH:  # after an encoder was added, for example
                told = ", ".join(f"{name} {missing:,}" for name, missing in behind.items())
                log.warning("Views are brought up to date first (changes to follow: %s).", told)
            try:
                async with self.writing(wait=0):
                    await self._apply()
            except Busy:
                return
            except StoreError as problem:
                if problem.code not in PASSING:
                    raise
                log.warning("The views stay behind: %s", problem)

    async def behind(self) -> dict[str, int]:
        """Return how many changes each view lacks, only for those that lack any."""
        positions = {view.name: await self.position(view) for view in self.views}
        last = await self.ledger.sequence()
        # A view ahead of its ledger has followed one that was put away: all is missing.
        behind = {name: last - at if at <= last else last for name, at in positions.items()}
        return {name: missing for name, missing in behind.items() if missing > 0}

    async def position(self, view: View) -> int:
        """Return how far a view has followed this ledger."""
        view.ledger = await self.ledger.identity()
        return await view.position()

    @asynccontextmanager
    async def writing(self, wait: float | None = None) -> AsyncIterator[None]:
        """Hold the write lock of this home; what a killed writer left unconfirmed is dropped first."""
        wait = self.wait_seconds if wait is None else wait
        async with self._turn:
            lock = await asyncio.to_thread(write_lock, self.folder, wait)
            try:
                self._dropped |= await self.ledger.write(writes.drop_leftovers) > 0
                yield
                await self._sweep()
            finally:
                lock.release()

    async def tidy(self) -> None:
        """Erase what a killed process should have erased; not when another one is writing, or none can write."""
        self._dropped = True
        if not self.files.empty() and os.access(self.folder, os.W_OK):
            with suppress(Busy):
                async with self.writing(wait=0):
                    pass

    async def _sweep(self) -> None:
        """Erase the originals of documents that are gone, whoever removed them and died before this."""
        if self._dropped and not self.files.empty():
            await asyncio.to_thread(self.files.sweep, await self.ledger.kept())
        self._dropped = False

    async def _apply(self) -> None:
        for view in self.views:
            await self._follow(view)

    async def _follow(self, view: View) -> None:
        """Bring a view up to date; one that cannot go on from where it was starts again."""
        try:
            with on_disk(f"the view {view.name}"):
                await self._replay(view)
        except StoreError as problem:
            if problem.code != REBUILD:
                raise
            await self._replay(view)

    async def _replay(self, view: View) -> None:
        with span("store.apply", view=view.name) as facts:
            since = await self.position(view)
            if since > await self.ledger.sequence():
                await view.reset()
                since = 0
            facts["changes"] = 0
            while changes := await self.ledger.changes(since, BATCH):
                await view.apply(changes)
                since = changes[-1].sequence
                facts["changes"] += len(changes)


def write_lock(folder: Path, wait: float) -> FileLock:
    """Return the held write lock of a home, which is made when it is missing."""
    lock = FileLock(folder / "write.lock", timeout=wait, thread_local=False)
    with on_disk(folder):
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:  # a home whose name no disk holds is lost with all that is in it
            sync_folder(made.absolute().parent)
        try:
            lock.acquire()
        except Timeout as problem:
            raise Busy(
                f"Another process is writing to {folder}.", hint="Try again when it has ended."
            ) from problem
    return lock
