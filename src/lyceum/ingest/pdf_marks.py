"""One PDF page to its words and ruling lines with boxes from the shown page's top-left; knows no table."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import pypdfium2.raw as pdfium
from pypdfium2 import PdfMatrix

from lyceum.core.types import Box
from lyceum.ingest.pdf_grid import Stroke, Word
from lyceum.ingest.pdf_layout import characters, placer

THIN = 3.0  # points up to which a filled rectangle is a line
SHORT = 4.0  # points under which a stroke is no ruling
SAME_LINE = 1.5  # points between strokes that are one line
MOST_OBJECTS, MOST_EDGES, MOST_SEGMENTS = 20_000, 20_000, 400  # beyond, a page is a picture
DEEPEST = 3  # forms inside forms
_word = re.compile(r"[^\s\u00a0\ufffe\u0002]+")


def words(page: Any, text_page: Any) -> list[Word]:
    """Return the page's words in the order of the content stream, those that run sideways left out."""
    shown = placer(page)
    raw, get, rect = text_page.raw, pdfium.FPDFText_GetLooseCharBox, pdfium.FS_RECTF()
    here = ctypes.byref(rect)
    x, y = ctypes.c_double(), ctypes.c_double()
    origin_x, origin_y = ctypes.byref(x), ctypes.byref(y)
    found = []
    for match in _word.finditer(characters(text_page)):
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


def rulings(page: Any) -> tuple[list[Stroke], list[Stroke], list[Box]]:
    """Return horizontal and vertical lines (strokes, edges, thin rectangles), and boxes of what slopes or bends."""
    shown = placer(page)
    across: list[Stroke] = []
    down: list[Stroke] = []
    sloped: list[Box] = []
    holder = (page.raw, pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject)
    for x0, y0, x1, y1 in islice(_walk(*holder, PdfMatrix(), DEEPEST), MOST_EDGES):
        left, top, right, bottom = box = shown(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        if bottom - top <= THIN < SHORT <= right - left:
            across.append(((top + bottom) / 2, left, right))
        elif right - left <= THIN < SHORT <= bottom - top:
            down.append(((left + right) / 2, top, bottom))
        elif bottom - top > THIN and right - left > THIN:
            sloped.append(box)
    return _joined(across), _joined(down), sloped


def _walk(holder: Any, count: Any, get: Any, outer: PdfMatrix, deeper: int) -> Iterator[Box]:
    for index in range(min(count(holder), MOST_OBJECTS)):
        one = get(holder, index)
        kind = pdfium.FPDFPageObj_GetType(one)
        if kind == pdfium.FPDF_PAGEOBJ_PATH:
            yield from _edges(one, outer)
        elif kind == pdfium.FPDF_PAGEOBJ_FORM and deeper:
            more = (pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject)
            yield from _walk(one, *more, _matrix(one, outer), deeper - 1)


def _matrix(one: Any, outer: PdfMatrix) -> PdfMatrix:
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(one, matrix)
    return PdfMatrix.from_raw(matrix).multiply(outer)


def _edges(one: Any, outer: PdfMatrix) -> Iterator[Box]:
    """Yield the straight pieces of a path; a thin filled shape is one of them, a bent one gives its box."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDFPath_GetDrawMode(one, fill, stroke)
    if (not fill.value and not stroke.value) or pdfium.FPDFPath_CountSegments(one) > MOST_SEGMENTS:
        return
    lines, bent = _points(one, _matrix(one, outer))
    for line in lines:
        xs, ys = [x for x, _ in line], [y for _, y in line]
        if bent or (fill.value and min(max(xs) - min(xs), max(ys) - min(ys)) <= THIN):
            yield min(xs), min(ys), max(xs), max(ys)
        else:
            yield from ((x0, y0, x1, y1) for (x0, y0), (x1, y1) in pairwise(line))


def _points(one: Any, matrix: PdfMatrix) -> tuple[list[list[tuple[float, float]]], bool]:
    """Return a path's lines by their points, and whether one of them is a curve."""
    lines: list[list[tuple[float, float]]] = []
    bent = False
    x, y = ctypes.c_float(), ctypes.c_float()
    for index in range(pdfium.FPDFPath_CountSegments(one)):
        segment = pdfium.FPDFPath_GetPathSegment(one, index)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        point = matrix.on_point(x.value, y.value)
        if kind == pdfium.FPDF_SEGMENT_MOVETO or not lines:
            lines.append([])
        lines[-1].append(point)
        bent = bent or kind == pdfium.FPDF_SEGMENT_BEZIERTO
        if pdfium.FPDFPathSegment_GetClose(segment):
            lines[-1].append(lines[-1][0])
    return lines, bent


def _joined(strokes: list[Stroke]) -> list[Stroke]:
    """Join strokes on one line that touch or nearly do."""
    placed: list[Stroke] = []
    for at, start, end in sorted(strokes):
        near = placed and at - placed[-1][0] <= SAME_LINE
        placed.append((placed[-1][0] if near else at, start, end))
    found: list[Stroke] = []
    for at, start, end in sorted(placed):
        if found and at == found[-1][0] and start <= found[-1][2] + 1:
            found[-1] = (at, found[-1][1], max(end, found[-1][2]))
        else:
            found.append((at, start, end))
    return found
