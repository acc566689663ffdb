"""One PDF page to its words and ruling lines with boxes from the shown page's top-left; knows no table."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import Any

import pypdfium2.raw as pdfium

from lyceum.core.types import Box
from lyceum.ingest.pdf_grid import Stroke, Word

THIN = 3.0  # points up to which a filled rectangle is a line
SHORT = 4.0  # points under which a stroke is no ruling
SAME_LINE = 1.5  # points between strokes that are one line
MOST_OBJECTS, MOST_EDGES, MOST_SEGMENTS = 20_000, 20_000, 400  # beyond, a page is a picture
DEEPEST = 3  # forms inside forms
_word = re.compile(r"[^\s\u00a0\ufffe\u0002]+")

Matrix = tuple[float, float, float, float, float, float]


def words(page: Any, text_page: Any) -> list[Word]:
    """Return the page's words in the order of the content stream, those that run sideways left out."""
    count = text_page.count_chars()
    text = text_page.get_text_range(0, count) if count else ""
    if len(text) != count:
        codes = [pdfium.FPDFText_GetUnicode(text_page.raw, index) for index in range(count)]
        text = "".join(chr(code) if 0 < code < 0xD800 or 0xE000 <= code < 0x110000 else " " for code in codes)
    shown = _shown(page)
    raw, get, rect = text_page.raw, pdfium.FPDFText_GetLooseCharBox, pdfium.FS_RECTF()
    here = ctypes.byref(rect)
    x, y = ctypes.c_double(), ctypes.c_double()
    origin_x, origin_y = ctypes.byref(x), ctypes.byref(y)
    found = []
    for match in _word.finditer(text):
        get(raw, match.start(), here)
        left, bottom, right, top = rect.left, rect.bottom, rect.right, rect.top
        if match.end() - match.start() > 1:
            get(raw, match.end() - 1, here)
            left, bottom = min(left, rect.left), min(bottom, rect.bottom)
            right, top = max(right, rect.right), max(top, rect.top)
        x0, y0, x1, y1 = shown(left, bottom, right, top)
        if len(match[0]) < 3 or y1 - y0 <= 1.5 * (x1 - x0):
            pdfium.FPDFText_GetCharOrigin(raw, match.start(), origin_x, origin_y)
            base = shown(x.value, y.value, x.value, y.value)[1]
            found.append(Word(match[0], x0, y0, x1, y1, base))
    return found


def _shown(page: Any) -> Callable[[float, float, float, float], Box]:
    """Return the mapping from user space to the shown page."""
    left, bottom, right, top = page.get_bbox()
    return {
        0: lambda x0, y0, x1, y1: (x0 - left, top - y1, x1 - left, top - y0),
        90: lambda x0, y0, x1, y1: (y0 - bottom, x0 - left, y1 - bottom, x1 - left),
        180: lambda x0, y0, x1, y1: (right - x1, y0 - bottom, right - x0, y1 - bottom),
        270: lambda x0, y0, x1, y1: (top - y1, right - x1, top - y0, right - x0),
    }[page.get_rotation()]


def rulings(page: Any) -> tuple[list[Stroke], list[Stroke], list[Box]]:
    """Return horizontal and vertical lines (strokes, edges, thin rectangles), and boxes of what slopes or bends."""
    shown = _shown(page)
    across: list[Stroke] = []
    down: list[Stroke] = []
    sloped: list[Box] = []
    holder = (page.raw, pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject)
    for x0, y0, x1, y1 in islice(_walk(*holder, (1, 0, 0, 1, 0, 0), DEEPEST), MOST_EDGES):
        left, top, right, bottom = box = shown(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        if bottom - top <= THIN < SHORT <= right - left:
            across.append(((top + bottom) / 2, left, right))
        elif right - left <= THIN < SHORT <= bottom - top:
            down.append(((left + right) / 2, top, bottom))
        elif bottom - top > THIN and right - left > THIN:
            sloped.append(box)
    return _joined(across), _joined(down), sloped


def _walk(holder: Any, count: Any, get: Any, outer: Matrix, deeper: int) -> Iterator[Box]:
    for index in range(min(count(holder), MOST_OBJECTS)):
        one = get(holder, index)
        kind = pdfium.FPDFPageObj_GetType(one)
        if kind == pdfium.FPDF_PAGEOBJ_PATH:
            yield from _edges(one, outer)
        elif kind == pdfium.FPDF_PAGEOBJ_FORM and deeper:
            inner = _times(_matrix(one), outer)
            yield from _walk(
                one, pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject, inner, deeper - 1
            )


def _matrix(one: Any) -> Matrix:
    m = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(one, m)
    return (m.a, m.b, m.c, m.d, m.e, m.f)


def _times(m: Matrix, n: Matrix) -> Matrix:
    return (
        m[0] * n[0] + m[1] * n[2], m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2], m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4], m[4] * n[1] + m[5] * n[3] + n[5],
    )  # fmt: skip


def _edges(one: Any, outer: Matrix) -> Iterator[Box]:
    """Yield the straight pieces of a path; a thin filled shape is one of them, a bent one gives its box."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDFPath_GetDrawMode(one, fill, stroke)
    if (not fill.value and not stroke.value) or pdfium.FPDFPath_CountSegments(one) > MOST_SEGMENTS:
        return
    lines, bent = _points(one, _times(_matrix(one), outer))
    for line in lines:
        xs, ys = [x for x, _ in line], [y for _, y in line]
        if bent or (fill.value and min(max(xs) - min(xs), max(ys) - min(ys)) <= THIN):
            yield min(xs), min(ys), max(xs), max(ys)
        else:
            yield from ((x0, y0, x1, y1) for (x0, y0), (x1, y1) in pairwise(line))


def _points(one: Any, m: Matrix) -> tuple[list[list[tuple[float, float]]], bool]:
    """Return a path's lines by their points, and whether one of them is a curve."""
    lines: list[list[tuple[float, float]]] = []
    bent = False
    x, y = ctypes.c_float(), ctypes.c_float()
    for index in range(pdfium.FPDFPath_CountSegments(one)):
        segment = pdfium.FPDFPath_GetPathSegment(one, index)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        point = (m[0] * x.value + m[2] * y.value + m[4], m[1] * x.value + m[3] * y.value + m[5])
        if kind == pdfium.FPDF_SEGMENT_MOVETO or not lines:
            lines.append([])
        lines[-1].append(point)
        bent = bent or kind == pdfium.FPDF_SEGMENT_BEZIERTO
        if pdfium.FPDFPathSegment_GetClose(segment):
            lines[-1].append(lines[-1][0])
    return lines, bent


def _joined(strokes: list[Stroke]) -> list[Stroke]:
    """Join strokes on one line that touch or nearly do."""
    level, base = 0, -1e9
    placed = []
    for at, start, end in sorted(strokes):
        if at - base > SAME_LINE:
            level, base = level + 1, at
        placed.append((level, start, end, base))
    found: list[Stroke] = []
    last = 0
    for level, start, end, at in sorted(placed):
        if found and level == last and start <= found[-1][2] + 1:
            found[-1] = (at, found[-1][1], max(end, found[-1][2]))
        else:
            found.append((at, start, end))
        last = level
    return found
