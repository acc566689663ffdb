"""The truth: one SQLite file with documents, versions, chunks, readers and the log that views follow.

Reading is open to any process; writing is done by `Store`, which holds the write lock. `synchronous=FULL`
because NORMAL loses acknowledged commits at a power cut. It knows no view and no model.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from lyceum.core.disk import on_disk, refused
from lyceum.core.errors import Busy, NotFound
from lyceum.core.types import Change, Chunk, Document, Element
from lyceum.store import codec
from lyceum.store.schema import MIGRATIONS, migrate, refuse_newer
from lyceum.store.state import sync_folder

T = TypeVar("T")
Arguments = Sequence[Any] | Mapping[str, Any]
CHUNK = "c.number, c.id, c.text, c.extra, c.version"
CURRENT = "d.current = v.key"
AMONG = "IN (SELECT value FROM json_each(?))"
CODES = {
    "SQLITE_FULL": "disk_full", "SQLITE_READONLY": "read_only", "SQLITE_CANTOPEN": "read_only",
    "SQLITE_PERM": "read_only", "SQLITE_IOERR": "disk_io", "SQLITE_BUSY": "busy", "SQLITE_LOCKED": "busy",
}  # fmt: skip


class Ledger:
    """One file; `folder` is a Lyceum home; `wait_seconds` for other programs that hold it."""

    synchronous = "FULL"

    def __init__(self, folder: Path, wait_seconds: float = 30.0) -> None:
        self.path = folder / "ledger.db"
        self.wait_seconds = wait_seconds
        self._sound = False
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._file = (0, 0)
        self._guard = threading.Lock()

    # --- reading ---------------------------------------------------------------------------------------

    async def get(self, numbers: Sequence[int], readers: frozenset[str]) -> dict[int, tuple[Chunk, Document]]:
        """Return chunks of current versions that one of `readers` may see; others are left out."""

        def read() -> dict[int, tuple[Chunk, Document]]:
            rows = self._rows(
                f"SELECT {CHUNK} FROM chunks c JOIN versions v ON v.key = c.version JOIN documents d"
                f" ON d.key = v.document AND d.current = v.key WHERE c.number {AMONG}",
                [json.dumps(list(numbers))],
            )
            return {chunk.number: (chunk, document) for chunk, document in self._chunks(rows, readers)}

        return await asyncio.to_thread(read)

    def _chunks(
        self, rows: Sequence[Any], readers: frozenset[str] | None = None
    ) -> list[tuple[Chunk, Document]]:
        """Return chunks, each with its document, which is read once: a report may make its meta large."""
        found = self._documents(f"v.key {AMONG}", [json.dumps(list({row[-1] for row in rows}))])
        documents = {key: one for key, one in found.items() if readers is None or one.readers & readers}
        return [
            (codec.unpack_chunk(number, chunk_id, text, extra, documents[version]), documents[version])
            for number, chunk_id, text, extra, version in rows
            if version in documents
        ]

    def _documents(self, where: str, arguments: Arguments = (), meta: str = "v.meta") -> dict[int, Document]:
        """Return documents in the order of their sources, each by the key of its version."""
        rows = self._rows(
            f"SELECT v.key, d.id, d.source, v.version, v.title, v.media, v.language, d.readers, {meta}"
            f" FROM versions v JOIN documents d ON d.key = v.document WHERE {where} ORDER BY d.source",
            arguments,
        )
        return {key: _document(row) for key, *row in rows}

    async def documents(self, readers: frozenset[str], document_id: str | None = None) -> list[Document]:
        """Return the visible documents in the order of their sources."""
        one = ("", []) if document_id is None else (" AND d.id = ?", [document_id])
        found = await asyncio.to_thread(self._documents, CURRENT + one[0], one[1])
        return [one for one in found.values() if one.readers & readers]

    async def document(self, readers: frozenset[str], document_id: str) -> Document:
        """Return a document; what the reader may not see does not exist for it."""
        found = await self.documents(readers, document_id)
        if not found:
            raise NotFound("There is no such document.", hint="List those that you may see.")
        return found[0]

    async def versions(self, document_id: str | None = None) -> dict[str, tuple[str, frozenset[str]]]:
        """Return the current version and the readers of every document or one, for whoever ingests."""
        rows = await self.rows(
            "SELECT d.id, v.version, d.readers FROM documents d JOIN versions v ON v.key = d.current"
            " WHERE ?1 IS NULL OR d.id = ?1",
            [document_id],
        )
        return {doc_id: (version, frozenset(json.loads(readers))) for doc_id, version, readers in rows}

    async def kept(self) -> frozenset[str]:
        """Return the SHA-256 of every version's original, so that what none names can be dropped."""
        rows = await self.rows(
            "SELECT DISTINCT json_extract(meta, '$.sha256') FROM versions WHERE json_extract(meta, '$.kept')"
        )
        return frozenset(row[0] for row in rows)

    async def page(
        self, readers: frozenset[str], wanted: Callable[[Document], bool], start: int, most: int
    ) -> tuple[list[Document], int]:
        """Return a part of the visible documents that `wanted` keeps, by source, and how many those are.

        `wanted` sees documents without their meta, which is read for the part alone.
        """

        def read() -> tuple[list[Document], int]:
            listed = self._documents(CURRENT, meta="'{}'")
            found = [key for key, one in listed.items() if one.readers & readers and wanted(one)]
            part = self._documents(f"{CURRENT} AND v.key {AMONG}", [json.dumps(found[start : start + most])])
            return [one for one in part.values() if one.readers & readers], len(found)

        return await asyncio.to_thread(read)

    async def elements(self, document_id: str) -> list[Element]:
        """Return the parsed elements of a document's current version."""
        rows = await self.rows(
            "SELECT v.elements FROM documents d JOIN versions v ON v.key = d.current WHERE d.id = ?",
            [document_id],
        )
        return codec.unpack_elements(document_id, rows[0][0]) if rows else []

    async def size(self, document_id: str) -> int:
        """Return how many chunks a document's current version has."""
        sql = "SELECT COUNT(*) FROM documents d JOIN chunks c ON c.version = d.current WHERE d.id = ?"
        rows = await self.rows(sql, [document_id])
        return int(rows[0][0]) if rows else 0

    async def chunks(
        self, document_id: str, start: int = 0, most: int = -1, chunk_id: str = ""
    ) -> list[Chunk]:
        """Return the chunks of a document's current version in order: all, a part of them, or the one of an id."""

        def read() -> list[Chunk]:
            rows = self._rows(
                f"SELECT {CHUNK} FROM documents d JOIN chunks c ON c.version = d.current WHERE d.id = ?"
                " AND (?2 = '' OR c.id = ?2) ORDER BY c.number LIMIT ? OFFSET ?",
                [document_id, chunk_id, most, start],
            )
            return [chunk for chunk, _ in self._chunks(rows)]

        return await asyncio.to_thread(read)

    async def sequence(self) -> int:
        """Return the number of the last change."""
        rows = await self.rows("SELECT MAX(sequence) FROM changes")
        return (rows[0][0] or 0) if rows else 0

    async def identity(self) -> str:
        """Return which ledger this is; a restored one is another than it was before."""
        found = await self.rows("SELECT ledger FROM identity")
        return str(found[0][0]) if found else ""  # none yet, or written before ledgers had one

    async def changes(self, since: int, limit: int) -> list[Change]:
        """Return the next changes in order; a chunk that has gone meanwhile appears as removed."""

        def read() -> list[Change]:
            rows = self._rows(
                f"SELECT x.sequence, x.kind, x.number, {CHUNK} FROM changes x LEFT JOIN chunks c"
                " ON c.number = x.number AND x.kind <> 'remove' WHERE x.sequence > ? ORDER BY x.sequence LIMIT ?",
                [since, limit],
            )
            there = {one[0].number: one for one in self._chunks([row[3:] for row in rows if row[3]])}
            changes = []
            for sequence, kind, number, known, *_ in rows:
                chunk, document = there.get(number, (None, None)) if known else (None, None)
                told = {"sequence": sequence, "kind": kind if chunk else "remove", "number": number}
                changes.append(Change(**told, chunk=chunk, document=document))
            return changes

        return await asyncio.to_thread(read)

    async def vectors(self, encoder: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the stored vectors of texts, by hash."""
        marks = ",".join("?" * len(hashes))
        sql = f"SELECT hash, vector FROM vectors WHERE encoder = ? AND hash IN ({marks})"
        return dict(await self.rows(sql, [encoder, *hashes]))

    async def counts(self, readers: frozenset[str]) -> dict[str, int]:
        """Return the number of visible documents and chunks."""
        rows = await self.rows(
            "SELECT d.readers, COUNT(c.number) FROM documents d LEFT JOIN chunks c ON c.version = d.current"
            " WHERE d.current IS NOT NULL GROUP BY d.key"
        )
        seen = [number for held, number in rows if frozenset(json.loads(held)) & readers]
        return {"documents": len(seen), "chunks": sum(seen)}

    # --- writing: only Store calls these, holding the write lock ----------------------------------------

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction; when it returns, the change survives a power cut."""
        return await asyncio.to_thread(self._write, work)

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # One connection that writes or checkpoints at a time: jobs are queued while a batch is being stored.
        with _ours(self.path), FileLock(self.path.with_name("ledger.lock"), timeout=60):
            named = self._settle()
            db = self._connect(writing=True)
            try:
                db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # the log is made here
                if not named:  # SQLite does so too, and overlooks that it failed
                    sync_folder(self.path.parent)
                migrate(db)
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    result = work(db)
                self._sound = True
                return result
            finally:
                db.close()

    def _settle(self) -> bool:
        """After a failure, and at a process's first write, write the log anew before anything is added to it.

        A failed fsync leaves pages that count as clean and are on no disk (Rebello et al. 2020): what is
        appended behind them would be lost with them, and a checkpoint would mix what is safe with what is
        not. Return whether there is a log.
        """
        log = Path(f"{self.path}-wal")
        there = log.exists()
        if there and not self._sound:
            with log.open("r+b") as file:
                content = file.read()
                file.seek(0)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        self._sound = False
        return there

    # --- connections -----------------------------------------------------------------------------------

    async def rows(self, sql: str, arguments: Arguments = ()) -> list[Any]:
        """Return what a query finds, for the other files of this room; nothing in a home without a ledger."""
        return await asyncio.to_thread(self._rows, sql, arguments)

    def _rows(self, sql: str, arguments: Arguments) -> list[Any]:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return []
        with _ours(self.path):
            self._renew((found.st_dev, found.st_ino))
            db = getattr(self._local, "db", None)
            if db is None:
                db = self._local.db = self._connect(writing=False)
                with self._guard:
                    self._open.append(db)
            try:
                return list(db.execute(sql, arguments).fetchall())
            except sqlite3.OperationalError as problem:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                if "no such table" not in str(problem) or version >= len(MIGRATIONS):
                    raise
                return []  # of a release before that table, or killed before the first write: nothing is in it

    def _renew(self, file: tuple[int, int]) -> None:
        """Leave connections to a file that `restore` has put aside."""
        if file != self._file:
            with self._guard:
                self._local, self._file = threading.local(), file

    def _connect(self, *, writing: bool) -> sqlite3.Connection:
        db = sqlite3.connect(
            address(self.path, writing=writing), uri=True, timeout=self.wait_seconds, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        if writing:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {self.synchronous}")
            db.execute("PRAGMA secure_delete = ON")
        else:
            refuse_newer(db, self.path)
        return db

    async def close(self) -> None:
        """Close the reading connections."""
        with self._guard:
            for db in self._open:
                db.close()
            self._open.clear()
            self._local = threading.local()


def address(file: Path, *, writing: bool = False) -> str:
    """Return the address by which SQLite opens a ledger's file."""
    mode = "rwc" if writing else "ro"
    writable = os.access(file.absolute().parent, os.W_OK)
    if not writing and writable and Path(f"{file}-journal").exists():
        # Killed before the file was in WAL mode: who only reads may not undo what was left half done.
        with closing(sqlite3.connect(file, timeout=30)) as db:
            db.execute("PRAGMA user_version").fetchone()
    if not writing and not writable:
        wal = Path(f"{file}-wal")
        # A read-only disk cannot hold the -shm file that WAL needs; without a -wal nothing is missing.
        mode += "&immutable=1" if not wal.exists() or wal.stat().st_size == 0 else ""
    return f"{file.absolute().as_uri()}?mode={mode}"


def _document(row: Sequence[Any]) -> Document:
    doc_id, source, version, title, media, language, readers, meta = row
    with codec.intact(f"document {doc_id} in the ledger"):
        return Document(
            id=doc_id, source=source, version=version, title=title, media=media, language=language,
            readers=frozenset(json.loads(readers)), meta=json.loads(meta),
        )  # fmt: skip


@contextmanager
def _ours(path: Path) -> Iterator[None]:
    """Turn SQLite's exceptions into ours, each with what to do."""
    try:
        with on_disk(path):
            yield
    except Timeout as problem:
        raise Busy(f"Another process is writing to {path}.", hint="Try again.") from problem
    except sqlite3.DatabaseError as problem:
        name = getattr(problem, "sqlite_errorname", "")
        code = next((code for start, code in CODES.items() if name.startswith(start)), "damaged")
        if code == "busy":
            raise Busy(f"Another program holds {path}.", hint="Try again when it has ended.") from problem
        raise refused(code, path, problem) from problem
