"""What a citation points at: the page with the quoted words marked, or the rows or lines round them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from lyceum.app import pages
from lyceum.app.document_routes import Visible
from lyceum.app.routes import Opened
from lyceum.app.web.ask import where
from lyceum.app.web.frame import Paged
from lyceum.core.errors import LyceumError
from lyceum.core.text import table_rows
from lyceum.core.types import Chunk, Place
from lyceum.ingest.drawing import DRAWN

router = APIRouter(include_in_schema=False)


@router.get("/source/{document_id}")
async def show(
    page: Paged, document: Visible, platform: Opened,
    chunk: str = "", quote: str = "", number: int = 0, part: bool = False,
) -> Response:  # fmt: skip
    """Show cited words in their document, as a page or (part) beside the answer."""
    found = next((one for one in await platform.store.ledger.chunks(document.id) if one.id == chunk), None)
    span = located(found.text, quote) if found else None
    place = _place(found, span) if found else Place()
    picture, problem = None, None
    if place.page and document.media in DRAWN:
        try:
            picture = await pages.measured(platform, document, place.page, quote, chunk)
        except LyceumError as told:
            problem = page.problem(told)
    return page(
        "part.html" if part else "source.html", document=document, chunk=found, number=number, quote=quote,
        where=where(page, document.media, place), picture=picture, problem=problem,
        rows=rows(found, span) if found else [], parts=cut(found.text, span) if found else [],
    )  # fmt: skip


def located(text: str, quote: str) -> tuple[int, int] | None:
    """Return where a quote stands in a text; only letters and digits are compared, as on pages."""
    at = [index for index, one in enumerate(text) for _ in one.lower() if one.isalnum()]
    flat = "".join(one.lower() for one in text if one.isalnum())
    words = "".join(one for one in quote.lower() if one.isalnum())
    start = flat.find(words) if words and len(at) == len(flat) else -1
    return None if start < 0 else (at[start], at[start + len(words) - 1] + 1)


def cut(text: str, span: tuple[int, int] | None) -> tuple[str, str, str]:
    """Return a text before, inside and behind a span."""
    start, end = span or (0, 0)
    return text[:start], text[start:end], text[end:]


def rows(chunk: Chunk, span: tuple[int, int] | None) -> list[dict[str, Any]]:
    """Return a table chunk's rows, those marked that the span touches."""
    start, end = span or (-1, -1)
    return [
        {"cells": cells, "marked": first < end and start < last} for first, last, cells in table_rows(chunk)
    ]


def _place(chunk: Chunk, span: tuple[int, int] | None) -> Place:
    """Return the place of the quoted words, of the chunk's beginning where they were not found."""
    pieces: Sequence[Any] = [one for one in chunk.pieces if span is None or one.end > span[0]] or chunk.pieces
    return pieces[0].place if pieces else Place()
