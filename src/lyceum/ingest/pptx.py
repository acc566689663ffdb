"""PPTX to a page a slide: title, texts, tables, charts, alternative texts of pictures, notes; boxes in points.

Placeholders come first, then what stands higher. Dates, footers, slide numbers and layouts are set aside.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pptx
from lxml.etree import XMLSyntaxError
from pptx.exc import PythonPptxError
from pptx.shapes.shapetree import SlideShapeFactory

from lyceum.core.errors import ParseError
from lyceum.core.text import clean, squeeze
from lyceum.core.types import Box, Document, Element, Page, Place
from lyceum.ingest.charts import chart
from lyceum.ingest.lines import line
from lyceum.ingest.ooxml import ALTERNATE, A, chosen, described, diagram, graphic, normal
from lyceum.ingest.pptx_text import Bullets, words
from lyceum.ingest.tables import table

PML = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
POINT = 12_700  # EMU in a point
ASIDE = frozenset(("dt", "ftr", "sldNum", "hdr", "sldImg"))
TITLES = frozenset(("title", "ctrTitle"))
SAME = 12.0  # points by which tops may differ within one row of shapes


@dataclass(frozen=True, slots=True)
class _Shape:
    """A shape that holds something: its element, its place, and the title | body | "" it is in its layout."""

    node: Any
    place: Place
    role: str
    made: Any = None

    @property
    def corner(self) -> tuple[float, float]:
        """Return left and top; what has no place comes first."""
        return self.place.box[:2] if self.place.box else (0.0, 0.0)


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page a slide."""
    try:
        deck = pptx.Presentation(io.BytesIO(normal(data)))
    except (KeyError, ValueError, zipfile.BadZipFile, XMLSyntaxError, PythonPptxError) as problem:
        raise ParseError("The PPTX is damaged.", hint="Open it in PowerPoint and save it again.") from problem
    title = clean(deck.core_properties.title or "")
    for number, slide in enumerate(deck.slides, start=1):
        elements = tuple(_slide(slide, number, document.id))
        first = next((one.text for one in elements if one.kind == "heading"), "")
        hidden = slide.element.get("show") in ("0", "false")
        warnings = (f"Slide {number} is hidden; it was read.",) if hidden else ()
        yield Page(elements=elements, title=title or first, warnings=warnings, place=Place(page=number))
        title = title or first


def _slide(slide: Any, number: int, doc_id: str) -> Iterator[Element]:
    shapes = list(_shapes(slide.shapes._spTree, slide, number, lambda box: box))
    for shape in _ordered(shapes):
        yield from _shape(shape, slide, doc_id)
    notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    said = "\n".join(filter(None, (words(one) for one in notes._txBody.iter(A + "p")))) if notes else ""
    if said.strip():
        yield from line(doc_id, f"Speaker notes: {said}", Place(page=number))


def _shapes(tree: Any, slide: Any, number: int, frame: Any) -> Iterator[_Shape]:
    """Yield shapes; those of a group stand in the group's own coordinates, which `frame` takes to the slide's."""
    for node in tree:
        if node.tag == ALTERNATE:
            branch = chosen(node)
            yield from _shapes(branch if branch is not None else (), slide, number, frame)
        elif node.tag == PML + "grpSp":
            yield from _shapes(node, slide, number, _inner(node, frame))
        elif node.tag in (PML + "sp", PML + "pic", PML + "graphicFrame", PML + "cxnSp"):
            holder = node.find(f".//{PML}nvPr/{PML}ph")
            role = holder.get("type", "obj") if holder is not None else ""
            if role not in ASIDE:
                made = SlideShapeFactory(node, slide.shapes)
                box = _box(made)
                yield _Shape(node, Place(page=number, box=frame(box) if box else None), role, made)


def _box(shape: Any) -> Box | None:
    try:
        left, top, width, height = shape.left, shape.top, shape.width, shape.height
    except (AttributeError, KeyError, ValueError):  # a placeholder of a kind its layout does not have
        return None
    if left is None or top is None:
        return None
    box: Box = _rounded(
        left / POINT, top / POINT, (left + (width or 0)) / POINT, (top + (height or 0)) / POINT
    )
    return box


def _rounded(*box: float) -> Any:
    return tuple(round(one, 1) for one in box)


def _inner(group: Any, frame: Any) -> Any:
    """Return the way from a group's inner coordinates to those of the slide."""
    found = group.find(f"{PML}grpSpPr/{A}xfrm")
    names = (("off", "x"), ("off", "y"), ("ext", "cx"), ("ext", "cy"), ("chOff", "x"), ("chOff", "y"),
             ("chExt", "cx"), ("chExt", "cy"))  # fmt: skip
    try:
        values = [int(found.find(A + name).get(key)) / POINT for name, key in names]
    except (AttributeError, TypeError, ValueError):  # a group without coordinates of its own
        return frame
    x, y, wide, high, inner_x, inner_y, inner_wide, inner_high = values
    across, down = wide / inner_wide if inner_wide else 1.0, high / inner_high if inner_high else 1.0

    def moved(box: Box) -> Box:
        left, top, right, bottom = box
        outer = frame((x + (left - inner_x) * across, y + (top - inner_y) * down,
                       x + (right - inner_x) * across, y + (bottom - inner_y) * down))  # fmt: skip
        return _rounded(*outer)  # type: ignore[no-any-return]

    return moved


def _ordered(shapes: list[_Shape]) -> list[_Shape]:
    """Return titles, then placeholders, then the rest; in each, rows from the top, each from the left."""

    def rank(shape: _Shape) -> int:
        return 0 if shape.role in TITLES else 1 if shape.role else 2

    found: list[_Shape] = []
    for group in range(3):
        rows: list[list[_Shape]] = []
        for shape in sorted((one for one in shapes if rank(one) == group), key=lambda one: one.corner[1]):
            if rows and shape.corner[1] - rows[-1][0].corner[1] < SAME:
                rows[-1].append(shape)
            else:
                rows.append([shape])
        found += [shape for row in rows for shape in sorted(row, key=lambda one: one.corner[0])]
    return found


def _shape(shape: _Shape, slide: Any, doc_id: str) -> Iterator[Element]:
    node, place = shape.node, shape.place
    body = node.find(PML + "txBody")
    if body is not None and shape.role in TITLES:
        yield from line(doc_id, squeeze(" ".join(map(words, body.iter(A + "p")))), place, level=1)
    elif body is not None:
        bullets = Bullets(shape.made, slide, listed=shape.role in ("obj", "body"))
        for paragraph in body.iter(A + "p"):
            said = words(paragraph)
            yield from line(doc_id, bullets.mark(paragraph, body) + said if said.strip() else "", place)
    if node.tag == PML + "graphicFrame":
        yield from _graphic(node, slide.part, place, doc_id)
    picture = node.find(f"*/{PML}cNvPr")
    if body is None and picture is not None:
        yield from line(doc_id, described(picture.get("descr", "")), place, kind="image")


def _graphic(node: Any, part: Any, place: Place, doc_id: str) -> Iterator[Element]:
    for grid in node.iter(A + "tbl"):
        rows = _cells(grid)
        properties = grid.find(A + "tblPr")
        named = properties is not None and properties.get("firstRow") in ("1", "true") and len(rows) > 1
        found = table(doc_id, rows, _places(place, len(rows)), header=1 if named else None)
        yield from [found] if found else []
    for kind, root in graphic(node, part):
        title, rows = chart(root) if kind == "chart" else (diagram(root), [])
        yield from line(doc_id, title, place)
        found = table(doc_id, rows, _places(place, len(rows)), header=1)
        yield from [found] if found else []


def _places(place: Place, rows: int) -> list[Place]:
    return [Place(page=place.page, box=place.box, row=number) for number in range(1, rows + 1)]


def _cells(grid: Any) -> list[list[str]]:
    """Return rows; a cell over several rows is repeated in each, so that every row can be read alone."""
    rows: list[list[str]] = []
    for row in grid.iter(A + "tr"):
        texts: list[str] = []
        for cell in row.findall(A + "tc"):
            column = len(texts)
            if cell.get("hMerge") in ("1", "true"):
                texts.append("")
            elif cell.get("vMerge") in ("1", "true"):
                texts.append(rows[-1][column] if rows and column < len(rows[-1]) else "")
            else:
                texts.append(" ".join(words(one) for one in cell.iter(A + "p")))
        rows.append(texts)
    return rows
