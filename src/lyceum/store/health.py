"""A ledger's file to what is wrong with it: SQLite's own check, rows without their owner, texts that have changed.

It reads and repairs nothing. A reader's name that was changed in the file cannot be told from one that was written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from lyceum.core.disk import refused
from lyceum.core.errors import StoreError
from lyceum.core.types import Document
from lyceum.store import codec
from lyceum.store.ledger import address
from lyceum.store.schema import refuse_newer

ORPHANS = {
    "documents whose version is gone": "SELECT COUNT(*) FROM documents d LEFT JOIN versions v ON v.key = d.current"
    " WHERE d.current IS NOT NULL AND v.document IS NOT d.key",
    "versions without a document": "SELECT COUNT(*) FROM versions WHERE document NOT IN (SELECT key FROM documents)",
    "chunks without a version": "SELECT COUNT(*) FROM chunks WHERE version NOT IN (SELECT key FROM versions)",
    "chunks that the log does not know": "SELECT COUNT(*) FROM chunks WHERE number NOT IN"
    " (SELECT number FROM changes WHERE kind = 'put')",
    "chunks that the log has removed": "SELECT COUNT(*) FROM chunks WHERE number IN"
    " (SELECT number FROM changes WHERE kind = 'remove')",
    "vectors without a chunk": "SELECT COUNT(*) FROM vectors WHERE hash NOT IN (SELECT hash FROM chunks)",
}  # fmt: skip


def opened(file: Path) -> sqlite3.Connection:
    """Open a ledger's file for reading alone; raise when it is none, or of a newer Lyceum."""
    try:
        db = sqlite3.connect(address(file), uri=True)
        refuse_newer(db, file)
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError as problem:
        raise refused("damaged", file, problem) from problem
    if not {"documents", "versions", "chunks", "changes"} <= tables:
        db.close()
        raise StoreError(f"{file} is no ledger.", hint="`lyceum backup FILE` writes one.", code="foreign")
    return db


def faults(file: Path, most: int = 20) -> list[str]:
    """Return what is wrong, at most some sentences."""
    with closing(opened(file)) as db:
        try:
            return list(islice(_faults(db), most))
        except sqlite3.DatabaseError as problem:
            return [str(problem)]


def _faults(db: sqlite3.Connection) -> Iterator[str]:
    found = [row[0] for row in db.execute("PRAGMA integrity_check(20)")]
    if found != ["ok"]:
        yield from found
        return
    for what, sql in ORPHANS.items():
        if number := db.execute(sql).fetchone()[0]:
            yield f"{number} {what}"
    yield from _changed(db)


def _changed(db: sqlite3.Connection) -> Iterator[str]:
    """Compare every text with the hash that was written with it, and unpack what is packed."""
    sql = "SELECT number, c.id, text, extra, hash, title FROM chunks c JOIN versions v ON v.key = c.version"
    for number, chunk_id, text, extra, key, title in db.execute(sql):
        document = Document(id="", source="", version="", title=title, media="")
        try:
            whole = codec.vector_key(codec.unpack_chunk(number, chunk_id, text, extra, document)) == key
        except StoreError as problem:
            yield problem.message
            continue
        if not whole:
            yield f"the words of chunk {number} are not those that were written"
    sql = "SELECT d.id, v.elements FROM versions v JOIN documents d ON d.key = v.document"
    for doc_id, elements in db.execute(sql):
        try:
            codec.unpack_elements(doc_id, elements)
        except StoreError as problem:
            yield problem.message


def facts(file: Path) -> dict[str, int]:
    """Return the numbers of documents, chunks, changes and unconfirmed versions, whoever may read them."""
    counted = {
        "documents": "SELECT COUNT(*) FROM documents WHERE current IS NOT NULL",
        "chunks": "SELECT COUNT(*) FROM chunks",
        "sequence": "SELECT COALESCE(MAX(sequence), 0) FROM changes",
        "unconfirmed": "SELECT COUNT(*) FROM versions v JOIN documents d ON d.key = v.document"
        " WHERE d.current IS NOT v.key",
    }
    with closing(opened(file)) as db:
        try:
            return {name: db.execute(sql).fetchone()[0] for name, sql in counted.items()}
        except sqlite3.DatabaseError as problem:
            raise refused("damaged", file, problem) from problem
