"""Rows of the ledger to nouns and back."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lyceum.core.disk import refused
from lyceum.core.packed import dump, pack_element, pack_pieces, unpack_element, unpack_pieces
from lyceum.core.text import dense_text
from lyceum.core.types import Chunk, Document, Element


@contextmanager
def intact(what: str) -> Iterator[None]:
    """Say that a row is damaged when it cannot be read."""
    try:
        yield
    except (ValueError, TypeError, KeyError, zlib.error) as problem:
        raise refused("damaged", what, f"{type(problem).__name__}, {problem}") from problem


def pack_chunk(chunk: Chunk) -> str:
    """Write all of a chunk but its id and text."""
    return dump([chunk.kind, chunk.path, pack_pieces(chunk.pieces), dict(chunk.meta)])


def unpack_chunk(number: int, chunk_id: str, text: str, extra: str, document: Document) -> Chunk:
    """Read what `pack_chunk` wrote."""
    with intact(f"chunk {number} in the ledger"):
        kind, path, pieces, meta = json.loads(extra)
        return Chunk(
            id=chunk_id, doc_id=document.id, text=text, number=number, title=document.title, kind=kind,
            path=tuple(path), pieces=unpack_pieces(pieces), meta=meta,
        )  # fmt: skip


def pack_elements(elements: Sequence[Element]) -> bytes:
    """Write elements as compressed JSON."""
    return zlib.compress(dump([pack_element(element) for element in elements]).encode(), 6)


def unpack_elements(doc_id: str, packed: bytes) -> list[Element]:
    """Read what `pack_elements` wrote."""
    with intact(f"document {doc_id} in the ledger"):
        return [unpack_element(doc_id, row) for row in json.loads(zlib.decompress(packed))]


def vector_key(chunk: Chunk) -> bytes:
    """Return the key under which the vector of a chunk's words is kept."""
    return hashlib.sha256(dense_text(chunk).encode()).digest()[:16]
