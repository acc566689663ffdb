"""PDF pages to table elements, ruled or not, with a place for each row; a table that goes on over pages is one.

Frames around text, plots and rectangles behind words are refused here, what only looks aligned in
`pdf_columns`. Sideways tables and merged cells without rulings are not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any

from lyceum.core.types import Box, Element, Page, Place
from lyceum.ingest.pdf_columns import aligned, gutters, parts
from lyceum.ingest.pdf_grid import (
    TOUCH,
    Grid,
    Row,
    Stroke,
    Word,
    between,
    crossed,
    cut,
    is_number,
    levels,
    rows_of,
    within,
)
from lyceum.ingest.pdf_marks import rulings, words
from lyceum.ingest.tables import table

LONGEST = 50  # pages over which a table may go on: their memory is held
LEAST_WORDS, MOST_WORDS = 4, 20_000  # on a page; with more it holds no table for people
FEW_ROWS = 3  # rulings may frame no more than the header of a table
MOST_CROSSINGS = 250_000
SHIFT = 12  # points by which the columns of a table may differ from page to page
_dots = re.compile(r"\.{4,}|(?:\. ){3,}|…{2,}|·{4,}")
_aside = re.compile(r"[^\n]{0,12}\d[^\n]{0,12}|.{0,40}(?:continued|cont\.|续|續).{0,20}", re.I)

Region = tuple[list[Stroke], list[Stroke]]


class Tables:
    """Finds the tables of one document page by page and joins those that go on over pages."""

    def __init__(self) -> None:
        self._edges: dict[Place, tuple[float, ...]] = {}
        self._waiting: list[Page] = []  # the first one's last element is a table that may go on

    def __call__(self, page: Any, number: int, doc_id: str) -> list[Element]:
        """Return a page's tables; `number` counts from one."""
        found = []
        for grid in find(page):
            places = [Place(page=number, box=box) for box in grid.rows]
            made = table(doc_id, _texts(grid), places, _header(grid))
            if made:
                made = replace(made, place=Place(page=number, box=grid.box))
                self._edges[made.place] = grid.edges
                found.append(made)
        return found

    def joined(self, page: Page) -> Iterator[Page]:
        """Yield the pages to which no later one can add: one that ends in a table waits for the next."""
        first = next((one for one in page.elements if not _is_aside(one)), None)
        if self._waiting and first and len(self._waiting) < LONGEST and self._goes_on(first):
            self._join(first)
            page = replace(page, elements=tuple(one for one in page.elements if one is not first))
            if all(map(_is_aside, page.elements)):
                self._waiting.append(page)
                return
        yield from self.rest()
        last = next((one for one in reversed(page.elements) if not _is_aside(one)), None)
        if last and last.table:
            self._waiting.append(page)
        else:
            yield page

    def rest(self) -> Iterator[Page]:
        """Yield the pages that wait."""
        yield from self._waiting
        self._waiting.clear()

    def _open(self) -> Element:
        return next(one for one in reversed(self._waiting[0].elements) if one.table)

    def _goes_on(self, first: Element) -> bool:
        mine, theirs = self._edges.get(self._open().place), self._edges.get(first.place)
        return (
            mine is not None
            and theirs is not None
            and len(mine) == len(theirs)
            and all(abs(a - b) <= SHIFT for a, b in zip(mine, theirs, strict=True))
        )

    def _join(self, more: Element) -> None:
        old = self._open()
        assert old.table is not None
        assert more.table is not None
        same = 0
        for mine, theirs in zip(old.table.rows, more.table.rows, strict=False):
            if mine != theirs:
                break
            same += 1
        rows = old.table.rows + more.table.rows[same:]
        made = table(old.doc_id, rows, old.table.places + more.table.places[same:], old.table.header)
        assert made is not None
        whole = replace(made, place=old.place)
        first = self._waiting[0]
        elements = tuple(whole if one is old else one for one in first.elements)
        self._waiting[0] = replace(first, elements=elements)


def _is_aside(element: Element) -> bool:
    """Say whether a line between two parts of a table is a page number or says that it goes on."""
    return element.table is None and _aside.fullmatch(element.text) is not None


def _texts(grid: Grid) -> list[list[str]]:
    """Return cells by rows; a cell over some rows or columns is repeated, one over the whole width is not."""
    width = len(grid.edges) - 1
    texts = [[""] * width for _ in grid.rows]
    for cell in grid.cells:
        columns = 1 if cell.columns == width else cell.columns
        for row in range(cell.row, cell.row + cell.rows):
            texts[row][cell.column : cell.column + columns] = [cell.text] * columns
    return texts


def _header(grid: Grid) -> int | None:
    """Return how many rows name the columns when the first holds names of several; else it is not known here."""
    spans = any(1 < cell.columns < len(grid.edges) - 1 for cell in grid.cells if cell.row == 0)
    numbers = [cell.row for cell in grid.cells if cell.column and all(map(is_number, cell.text.split()))]
    return min(numbers) if spans and numbers and 2 <= min(numbers) <= 3 else None


def find(page: Any) -> list[Grid]:
    """Return a page's tables from top to bottom."""
    with closing(page.get_textpage()) as text_page:
        found = words(page, text_page)
    if not LEAST_WORDS <= len(found) <= MOST_WORDS:
        return []
    across, down, sloped = rulings(page)
    grids, heads = [], []
    for region in _regions(across, down):
        grid = None if _pictured(region, sloped) else _ruled(region, found)
        if grid and len(grid.rows) <= FEW_ROWS:
            heads.append(grid)
        elif grid:
            grids.append(grid)
            found = [word for word in found if not within(word, grid.box)]
    for part in parts(rows_of(found), across):
        grids += [
            grid for grid in aligned(part, across) if _believable(grid) and not _among(grid.box, sloped)
        ]
    grids = [grid for grid in grids if not any(_part_of(grid, head) for head in heads)]
    grids += [head for head in heads if not any(_part_of(head, grid) for grid in grids)]
    return sorted(grids, key=lambda grid: grid.box[1])


def _part_of(one: Grid, other: Grid) -> bool:
    """Say whether two tables are the same words and the other has more rows, as under a ruled header."""
    a, b = one.box, other.box
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    beside = min(a[2], b[2]) - max(a[0], b[0]) < 0.5 * (a[2] - a[0])
    return overlap > 0.3 * (a[3] - a[1]) and not beside and len(other.rows) >= len(one.rows)


def _regions(across: Sequence[Stroke], down: Sequence[Stroke]) -> list[Region]:
    """Return groups of rulings that cross or touch, at least two across and one down."""
    if len(across) * len(down) > MOST_CROSSINGS:
        return []
    parent = list(range(len(across) + len(down)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, (y, left, right) in enumerate(across):
        for j, (x, top, bottom) in enumerate(down, len(across)):
            if left - TOUCH <= x <= right + TOUCH and top - TOUCH <= y <= bottom + TOUCH:
                parent[root(i)] = root(j)
    groups: dict[int, Region] = {}
    for i, stroke in enumerate([*across, *down]):
        groups.setdefault(root(i), ([], []))[i >= len(across)].append(stroke)
    return [group for group in groups.values() if len(group[0]) > 1 and group[1]]


def _pictured(region: Region, sloped: Iterable[Box]) -> bool:
    """Say whether curves or sloping lines are drawn inside a frame, as in a plot."""
    ys, xs = [y for y, *_ in region[0]], [x for x, *_ in region[1]]
    box = (min(xs) - 2, min(ys) - 2, max(xs) + 2, max(ys) + 2)
    return sum(box[0] <= a and box[1] <= b and c <= box[2] and d <= box[3] for a, b, c, d in sloped) >= 2


def _among(box: Box, sloped: Iterable[Box]) -> bool:
    """Say whether words stand among the lines of a drawing."""
    near = (box[0] - 10, box[1] - 10, box[2] + 10, box[3] + 10)
    return sum(a < near[2] and c > near[0] and b < near[3] and d > near[1] for a, b, c, d in sloped) >= 2


def _ruled(region: Region, found: Sequence[Word]) -> Grid | None:
    """Return the table that rulings frame, completed where they stand only in part of it."""
    across, down = region
    xs = levels([x for x, *_ in down] + [end for _, left, right in across for end in (left, right)], 5)
    ys = levels([y for y, *_ in across] + [end for _, top, bottom in down for end in (top, bottom)])
    box = (xs[0], ys[0], xs[-1], ys[-1])
    inside = [word for word in found if within(word, box)]
    inner = any(xs[0] + 5 < x < xs[-1] - 5 for x, *_ in down)
    if not inside or not inner or len(ys) < 2 or _struck(inside, down):
        return None
    down = [*down, (xs[0], ys[0], ys[-1]), (xs[-1], ys[0], ys[-1])]
    rows = rows_of(inside, down)
    down += _more_down(rows, xs, down, box)
    lines = [*across, (ys[0], xs[0], xs[-1]), (ys[-1], xs[0], xs[-1])]
    lines += [(y, xs[0], xs[-1]) for y in _more_across(rows, ys)]
    grid = cut(inside, lines, down)
    return grid if grid and _believable(grid) else None


def _struck(inside: Sequence[Word], down: Sequence[Stroke]) -> bool:
    """Say whether rulings go through words: they are rectangles behind them."""
    through = sum(
        any(word.x0 + 1 < x < word.x1 - 1 and top < word.base - 1 < bottom for x, top, bottom in down)
        for word in inside
    )
    return through > 0.2 * len(inside)


def _more_down(rows: Sequence[Row], xs: Sequence[float], down: Sequence[Stroke], box: Box) -> list[Stroke]:
    """Return vertical rulings to add: blank columns inside ruled ones, and the rest of those hardly begun."""
    at = []
    for left, right in pairwise(xs):
        mine = [[run for run in row.runs if left <= (run.x0 + run.x1) / 2 <= right] for row in rows]
        filled = [Row(tuple(runs), 0, 0) for runs in mine if runs]
        if sum(len(row.runs) > 1 for row in filled) >= max(3, 0.6 * len(filled)):
            at += gutters(filled)
    for x in levels((x for x, *_ in down), 4):
        drawn = sum(bottom - top for other, top, bottom in down if abs(other - x) <= 4)
        at += [x] if drawn < 0.25 * (box[3] - box[1]) else []
    bands = list(zip(rows, pairwise([box[1], *between(rows), box[3]]), strict=True))
    return [(x, top, bottom) for x in at for row, (top, bottom) in bands if not crossed(row, x)]


def _more_across(rows: Sequence[Row], ys: Sequence[float]) -> Iterator[float]:
    """Yield where horizontal rulings are missing: between lines that hold several cells with numbers."""
    for top, bottom in pairwise(ys):
        lines = [row for row in rows if top <= (row.top + row.bottom) / 2 <= bottom]
        full = [len(row.runs) > 1 for row in lines]
        values = [run.number for row in lines for run in row.runs[1:]]
        if len(lines) > 1 and sum(full) >= 0.6 * len(lines) and sum(values) >= 0.35 * len(values):
            for y, (one, other) in zip(between(lines), pairwise(full), strict=True):
                if one or not other:  # a line of one cell above a full one begins a cell of two lines
                    yield y


def _believable(grid: Grid) -> bool:
    """Refuse what has one row or column, is half blank, or leads to page numbers by dots."""
    rows, columns = len(grid.rows), len(grid.edges) - 1
    filled = sum(cell.rows * cell.columns for cell in grid.cells)
    dotted = sum(bool(_dots.search(cell.text)) for cell in grid.cells)
    return rows > 1 and columns > 1 and filled >= rows * columns / 2 and dotted < len(grid.cells) / 4
