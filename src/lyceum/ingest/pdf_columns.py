"""Words of a page to the tables that only blank columns, and perhaps horizontal rulings, set apart; pure.

Lines whose gaps stand below each other make a block. Blank columns and the space between its rows are taken as
rulings. Text columns, formulas, lists of contents and addresses look alike and are refused.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, islice, pairwise
from statistics import median

from lyceum.ingest.pdf_grid import (
    Grid,
    Row,
    Run,
    Stroke,
    Word,
    between,
    crossed,
    cut,
    is_number,
    row_of,
    rows_of,
    slot,
)

TIGHT = 0.35  # of a line's height: the space between two lines of one cell
BRIDGE = 3  # lines without a gap that may stand between the rows of a table
OVER = 0.1  # of its width by which a cell may stand over the next column without spanning it
DEEPEST = 3  # text columns inside text columns
_captions = re.compile(r"(?:table|tab\.|figure|fig\.|exhibit|chart)[\d.:]*$|[表图圖]\s?\d", re.I)
_symbol = re.compile(r"[^\W\d_]$|[^\w%$€£-]+$")
Gap = tuple[float, float]


def parts(rows: list[Row], across: Sequence[Stroke], depth: int = 0) -> list[list[Row]]:
    """Return the lines of a page apart where columns of running text stand side by side."""
    prose = [run for row in rows for run in row.runs if len(run.words) >= 4]
    for x in _column_starts(prose) if depth < DEEPEST else ():
        split = _split_at(rows, x, across, depth)
        if split:
            return split
    return [rows]


def _column_starts(prose: Sequence[Run]) -> Iterator[float]:
    """Yield where a second column may begin: many lines of text start there, many end before."""
    if len(prose) < 12:
        return
    left, right = min(run.x0 for run in prose), max(run.x1 for run in prose)
    starts = Counter(round(run.x0 / 3) for run in prose if run.x0 > left + 0.2 * (right - left))
    for key, _ in starts.most_common(2):
        x = key * 3 - 3.0
        if sum(run.x0 >= x - 1 for run in prose) >= 6 <= sum(run.x1 <= x + 1 for run in prose):
            yield x


def _split_at(rows: Sequence[Row], x: float, across: Sequence[Stroke], depth: int) -> list[list[Row]]:
    rules = sorted(y for y, left, right in across if left < x - 20 and x + 20 < right)

    def band(row: Row) -> tuple[bool, int]:
        over = any(run.x0 < x - 1 and run.x1 > x + 4 for run in row.runs)
        return over, bisect_left(rules, (row.top + row.bottom) / 2)

    found: list[list[Row]] = []
    whole: list[Row] = []
    for (over, _), group in groupby(rows, band):
        lines = list(group)
        words = [word for row in lines for run in row.runs for word in run.words]
        sides = [rows_of(w for w in words if (w.x0 >= x - 1) == after) for after in (False, True)]
        if over or not all(sides) or not _running_text(sides):
            whole += lines
            continue
        found += [whole] if whole else []
        found += [part for side in sides for part in parts(side, across, depth + 1)]
        whole = []
    return [*found, whole] if found and whole else found


def _running_text(sides: Sequence[Sequence[Row]]) -> bool:
    """Say whether one side is mostly running text and the other holds some."""
    shares = []
    for side in sides:
        least = 0.25 * (_right(side) - _left(side))
        runs = [run for row in side for run in row.runs]
        prose = sum(len(run.words) for run in runs if len(run.words) >= 4 and run.x1 - run.x0 > least)
        shares.append(prose / sum(len(run.words) for run in runs))
    return max(shares) > 0.5 and min(shares) > 0.15


def aligned(rows: Sequence[Row], across: Sequence[Stroke]) -> list[Grid]:
    """Return the tables among the lines of one part of a page."""
    grids = (_grid(_bounded(block, rows, across), across) for block in _blocks(rows))
    return [grid for grid in grids if grid is not None]


def _blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """Return lines whose gaps stand below each other; some lines without a gap may stand between."""
    blocks: list[list[Row]] = []
    block: list[Row] = []
    waiting: list[Row] = []
    for row in rows:
        far = (3 if len(row.runs) > 2 else 1.6) * row.height
        near = bool(block) and row.top - (waiting or block)[-1].bottom < far
        if _caption(row) or _prose(row, block):
            block, waiting = [], []
        elif len(row.runs) == 1:
            waiting.append(row)
            if not near or len(waiting) > BRIDGE:
                block, waiting = [], []
        else:
            if near and any(_fits(one, row) for one in _last_two(block)):
                block += [*waiting, row]
            else:
                block = [row]
                blocks.append(block)
            waiting = []
    return [block for block in blocks if sum(len(row.runs) > 1 for row in block) >= 3]


def _last_two(block: Sequence[Row]) -> Iterator[Row]:
    return islice((row for row in reversed(block) if len(row.runs) > 1), 2)


def _caption(row: Row) -> bool:
    return any(
        _captions.match(run.words[0].text) and (run is row.runs[0] or len(run.words) > 3) for run in row.runs
    )


def _prose(row: Row, block: Sequence[Row]) -> bool:
    """Say whether a line is running text as wide as the block, even if justified with wide spaces."""
    if sum(len(run.words) for run in row.runs) < 6:
        return False
    width = row.runs[-1].x1 - row.runs[0].x0
    if len(row.runs) > 1:
        filled = sum(run.x1 - run.x0 for run in row.runs)
        close = max(b - a for a, b in _gaps(row)) < 1.3 * row.height
        wide = filled > 0.86 * width or (filled > 0.6 * width and close)
    else:
        wide = bool(block) and width > 0.6 * (_right(block) - _left(block))
    return wide and sum(run.number for run in row.runs) <= 0.4 * len(row.runs)


def _left(rows: Sequence[Row]) -> float:
    return min(row.runs[0].x0 for row in rows)


def _right(rows: Sequence[Row]) -> float:
    return max(run.x1 for row in rows for run in row.runs)


def _gaps(row: Row) -> list[Gap]:
    return [(one.x1, other.x0) for one, other in pairwise(row.runs)]


def _fits(one: Row, other: Row) -> bool:
    gaps, more = _gaps(one), _gaps(other)
    common = sum(any(min(b, d) - max(a, c) > 2 for c, d in more) for a, b in gaps)
    return common >= 0.5 * min(len(gaps), len(more))


def _bounded(block: list[Row], rows: Sequence[Row], across: Sequence[Stroke]) -> list[Row]:
    """Return the block with the header lines between rulings above it, without notes under the last ruling."""
    left, right = _left(block), _right(block)
    slack = 0.05 * (right - left)
    rules = sorted(
        y for y, a, b in across if a < left + slack and b > right - slack and b - a < 1.3 * (right - left)
    )
    if len(rules) < 2:
        return block
    start = top = rows.index(block[0])
    for rule in reversed([y for y in rules if y < block[0].top + 3]):
        header = [row for row in rows[:top] if rule - 2 < row.top]
        if rows[top].top - rule > (90 if header else 20) or any(
            _caption(row) or (len(row.runs) == 1 and len(row.runs[0].words) > 12) for row in header
        ):
            break
        top -= len(header)
    block = [*rows[top:start], *block]
    below = sum(row.top > rules[-1] - 3 for row in block)
    return block[: len(block) - below] if below <= 0.4 * len(block) else block


def gutters(rows: Sequence[Row]) -> list[float]:
    """Return the middles of the blank columns that hardly any line crosses."""
    lines = [row for row in rows if len(row.runs) > 1]
    runs = [run for row in lines for run in row.runs]
    limit = 0 if len(lines) < 4 else max(1, round(0.1 * len(lines)))
    found: list[float] = []
    depth, start = 0, float("inf")
    for x, step in sorted([(run.x0, 1) for run in runs] + [(run.x1, -1) for run in runs]):
        if depth > limit >= depth + step:
            start = x
        elif depth <= limit < depth + step and x - start > 1.5:
            found += _around_rare(start, x, runs)
        depth += step
    return found


def _around_rare(start: float, end: float, runs: Sequence[Run]) -> list[float]:
    """Return the blank columns between two edges, on both sides of a column that few lines fill."""
    found = []
    inner = sorted((run.x0, run.x1) for run in runs if run.x0 > start + 1.5 and run.x1 < end - 1.5)
    for x0, x1 in inner:
        if x0 > start + 1.5:
            found.append((start + x0) / 2)
        start = max(start, x1)
    return [*found, (start + end) / 2]


def _grid(block: Sequence[Row], across: Sequence[Stroke]) -> Grid | None:
    xs = _without_signs(gutters(block), block)
    if not xs:
        return None
    block = [_cut_again(row, xs) for row in block]
    left, right = _left(block) - 1, _right(block) + 1
    rules = [
        (y, a, b) for y, a, b in across
        if block[0].top - block[0].height < y < block[-1].bottom + 3 and b > left and a < right
    ]  # fmt: skip
    data = _first_data(block)
    groups = _grouped(block, xs, rules, data)
    lines, down = _supposed(groups, [left, *xs, right], rules, data)
    grid = cut((word for row in block for run in row.runs for word in run.words), lines, down)
    headed = _headed(groups, xs, [y for y, a, b in rules if b - a > 0.9 * (right - left)])
    return grid if grid and _tabular(grid, groups, headed) else None


def _without_signs(xs: list[float], block: Sequence[Row]) -> list[float]:
    """Leave out blank columns between signs of money or per cent and their numbers."""
    said: list[set[str]] = [set() for _ in range(len(xs) + 1)]
    for run in (run for row in block if len(row.runs) > 1 for run in row.runs):
        said[bisect_left(xs, (run.x0 + run.x1) / 2)].add(run.words[0].text if len(run.words) == 1 else "")
    after = {i for i, words in enumerate(said) if words and words <= {"$", "€", "£", "¥"}}
    before = {i - 1 for i, words in enumerate(said) if words and words <= {"%", ")", "%)"}}
    return [x for i, x in enumerate(xs) if i not in after | before]


def _cut_again(row: Row, xs: Sequence[float]) -> Row:
    """Cut runs at blank columns that pass through one of their spaces."""
    runs: list[list[Word]] = []
    for run in row.runs:
        runs.append([run.words[0]])
        for last, word in pairwise(run.words):
            wide = word.x0 - last.x1 > 0.33 * row.height
            if wide and any(last.x1 - 1 <= x <= word.x0 + 1 for x in xs):
                runs.append([word])
            else:
                runs[-1].append(word)
    return row_of(runs)


def _first_data(block: Sequence[Row]) -> int:
    """Return the index of the first line half of whose cells after the first are numbers, 0 if none is."""
    data = [sum(run.number for run in row.runs[1:]) * 2 >= len(row.runs) - 1 > 0 for row in block[:7]]
    return data.index(True) if True in data else 0


def _columns(rows: Sequence[Row], xs: Sequence[float]) -> set[int]:
    return {sum(x < (run.x0 + run.x1) / 2 for x in xs) for row in rows for run in row.runs}


def _is_tight(one: Row, other: Row) -> bool:
    return other.top - one.bottom < TIGHT * other.height


def _grouped(
    block: Sequence[Row], xs: Sequence[float], rules: Sequence[Stroke], data: int
) -> list[list[Row]]:
    """Join the lines of cells that take several: in the header, and below where no new row begins."""
    groups = [[block[0]]]
    for index, row in enumerate(block[1:], 1):
        last = groups[-1][-1]
        ruled = any(
            last.bottom - 3 < y < row.top + 3 and a < row.runs[-1].x1 and b > row.runs[0].x0
            for y, a, b in rules
        )
        spans = any(crossed(one, x) for one in (row, last) for x in xs)
        mine, before = _columns([row], xs), _columns(groups[-1], xs)
        more = 0 not in mine and mine <= before and not any(run.number for run in row.runs)
        wrapped = 0 in mine and before == {0} and row.runs[0].words[0].text[0].islower()
        if _is_tight(last, row) and not ruled and not spans and (index < data or more or wrapped):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _supposed(
    groups: Sequence[Sequence[Row]], edges: Sequence[float], rules: Sequence[Stroke], data: int
) -> tuple[list[Stroke], list[Stroke]]:
    """Return rulings between groups of lines and in blank columns, left out where a cell goes on."""
    left, right, xs = edges[0], edges[-1], edges[1:-1]
    ends = [
        groups[0][0].top - 1,
        *between([Row((), group[0].top, group[-1].bottom) for group in groups]),
        groups[-1][-1].bottom + 1,
    ]
    lines: list[Stroke] = [(ends[0], left, right), (ends[-1], left, right)]
    down: list[Stroke] = [(left, ends[0], ends[-1]), (right, ends[0], ends[-1])]
    at = 0
    for number, (group, (top, bottom)) in enumerate(zip(groups, pairwise(ends), strict=True)):
        near = [(a, b) for y, a, b in rules if group[-1].bottom - 4 < y < bottom + 4]
        spanned = _spanned(group, xs, near if at < data else [], right - left)
        down += [(x, top, bottom) for i, x in enumerate(xs) if i not in spanned]
        at += len(group)
        if number + 1 < len(groups):
            below = groups[number + 1]
            open_ = set()
            if at < data and spanned and _is_tight(group[-1], below[0]):
                open_ = _columns(group, xs) & _columns(below, xs) - spanned - {i + 1 for i in spanned}
            drawn = [(a, b) for y, a, b in rules if bottom - 6 < y < bottom + 6]
            lines += [
                (bottom, a, b) for c, (a, b) in enumerate(pairwise(edges))
                if c not in open_ or any(start < b - 3 and end > a + 3 for start, end in drawn)
            ]  # fmt: skip
    return lines, down


def _spanned(group: Sequence[Row], xs: Sequence[float], rules: Sequence[Gap], width: float) -> set[int]:
    """Return the blank columns that a cell goes across: its words do, or a ruling under it alone."""
    runs = [run for row in group for run in row.runs]
    spans = [(run.x0 + OVER * (run.x1 - run.x0), run.x1 - OVER * (run.x1 - run.x0)) for run in runs]
    spans += [
        (a, b) for a, b in rules
        if b - a < 0.9 * width
        and sum(a - 4 < run.x0 and run.x1 < b + 4 for run in runs) == 1
    ]  # fmt: skip
    return {i for i, x in enumerate(xs) if any(a < x < b for a, b in spans)}


def _headed(groups: Sequence[Sequence[Row]], xs: Sequence[float], rules: Sequence[float]) -> bool:
    """Say whether a full line stands between two rulings near the top, and lines are not ruled one by one."""
    return len(rules) < 4 + len(groups) / 3 and any(
        len(_columns(group[-1:], xs)) == len(xs) + 1
        and any(group[-1].bottom - 4 < y < below[0].top + 4 for y in rules)
        and any(y < group[0].top + 4 for y in rules)
        for group, below in pairwise(groups[:4])
    )


def _tabular(grid: Grid, groups: Sequence[Sequence[Row]], headed: bool) -> bool:
    """Refuse what is only set like a table: needs three lines of several cells, and numbers or short cells."""
    lines = [row for group in groups for row in group if len(row.runs) > 1]
    said = [word.text for group in groups for row in group for run in row.runs for word in run.words]
    formula = "=" in said and sum(bool(_symbol.match(word)) for word in said) > 0.25 * len(said)
    addresses = sum("@" in word for word in said) > 1
    if len(lines) < 3 or formula or addresses or _running(lines, grid.edges):
        return False
    if headed:
        return True
    values = [cell for cell in grid.cells if cell.column > 0]
    numbers = sum(is_number(cell.text.split()[-1]) for cell in values)
    long = sum(len(cell.text.split()) > 6 for cell in grid.cells)
    short = len(grid.edges) > 3 and long < 0.3 * len(grid.cells)
    return not _contents(lines) and (numbers >= 0.4 * len(values) or short)


def _running(lines: Sequence[Row], edges: Sequence[float]) -> bool:
    """Say whether lines are full, or fill two columns, as running text does."""
    runs = [run for row in lines for run in row.runs]
    filled = median(sum(run.x1 - run.x0 for run in row.runs) for row in lines) / (edges[-1] - edges[0])
    if filled > 0.88 and sum(run.number for run in runs) < 0.2 * len(runs):
        return True
    held: list[list[bool]] = [[] for _ in edges[1:]]
    for run in runs:
        column = slot(edges, (run.x0 + run.x1) / 2)
        wide = run.x1 - run.x0 > 0.75 * (edges[column + 1] - edges[column])
        held[column].append(wide and len(run.words) >= 3)
    return sum(sum(full) > 0.5 * len(full) for full in held) >= 2


def _contents(lines: Sequence[Row]) -> bool:
    """Say whether most lines end in page numbers that go up and hold no other number but one in front."""
    ends = [row.runs[-1].words[-1].text for row in lines]
    pages = [int(end) for end in ends if re.fullmatch(r"\d{1,4}", end)]
    others = sum(run.number for row in lines for run in row.runs[1:-1])
    return others < 0.2 * len(lines) and len(pages) >= max(3, 0.7 * len(lines)) and pages == sorted(pages)
