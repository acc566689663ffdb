"""One PDF page to lines with size, weight and box, and lines to headings and paragraphs in reading order.

Keeps the order of the content stream, which is right where geometry does not contradict it (measured: sorting
by position breaks two-column pages). Boxes: points from the page's top-left corner, crop and rotation applied.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from lyceum.core.text import CJK, clean
from lyceum.core.types import Box, Element, Piece, Place

HEADING = 1.12  # a line this much larger than the body is a heading
LONGEST_HEADING = 160
MARGIN = 36  # points from the outermost lines in which headers and footers stand
_ends = re.compile(r"[.!?。！？；;,，:：]$")
_stops = re.compile(r"[.!。！；;]$")  # a large line may end in a comma or colon: its heading goes on below
_bullet = re.compile(r"^(?:[•●▪◦‣·\-–—*]\s|\(?\d{1,2}[.)、]\s?|[（(][一二三四五六七八九十\d]+[)）])")
_cjk_end, _cjk_start = re.compile(f"[{CJK}，。、；：]$"), re.compile(f"^[{CJK}]")
_soft = "\u0002\ufffe\u00ad"
_digits = re.compile(r"\d+")
_bold_name = re.compile(rb"bold|black|heavy|demi", re.I)
_plain_name = re.compile(rb"light|regular|roman|book|thin", re.I)
_runs = re.compile(r"[^\r\n]+")
_words = re.compile(r"[^\s\u00a0]+")


@dataclass(frozen=True, slots=True)
class Line:
    """Words on one baseline: `size` in points; `soft` when the line ends in a hyphen that is not part of the word."""

    text: str
    box: Box
    size: float
    bold: bool
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Style:
    """What a document's usual text looks like, and the masked lines that repeat as headers and footers."""

    body: float
    sizes: tuple[float, ...]
    repeated: frozenset[tuple[str, int]]


def to_box(page: Any, rect: tuple[float, float, float, float]) -> Box:
    """Turn pdfium's (left, bottom, right, top) in user space into a box from the shown page's top-left."""
    left, bottom, right, top = rect
    crop_left, crop_bottom, crop_right, crop_top = page.get_bbox()
    return {
        0: (left - crop_left, crop_top - top, right - crop_left, crop_top - bottom),
        90: (bottom - crop_bottom, left - crop_left, top - crop_bottom, right - crop_left),
        180: (crop_right - right, bottom - crop_bottom, crop_right - left, top - crop_bottom),
        270: (crop_top - top, crop_right - right, crop_top - bottom, crop_right - left),
    }[page.get_rotation()]


def read_lines(page: Any) -> list[Line]:
    """Return the page's lines in the order of the content stream."""
    text_page = page.get_textpage()
    try:
        characters = _characters(text_page)
        found: list[Line] = []
        for run in _runs.finditer(characters):
            for start, end in _columns(text_page, characters, run.start(), run.end()):
                line = _line(page, text_page, characters, start, end)
                if line is not None:
                    _append(found, line)
        return found
    finally:
        text_page.close()


def _characters(text_page: Any) -> str:
    """Return the page's text with one character for each of pdfium's indices."""
    count = text_page.count_chars()
    text: str = text_page.get_text_range(0, count) if count else ""
    if len(text) != count:  # characters beyond the basic plane, or ones that pdfium leaves out
        codes = [pdfium.FPDFText_GetUnicode(text_page.raw, index) for index in range(count)]
        text = "".join(chr(code) if 0 < code < 0xD800 or 0xE000 <= code < 0x110000 else " " for code in codes)
    return text


def _loose(text_page: Any, index: int) -> tuple[float, float, float, float]:
    """Return a character's (left, bottom, right, top) by its font's height, which every glyph has."""
    rect = pdfium.FS_RECTF()
    pdfium.FPDFText_GetLooseCharBox(text_page.raw, index, rect)
    return rect.left, rect.bottom, rect.right, rect.top


def _columns(text_page: Any, characters: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cut a run of one baseline where a gap between words is too wide for a space."""
    ranges: list[tuple[int, int]] = []
    edge = None
    for word in _words.finditer(characters, start, end):
        left, bottom, _, top = _loose(text_page, word.start())
        height = max(top - bottom, 1.0)
        if edge is not None and -height < left - edge < 2.0 * height:
            ranges[-1] = (ranges[-1][0], word.end())
        else:
            ranges.append((word.start(), word.end()))
        edge = _loose(text_page, word.end() - 1)[2]
    return ranges


def _line(page: Any, text_page: Any, characters: str, start: int, end: int) -> Line | None:
    raw = characters[start:end]
    text = clean("".join(" " if c == "\u00a0" else "" if c in _soft else c for c in raw))
    if not text:
        return None
    ends = [_loose(text_page, index) for index in (start, (start + end) // 2, end - 1)]
    rect = (
        min(e[0] for e in ends), min(e[1] for e in ends if e[3] > e[1] or e is ends[0]),
        max(e[2] for e in ends), max(e[3] for e in ends),
    )  # fmt: skip
    size, bold = _font(text_page, (start + end) // 2 if raw[(end - start) // 2].strip() else start)
    return Line(
        text, to_box(page, rect), size or round(rect[3] - rect[1], 1), bold, raw.endswith(tuple(_soft))
    )


def _font(text_page: Any, index: int) -> tuple[float, bool]:
    """Return a character's size in points on the page and whether its font is bold."""
    matrix = pdfium.FS_MATRIX()
    scale = 1.0
    if pdfium.FPDFText_GetMatrix(text_page.raw, index, matrix):
        scale = (matrix.c**2 + matrix.d**2) ** 0.5 or 1.0
    size = pdfium.FPDFText_GetFontSize(text_page.raw, index) * scale
    name = ctypes.create_string_buffer(128)
    pdfium.FPDFText_GetFontInfo(text_page.raw, index, name, 128, ctypes.c_int())
    # A font that is not embedded reports the weight of its substitute: its name is more to be trusted.
    heavy = pdfium.FPDFText_GetFontWeight(text_page.raw, index) >= 600 and not _plain_name.search(name.value)
    return round(size, 1), heavy or _bold_name.search(name.value) is not None


def _append(found: list[Line], run: Line) -> None:
    """Join a run to the line before when they stand on one baseline without a wide gap."""
    if found:
        last = found[-1]
        height = max(last.box[3] - last.box[1], run.box[3] - run.box[1], 1.0)
        gap = run.box[0] - last.box[2]
        if abs(last.box[3] - run.box[3]) < 0.35 * height and -height < gap < 2.5 * max(run.size, 6):
            space = "" if gap < 0.15 * run.size or _no_space(last.text, run.text) else " "
            box = (
                min(last.box[0], run.box[0]), min(last.box[1], run.box[1]),
                max(last.box[2], run.box[2]), max(last.box[3], run.box[3]),
            )  # fmt: skip
            larger = last if len(last.text) >= len(run.text) else run
            text = last.text + space + run.text
            found[-1] = Line(text, box, larger.size, last.bold and run.bold, run.soft)
            return
    found.append(run)


def _no_space(before: str, after: str) -> bool:
    return bool(_cjk_end.search(before) and _cjk_start.match(after))


def masked(line: Line) -> tuple[str, int]:
    """Return a line with digits masked and its height on the page, by which running headers are known."""
    return _digits.sub("#", line.text), round(line.box[1] / 4)


def style(pages: Sequence[Sequence[Line]]) -> Style:
    """Learn body size, heading sizes and running lines from some pages."""
    weight: Counter[float] = Counter()
    seen: Counter[tuple[str, int]] = Counter()
    for lines in pages:
        for line in lines:
            weight[line.size] += len(line.text)
    edges = [line.box for lines in pages for line in lines]
    top, bottom = min((box[1] for box in edges), default=0), max((box[3] for box in edges), default=0)
    for lines in pages:
        outer = [line for line in lines if line.box[3] < top + MARGIN or line.box[1] > bottom - MARGIN]
        seen.update({masked(line) for line in outer})
    body = weight.most_common(1)[0][0] if weight else 10.0
    sizes = sorted({round(size * 2) / 2 for size in weight if size >= HEADING * body}, reverse=True)
    enough = max(2, 0.3 * len(pages))
    repeated = frozenset(key for key, count in seen.items() if count >= enough)
    return Style(body, tuple(sizes), repeated)


def heading_level(line: Line, look: Style) -> int:
    """Return 1 for the largest size and so on, 0 for a line that is no heading."""
    if (
        len(line.text) > LONGEST_HEADING
        or _stops.search(line.text)
        or not re.search(rf"[A-Za-z{CJK}]", line.text)
    ):
        return 0
    if line.size >= HEADING * look.body:
        rounded = round(line.size * 2) / 2
        nearest = min(range(len(look.sizes)), key=lambda i: abs(look.sizes[i] - rounded), default=0)
        return min(nearest + 1, 6)
    own_line = line.bold and len(line.text) < 90 and not _ends.search(line.text)
    return min(len(look.sizes) + 1, 6) if own_line and line.size > 0.95 * look.body else 0


def compose(lines: Sequence[Line], look: Style, doc_id: str, page: int) -> list[Element]:
    """Return headings and paragraphs; neighbouring lines of one block are joined as they would be read."""
    elements: list[Element] = []
    block: list[Line] = []
    level = 0

    def flush() -> None:
        if block:
            elements.append(_element(block, doc_id, page, level))
            block.clear()

    for line in lines:
        own = heading_level(line, look)
        if block and (own != level or not _continues(block[-1], line, heading=bool(own))):
            flush()
        level = own
        block.append(line)
    flush()
    return elements


def _continues(last: Line, line: Line, *, heading: bool) -> bool:
    """Say whether a line goes on with the block of the one before: below it, near, in the same column."""
    height = max(last.box[3] - last.box[1], 1.0)
    gap = line.box[1] - last.box[3]
    overlap = min(last.box[2], line.box[2]) - max(last.box[0], line.box[0])
    near = -0.5 * height <= gap < (0.9 if heading else 0.75) * max(height, line.size)
    same = abs(last.size - line.size) <= 0.1 * last.size
    return near and same and overlap > 0 and not _bullet.match(line.text)


def _element(block: Sequence[Line], doc_id: str, page: int, level: int) -> Element:
    text = ""
    pieces: list[Piece] = []
    for line in block:
        if text and block[len(pieces) - 1].soft:
            pass
        elif text and re.search(r"[A-Za-z]-$", text) and re.match("[a-z]", line.text):
            text = text[:-1]
            last = pieces[-1]
            pieces[-1] = Piece(start=last.start, end=len(text), place=last.place)
        elif text and not _no_space(text, line.text):
            text += " "
        pieces.append(
            Piece(start=len(text), end=len(text) + len(line.text), place=Place(page=page, box=line.box))
        )
        text += line.text
    boxes = [line.box for line in block]
    whole = (
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    )
    return Element(
        doc_id=doc_id, kind="heading" if level else "text", text=text, place=Place(page=page, box=whole),
        pieces=tuple(pieces), level=level,
    )  # fmt: skip
