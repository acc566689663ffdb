"""The ledger's tables as numbered migrations, applied in order and remembered in `user_version`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from lyceum.core.errors import StoreError


def m001(db: sqlite3.Connection) -> None:
    """Documents, their versions, chunks, the change log, and vectors that were costly to make.

    Chunk numbers and sequences are never used twice (AUTOINCREMENT): views know chunks by number alone.
    """
    for statement in (
        "CREATE TABLE documents (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL,"
        " readers TEXT NOT NULL, current INTEGER)",
        "CREATE TABLE versions (key INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL,"
        " version TEXT NOT NULL, title TEXT NOT NULL, media TEXT NOT NULL, language TEXT NOT NULL,"
        " meta TEXT NOT NULL, elements BLOB NOT NULL)",
        "CREATE TABLE chunks (number INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL,"
        " id TEXT NOT NULL, text TEXT NOT NULL, extra TEXT NOT NULL, hash BLOB NOT NULL)",
        "CREATE INDEX chunks_version ON chunks (version)",
        "CREATE INDEX chunks_hash ON chunks (hash)",
        "CREATE INDEX versions_document ON versions (document)",
        "CREATE TABLE changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
        " number INTEGER NOT NULL)",
        "CREATE TABLE vectors (hash BLOB NOT NULL, encoder TEXT NOT NULL, vector BLOB NOT NULL,"
        " PRIMARY KEY (hash, encoder)) WITHOUT ROWID",
    ):
        db.execute(statement)


def m002(db: sqlite3.Connection) -> None:
    """Which ledger this is: views that have followed another one, or this one before a restore, start again."""
    db.execute("CREATE TABLE identity (ledger TEXT NOT NULL)")
    db.execute("INSERT INTO identity VALUES (lower(hex(randomblob(8))))")


def m003(db: sqlite3.Connection) -> None:
    """Uploads as jobs; `number` keeps their order, `until` is a lease's end or the time before which none begins."""
    for statement in (
        "CREATE TABLE jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " source TEXT NOT NULL, document TEXT NOT NULL, path TEXT NOT NULL, readers TEXT, options TEXT NOT NULL,"
        " state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,"
        " worker TEXT NOT NULL DEFAULT '',"
        " until REAL NOT NULL DEFAULT 0, code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '',"
        " hint TEXT NOT NULL DEFAULT '', outcome TEXT NOT NULL DEFAULT '{}', created REAL NOT NULL,"
        " updated REAL NOT NULL)",
        "CREATE INDEX jobs_state ON jobs (state, number)",
        "CREATE INDEX jobs_document ON jobs (document)",
    ):
        db.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (m001, m002, m003)


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables up to date in one transaction a step; the caller holds the write lock."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        with db:
            db.execute("BEGIN IMMEDIATE")
            step(db)
            db.execute(f"PRAGMA user_version = {number}")


def refuse_newer(db: sqlite3.Connection, file: Path) -> None:
    """Close a ledger whose tables this program does not know, and say so."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        db.close()
        said = f"{file} has version {version}: a newer Lyceum wrote it."
        raise StoreError(said, hint="Update Lyceum.", code="newer")
