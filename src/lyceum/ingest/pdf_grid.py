"""Words and rulings, drawn or supposed, to lines of words and to a grid of cells; pure geometry, knows no PDF."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lyceum.core.types import Box
from lyceum.ingest.lines import no_space
from lyceum.ingest.pdf_layout import around

SPACE = 0.7  # of a line's height: a wider gap ends a run
TOUCH = 3.0  # points between rulings that are meant to be one, or to meet
_number = re.compile(
    r"[(\[<>~≈±+\-−–—$€£¥*]*\d[\d.,:/%\-–()\]*†‡]*[%a-zA-Z°]{0,3}$|[-–—*†‡]+$|n/?a$|\(X\)$", re.I
)

Stroke = tuple[float, float, float]
"""Position across and both ends along: y, left, right of a horizontal one, x, top, bottom of a vertical one."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word, its box and the height of its baseline."""

    text: str
    x0: float
    top: float
    x1: float
    bottom: float
    base: float


@dataclass(frozen=True, slots=True)
class Run:
    """Words of one line without a wide gap."""

    words: tuple[Word, ...]
    x0: float
    x1: float

    @property
    def number(self) -> bool:
        return sum(is_number(word.text) for word in self.words) * 2 > len(self.words)


@dataclass(frozen=True, slots=True)
class Row:
    """Runs on one baseline."""

    runs: tuple[Run, ...]
    top: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Cell:
    """Text from `row` and `column` over `rows` and `columns`, counted from zero."""

    row: int
    column: int
    rows: int
    columns: int
    text: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table on one page: its filled cells, the edges of its columns, the box of each row."""

    cells: tuple[Cell, ...]
    edges: tuple[float, ...]
    rows: tuple[Box, ...]

    @property
    def box(self) -> Box:
        return around(self.rows)


def is_number(text: str) -> bool:
    """Say whether a word is a number, or stands where one is missing."""
    return _number.match(text) is not None


def within(word: Word, box: Box) -> bool:
    """Say whether the middle of a word lies in a box."""
    return box[0] <= (word.x0 + word.x1) / 2 <= box[2] and box[1] <= (word.top + word.bottom) / 2 <= box[3]


def rows_of(found: Iterable[Word], down: Sequence[Stroke] = ()) -> list[Row]:
    """Return lines from top to bottom, cut where the gap is wider than a space or a ruling stands."""
    lines: list[list[Word]] = []
    base = height = 0.0
    for word in sorted(found, key=lambda w: w.base):
        high = word.bottom - word.top
        if lines and word.base - base < 0.35 * min(height, high) + 0.5:
            lines[-1].append(word)
        else:
            lines.append([word])
            base, height = word.base, high
    return [_row(sorted(line, key=lambda w: w.x0), down) for line in lines]


def _row(line: Sequence[Word], down: Sequence[Stroke]) -> Row:
    runs = [[line[0]]]
    edge = line[0].x1
    for last, word in pairwise(line):
        high = min(last.bottom - last.top, word.bottom - word.top)
        y = (word.top + word.bottom) / 2
        ruled = any(edge - 1 <= x <= word.x0 + 1 and top - 1 <= y <= bottom + 1 for x, top, bottom in down)
        if ruled or word.x0 - edge > SPACE * high:
            runs.append([word])
            edge = word.x1
        else:
            runs[-1].append(word)
            edge = max(edge, word.x1)
    return row_of(runs)


def row_of(runs: Sequence[Sequence[Word]]) -> Row:
    """Return a row of runs, each given by its words."""
    made = tuple(Run(tuple(run), run[0].x0, max([word.x1 for word in run])) for run in runs)
    words = [word for run in runs for word in run]
    return Row(made, min([word.top for word in words]), max([word.bottom for word in words]))


def text_of(found: Iterable[Word]) -> str:
    """Return the text of a cell's words, line after line."""
    text = ""
    for row in rows_of(found):
        for word in (word for run in row.runs for word in run.words):
            tight = not text or no_space(text, word.text)
            text += word.text if tight else " " + word.text
    return text


def crossed(row: Row, x: float) -> bool:
    """Say whether words of a row stand across a vertical line."""
    return any(run.x0 < x < run.x1 for run in row.runs)


def between(rows: Sequence[Row]) -> list[float]:
    """Return the heights halfway between rows."""
    return [(one.bottom + other.top) / 2 for one, other in pairwise(rows)]


def levels(values: Iterable[float], near: float = TOUCH) -> list[float]:
    """Return values in order, those close together as one."""
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > near:
            found.append(value)
    return found


def slot(edges: Sequence[float], value: float) -> int:
    """Return the number of the interval between edges in which a value lies; the outer ones are open."""
    return bisect_right(edges, value, 1, len(edges) - 1) - 1


Shape = tuple[int, int, int, int]


def cut(inside: Iterable[Word], across: Iterable[Stroke], down: Iterable[Stroke]) -> Grid | None:
    """Return the grid that rulings cut: a cell goes on where the ruling between it and the next is missing."""
    across, down = list(across), list(down)
    xs, ys = levels((x for x, *_ in down), 4), levels(y for y, *_ in across)
    if len(xs) < 2 or len(ys) < 2:
        return None
    shapes = _shapes(xs, ys, _by_level(across, ys), _by_level(down, xs))
    held: dict[Shape, list[Word]] = {}
    for word in inside:
        spot = slot(ys, (word.top + word.bottom) / 2), slot(xs, (word.x0 + word.x1) / 2)
        held.setdefault(shapes[spot], []).append(word)
    return _compact(held, xs, ys)


def _by_level(strokes: Iterable[Stroke], edges: Sequence[float]) -> list[list[tuple[float, float]]]:
    found: list[list[tuple[float, float]]] = [[] for _ in edges]
    for at, start, end in strokes:
        found[min(range(len(edges)), key=lambda i: abs(edges[i] - at))].append((start, end))
    return found


def _drawn(strokes: Iterable[tuple[float, float]], start: float, end: float) -> bool:
    """Say whether strokes cover most of the way from start to end."""
    return sum(max(0.0, min(end, b) - max(start, a)) for a, b in strokes) > 0.6 * (end - start)


def _shapes(xs: Sequence[float], ys: Sequence[float], across: Sequence[list[tuple[float, float]]],
            down: Sequence[list[tuple[float, float]]]) -> dict[tuple[int, int], Shape]:  # fmt: skip
    """Return for each field of the raster the (row, column, rows, columns) of the cell that holds it."""
    width, height = len(xs) - 1, len(ys) - 1
    right = [[_drawn(down[c], ys[r], ys[r + 1]) for c in range(width + 1)] for r in range(height)]
    above = [[_drawn(across[r], xs[c], xs[c + 1]) for c in range(width)] for r in range(height + 1)]
    owner: dict[tuple[int, int], Shape] = {}
    for r in range(height):
        for c in range(width):
            if (r, c) in owner:
                continue
            wide = high = 1
            while c + wide < width and (r, c + wide) not in owner and not right[r][c + wide]:
                wide += 1
            while (
                r + high < height
                and not any((r + high, c + k) in owner or above[r + high][c + k] for k in range(wide))
                and not any(right[r + high][c + k] for k in range(1, wide))
            ):
                high += 1
            for spot in ((i, j) for i in range(r, r + high) for j in range(c, c + wide)):
                owner[spot] = (r, c, high, wide)
    return owner


def _compact(held: dict[Shape, list[Word]], xs: Sequence[float], ys: Sequence[float]) -> Grid | None:
    """Leave out rows and columns in which no cell begins; None when the raster is mostly blank, as in a plot."""
    tall = sum(ys[r + 1] - ys[r] for r in {i for r, _, high, _ in held for i in range(r, r + high)})
    wide = sum(xs[c + 1] - xs[c] for c in {j for _, c, _, wide in held for j in range(c, c + wide)})
    if not held or tall < 0.5 * (ys[-1] - ys[0]) or wide < 0.5 * (xs[-1] - xs[0]):
        return None
    rows, columns = sorted({shape[0] for shape in held}), sorted({shape[1] for shape in held})
    cells = []
    by_row: dict[int, list[Word]] = {r: [] for r in rows}
    for (r, c, high, wide), words in held.items():
        row, column = bisect_left(rows, r), bisect_left(columns, c)
        high, wide = bisect_left(rows, r + high) - row, bisect_left(columns, c + wide) - column
        cells.append(Cell(row, column, high, wide, text_of(words)))
        by_row[r] += words
    boxes = [
        (
            min(xs[0], *(w.x0 for w in words)), min(w.top for w in words),
            max(xs[-1], *(w.x1 for w in words)), max(w.bottom for w in words),
        )
        for words in by_row.values()
    ]  # fmt: skip
    cells.sort(key=lambda cell: (cell.row, cell.column))
    return Grid(tuple(cells), (*(xs[c] for c in columns), xs[-1]), tuple(boxes))
