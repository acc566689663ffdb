"""How a document was read, and its pages as pictures with the quoted words marked; knows no request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lyceum.core.errors import NotFound, ParseError
from lyceum.core.types import Box, Chunk, Document, Element
from lyceum.ingest.drawing import DRAWN
from lyceum.ingest.report import REASONS
from lyceum.wire import Platform

DPI = 110
GONE = ("changed", "page")  # what a drawing process says of a page that is not there any more


def report(document: Document) -> dict[str, Any]:
    """Return a document's report, with what its reasons mean."""
    found = document.meta.get("report")
    if not found:
        raise NotFound("There is no report of this document.", hint="Ingest it again.", code="no_report")
    used = {reason for row in found["listed"] for reason in row.get("reasons", ())}
    return {"document_id": document.id, **found, "reasons": {one: REASONS[one][1] for one in sorted(used)}}


async def draw(platform: Platform, document: Document, number: int, boxes: Sequence[Box], dpi: int) -> bytes:
    """Return a page as PNG, drawn in a process that may be killed."""
    if document.media not in DRAWN:
        raise NotFound(
            f"Pages of {document.media.upper()} documents cannot be drawn.",
            hint="PDF files and pictures have pages; GET the document for its text.", code="not_drawn",
        )  # fmt: skip
    path = await asyncio.to_thread(original, platform, document)
    wanted = {"page": number, "dpi": dpi, "boxes": boxes, "sha256": document.meta["sha256"]}
    try:
        return await platform.pictures.draw(path, "The file", document.media, wanted)
    except ParseError as problem:
        if problem.code in GONE:
            raise NotFound(problem.message, hint=problem.hint, code=problem.code) from problem
        raise


def original(platform: Platform, document: Document) -> Path:
    """Return the file that a document was read from; whoever reads it checks that it is still the same."""
    sha256 = document.meta.get("sha256")
    if sha256:
        kept = bool(document.meta.get("kept"))
        path = platform.store.files.path(sha256) if kept else Path(document.source)
        if path.is_absolute() and path.is_file():
            return path
    raise NotFound("The file itself is not here any more.", hint="Ingest it again.", code="no_file")


async def places(platform: Platform, document: Document, number: int, quote: str, chunk_id: str) -> list[Box]:
    """Return the boxes of the quoted words on a page, of a chunk, or of the words inside it."""
    ledger = platform.store.ledger
    if not quote and not chunk_id:
        return []
    parts: Sequence[Chunk | Element]
    if chunk_id:
        parts = [one for one in await ledger.chunks(document.id) if one.id == chunk_id]
    else:
        parts = await ledger.elements(document.id)
    return await asyncio.to_thread(boxes, parts, number, quote)


def boxes(parts: Iterable[Chunk | Element], number: int, quote: str) -> list[Box]:
    """Return the boxes on a page of all that is there, or of each place where the quote stands.

    Only letters and digits are compared: a quote has other spaces, bars and line ends than the page.
    """
    placed = list(_placed(parts, number))
    if not quote:
        return list(dict.fromkeys(box for _, box in placed))
    words = "".join(character for character in quote.lower() if character.isalnum())
    text = "".join(character for character, _ in placed)
    ends = [match.span() for match in re.finditer(re.escape(words), text)] if words else []
    return list(dict.fromkeys(box for start, end in ends for _, box in placed[start:end]))


def _placed(parts: Iterable[Chunk | Element], number: int) -> Iterator[tuple[str, Box]]:
    """Yield the letters and digits of a page in order, each with the box of its line."""
    for part in parts:
        for piece in part.pieces:
            place = piece.place
            if place.page != number or place.box is None:
                continue
            for character in part.text[piece.start : piece.end].lower():
                if character.isalnum():
                    yield character, place.box
