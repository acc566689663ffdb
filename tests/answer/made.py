"""Chunks, hits and stored documents made by hand, for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lyceum.core import ids
from lyceum.core.text import markdown_row
from lyceum.core.types import Chunk, Document, Hit, Piece, Place
from tests.toys import ALL, Staged


def prose(text: str, *headings: str, title: str = "", path: Sequence[str] = ()) -> Chunk:
    """Return a chunk of sentences; `headings` are words inside the text that are headings."""
    marked = [[text.index(heading), text.index(heading) + len(heading)] for heading in headings]
    meta = {"headings": marked} if marked else {}
    return Chunk(id=ids.digest(title, text), doc_id="", text=text, title=title, path=tuple(path), meta=meta)


def table(columns: Sequence[str], *rows: Sequence[str], title: str = "") -> Chunk:
    """Return a chunk of table rows under their header, each placed by its number, the header being row 1."""
    lines = [markdown_row(tuple(row)) for row in (columns, *rows)]
    pieces, start = [], 0
    for number, line in enumerate(lines, start=1):
        pieces.append(Piece(start=start, end=start + len(line), place=Place(row=number)))
        start += len(line) + 1
    text = "\n".join(lines)
    return Chunk(
        id=ids.digest(title, text), doc_id="", text=text, title=title, kind="table", pieces=tuple(pieces),
        meta={"columns": list(columns), "header": 1},
    )  # fmt: skip


def hit(chunk: Chunk, score: float = 1.0, **meta: Any) -> Hit:
    """Return a hit on a chunk, in a document of its title."""
    document = Document(
        id=ids.digest(chunk.title), source=chunk.title, version="1", title=chunk.title, meta=meta
    )
    return Hit(chunk=replace(chunk, doc_id=document.id), document=document, score=score)


def staged(source: str, *chunks: Chunk, readers: frozenset[str] = ALL, **meta: Any) -> Staged:
    """Return a document of these chunks for the store; its title is the source without its ending."""
    document = Document(
        id=ids.document_id(source), source=source, version="1", title=source.rsplit(".", 1)[0],
        media=source.rsplit(".", 1)[-1], readers=readers, meta=meta,
    )  # fmt: skip
    return document, [], [
        replace(chunk, id=ids.digest(source, str(number)), doc_id=document.id, title=document.title)
        for number, chunk in enumerate(chunks)
    ]  # fmt: skip
