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
from lyceum.ingest.pdf_blocks import compose
from lyceum.ingest.pdf_headings import style
from lyceum.ingest.pdf_layout import Line
from lyceum.ingest.tables import table

SIZES = 1.25  # heights within this factor are one size: a recognised box is a tenth too high or too low
NEAR = 1.12  # the same for the body, whose lines are many
EM = 0.75  # a font's size as a share of its box's height
GAP = 0.5  # line heights between two boxes of a row from which they are cells: boxes reach over their words
CELL = 24  # letters a cell has on average; longer ones are columns of prose
_within = re.compile(r"[,，、;；]$|^[a-z]")  # a line of a paragraph, however large it looks
_cjk = re.compile(f"[{CJK}]")


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised run of text: corners clockwise from the first letter's top, in points of the shown page."""

    text: str
    corners: tuple[tuple[float, float], ...]
    score: float


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    box: Box  # in the level frame
    shown: Box


_Row = list[_Cell]


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
    body = _body(rows or [aside])
    elements: list[Element] = []
    prose: list[_Row] = []
    at = 0
    while at < len(rows):
        end, grid = _grid(rows, at)
        made = table(doc_id, *_table(grid, page)) if grid else None
        if made is None:
            prose.append(rows[at])
            at += 1
            continue
        elements += [*_prose(prose, body, doc_id, page), made]
        prose, at = [], end
    return (
        elements + _prose(prose, body, doc_id, page) + _prose([[cell] for cell in aside], body, doc_id, page)
    )


def _level(words: Sequence[Word], turns: int) -> list[_Cell]:
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
        _Cell(
            word.text,
            _around([(x * cos + y * sin, y * cos - x * sin) for x, y in word.corners]),
            _around(word.corners),
        )
        for word in words
    ]


def _sideways(cell: _Cell) -> bool:
    """Say whether a cell runs down beside level lines, as a note in the margin does."""
    return len(cell.text) > 2 and cell.box[3] - cell.box[1] > 2 * (cell.box[2] - cell.box[0])


def _around(points: Sequence[tuple[float, float]]) -> Box:
    across, down = [x for x, _ in points], [y for _, y in points]
    return (min(across), min(down), max(across), max(down))


def _union(boxes: Sequence[Box]) -> Box:
    return _around([corner for x0, y0, x1, y1 in boxes for corner in ((x0, y0), (x1, y1))])


def _rows(cells: Sequence[_Cell]) -> list[_Row]:
    """Group what stands on one level, from the left, and join what is too near for two cells."""
    rows: list[_Row] = []
    for cell in sorted(cells, key=lambda one: one.box[1] + one.box[3]):
        middle, half = (cell.box[1] + cell.box[3]) / 2, (cell.box[3] - cell.box[1]) / 2
        if rows and abs(sum(rows[-1][0].box[1::2]) / 2 - middle) < half:
            rows[-1].append(cell)
        else:
            rows.append([cell])
    return [_joined(sorted(row, key=lambda one: one.box[0]), GAP) for row in rows]


def _joined(row: Sequence[_Cell], gap: float) -> _Row:
    """Join cells that are nearer than `gap` heights."""
    found: _Row = []
    for cell in row:
        last = found[-1] if found else None
        if last is None or cell.box[0] - last.box[2] >= gap * (cell.box[3] - cell.box[1]):
            found.append(cell)
            continue
        space = "" if _cjk.match(last.text[-1:]) and _cjk.match(cell.text) else " "
        found[-1] = _Cell(
            last.text + space + cell.text, _union([last.box, cell.box]), _union([last.shown, cell.shown])
        )
    return found


def _letters(cell: _Cell) -> int:
    return len(cell.text) + len(_cjk.findall(cell.text))


def _short(rows: Sequence[_Row]) -> bool:
    """Say whether rows of several cells hold words and numbers rather than lines of prose."""
    cells = [cell for row in rows if len(row) > 1 for cell in row]
    return sum(map(_letters, cells)) <= CELL * len(cells)


def _grid(rows: Sequence[_Row], start: int) -> tuple[int, list[list[_Cell | None]]]:
    """Return where the table that begins at a row ends, and its cells by columns; no cells when there is none."""
    best: list[list[_Cell | None]] = []
    end = start
    while end < len(rows) and len(rows[end]) > 1:
        end += 1
        found = _columns(rows[start:end])
        if not found:
            end -= 1
            break
        best = found
    return end, best if len(best) >= 3 and _short(rows[start:end]) else []


def _columns(rows: Sequence[_Row]) -> list[list[_Cell | None]]:
    """Return cells by columns that are apart over all rows; nothing when two cells of a row would share one."""
    edges: list[list[float]] = []
    for left, right in sorted((cell.box[0], cell.box[2]) for row in rows for cell in row):
        if edges and left < edges[-1][1]:
            edges[-1][1] = max(edges[-1][1], right)
        else:
            edges.append([left, right])
    found = []
    for row in rows:
        line: list[_Cell | None] = [None] * len(edges)
        for cell in row:
            column = next(n for n, (left, right) in enumerate(edges) if left <= cell.box[0] <= right)
            if line[column] is not None:
                return []
            line[column] = cell
        found.append(line)
    filled = sum(cell is not None for line in found for cell in line)
    return found if len(edges) > 1 and 2 * filled >= len(found) * len(edges) else []


def _table(grid: Sequence[Sequence[_Cell | None]], page: int) -> tuple[list[list[str]], list[Place]]:
    texts = [[cell.text if cell else "" for cell in line] for line in grid]
    places = [Place(page=page, box=_union([cell.shown for cell in line if cell])) for line in grid]
    return texts, places


def _body(rows: Sequence[_Row]) -> float:
    """Return the height near which most letters are set."""
    heights = [(cell.box[3] - cell.box[1], _letters(cell)) for row in rows for cell in row]

    def near(middle: float) -> int:
        return sum(letters for one, letters in heights if middle / NEAR < one < middle * NEAR)

    return max(1.0, max((one for one, _ in heights), key=near, default=1.0))


def _prose(rows: Sequence[_Row], body: float, doc_id: str, page: int) -> list[Element]:
    """Return headings and paragraphs: rows of short words are read across, columns of prose down."""
    across = _short(rows)
    cells = [cell for row in rows for cell in (_joined(row, math.inf) if across else row)]
    cells = cells if across else list(_columned(cells))
    lines, shown = [], {}
    for cell in cells:
        height = cell.box[2] - cell.box[0] if _sideways(cell) else cell.box[3] - cell.box[1]
        step = math.trunc(math.log(max(height, 0.1) / body) / math.log(SIZES))
        if step == 1 and _within.search(cell.text):
            step = 0
        lines.append(Line(cell.text, cell.box, round(EM * body * SIZES**step, 1), bold=False))
        shown[cell.box] = cell.shown
    usual = Line("x" * 9999, (0, 0, 0, 0), round(EM * body, 1), bold=False)
    look = style([[usual, *lines]])
    return [_on_page(element, shown) for element in compose(lines, look, doc_id, page)]


def _columned(cells: Sequence[_Cell]) -> Iterator[_Cell]:
    """Sort by columns: above goes before below, and a left column before the right one (Breuel 2003).

    Left goes before right unless something that reaches into both columns stands between the two.
    """
    left = sorted(cells, key=lambda one: (one.box[1], one.box[0]))
    waiting = {id(b): {id(a) for a in left if a is not b and _before(a.box, b.box, left)} for b in left}
    while left:
        done = next((one for one in left if not waiting[id(one)]), left[0])
        left.remove(done)
        for others in waiting.values():
            others.discard(id(done))
        yield done


def _over(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0])


def _before(a: Box, b: Box, cells: Sequence[_Cell]) -> bool:
    if _over(a, b):
        return a[1] < b[1]
    if a[2] > b[0]:
        return False
    top, bottom = min(a[1], b[1]), max(a[3], b[3])
    return not any(
        top < (c.box[1] + c.box[3]) / 2 < bottom and _over(c.box, a) and _over(c.box, b) for c in cells
    )


def _on_page(element: Element, shown: dict[Box, Box]) -> Element:
    """Give an element the boxes of the shown page in place of the level frame's."""
    pieces = tuple(
        replace(piece, place=replace(piece.place, box=shown[piece.place.box]))
        for piece in element.pieces
        if piece.place.box is not None
    )
    whole = _union([piece.place.box for piece in pieces if piece.place.box is not None])
    return replace(element, pieces=pieces, place=replace(element.place, box=whole))
