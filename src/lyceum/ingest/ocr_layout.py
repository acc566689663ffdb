"""Recognised lines of a picture to headings, paragraphs and simple tables, whichever way up the picture is.

The layout is found in a frame in which the lines run level; the boxes that come out are of the page as it is shown.
It knows no engine.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lyceum.core.text import CJK
from lyceum.core.types import Box, Element, Place
from lyceum.ingest.lines import no_space
from lyceum.ingest.pdf_blocks import compose
from lyceum.ingest.pdf_headings import style
from lyceum.ingest.pdf_layout import Line, around
from lyceum.ingest.tables import table

SIZES = 1.25  # heights within this factor are one size: a recognised box is a tenth too high or too low
NEAR = 1.12  # the same for the body, whose lines are many
EM = 0.75  # a font's size as a share of its box's height
GAP = 0.5  # line heights between two boxes of a row from which they are cells: boxes reach over their words
CELL = 24  # letters a cell has on average; longer ones are columns of prose
NUMBERED = 4  # rows from which a page may have a number under them
_within = re.compile(r"[,，、;；]$|^[a-z]")  # a line of a paragraph, however large it looks
_cjk = re.compile(f"[{CJK}]")


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised run of text: corners clockwise from the first letter's top, in points of the shown page."""

    text: str
    corners: tuple[tuple[float, float], ...]
    score: float


_Row = list[Line]  # of cells: their frames are level, their sizes not known yet


def upright(words: Sequence[Word]) -> bool:
    """Say whether most letters stand in runs that go down instead of across."""
    down = 0
    for word in words:
        (x0, y0), (x1, y1), _, (x3, y3) = word.corners
        higher = math.hypot(x3 - x0, y3 - y0) > math.hypot(x1 - x0, y1 - y0)
        down += len(word.text) if higher else -len(word.text)
    return down > 0


def arrange(words: Sequence[Word], turns: int, doc_id: str, page: int) -> list[Element]:
    """Return a page's elements in reading order; the words were read after `turns` quarter turns to the left."""
    cells = _level(words, turns)
    aside = [cell for cell in cells if _sideways(cell)]
    rows = _rows([cell for cell in cells if not _sideways(cell)])
    rows = rows[:-1] if _numbers(rows, page) else rows
    body = _body(rows or [aside])
    elements: list[Element] = []
    prose: list[_Row] = []
    at = 0
    while at < len(rows):
        end, grid = _grid(rows, at)
        texts = [[cell.text if cell else "" for cell in line] for line in grid]
        boxes = [around([cell.box for cell in line if cell]) for line in grid]
        made = table(doc_id, texts, [Place(page=page, box=box) for box in boxes])
        if made is None:
            prose.append(rows[at])
            at += 1
            continue
        elements += [*_prose(prose, body, doc_id, page), made]
        prose, at = [], end
    return (
        elements + _prose(prose, body, doc_id, page) + _prose([[cell] for cell in aside], body, doc_id, page)
    )


def _level(words: Sequence[Word], turns: int) -> list[Line]:
    """Turn the page until its lines are level: by quarters, and by the little that a scan stands askew."""
    down = upright(words)
    quarter = (turns + down) * math.pi / 2
    askew = []
    for word in words:
        (x0, y0), (x1, y1) = word.corners[0], word.corners[3 if down else 1]
        if math.hypot(x1 - x0, y1 - y0) > 0:
            askew.append(math.remainder(math.atan2(y1 - y0, x1 - x0) - quarter, math.tau))
    angle = quarter + (statistics.median(askew) if askew else 0.0)
    cos, sin = math.cos(angle), math.sin(angle)
    return [
        Line(
            word.text, _box(word.corners), 0, bold=False,
            level=_box([(x * cos + y * sin, y * cos - x * sin) for x, y in word.corners]),
        )
        for word in words
    ]  # fmt: skip


def _numbers(rows: Sequence[_Row], page: int) -> bool:
    """Say whether the last row only tells the page's number: apart from the rest, and with that number at an end."""
    if len(rows) < NUMBERED:
        return False
    last, above = rows[-1], rows[-2]
    height = last[0].frame[3] - last[0].frame[1]
    apart = last[0].frame[1] - max(cell.frame[3] for cell in above) > 2 * height
    text = " ".join(cell.text for cell in last)
    return (
        apart and re.search(rf"(?:^|\D){page}(?:\s*(?:/|of|页).{{0,6}})?\W*$|^\W*{page}\W", text) is not None
    )


def _sideways(cell: Line) -> bool:
    """Say whether a cell runs down beside level lines, as a note in the margin does."""
    return len(cell.text) > 2 and _height(cell) > 2 * (cell.frame[2] - cell.frame[0])


def _box(points: Sequence[tuple[float, float]]) -> Box:
    return around([(x, y, x, y) for x, y in points])


def _rows(cells: Sequence[Line]) -> list[_Row]:
    """Group what stands on one level, from the left, and join what is too near for two cells."""
    rows: list[_Row] = []
    for cell in sorted(cells, key=lambda one: one.frame[1] + one.frame[3]):
        middle, half = (cell.frame[1] + cell.frame[3]) / 2, _height(cell) / 2
        if rows and abs(sum(rows[-1][0].frame[1::2]) / 2 - middle) < half:
            rows[-1].append(cell)
        else:
            rows.append([cell])
    return [_joined(sorted(row, key=lambda one: one.frame[0]), GAP) for row in rows]


def _joined(row: Sequence[Line], gap: float) -> _Row:
    """Join cells that are nearer than `gap` heights."""
    found: _Row = []
    for cell in row:
        last = found[-1] if found else None
        if last is None or cell.frame[0] - last.frame[2] >= gap * _height(cell):
            found.append(cell)
            continue
        text = last.text + ("" if no_space(last.text, cell.text) else " ") + cell.text
        level = around([last.frame, cell.frame])
        found[-1] = replace(last, text=text, box=around([last.box, cell.box]), level=level)
    return found


def _height(cell: Line) -> float:
    return cell.frame[3] - cell.frame[1]


def _letters(cell: Line) -> int:
    return len(cell.text) + len(_cjk.findall(cell.text))


def _short(rows: Sequence[_Row]) -> bool:
    """Say whether rows of several cells hold words and numbers rather than lines of prose."""
    cells = [cell for row in rows if len(row) > 1 for cell in row]
    return sum(map(_letters, cells)) <= CELL * len(cells)


def _grid(rows: Sequence[_Row], start: int) -> tuple[int, list[list[Line | None]]]:
    """Return where the table that begins at a row ends, and its cells by columns; no cells when there is none."""
    best: list[list[Line | None]] = []
    end = start
    while end < len(rows) and len(rows[end]) > 1:
        end += 1
        found = _columns(rows[start:end])
        if not found:
            end -= 1
            break
        best = found
    return end, best if len(best) >= 3 and _short(rows[start:end]) else []


def _columns(rows: Sequence[_Row]) -> list[list[Line | None]]:
    """Return cells by columns that are apart over all rows; nothing when two cells of a row would share one."""
    edges: list[list[float]] = []
    for left, right in sorted((cell.frame[0], cell.frame[2]) for row in rows for cell in row):
        if edges and left < edges[-1][1]:
            edges[-1][1] = max(edges[-1][1], right)
        else:
            edges.append([left, right])
    found = []
    for row in rows:
        line: list[Line | None] = [None] * len(edges)
        for cell in row:
            column = next(n for n, (left, right) in enumerate(edges) if left <= cell.frame[0] <= right)
            if line[column] is not None:
                return []
            line[column] = cell
        found.append(line)
    filled = sum(cell is not None for line in found for cell in line)
    return found if len(edges) > 1 and 2 * filled >= len(found) * len(edges) else []


def _body(rows: Sequence[_Row]) -> float:
    """Return the height near which most letters are set."""
    heights = [(_height(cell), _letters(cell)) for row in rows for cell in row]

    def near(middle: float) -> int:
        return sum(letters for one, letters in heights if middle / NEAR < one < middle * NEAR)

    return max(1.0, max((one for one, _ in heights), key=near, default=1.0))


def _prose(rows: Sequence[_Row], body: float, doc_id: str, page: int) -> list[Element]:
    """Return headings and paragraphs: rows of short words are read across, columns of prose down."""
    if _short(rows):
        cells = [cell for row in rows for cell in _joined(row, math.inf)]
    else:
        cells = list(_columned([cell for row in rows for cell in row]))
    lines = []
    for cell in cells:
        height = cell.frame[2] - cell.frame[0] if _sideways(cell) else _height(cell)
        step = math.trunc(math.log(max(height, 0.1) / body) / math.log(SIZES))
        if step == 1 and _within.search(cell.text):
            step = 0
        lines.append(replace(cell, size=round(EM * body * SIZES**step, 1)))
    usual = Line("x" * 9999, (0, 0, 0, 0), round(EM * body, 1), bold=False)
    return compose(lines, style([[usual, *lines]]), doc_id, page)


def _columned(cells: Sequence[Line]) -> Iterator[Line]:
    """Sort by columns: above goes before below, and a left column before the right one (Breuel 2003).

    Left goes before right unless something that reaches into both columns stands between the two.
    """
    left = sorted(cells, key=lambda one: (one.frame[1], one.frame[0]))
    waiting = {id(b): {id(a) for a in left if a is not b and _before(a.frame, b.frame, left)} for b in left}
    while left:
        done = next((one for one in left if not waiting[id(one)]), left[0])
        left.remove(done)
        for others in waiting.values():
            others.discard(id(done))
        yield done


def _over(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0])


def _before(a: Box, b: Box, cells: Sequence[Line]) -> bool:
    if _over(a, b):
        return a[1] < b[1]
    if a[2] > b[0]:
        return False
    top, bottom = min(a[1], b[1]), max(a[3], b[3])
    return not any(
        top < (c.frame[1] + c.frame[3]) / 2 < bottom and _over(c.frame, a) and _over(c.frame, b)
        for c in cells
    )
