"""How a document was read, and where quoted words stand on its pages; knows no request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lyceum.core.errors import NotFound
from lyceum.core.types import Box, Chunk, Document, Element
from lyceum.ingest.report import REASONS
from lyceum.wire import Platform

DPI = 110


def report(document: Document) -> dict[str, Any]:
    """Return a document's report, with what its reasons mean."""
    found = document.meta.get("report")
    if not found:
        raise NotFound("There is no report of this document.", hint="Ingest it again.", code="no_report")
    used = {reason for row in found["listed"] for reason in row.get("reasons", ())}
    return {"document_id": document.id, **found, "reasons": {one: REASONS[one][1] for one in sorted(used)}}


async def places(platform: Platform, document: Document, number: int, quote: str, chunk_id: str) -> list[Box]:
    """Return the boxes of the quoted words on a page, of a chunk, or of the words inside it."""
    ledger = platform.store.ledger
    if not quote and not chunk_id:
        return []
    parts: Sequence[Chunk | Element]
    if chunk_id:
        parts = await ledger.chunks(document.id, chunk_id=chunk_id)
    else:
        parts = await ledger.elements(document.id)
    return await asyncio.to_thread(boxes, parts, number, quote)


async def measured(
    platform: Platform, document: Document, number: int, quote: str, chunk: str
) -> dict[str, Any]:
    """Return how large a page is and where on it the quoted words stand, in the same units."""
    wide, high = await platform.draw.size(document, number)
    found = await places(platform, document, number, quote, chunk)
    return {"page": number, "width": wide, "height": high, "boxes": found}


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
