"""What a citation points at: the page with the quoted words marked, or the rows or lines round them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from lyceum.app import pages
from lyceum.app.document_routes import Visible
from lyceum.app.routes import Opened
from lyceum.app.web import quotes
from lyceum.app.web.frame import Paged
from lyceum.core.errors import LyceumError
from lyceum.core.types import Place
from lyceum.ingest.drawing import DRAWN

router = APIRouter(include_in_schema=False)


@router.get("/source/{document_id}")
async def show(
    page: Paged, document: Visible, platform: Opened,
    chunk: str = "", quote: str = "", number: int = 0, part: bool = False,
) -> Response:  # fmt: skip
    """Show cited words in their document, as a page or (part) beside the answer."""
    held = await platform.store.ledger.chunks(document.id, chunk_id=chunk) if chunk else []
    found = held[0] if held else None
    span = quotes.located(found.text, quote) if found else None
    place = quotes.place(found, span) if found else Place()
    picture, problem = None, None
    if place.page and document.media in DRAWN:
        try:
            picture = await pages.measured(platform, document, place.page, quote, chunk)
        except LyceumError as told:
            problem = page.problem(told)
    return page(
        "part.html" if part else "source.html", document=document, chunk=found, number=number, quote=quote,
        where=quotes.where(page, document.media, place), picture=picture, problem=problem,
        rows=quotes.rows(found, span) if found else [], parts=quotes.cut(found.text, span) if found else [],
    )  # fmt: skip
