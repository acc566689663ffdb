"""Words and cells to the elements that every walker makes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lyceum.core.text import clean
from lyceum.core.types import Element, Piece, Place
from lyceum.ingest.tables import table

NOTES = "Speaker notes"  # the heading of what stands under a slide


def line(doc_id: str, text: str, place: Place, *, kind: Any = "text", level: int = 0) -> Iterator[Element]:
    """Yield one element with one piece, or none when no words are left; a level makes it a heading."""
    text = clean(text)
    if text:
        piece = Piece(start=0, end=len(text), place=place)
        made: Any = "heading" if level else kind
        yield Element(doc_id=doc_id, kind=made, text=text, place=place, pieces=(piece,), level=level)


def grid(
    doc_id: str, rows: Sequence[Sequence[str]], places: Sequence[Place], header: int | None = None
) -> Iterator[Element]:
    """Yield a table, or nothing when no cell holds words."""
    if made := table(doc_id, rows, places, header):
        yield made


def first_heading(elements: Iterable[Element]) -> str:
    """Return the words of the first heading, empty when there is none."""
    return next((one.text for one in elements if one.kind == "heading"), "")
