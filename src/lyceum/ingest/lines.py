"""Words to a text or heading element with a piece a line; the smallest thing every walker makes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lyceum.core.text import CJK, clean
from lyceum.core.types import Element, Piece, Place, Table

NOTES = "Speaker notes"  # the heading of what stands under a slide
_cjk_end, _cjk_start = re.compile(f"[{CJK}，。、；：]$"), re.compile(f"^[{CJK}]")


def line(doc_id: str, text: str, place: Place, *, kind: Any = "text", level: int = 0) -> Iterator[Element]:
    """Yield one element, or none when no words are left; a level makes it a heading."""
    if text := clean(text):
        yield block(doc_id, [(text, place)], kind=kind, level=level)


def block(
    doc_id: str, lines: Sequence[tuple[str, Place]], *, kind: Any = "text", level: int = 0, table: Table | None = None
) -> Element:  # fmt: skip
    """Return an element of lines, each with its own place; the first one's is the element's."""
    pieces, start = [], 0
    for text, place in lines:
        pieces.append(Piece(start=start, end=start + len(text), place=place))
        start += len(text) + 1
    return Element(
        doc_id=doc_id, kind="heading" if level else kind, text="\n".join(text for text, _ in lines),
        place=lines[0][1], pieces=tuple(pieces), level=level, table=table,
    )  # fmt: skip


def no_space(before: str, after: str) -> bool:
    """Say whether two texts are joined without a blank, as Chinese is."""
    return bool(_cjk_end.search(before[-1:]) and _cjk_start.match(after))


def first_heading(elements: Iterable[Element]) -> str:
    """Return the words of the first heading, empty when there is none."""
    return next((one.text for one in elements if one.kind == "heading"), "")
