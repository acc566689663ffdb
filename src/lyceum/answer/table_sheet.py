"""Chunks of a table to a sheet: named columns, rows of cells with their values, and where each row stands.

A long table is split over chunks that repeat its header; `gathered` puts it together again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lyceum.answer.statements import Statement, statements
from lyceum.answer.table_cells import number, scale, value, words
from lyceum.core.protocols import Ledger
from lyceum.core.text import squeeze, table_rows
from lyceum.core.types import Chunk, Hit, Query

_year = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_period = re.compile(
    r"\b(?:ended|ending|as (?:of|at)|years?|december|june|march|september|period)\b|年度|截至", re.I
)
STEP = 32  # chunks asked for at a time
MOST = 5_000  # rows of a table that are computed over


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row: its cells, the rows' heading above it, and the chunk's characters that hold it."""

    cells: tuple[str, ...]
    section: str
    hit: Hit
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table that can be computed over."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]

    @cached_property
    def values(self) -> list[list[float | None]]:
        """Return what each cell is compared by."""
        return [[value(cell) for cell in line.cells] for line in self.lines]

    @cached_property
    def words(self) -> list[list[list[str]]]:
        """Return the words of each cell."""
        return [[words(cell) for cell in line.cells] for line in self.lines]

    @cached_property
    def numeric(self) -> list[bool]:
        """Say of each column whether most of its cells that hold something are values."""
        return [self._numeric(column) for column in range(len(self.columns))]

    def _numeric(self, column: int) -> bool:
        held = [n for n, line in enumerate(self.lines) if any(c.isalnum() for c in line.cells[column])]
        good = [
            n for n in held
            if self.values[n][column] is not None and sum(w.isalpha() for w in self.words[n][column]) <= 3
        ]  # fmt: skip
        return bool(held) and len(good) >= 0.7 * len(held)

    @cached_property
    def scale(self) -> str:
        """Return the scale stated above the table or in its first labels."""
        above = (*self.columns, *(line.cells[0] for line in self.lines[:4]), self.title)
        return next((found for text in above if (found := scale(text)) not in ("", "percent")), "")


async def gathered(ledger: Ledger, query: Query, hit: Hit) -> list[Chunk]:
    """Return all chunks of the table that a hit is a part of, in order: neighbours with the same header."""
    found = {hit.chunk.number: hit.chunk}
    for step in (-1, 1):
        at, going = hit.chunk.number, True
        while going and len(found) < MOST:
            asked = [at + step * n for n in range(1, STEP + 1)]
            near = await ledger.get([number for number in asked if number > 0], query.readers)
            for at in asked:
                if not (going := at in near and _head(near[at][0]) == _head(hit.chunk)):
                    break
                found[at] = near[at][0]
    return [found[number] for number in sorted(found)]


def _head(chunk: Chunk) -> tuple[object, ...]:
    """Return what the chunks of one table share: its document, headings, columns and the place of its header."""
    header = int(chunk.meta.get("header", 0))
    places = [piece.place for piece in chunk.pieces[:header]]
    return chunk.doc_id, chunk.kind, chunk.path, tuple(chunk.meta.get("columns", ())), places


def sheet(chunks: Sequence[Chunk], hit: Hit) -> Sheet | None:
    """Return a table's chunks as a sheet; None when there is nothing to compute over."""
    first = chunks[0]
    names = [str(column) for column in first.meta.get("columns", ())]
    rows = [
        (chunk, start, end, cells) for chunk in chunks for start, end, cells in table_rows(chunk)
    ][:MOST]  # fmt: skip
    width = max([len(names), *(len(cells) for *_, cells in rows)], default=0)
    names += [""] * (width - len(names))
    while rows and _heads(rows[0][3], names):
        names = [
            squeeze(f"{a} {b}") for a, b in zip(_spread(names), _padded(rows.pop(0)[3], width), strict=True)
        ]
    lines, section = [], ""
    for chunk, start, end, cells in rows:
        if width > 2 and cells[0] and not any(cells[1:]):
            section = cells[0]
        lines.append(
            Line(
                cells=tuple(_padded(cells, width)), section=section, start=start, end=end,
                hit=Hit(chunk=chunk, document=hit.document, score=hit.score),
            )
        )  # fmt: skip
    title = " ".join((first.title, *first.path))
    return Sheet(title=title, columns=tuple(names), lines=tuple(lines)) if lines and width else None


def _heads(cells: Sequence[str], names: Sequence[str]) -> bool:
    """Say whether a row goes on with the header: words or years under an empty or unit-like label."""
    label, held = (cells[0] if cells else ""), [cell for cell in cells[1:] if cell]
    unit = not label or bool(scale(label)) or _period.search(label) is not None
    years = sum(_year.search(cell) is not None for cell in held)
    plain = all((n := number(cell)) is None or _year.search(cell) or 0 < n <= 31 for cell in held)
    if not held:
        return not label or (bool(scale(label)) and not any(names[1:]))
    return unit and plain and (years > 0 or (not label and not names[0]))


def _spread(names: Sequence[str]) -> list[str]:
    """Let a heading stand over the empty cells on its right."""
    spread: list[str] = []
    for place, name in enumerate(names):
        spread.append(name or (spread[-1] if place > 1 else ""))
    return spread


def _padded(cells: Sequence[str], width: int) -> list[str]:
    return [*cells, *[""] * (width - len(cells))][:width]


def statement(line: Line) -> Statement:
    """Return the statement that quotes a row."""
    return next(one for one in statements([line.hit]) if one.start == line.start)
