"""The ledger's transactions as plain functions on a connection: stage, flip, remove, readers, leftovers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from lyceum.core.packed import dump
from lyceum.core.types import Chunk, Document, Element
from lyceum.store import codec, jobs

# A new version without tags takes those of the one before it: they belong to the document, as its readers do.
KEEP_TAGS = (
    "UPDATE versions SET meta = json_set(meta, '$.tags', json(o.tags)) FROM (SELECT json_extract(v.meta, '$.tags')"
    " AS tags FROM documents d JOIN versions v ON v.key = d.current WHERE d.key = :document) AS o"
    " WHERE key = :key AND o.tags IS NOT NULL AND json_extract(meta, '$.tags') IS NULL"
)
Batch = Sequence[tuple[Document, Sequence[Element], Sequence[Chunk]]]


def stage(db: sqlite3.Connection, batch: Batch) -> list[int]:
    """Write new versions that nobody sees yet and log their chunks; return the versions' keys."""
    keys = []
    for document, elements, chunks in batch:
        db.execute(
            "INSERT INTO documents (id, source, readers) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (document.id, document.source, _names(document.readers)),
        )
        owner = db.execute("SELECT key FROM documents WHERE id = ?", (document.id,)).fetchone()[0]
        key = db.execute(
            "INSERT INTO versions (document, version, title, media, language, meta, elements)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                owner, document.version, document.title, document.media, document.language,
                dump(dict(document.meta)), codec.pack_elements(elements),
            ),
        ).lastrowid  # fmt: skip
        assert key is not None
        db.execute(KEEP_TAGS, {"document": owner, "key": key})
        _insert_chunks(db, key, chunks)
        keys.append(key)
    return keys


def _insert_chunks(db: sqlite3.Connection, version: int, chunks: Sequence[Chunk]) -> None:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    first = (row[0] if row else 0) + 1
    db.executemany(
        "INSERT INTO chunks (number, version, id, text, extra, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (
            (number, version, chunk.id, chunk.text, codec.pack_chunk(chunk), codec.vector_key(chunk))
            for number, chunk in enumerate(chunks, start=first)
        ),
    )
    db.executemany(
        "INSERT INTO changes (kind, number) VALUES ('put', ?)",
        ((number,) for number in range(first, first + len(chunks))),
    )


def flip(db: sqlite3.Connection, keys: Sequence[int], batch: Batch) -> int:
    """Make staged versions current and drop the ones before them, in the same instant for every reader.

    Return how many were dropped.
    """
    dropped = 0
    for key, (document, _, _) in zip(keys, batch, strict=True):
        owner, old, readers = db.execute(
            "SELECT d.key, d.current, d.readers FROM versions v JOIN documents d ON d.key = v.document"
            " WHERE v.key = ?",
            (key,),
        ).fetchone()
        if old is not None:
            _drop_version(db, old)
            dropped += 1
        db.execute("UPDATE documents SET current = ? WHERE key = ?", (key, owner))
        if readers != _names(document.readers):
            set_readers(db, document.id, document.readers)
    return dropped


def remove(db: sqlite3.Connection, document_id: str) -> bool:
    """Delete a document with all its versions; say whether it was there."""
    row = db.execute("SELECT key FROM documents WHERE id = ?", (document_id,)).fetchone()
    if row is None:
        return False
    for (key,) in db.execute("SELECT key FROM versions WHERE document = ?", row).fetchall():
        _drop_version(db, key)
    jobs.forget(db, document_id)
    db.execute("DELETE FROM documents WHERE key = ?", row)
    return True


def set_readers(db: sqlite3.Connection, document_id: str, readers: frozenset[str]) -> None:
    """Give a document other readers: a revocation holds at once, a grant when the views have followed."""
    db.execute("UPDATE documents SET readers = ? WHERE id = ?", (_names(readers), document_id))
    _changed(db, document_id)


def set_tags(db: sqlite3.Connection, document_id: str, tags: frozenset[str]) -> bool:
    """Give a document other tags, which hold when the views have followed; say whether they were others."""
    changed = db.execute(
        "UPDATE versions SET meta = json_set(meta, '$.tags', json(:tags)) WHERE key = (SELECT current FROM documents"
        " WHERE id = :id) AND COALESCE(json_extract(meta, '$.tags'), '[]') <> json(:tags)",
        {"id": document_id, "tags": dump(sorted(tags))},
    ).rowcount
    if changed:
        _changed(db, document_id)
    return changed > 0


def _changed(db: sqlite3.Connection, document_id: str) -> None:
    """Have the views look again at what they hold of a document beside its words."""
    db.execute(
        "INSERT INTO changes (kind, number) SELECT 'readers', c.number FROM documents d"
        " JOIN chunks c ON c.version = d.current WHERE d.id = ? ORDER BY c.number",
        (document_id,),
    )


def drop_leftovers(db: sqlite3.Connection) -> int:
    """Delete what a killed writer had staged and never confirmed; return how many versions that were."""
    rows = db.execute(
        "SELECT v.key FROM versions v JOIN documents d ON d.key = v.document"
        " WHERE d.current IS NULL OR d.current <> v.key"
    ).fetchall()
    for (key,) in rows:
        _drop_version(db, key)
    db.execute("DELETE FROM documents WHERE current IS NULL")
    return len(rows)


def _drop_version(db: sqlite3.Connection, key: int) -> None:
    db.execute(
        "INSERT INTO changes (kind, number) SELECT 'remove', number FROM chunks WHERE version = ? ORDER BY number",
        (key,),
    )
    hashes = db.execute("SELECT DISTINCT hash FROM chunks WHERE version = ?", (key,)).fetchall()
    db.execute("DELETE FROM chunks WHERE version = ?", (key,))
    db.executemany(
        "DELETE FROM vectors WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM chunks WHERE hash = ?1)", hashes
    )
    db.execute("DELETE FROM versions WHERE key = ?", (key,))


def _names(names: frozenset[str]) -> str:
    return json.dumps(sorted(names))
