"""One PDF page to lines with size, weight, direction and box, in the order of the content stream.

Boxes: points from the page's top-left corner, crop and rotation applied. It knows no headings and no paragraphs.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import pypdfium2.raw as pdfium

from lyceum.core.text import clean
from lyceum.core.types import Box
from lyceum.ingest.lines import no_space

_bullet = re.compile(r"^(?:[•●▪◦‣·\-–—*]\s|\(?\d{1,2}[.)、]\s?|[（(][一二三四五六七八九十\d]+[)）])")
_soft = "\u0002\ufffe\u00ad"
_plain = {0xA0: " ", **dict.fromkeys(map(ord, _soft))}
_bold_name = re.compile(rb"bold|black|heavy|demi", re.I)
_plain_name = re.compile(rb"light|regular|roman|book|thin", re.I)
_runs = re.compile(r"[^\r\n]+")
_words = re.compile(rf"[^\s\u00a0{_soft}]+")  # pdfium goes on with the next line behind a soft hyphen


@dataclass(frozen=True, slots=True)
class Line:
    """Words on one baseline: `size` in points; `soft` when the line ends in a hyphen that is not part of the word.

    `turn` is the text's direction on the shown page in degrees against the clock: 0, 90 (upwards), 180, 270;
    `level` is the box of a line that stands askew, as it would be if the page were level.
    """

    text: str
    box: Box
    size: float
    bold: bool
    soft: bool = False
    turn: int = 0
    level: Box | None = None

    @property
    def frame(self) -> Box:
        """The box as it would be if the page were turned until the text is upright: for comparing, not showing."""
        return self.level or turned(self.box, self.turn)


def turned(box: Box, turn: int) -> Box:
    """Turn a box with its text, about the page's corner."""
    if not turn:
        return box
    left, top, right, bottom = box
    return {
        90: (-bottom, left, -top, right),
        180: (-right, -bottom, -left, -top),
        270: (top, -right, bottom, -left),
    }[turn]


def placer(page: Any) -> Callable[[float, float, float, float], Box]:
    """Return what turns pdfium's left, bottom, right, top into a box from the shown page's top-left."""
    left, bottom, right, top = page.get_bbox()
    return {
        0: lambda x0, y0, x1, y1: (x0 - left, top - y1, x1 - left, top - y0),
        90: lambda x0, y0, x1, y1: (y0 - bottom, x0 - left, y1 - bottom, x1 - left),
        180: lambda x0, y0, x1, y1: (right - x1, y0 - bottom, right - x0, y1 - bottom),
        270: lambda x0, y0, x1, y1: (top - y1, right - x1, top - y0, right - x0),
    }[page.get_rotation()]


def read_lines(page: Any) -> list[Line]:
    """Return the page's lines in the order of the content stream."""
    with closing(page.get_textpage()) as text_page:
        return _Reading(page, text_page).lines()


class _Reading:
    """A page while it is being read."""

    def __init__(self, page: Any, text_page: Any) -> None:
        self.text_page = text_page
        self.place, self.rotation = placer(page), page.get_rotation()
        self.characters = characters(text_page)

    def lines(self) -> list[Line]:
        found: list[Line] = []
        for run in _runs.finditer(self.characters):
            first = _words.search(self.characters, run.start(), run.end())
            turn = self._turn(first.start()) if first else 0
            for start, end in self._columns(run.start(), run.end(), turn):
                line = self._line(start, end, turn)
                if line is not None:
                    _append(found, line)
        return [
            line
            for turn, some in groupby(found, lambda one: one.turn)
            for line in _forwards(turn, list(some))
        ]

    def _turn(self, index: int) -> int:
        """Return the direction of the text at a character, to the nearest right angle."""
        angle = math.degrees(pdfium.FPDFText_GetCharAngle(self.text_page.raw, index))
        quarters: int = round((360 - angle - self.rotation) / 90)
        return quarters % 4 * 90

    def _frame(self, index: int, turn: int) -> Box:
        """Return a character's box by its font's height, which every glyph has, as if its text were upright."""
        rect = pdfium.FS_RECTF()
        pdfium.FPDFText_GetLooseCharBox(self.text_page.raw, index, rect)
        return turned(self.place(rect.left, rect.bottom, rect.right, rect.top), turn)

    def _columns(self, start: int, end: int, turn: int) -> list[tuple[int, int]]:
        """Cut a run where a gap between words is too wide for a space, or where it goes on at another height."""
        ranges: list[tuple[int, int]] = []
        edge = low = high = 0.0
        for word in _words.finditer(self.characters, start, end):
            left, top, _, bottom = self._frame(word.start(), turn)
            height = max(bottom - top, 1.0)
            level = min(bottom, low) - max(top, high) > 0.3 * min(height, low - high)
            if ranges and level and -height < left - edge < 2.0 * height:
                ranges[-1] = (ranges[-1][0], word.end())
            else:
                ranges.append((word.start(), word.end()))
            _, high, edge, low = self._frame(word.end() - 1, turn)
        return ranges

    def _line(self, start: int, end: int, turn: int) -> Line | None:
        raw = self.characters[start:end]
        text = clean(raw.translate(_plain))
        if not text:
            return None
        middle = (start + end) // 2
        ends = [self._frame(index, turn) for index in (start, middle, end - 1)]
        frame = (
            min(e[0] for e in ends), min(e[1] for e in ends if e[3] > e[1] or e is ends[0]),
            max(e[2] for e in ends), max(e[3] for e in ends),
        )  # fmt: skip
        marks = (start, middle if self.characters[middle].strip() else start, end - 1)
        size = sorted(_size(self.text_page, index) for index in marks)[1]
        bold = all(_bold(self.text_page, index) for index in marks)
        box = turned(frame, (360 - turn) % 360)
        soft = self.characters[end : end + 1] in tuple(_soft)
        return Line(text, box, size or round(frame[3] - frame[1], 1), bold, soft, turn)


def _forwards(turn: int, lines: list[Line]) -> list[Line]:
    """Return turned lines from top to bottom: pdfium gives those that run downwards last line first."""
    upwards = sum(two.frame[3] <= one.frame[1] for one, two in pairwise(lines))
    return lines[::-1] if turn and upwards > len(lines) / 2 else lines


def characters(text_page: Any) -> str:
    """Return the page's text with one character for each of pdfium's indices."""
    count = text_page.count_chars()
    text: str = text_page.get_text_range(0, count) if count else ""
    if len(text) != count:  # characters beyond the basic plane, or ones that pdfium leaves out
        codes = [pdfium.FPDFText_GetUnicode(text_page.raw, index) for index in range(count)]
        text = "".join(chr(code) if 0 < code < 0xD800 or 0xE000 <= code < 0x110000 else " " for code in codes)
    return text


def _size(text_page: Any, index: int) -> float:
    """Return a character's size in points on the page."""
    matrix = pdfium.FS_MATRIX()
    scale = 1.0
    if pdfium.FPDFText_GetMatrix(text_page.raw, index, matrix):
        scale = (matrix.c**2 + matrix.d**2) ** 0.5 or 1.0
    size: float = pdfium.FPDFText_GetFontSize(text_page.raw, index)
    return round(size * scale, 1)


def _bold(text_page: Any, index: int) -> bool:
    """Say whether a character's font is bold."""
    name = ctypes.create_string_buffer(128)
    pdfium.FPDFText_GetFontInfo(text_page.raw, index, name, 128, ctypes.c_int())
    # A font that is not embedded reports the weight of its substitute: its name is more to be trusted.
    heavy = pdfium.FPDFText_GetFontWeight(text_page.raw, index) >= 600 and not _plain_name.search(name.value)
    return heavy or _bold_name.search(name.value) is not None


def _append(found: list[Line], run: Line) -> None:
    """Join a run to the line before when they stand on one baseline without a wide gap."""
    if found and found[-1].turn == run.turn:
        last = found[-1]
        one, two = last.frame, run.frame
        height = max(one[3] - one[1], two[3] - two[1], 1.0)
        gap = two[0] - one[2]
        if abs(one[3] - two[3]) < 0.35 * height and -height < gap < 2.5 * max(run.size, 6):
            space = "" if gap < 0.15 * run.size or no_space(last.text, run.text) else " "
            larger = last if len(last.text) >= len(run.text) else run
            text, bold = last.text + space + run.text, last.bold and run.bold
            found[-1] = Line(text, around([last.box, run.box]), larger.size, bold, run.soft, run.turn)
            return
    found.append(run)


def blocks(found: Sequence[Any], joins: Callable[[Any, Any], bool]) -> list[list[Any]]:
    """Return groups in which each one goes on with the one before."""
    groups: list[list[Any]] = []
    for one in found:
        if groups and joins(groups[-1][-1], one):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def around(boxes: Sequence[Box]) -> Box:
    """Return the smallest box that holds all of them."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def continues(last: Line, line: Line, *, heading: bool = False) -> bool:
    """Say whether a line goes on with the block of the one before: below it, near, in the same column.

    A word that a soft hyphen has cut goes on at the top of the next column, too.
    """
    if last.turn != line.turn or abs(last.size - line.size) > 0.1 * last.size or _bullet.match(line.text):
        return False
    one, two = last.frame, line.frame
    height = max(one[3] - one[1], 1.0)
    gap = two[1] - one[3]
    if last.soft and two[0] > one[2] and gap < 0:
        return True
    overlap = min(one[2], two[2]) - max(one[0], two[0])
    return overlap > 0 and -0.5 * height <= gap < (0.9 if heading else 0.75) * max(height, line.size)
