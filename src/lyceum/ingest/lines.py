"""Words to a text or heading element with one piece; the smallest thing every walker makes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lyceum.core.text import clean
from lyceum.core.types import Element, Piece, Place


def line(doc_id: str, text: str, place: Place, *, kind: Any = "text", level: int = 0) -> Iterator[Element]:
    """Yield one element, or none when no words are left; a level makes it a heading."""
    text = clean(text)
    if text:
        piece = Piece(start=0, end=len(text), place=place)
        made: Any = "heading" if level else kind
        yield Element(doc_id=doc_id, kind=made, text=text, place=place, pieces=(piece,), level=level)
