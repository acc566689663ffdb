"""Cells to a table element: cleaned, header found, Markdown with a place for every row. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lyceum.core.text import clean, markdown_row, squeeze
from lyceum.core.types import Element, Place, Table
from lyceum.ingest.lines import block

_number = re.compile(r"^[\s$€£¥+\-−(]*\d[\d\s.,:/%-]*[)%\w°]{0,6}$")


def table(
    doc_id: str, rows: Sequence[Sequence[str]], places: Sequence[Place], header: int | None = None
) -> Element | None:
    """Return a table element, None when fewer than one row or no cell holds anything.

    `header` is how many first rows name columns; None looks at them: a full row of words above others.
    """
    kept = [
        (tuple(squeeze(clean(cell)) for cell in row), place)
        for row, place in zip(rows, places, strict=True)
        if any(cell.strip() for cell in row)
    ]
    if not kept:
        return None
    width = max(len(cells) for cells, _ in kept)
    cells = tuple(row + ("",) * (width - len(row)) for row, _ in kept)
    where = tuple(place for _, place in kept)
    header = (1 if _has_header(cells) else 0) if header is None else min(header, len(cells))
    lines = [(markdown_row(row), place) for row, place in zip(cells, where, strict=True)]
    return block(doc_id, lines, kind="table", table=Table(rows=cells, header=header, places=where))


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether the first row names columns: no numbers, hardly a gap, and it is not alone."""
    if len(rows) < 2:
        return False
    first = rows[0]
    filled = [cell for cell in first if cell]
    return len(filled) >= max(1, len(first) - 1) and not any(_number.match(cell) for cell in filled[1:])


def grid(
    doc_id: str, rows: Sequence[Sequence[str]], places: Sequence[Place], header: int | None = None
) -> Iterator[Element]:
    """Yield a table, or nothing when no cell holds words."""
    if made := table(doc_id, rows, places, header):
        yield made
