"""Quoted words in their passage and in words for people: where they stand, and what of a text or table they touch."""

from __future__ import annotations

from typing import Any

from lyceum.app.web.frame import Page
from lyceum.core.text import table_rows
from lyceum.core.types import Chunk, Place

SLIDES = ("pptx", "odp")
Span = tuple[int, int] | None


def where(page: Page, media: str, place: Place) -> str:
    """Return a place in words: page 3; sheet Prices, row 7."""
    known = [(name, getattr(place, name)) for name in ("part", "page", "sheet", "row", "line")]
    return page.say("place.between").join(
        page.say(f"place.{'slide' if name == 'page' and media in SLIDES else name}", n=value)
        for name, value in known if value is not None
    )  # fmt: skip


def located(text: str, quote: str) -> Span:
    """Return where a quote stands in a text; only letters and digits are compared, as on pages."""
    at = [index for index, one in enumerate(text) for part in one.lower() if part.isalnum()]
    flat = "".join(part for one in text for part in one.lower() if part.isalnum())
    words = "".join(one for one in quote.lower() if one.isalnum())
    start = flat.find(words) if words else -1
    return None if start < 0 else (at[start], at[start + len(words) - 1] + 1)


def cut(text: str, span: Span) -> tuple[str, str, str]:
    """Return a text before, inside and behind a span."""
    start, end = span or (0, 0)
    return text[:start], text[start:end], text[end:]


def rows(chunk: Chunk, span: Span) -> list[dict[str, Any]]:
    """Return a table chunk's rows, those marked that the span touches; none of another chunk's."""
    start, end = span or (-1, -1)
    return [
        {"cells": cells, "marked": first < end and start < last} for first, last, cells in table_rows(chunk)
    ]


def place(chunk: Chunk, span: Span) -> Place:
    """Return the place of the quoted words, of the chunk's beginning where they were not found."""
    pieces = [one for one in chunk.pieces if span is None or one.end > span[0]] or chunk.pieces
    return pieces[0].place if pieces else Place()


def named(chunk: Chunk, quote: str) -> list[tuple[str, str]]:
    """Return the filled cells of the one table row that a quote is, each with its column's name; else nothing."""
    marked = [row["cells"] for row in rows(chunk, located(chunk.text, quote)) if row["marked"]]
    columns = [str(name) for name in chunk.meta.get("columns", ())]
    if len(marked) != 1 or len(marked[0]) != len(columns):
        return []
    return [(column, cell) for column, cell in zip(columns, marked[0], strict=True) if cell]
