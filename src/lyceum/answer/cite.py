"""Statements to citations: quoted words with document, page or row, and the boxes that cover them. Pure."""

from __future__ import annotations

from lyceum.answer.statements import Statement
from lyceum.core.types import Box, Citation, Place


def cite(statement: Statement, number: int, mark: tuple[int, int] | None = None) -> Citation:
    """Return citation [number] of a statement; `mark` is the short answer's range inside the quote."""
    chunk, document = statement.hit.chunk, statement.hit.document
    places = [
        piece.place for piece in chunk.pieces if piece.start < statement.end and piece.end > statement.start
    ]
    first = places[0] if places else Place()
    parts = chunk.meta.get("parts", ())  # of a passage made of several chunks
    owner = next((part for start, end, part in parts if start <= statement.start < end), chunk.id)
    boxes: tuple[Box, ...] = tuple(
        dict.fromkeys(place.box for place in places if place.box and place.page == first.page)
    )
    return Citation(
        number=number, document_id=document.id, source=document.source, title=document.title,
        quote=statement.quote, chunk_id=owner, media=document.media, place=first, boxes=boxes,
        start=mark[0] if mark else None, end=mark[1] if mark else None,
    )  # fmt: skip
