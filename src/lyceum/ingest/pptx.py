"""PPTX to a page a slide: title, texts, tables, charts, alternative texts of pictures, notes; boxes in points.

Placeholders come first, then what stands higher. Dates, footers, slide numbers and layouts are set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pptx
from pptx.shapes.shapetree import SlideShapeFactory

from lyceum.core.text import clean, squeeze
from lyceum.core.types import Box, Document, Element, Page, Place
from lyceum.ingest.charts import drawn
from lyceum.ingest.docx_styles import written
from lyceum.ingest.lines import NOTES, first_heading, line
from lyceum.ingest.omml import linear
from lyceum.ingest.ooxml import ALTERNATE, A, M, chosen, described, normal
from lyceum.ingest.tables import grid

PML = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
POINT = 12_700  # EMU in a point
ASIDE = frozenset(("dt", "ftr", "sldNum", "hdr", "sldImg"))
TITLES = frozenset(("title", "ctrTitle"))
SHAPES = frozenset(PML + name for name in ("sp", "pic", "graphicFrame", "cxnSp"))
FORMS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}
KINDS = tuple(A + name for name in ("buNone", "buChar", "buBlip", "buAutoNum"))
SAME = 12.0  # points by which tops may differ within one row of shapes
ON = ("1", "true")
Frame = Callable[[Box], Box]


@dataclass(frozen=True, slots=True)
class _Shape:
    """A shape that may hold something, as python-pptx knows it, and the placeholder it is in its layout, or ""."""

    made: Any
    box: Box | None
    role: str


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page a slide."""
    deck = pptx.Presentation(normal(data))
    title = clean(deck.core_properties.title or "")
    for number, slide in enumerate(deck.slides, start=1):
        elements = tuple(_slide(slide, number, document.id))
        title = title or first_heading(elements)
        hidden = slide.element.get("show") in ("0", "false")
        warnings = (f"Slide {number} is hidden; it was read.",) if hidden else ()
        yield Page(elements=elements, title=title, warnings=warnings, place=Place(page=number))


def _slide(slide: Any, number: int, doc_id: str) -> Iterator[Element]:
    for shape in _ordered(list(_shapes(slide.shapes._spTree, slide, lambda box: box))):
        yield from _shape(shape, slide, Place(page=number, box=shape.box), doc_id)
    notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    said = "\n".join(filter(None, map(_words, notes._txBody.iter(A + "p")))) if notes else ""
    if said.strip():
        yield from line(doc_id, NOTES, Place(page=number), level=2)
        yield from line(doc_id, said, Place(page=number))


def _shapes(tree: Any, slide: Any, frame: Frame) -> Iterator[_Shape]:
    """Yield shapes; those of a group stand in the group's own coordinates, which `frame` takes to the slide's."""
    for node in tree:
        if node.tag == ALTERNATE:
            yield from _shapes(chosen(node), slide, frame)
        elif node.tag == PML + "grpSp":
            yield from _shapes(node, slide, _inner(node, frame))
        elif node.tag in SHAPES:
            holder = node.find(f".//{PML}nvPr/{PML}ph")
            role = holder.get("type", "obj") if holder is not None else ""
            if role not in ASIDE:
                made = SlideShapeFactory(node, slide.shapes)
                box = _box(made)
                yield _Shape(made, frame(box) if box else None, role)


def _box(shape: Any) -> Box | None:
    try:
        left, top, width, height = shape.left, shape.top, shape.width, shape.height
    except (AttributeError, KeyError, ValueError):  # a placeholder of a kind its layout does not have
        return None
    if left is None or top is None:
        return None
    right, bottom = left + (width or 0), top + (height or 0)
    return _rounded(left / POINT, top / POINT, right / POINT, bottom / POINT)


def _rounded(*box: float) -> Box:
    left, top, right, bottom = (round(one, 1) for one in box)
    return left, top, right, bottom


def _inner(group: Any, frame: Frame) -> Frame:
    """Return the way from a group's inner coordinates to those of the slide."""
    found = group.find(f"{PML}grpSpPr/{A}xfrm")
    try:
        x, y, inner_x, inner_y = (int(found.find(A + one).get(key)) / POINT
                                  for one in ("off", "chOff") for key in ("x", "y"))  # fmt: skip
        wide, high, inner_wide, inner_high = (int(found.find(A + one).get(key)) / POINT
                                              for one in ("ext", "chExt") for key in ("cx", "cy"))  # fmt: skip
    except (AttributeError, TypeError, ValueError):  # a group without coordinates of its own
        return frame
    across, down = wide / inner_wide if inner_wide else 1.0, high / inner_high if inner_high else 1.0

    def moved(box: Box) -> Box:
        left, top, right, bottom = box
        return _rounded(*frame((x + (left - inner_x) * across, y + (top - inner_y) * down,
                                x + (right - inner_x) * across, y + (bottom - inner_y) * down)))  # fmt: skip

    return moved


def _ordered(shapes: list[_Shape]) -> list[_Shape]:
    """Return titles, then placeholders, then the rest; in each, rows from the top, each from the left."""

    def corner(shape: _Shape) -> tuple[float, float]:
        return shape.box[:2] if shape.box else (0.0, 0.0)  # what has no place comes first

    def rank(shape: _Shape) -> int:
        return 0 if shape.role in TITLES else 1 if shape.role else 2

    rows: list[list[_Shape]] = []
    for shape in sorted(shapes, key=lambda one: (rank(one), corner(one)[1])):
        first = rows[-1][0] if rows else None
        if first and rank(first) == rank(shape) and corner(shape)[1] - corner(first)[1] < SAME:
            rows[-1].append(shape)
        else:
            rows.append([shape])
    return [shape for row in rows for shape in sorted(row, key=lambda one: corner(one)[0])]


def _shape(shape: _Shape, slide: Any, place: Place, doc_id: str) -> Iterator[Element]:
    node = shape.made._element
    body = node.find(PML + "txBody")
    if body is not None and shape.role in TITLES:
        yield from line(doc_id, squeeze(" ".join(map(_words, body.iter(A + "p")))), place, level=1)
    elif body is not None:
        for number, paragraph in _numbered(body):
            said = _words(paragraph)
            yield from line(doc_id, number + said if said.strip() else "", place)
    if node.tag == PML + "graphicFrame":
        for columns in node.iter(A + "tbl"):
            yield from _grid(doc_id, *_cells(columns), place)
        for title, rows in drawn(node, slide.part):
            yield from line(doc_id, title, place)
            yield from _grid(doc_id, rows, 1, place)
    picture = node.find(f"*/{PML}cNvPr")
    if body is None and picture is not None:
        yield from line(doc_id, described(picture.get("descr", "")), place, kind="image")


def _grid(doc_id: str, rows: list[list[str]], header: int | None, place: Place) -> Iterator[Element]:
    places = [Place(page=place.page, box=place.box, row=number) for number in range(1, len(rows) + 1)]
    yield from grid(doc_id, rows, places, header)


def _cells(columns: Any) -> tuple[list[list[str]], int | None]:
    """Return (rows, header); a cell over several rows is repeated in each, so that every row can be read alone."""
    rows: list[list[str]] = []
    for row in columns.iter(A + "tr"):
        texts: list[str] = []
        for cell in row.findall(A + "tc"):
            column = len(texts)
            if cell.get("hMerge") in ON:
                texts.append("")
            elif cell.get("vMerge") in ON:
                texts.append(rows[-1][column] if rows and column < len(rows[-1]) else "")
            else:
                texts.append(" ".join(map(_words, cell.iter(A + "p"))))
        rows.append(texts)
    properties = columns.find(A + "tblPr")
    named = properties is not None and properties.get("firstRow") in ON and len(rows) > 1
    return rows, 1 if named else None


def _words(paragraph: Any) -> str:
    """Return a paragraph's words; equations on one line."""
    parts = []
    for child in paragraph:
        if child.tag in (A + "r", A + "fld"):
            parts.append(child.findtext(A + "t") or "")
        elif child.tag == A + "br":
            parts.append("\n")
        elif child.tag == ALTERNATE:
            parts.append(_words(chosen(child)))
        elif next(child.iter(M + "*"), None) is not None:
            parts.append(linear(child))
    return "".join(parts)


def _numbered(body: Any) -> Iterator[tuple[str, Any]]:
    """Yield each paragraph of a shape with its number ("2. ") where it has one of its own; bullets say nothing."""
    counts: dict[int, int] = {}
    for paragraph in body.iter(A + "p"):
        properties = paragraph.find(A + "pPr")
        depth = int(properties.get("lvl", "0")) if properties is not None else 0
        counts = {level: count for level, count in counts.items() if level <= depth}
        holders = (properties, body.find(f"{A}lstStyle/{A}lvl{depth + 1}pPr"))
        marks = (one for holder in holders if holder is not None for one in holder.iterchildren(*KINDS))
        found = next(marks, None)
        if found is None or found.tag != A + "buAutoNum":
            counts.pop(depth, None)
            yield "", paragraph
            continue
        form = found.get("type", "")
        counts[depth] = counts.get(depth, int(found.get("startAt", "1")) - 1) + 1
        number = written(counts[depth], FORMS.get(form[:7], "decimal"))
        yield number + (") " if "Paren" in form else ". "), paragraph
