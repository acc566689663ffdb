"""Words and ruling lines of a PDF page to tables with cells and boxes, ruled or not; knows no headings or text.

Everything becomes rulings: where none is drawn, blank columns between words and the space between rows are
taken as such, and one grid of cells is cut from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from lyceum.core.types import Box, Element, Page, Place
from lyceum.ingest.pdf_marks import Stroke, Word, rulings, words

TOUCH = 3.0  # points between ends of rulings that meet
_number = re.compile(r"^[(\[<>~≈±+\-−–—$€£¥*]*\d[\d.,:/%\-–()\]*†‡]*[%a-zA-Z°]{0,3}$|^[-–—*†‡]+$|^n/?a$|^\(X\)$", re.I)
_captions = re.compile(r"(?:table|tab\.|figure|fig\.|exhibit|chart)[\d.:]*$|[表图圖]\s?\d", re.I)
_symbol = re.compile(r"[^\W\d_]$|[^\w%$€£-]+$")
_dots = re.compile(r"\.{4,}|(?:\. ){3,}|…{2,}|·{4,}")


@dataclass(frozen=True, slots=True)
class Cell:
    """Text from `row`, `column` over `rows` and `columns`."""

    row: int
    column: int
    rows: int
    columns: int
    text: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table on one page: its cells, the edges of its columns, the box of each row."""

    cells: tuple[Cell, ...]
    edges: tuple[float, ...]
    rows: tuple[Box, ...]

    @property
    def box(self) -> Box:
        return _around(self.rows)


@dataclass(slots=True)
class Run:
    """Words of one line that stand together."""

    words: list[Word]
    x0: float = field(init=False)
    x1: float = field(init=False)

    def __post_init__(self) -> None:
        self.x0, self.x1 = self.words[0].x0, max(word.x1 for word in self.words)

    @property
    def number(self) -> bool:
        return sum(bool(_number.match(word.text)) for word in self.words) * 2 > len(self.words)


@dataclass(slots=True)
class Row:
    """A line of words, cut into runs where the gap is wider than a space."""

    runs: list[Run]
    top: float
    bottom: float


def _around(boxes: Iterable[Any]) -> Box:
    all_ = list(boxes)
    return min(b[0] for b in all_), min(b[1] for b in all_), max(b[2] for b in all_), max(b[3] for b in all_)


def find(page: Any) -> list[Grid]:
    """Return the page's tables from top to bottom."""
    text_page = page.get_textpage()
    try:
        found = words(page, text_page)
    finally:
        text_page.close()
    if len(found) < 4:
        return []
    across, down, sloped = rulings(page)
    grids = []
    for region in _ruled_regions(across, down):
        if _pictured(region, sloped):
            continue
        grid = _ruled(region, found)
        if grid:
            grids.append(grid)
            box = grid.box
            found = [w for w in found if not _within(w, box)]
    for part in _parts(found):
        grids += [grid for grid in _aligned(part, across) if not _drawn_over(grid.box, sloped)]
    return sorted(grids, key=lambda grid: grid.box[1])


def _within(word: Word, box: Box) -> bool:
    x, y = (word.x0 + word.x1) / 2, (word.top + word.bottom) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


# --- lines of words -------------------------------------------------------------------------------------------


def rows_of(found: Iterable[Word], down: Sequence[Stroke] = (), space: float = 0.7) -> list[Row]:
    """Return lines of words from top to bottom, cut at gaps wider than a space and at rulings."""
    lines: list[list[Word]] = []
    middle = height = 0.0
    for word in sorted(found, key=lambda w: w.base):
        here, high = word.base, word.bottom - word.top
        if lines and here - middle < 0.35 * min(height, high) + 0.5:
            lines[-1].append(word)
        else:
            lines.append([word])
            middle, height = here, high
    rows = []
    for line in lines:
        line.sort(key=lambda w: w.x0)
        runs = [[line[0]]]
        for last, word in pairwise(line):
            gap = word.x0 - max(w.x1 for w in runs[-1])
            high = min(last.bottom - last.top, word.bottom - word.top)
            y = (word.top + word.bottom) / 2
            ruled = any(last.x1 - 1 <= x <= word.x0 + 1 and top - 1 <= y <= bottom + 1 for x, top, bottom in down)
            if ruled or gap > space * high:
                runs.append([word])
            else:
                runs[-1].append(word)
        rows.append(Row([Run(run) for run in runs], min(w.top for w in line), max(w.bottom for w in line)))
    return rows


# --- ruled tables ---------------------------------------------------------------------------------------------


def _ruled_regions(across: Sequence[Stroke], down: Sequence[Stroke]) -> list[tuple[list[Stroke], list[Stroke]]]:
    """Return groups of rulings that cross or touch: horizontal and vertical ones."""
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
    groups: dict[int, tuple[list[Stroke], list[Stroke]]] = {}
    for i, stroke in enumerate(across):
        groups.setdefault(root(i), ([], []))[0].append(stroke)
    for j, stroke in enumerate(down, len(across)):
        groups.setdefault(root(j), ([], []))[1].append(stroke)
    return [group for group in groups.values() if len(group[0]) >= 2 and len(group[1]) >= 2]


def _pictured(region: tuple[list[Stroke], list[Stroke]], sloped: Sequence[Box]) -> bool:
    """Say whether curves or sloping lines are drawn inside, as in a plot."""
    ys, xs = [y for y, *_ in region[0]], [x for x, *_ in region[1]]
    inside = [
        box for box in sloped
        if min(xs) - 2 <= box[0] and box[2] <= max(xs) + 2 and min(ys) - 2 <= box[1] and box[3] <= max(ys) + 2
    ]  # fmt: skip
    return len(inside) >= 2


def _drawn_over(box: Box, sloped: Sequence[Box]) -> bool:
    """Say whether words stand among the lines of a plot or drawing."""
    near = (box[0] - 10, box[1] - 10, box[2] + 10, box[3] + 10)
    return sum(a < near[2] and c > near[0] and b < near[3] and d > near[1] for a, b, c, d in sloped) >= 2


def _levels(values: Iterable[float], near: float = TOUCH) -> list[float]:
    """Return values with those close together as one."""
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > near:
            found.append(value)
    return found


def _ruled(region: tuple[list[Stroke], list[Stroke]], found: Sequence[Word]) -> Grid | None:
    across, down = region
    xs = _levels([x for x, *_ in down] + [e for _, left, right in across for e in (left, right)], 5)
    ys = _levels([y for y, *_ in across] + [e for _, top, bottom in down for e in (top, bottom)])
    inner = [x for x, *_ in down if xs[0] + 5 < x < xs[-1] - 5]
    if len(ys) < 2 or not inner:
        return None  # a frame around text: only its words can make it a table
    box = (xs[0], ys[0], xs[-1], ys[-1])
    inside = [word for word in found if _within(word, box)]
    if not inside:
        return None
    across = [*across, (ys[0], xs[0], xs[-1]), (ys[-1], xs[0], xs[-1])]
    down = [*down, (xs[0], ys[0], ys[-1]), (xs[-1], ys[0], ys[-1])]
    rows = rows_of(inside, down)
    more_down = _gutters_in(rows, xs, box)
    down += more_down
    down += _longer(rows, down, box)
    across += _lines_in(rows, xs, ys, across)
    grid = cut(inside, across, down)
    return grid if grid and _believable(grid) else None


def _gutters_in(rows: Sequence[Row], xs: Sequence[float], box: Box) -> list[Stroke]:
    """Return blank columns inside ruled ones where most lines are cut at the same places."""
    more: list[Stroke] = []
    for left, right in pairwise(xs):
        mine = []
        for row in rows:
            runs = [run for run in row.runs if left <= (run.x0 + run.x1) / 2 <= right]
            if runs:
                mine.append(Row(runs, row.top, row.bottom))
        cut_rows = [row for row in mine if len(row.runs) > 1]
        if len(cut_rows) < 3 or len(cut_rows) < 0.6 * len(mine):
            continue
        for a, b in _gutters(mine):
            x = (a + b) / 2
            edges = [box[1], *((one.bottom + other.top) / 2 for one, other in pairwise(rows)), box[3]]
            for row, (top, bottom) in zip(rows, pairwise(edges), strict=True):
                if not any(run.x0 < x < run.x1 for run in row.runs):
                    more.append((x, top, bottom))
    return more


def _longer(rows: Sequence[Row], down: Sequence[Stroke], box: Box) -> list[Stroke]:
    """Return the rest of vertical rulings drawn through few rows only, where no words stand in the way."""
    edges = [box[1], *((one.bottom + other.top) / 2 for one, other in pairwise(rows)), box[3]]
    more: list[Stroke] = []
    for x in _levels((x for x, *_ in down), 4):
        drawn = sum(bottom - top for at, top, bottom in down if abs(at - x) <= 4)
        if drawn < 0.5 * (box[3] - box[1]):
            for row, (top, bottom) in zip(rows, pairwise(edges), strict=True):
                if not any(run.x0 < x < run.x1 for run in row.runs):
                    more.append((x, top, bottom))
    return more


def _lines_in(rows: Sequence[Row], xs: Sequence[float], ys: Sequence[float], across: Sequence[Stroke]) -> list[Stroke]:
    """Return rulings between the lines of bands that hold several table rows without a ruling between."""
    more: list[Stroke] = []
    for top, bottom in pairwise(ys):
        lines = [row for row in rows if top <= (row.top + row.bottom) / 2 <= bottom]
        if len(lines) < 2:
            continue
        full = [row for row in lines if len(row.runs) >= 2]
        numbers = [run.number for row in full for run in row.runs[1:]]
        if len(full) >= 0.6 * len(lines) and sum(numbers) >= 0.5 * len(numbers):
            for one, other in pairwise(lines):
                if one in full or other not in full:
                    more.append(((one.bottom + other.top) / 2, xs[0], xs[-1]))
    return more


# --- tables without a frame ------------------------------------------------------------------------------------


def _parts(found: list[Word], depth: int = 0) -> list[list[Word]]:
    """Cut a page of text columns at the blank between them, where text runs on both sides."""
    rows = rows_of(found)
    prose = [(run, row) for row in rows for run in row.runs if len(run.words) >= 4]
    if depth > 2 or len(prose) < 12:
        return [found]
    left, right = min(run.x0 for run, _ in prose), max(run.x1 for run, _ in prose)
    starts: dict[int, int] = {}
    for run, _ in prose:
        if run.x0 > left + 0.2 * (right - left):
            starts[round(run.x0 / 3)] = starts.get(round(run.x0 / 3), 0) + 1
    for key in sorted(starts, key=lambda k: -starts[k])[:2]:
        x = key * 3 - 3.0
        before = [run for run, _ in prose if run.x1 <= x + 1]
        after = [run for run, _ in prose if run.x0 >= x - 1]
        if len(after) < 6 or len(before) < 6:
            continue
        bands: list[tuple[str, list[Word]]] = []
        for row in rows:
            crossed = any(run.x0 < x - 1 and run.x1 > x + 4 for run in row.runs)
            kind = "whole" if crossed else "cut"
            if not bands or bands[-1][0] != kind:
                bands.append((kind, []))
            bands[-1][1].extend(word for run in row.runs for word in run.words)
        parts: list[list[Word]] = []
        whole: list[Word] = []
        cuts = 0
        for kind, some in bands:
            if kind == "cut" and _text_columns(some, x):
                cuts += 1
                if whole:
                    parts += [whole]
                    whole = []
                for side in ([w for w in some if w.x0 < x - 1], [w for w in some if w.x0 >= x - 1]):
                    parts += _parts(side, depth + 1)
            else:
                whole += some
        if cuts:
            return [*parts, whole] if whole else parts
    return [found]


def _text_columns(some: Sequence[Word], x: float) -> bool:
    """Say whether most lines on at least one side of `x` are running text."""
    sides = [[w for w in some if (w.x0 >= x - 1) == after] for after in (False, True)]
    if not all(sides):
        return False
    shares = []
    for side in sides:
        rows = rows_of(side)
        width = max(w.x1 for w in side) - min(w.x0 for w in side)
        prose = [run for row in rows for run in row.runs if len(run.words) >= 4 and run.x1 - run.x0 > 0.25 * width]
        shares.append(sum(len(run.words) for run in prose) / len(side))
    return max(shares) > 0.5 and min(shares) > 0.15


def _aligned(found: list[Word], across: Sequence[Stroke]) -> list[Grid]:
    """Return tables that only blank columns, and perhaps horizontal rulings, set apart."""
    grids = []
    rows = rows_of(found)
    for block in _blocks(rows):
        block = _bounded(block, rows, across)
        grid = _from_block(block, across)
        if grid:
            grids.append(grid)
    return grids


def _bounded(block: list[Row], rows: Sequence[Row], across: Sequence[Stroke]) -> list[Row]:
    """Return the block with the header lines under the ruling above it and without the notes under the last."""
    left = min(run.x0 for row in block for run in row.runs)
    right = max(run.x1 for row in block for run in row.runs)
    width = right - left
    rules = sorted(y for y, a, b in across if a < left + 0.05 * width and b > right - 0.05 * width and b - a < 1.3 * width)
    if len(rules) < 2:
        return block
    start = rows.index(block[0])
    top = start
    ceiling = block[0].top + 3
    for rule in reversed([y for y in rules if y < ceiling]):
        between = [i for i in range(top) if rule - 2 < rows[i].top]
        header = rows[between[0] : top] if between else []
        if not header and rows[top].top - rule > 20:
            break
        if len(header) > 5 or any(_caption(row) or _wordy(row) for row in header) or rows[top].top - rule > 90:
            break
        top -= len(header)
    block = [*rows[top:start], *block]
    below = [row for row in block if row.top > rules[-1] - 3]
    if 0 < len(below) <= 0.4 * len(block) and rules[-1] > block[0].bottom:
        block = block[: -len(below)]
    return block


def _blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """Return runs of lines whose gaps stand below each other; lines without a gap may stand between."""
    blocks: list[list[Row]] = []
    block: list[Row] = []
    waiting: list[Row] = []
    for row in rows:
        far = 3 if len(row.runs) > 2 else 1.6
        near = not block or row.top - (waiting or block)[-1].bottom < far * (row.bottom - row.top)
        if _caption(row) or _is_prose(row, block):
            if block:
                blocks.append(block)
            block, waiting = [], []
        elif len(row.runs) >= 2:
            if block and near and len(waiting) <= 3 and any(_fits(one, row) for one in _last_cut(block)):
                block += [*waiting, row]
            else:
                if block:
                    blocks.append(block)
                block = [row]
            waiting = []
        elif block:
            waiting.append(row)
            if not near or len(waiting) > 3:
                blocks.append(block)
                block, waiting = [], []
    if block:
        blocks.append(block)
    return [block for block in blocks if sum(len(row.runs) > 1 for row in block) >= 2]


def _caption(row: Row) -> bool:
    return any(_captions.match(run.words[0].text) and (run is row.runs[0] or len(run.words) > 3) for run in row.runs)


def _wordy(row: Row) -> bool:
    return len(row.runs) == 1 and len(row.runs[0].words) > 12


def _is_prose(row: Row, block: Sequence[Row]) -> bool:
    """Say whether a line is running text as wide as the block, even if justified with wide spaces."""
    count = sum(len(run.words) for run in row.runs)
    if count < 6 or sum(run.number for run in row.runs) > 0.4 * len(row.runs):
        return False
    width = row.runs[-1].x1 - row.runs[0].x0
    if len(row.runs) > 1:
        filled = sum(run.x1 - run.x0 for run in row.runs)
        widest = max(b - a for a, b in _gaps(row))
        return filled > 0.86 * width or (filled > 0.6 * width and widest < 1.3 * (row.bottom - row.top))
    if not block:
        return False
    return width > 0.6 * (max(one.runs[-1].x1 for one in block) - min(one.runs[0].x0 for one in block))


def _last_cut(block: Sequence[Row]) -> list[Row]:
    return [row for row in block if len(row.runs) > 1][-2:]


def _gaps(row: Row) -> list[tuple[float, float]]:
    return [(one.x1, other.x0) for one, other in pairwise(row.runs)]


def _fits(one: Row, other: Row) -> bool:
    gaps, more = _gaps(one), _gaps(other)
    common = sum(any(min(b, d) - max(a, c) > 2 for c, d in more) for a, b in gaps)
    return common >= 0.5 * min(len(gaps), len(more))


def _gutters(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Return the blank columns that hardly any line crosses."""
    cut_rows = [row for row in rows if len(row.runs) > 1]
    limit = 0 if len(cut_rows) < 4 else max(1, round(0.1 * len(cut_rows)))
    events = sorted([(run.x0, 1) for row in cut_rows for run in row.runs] + [(run.x1, -1) for row in cut_rows for run in row.runs])
    found: list[tuple[float, float]] = []
    depth = 0
    start: float | None = None
    for x, step in events:
        was = depth
        depth += step
        if was > limit >= depth:
            start = x
        elif was <= limit < depth and start is not None:
            if x - start > 1.5:
                found.append((start, x))
            start = None
    more: list[tuple[float, float]] = []
    for a, b in found:
        inner = sorted((run.x0, run.x1) for row in cut_rows for run in row.runs if run.x0 >= a - 1 and run.x1 <= b + 1)
        for x0, x1 in inner:
            if x0 > a + 1.5 and x1 < b - 1.5:
                more.append((a, x0))
                a = x1
        more.append((a, b))
    return more


def _from_block(block: list[Row], across: Sequence[Stroke]) -> Grid | None:
    gutters = _gutters(block)
    if not gutters:
        return None
    xs = [(a + b) / 2 for a, b in gutters]
    block = [_resplit(row, xs) for row in block]
    left = min(run.x0 for row in block for run in row.runs) - 1
    right = max(run.x1 for row in block for run in row.runs) + 1
    rules = [s for s in across if block[0].top - 3 < s[0] < block[-1].bottom + 3 and s[2] > left and s[1] < right]
    data = _first_data(block)
    groups = _grouped(block, xs, rules, data)
    ys = [block[0].top - 1, *((one[-1].bottom + other[0].top) / 2 for one, other in pairwise(groups)), block[-1].bottom + 1]
    down: list[Stroke] = [(left, ys[0], ys[-1]), (right, ys[0], ys[-1])]
    lines: list[Stroke] = [(ys[0], left, right), (ys[-1], left, right)]
    at = 0
    edges = [left, *xs, right]
    before: set[int] = set()
    for group, (top, bottom) in zip(groups, pairwise(ys), strict=True):
        partial = [(a, b) for y, a, b in rules if group[-1].bottom - 4 < y < bottom + 4 and b - a < 0.9 * (right - left)]
        spans: list[tuple[float, float]] = [(run.x0, run.x1) for row in group for run in row.runs]
        if at < data:
            spans += [
                (a, b) for a, b in partial
                if sum(a - 4 < run.x0 and run.x1 < b + 4 for row in group for run in row.runs) == 1
            ]
        crossed = {i for i, x in enumerate(xs) if any(a < x < b for a, b in spans)}
        down += [(x, top, bottom) for i, x in enumerate(xs) if i not in crossed]
        at += len(group)
        mine = {c for row in group for c in _columns(row, xs)}
        under = {c for i in crossed for c in (i, i + 1)}
        following = groups[groups.index(group) + 1] if at < len(block) else None
        if following is None:
            continue
        tight = following[0].top - group[-1].bottom < 0.35 * (following[0].bottom - following[0].top)
        theirs = {c for row in following for c in _columns(row, xs)}
        for c, (a, b) in enumerate(pairwise(edges)):
            drawn = any(bottom - 6 < y < bottom + 6 and s < b - 3 and e > a + 3 for y, s, e in rules)
            if at < data and tight and c in mine and c in theirs and c not in under and not drawn and crossed:
                continue
            lines.append((bottom, a, b))
    inside = [word for row in block for run in row.runs for word in run.words]
    grid = cut(inside, lines, down)
    whole = [y for y, a, b in rules if b - a > 0.9 * (right - left)]
    headed = len(whole) < 4 + len(groups) / 3 and any(
        len(set(_columns(group[-1], xs))) == len(xs) + 1
        and any(group[-1].bottom - 4 < y < below[0].top + 4 for y in whole)
        and any(y < group[0].top + 4 for y in whole)
        for group, below in pairwise(groups[:4])
    )
    return grid if grid and _believable(grid) and _tabular(grid, groups, headed) else None


def _resplit(row: Row, xs: Sequence[float]) -> Row:
    """Cut runs that go over blank columns wherever a wide enough space stands in one."""
    high = row.bottom - row.top
    runs: list[list[Word]] = []
    for run in row.runs:
        runs.append([run.words[0]])
        for word in run.words[1:]:
            edge = max(w.x1 for w in runs[-1])
            if word.x0 - edge > 0.33 * high and any(edge - 1 <= x <= word.x0 + 1 for x in xs):
                runs.append([word])
            else:
                runs[-1].append(word)
    return Row([Run(run) for run in runs], row.top, row.bottom)


def _first_data(block: Sequence[Row]) -> int:
    """Return the index of the first line whose cells after the first are mostly numbers."""
    numbers = [sum(run.number for run in row.runs[1:]) * 2 >= len(row.runs) - 1 > 0 for row in block[:7]]
    return numbers.index(True) if True in numbers else 0


def _columns(row: Row, xs: Sequence[float]) -> list[int]:
    return [sum(x < (run.x0 + run.x1) / 2 for x in xs) for run in row.runs]


def _grouped(block: Sequence[Row], xs: Sequence[float], rules: Sequence[Stroke], data: int) -> list[list[Row]]:
    """Join the lines of cells that go over several lines."""
    groups = [[block[0]]]
    for index, row in enumerate(block[1:], 1):
        last = groups[-1][-1]
        tight = row.top - last.bottom < 0.35 * (row.bottom - row.top)
        ruled = any(last.bottom - 3 < y < row.top + 3 and s < row.runs[-1].x1 and e > row.runs[0].x0 for y, s, e in rules)
        mine, before = set(_columns(row, xs)), {c for one in groups[-1] for c in _columns(one, xs)}
        spans = any(run.x0 < x < run.x1 for one in (row, last) for run in one.runs for x in xs)
        goes_on = tight and not ruled and not spans
        if goes_on and index < data:
            groups[-1].append(row)
        elif goes_on and 0 not in mine and mine <= before and not any(run.number for run in row.runs):
            groups[-1].append(row)
        elif goes_on and 0 in mine and before == {0} and row.runs[0].words[0].text[0].islower():
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _tabular(grid: Grid, groups: Sequence[Sequence[Row]], headed: bool) -> bool:
    """Refuse text: needs rows with several cells, and numbers or short cells."""
    if sum(len(row.runs) > 1 for group in groups for row in group) < 3 or _contents(grid):
        return False
    said = [word.text for group in groups for row in group for run in row.runs for word in run.words]
    if "=" in said and sum(bool(_symbol.match(word)) for word in said) > 0.25 * len(said):
        return False
    if sum("@" in word for word in said) > 1 or _running(groups, grid.edges):
        return False
    if headed:
        return True
    values = [cell for cell in grid.cells if cell.column > 0]
    numbers = sum(bool(_number.match(cell.text.split()[-1])) for cell in values)
    long = sum(len(cell.text.split()) > 6 for cell in grid.cells)
    return numbers >= 0.4 * len(values) or (len(grid.edges) > 3 and long < 0.3 * len(grid.cells))


def _running(groups: Sequence[Sequence[Row]], edges: Sequence[float]) -> bool:
    """Say whether lines fill their columns as running text does."""
    rows = [row for group in groups for row in group if len(row.runs) > 1]
    width = edges[-1] - edges[0]
    if median(sum(run.x1 - run.x0 for run in row.runs) for row in rows) > 0.88 * width and sum(
        r.number for row in rows for r in row.runs
    ) < 0.2 * sum(len(row.runs) for row in rows):
        return True
    full = [0] * (len(edges) - 1)
    runs = [0] * (len(edges) - 1)
    for row in (row for group in groups for row in group):
        for run in row.runs:
            column = _slot(edges, (run.x0 + run.x1) / 2)
            runs[column] += 1
            full[column] += len(run.words) >= 3 and run.x1 - run.x0 > 0.75 * (edges[column + 1] - edges[column])
    return sum(one > 0.5 * all_ for one, all_ in zip(full, runs, strict=True)) >= 2


def _contents(grid: Grid) -> bool:
    """Say whether the last column holds page numbers that go up."""
    last = len(grid.edges) - 2
    texts = [cell.text for cell in grid.cells if cell.column == last and cell.row > 0]
    pages = [int(text) for text in texts if re.fullmatch(r"\d{1,4}", text)]
    others = any(_number.match(cell.text) for cell in grid.cells if 0 < cell.column < last)
    return not others and len(pages) >= 4 and len(pages) >= 0.8 * len(texts) and pages == sorted(pages)


# --- rulings to cells ----------------------------------------------------------------------------------------


def cut(inside: Sequence[Word], across: Sequence[Stroke], down: Sequence[Stroke]) -> Grid | None:
    """Return the grid that rulings cut: cells go on where a ruling between them is missing."""
    xs, ys = _levels((x for x, *_ in down), 4), _levels((y for y, *_ in across), TOUCH)
    across_at = _by_level(across, ys)
    down_at = _by_level(down, xs)
    spots: dict[tuple[int, int], list[Word]] = {}
    for word in inside:
        spots.setdefault((_slot(ys, (word.top + word.bottom) / 2), _slot(xs, (word.x0 + word.x1) / 2)), []).append(word)
    width, height = len(xs) - 1, len(ys) - 1
    if width < 1 or height < 1:
        return None
    owner: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    shapes = []
    for r in range(height):
        for c in range(width):
            if (r, c) in owner:
                continue
            wide = 1
            while c + wide < width and (r, c + wide) not in owner and not _drawn(down_at[c + wide], ys[r], ys[r + 1]):
                wide += 1
            high = 1
            while r + high < height and all(
                (r + high, c + k) not in owner and not _drawn(across_at[r + high], xs[c + k], xs[c + k + 1])
                for k in range(wide)
            ) and not any(_drawn(down_at[c + k], ys[r + high], ys[r + high + 1]) for k in range(1, wide)):
                high += 1
            shape = (r, c, high, wide)
            shapes.append(shape)
            for i in range(r, r + high):
                for j in range(c, c + wide):
                    owner[i, j] = shape
    held: dict[tuple[int, int, int, int], list[Word]] = {}
    for spot, some in spots.items():
        held.setdefault(owner[spot], []).extend(some)
    return _compact(shapes, held, xs, ys)


def _by_level(strokes: Iterable[Stroke], levels: Sequence[float]) -> list[list[tuple[float, float]]]:
    found: list[list[tuple[float, float]]] = [[] for _ in levels]
    for at, start, end in strokes:
        found[min(range(len(levels)), key=lambda i: abs(levels[i] - at))].append((start, end))
    return found


def _slot(levels: Sequence[float], value: float) -> int:
    index = sum(1 for level in levels[1:-1] if level <= value)
    return index


def _drawn(strokes: Sequence[tuple[float, float]], start: float, end: float) -> bool:
    """Say whether strokes cover most of the way from start to end."""
    covered = sum(max(0.0, min(end, b) - max(start, a)) for a, b in strokes)
    return covered > 0.6 * (end - start)


def _compact(shapes: Any, held: Any, xs: Sequence[float], ys: Sequence[float]) -> Grid | None:
    """Leave out rows and columns in which no cell starts with words."""
    used_rows = sorted({shape[0] for shape in shapes if shape in held})
    used_columns = sorted({shape[1] for shape in shapes if shape in held})
    tall = sum(ys[r + 1] - ys[r] for r in {i for r, _, high, _ in held for i in range(r, r + high)})
    wide = sum(xs[c + 1] - xs[c] for c in {i for _, c, _, wide in held for i in range(c, c + wide)})
    if tall < 0.5 * (ys[-1] - ys[0]) or wide < 0.5 * (xs[-1] - xs[0]):
        return None
    row_at = {r: i for i, r in enumerate(used_rows)}
    column_at = {c: i for i, c in enumerate(used_columns)}
    cells = []
    for shape, some in held.items():
        r, c, high, wide = shape
        rows = [row_at[i] for i in range(r, r + high) if i in row_at]
        columns = [column_at[j] for j in range(c, c + wide) if j in column_at]
        cells.append(Cell(rows[0], columns[0], len(rows), len(columns), text_of(some)))
    boxes: list[Box] = []
    for r in used_rows:
        mine = [w for shape, some in held.items() if shape[0] == r for w in some]
        boxes.append((min(xs[0], min(w.x0 for w in mine)), min(w.top for w in mine), max(xs[-1], max(w.x1 for w in mine)), max(w.bottom for w in mine)))
    if not cells:
        return None
    cells.sort(key=lambda cell: (cell.row, cell.column))
    edges = (*(xs[c] for c in used_columns), xs[-1])
    return Grid(tuple(cells), edges, tuple(boxes))


def text_of(some: Sequence[Word]) -> str:
    return " ".join(word.text for row in rows_of(some) for run in row.runs for word in run.words)


def _believable(grid: Grid) -> bool:
    """Refuse plot frames, boxes around text and tables of contents."""
    if len(grid.rows) < 2 or len(grid.edges) < 3:
        return False
    area = len(grid.rows) * (len(grid.edges) - 1)
    filled = sum(cell.rows * cell.columns for cell in grid.cells)
    dotted = sum(bool(_dots.search(cell.text)) for cell in grid.cells)
    return filled >= area / 2 and dotted < len(grid.cells) / 4
