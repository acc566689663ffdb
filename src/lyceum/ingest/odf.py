"""ODT, ODS and ODP to elements: a page for a text, one for each sheet or slide; values as the file shows them.

Headers, footers and deleted text are set aside; macros are never run.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from lxml.etree import XMLSyntaxError

from lyceum.core.errors import ParseError
from lyceum.core.text import clean, squeeze
from lyceum.core.types import Box, Document, Element, Page, Place
from lyceum.ingest.lines import line
from lyceum.ingest.odf_words import (
    DC,
    DRAW,
    OFFICE,
    PRESENTATION,
    STYLE,
    SVG,
    TABLE,
    TEXT,
    Lists,
    Said,
    gather,
    words,
)
from lyceum.ingest.ooxml import xml
from lyceum.ingest.sheet import CELLS, COLUMNS, Merge, Row, elements, spread, too_many
from lyceum.ingest.tables import table

POINTS = {"pt": 1.0, "in": 72.0, "cm": 72 / 2.54, "mm": 72 / 25.4, "pc": 12.0, "px": 0.75}
ROWS = frozenset(TABLE + name for name in ("table-rows", "table-header-rows", "table-row-group"))
HEADER = TABLE + "table-header-rows"


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield the pages of a text, a spreadsheet or a presentation."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            if b"encryption-data" in package.read("META-INF/manifest.xml"):
                hint = "Save a copy without the password."
                raise ParseError("It is protected by a password.", hint=hint, code="password")
            content = xml(package.read("content.xml"))
            styles, meta = (
                xml(package.read(name)) if name in package.namelist() else xml(b"<none/>")
                for name in ("styles.xml", "meta.xml")
            )
    except (KeyError, ValueError, RuntimeError, zipfile.BadZipFile, XMLSyntaxError) as problem:
        hint = "Open it in its program and save it again."
        raise ParseError("The OpenDocument file is damaged.", hint=hint) from problem
    title = clean(meta.findtext(f".//{DC}title") or "")
    walk = _Walk(content, styles, document.id)
    makers = {"text": walk.text, "spreadsheet": walk.sheets, "presentation": walk.slides}
    for name, maker in makers.items():
        for body in content.iterfind(f"{OFFICE}body/{OFFICE}{name}"):
            for page in maker(body):
                first = next((one.text for one in page.elements if one.kind == "heading"), "")
                title = title or (first if name != "spreadsheet" else "")
                yield Page(elements=page.elements, title=title, warnings=page.warnings, place=page.place)


class _Walk:
    """A walk over one content.xml."""

    def __init__(self, content: Any, styles: Any, doc_id: str) -> None:
        self.doc_id, self.lists = doc_id, Lists(styles, content)
        self.parents = {
            one.get(STYLE + "name"): one.get(STYLE + "parent-style-name")
            for one in content.iter(STYLE + "style")
        }
        off = content.iterfind(f".//{STYLE}style/{STYLE}table-properties[@{TABLE}display='false']")
        self.hidden = {one.getparent().get(STYLE + "name") for one in off}

    def text(self, body: Any) -> Iterator[Page]:
        """Yield one page: an ODT has none of its own before it is printed."""
        changed = body.find(TEXT + "tracked-changes") is not None
        warnings = ("Tracked changes: inserted text was read, deleted text was left out.",) if changed else ()
        blocks = (self.block(child, Place(line=number)) for number, child in enumerate(body, start=1))
        yield Page(elements=tuple(one for block in blocks for one in block), warnings=warnings)

    def block(self, node: Any, place: Place, mark: str = "") -> Iterator[Element]:
        """Yield the elements of a paragraph, a list, a table, a frame, or what holds some."""
        tag = node.tag if isinstance(node.tag, str) else ""
        if tag in (TEXT + "p", TEXT + "h"):
            said = gather(node, Said())
            text = clean(said.text)
            yield from line(self.doc_id, mark + text if text else "", place, level=self._level(node))
            yield from self._aside(said, place)
        elif tag == TEXT + "list":
            yield from self._list(node, place, "", 1)
        elif tag == TABLE + "table":
            yield from self._table(node, place)
        elif tag.startswith((TEXT, DRAW)) and tag != TEXT + "tracked-changes":
            for child in node:
                yield from self.block(child, place)
            said_of = clean(node.findtext(SVG + "desc") or "")
            yield from line(self.doc_id, said_of, place, kind="image")

    def _list(self, node: Any, place: Place, style: str, depth: int) -> Iterator[Element]:
        style = node.get(TEXT + "style-name", style)
        for item, mark in self.lists.items(node, style, depth):
            for child in item:
                if child.tag == TEXT + "list":
                    yield from self._list(child, place, style, depth + 1)
                else:
                    yield from self.block(child, place, mark)
                    mark = ""

    def _level(self, node: Any) -> int:
        if node.tag == TEXT + "h":
            level = node.get(TEXT + "outline-level", "1")
            return min(max(int(level), 1), 6) if level.isdigit() else 1
        style = node.get(TEXT + "style-name", "")
        return 1 if "Title" in (style, self.parents.get(style)) else 0

    def _aside(self, said: Said, place: Place) -> Iterator[Element]:
        for mark, held in said.aside:
            if mark == "frame":
                yield from self.block(held, place)
            elif text := squeeze(words(held)):
                who = held.findtext(DC + "creator") or "somebody"
                start = f"Comment by {who}:" if mark == "comment" else mark
                yield from line(self.doc_id, f"{start} {text}", place)

    def _table(self, node: Any, place: Place) -> Iterator[Element]:
        rows, merges, header = _grid(node)
        spread(rows, merges)
        width = max((max(texts) for _, texts in rows), default=0)
        cells = [[texts.get(column, "") for column in range(1, width + 1)] for _, texts in rows]
        places = [Place(page=place.page, box=place.box, line=place.line, row=number) for number, _ in rows]
        found = table(self.doc_id, cells, places, header=header or None)
        yield from [found] if found else []

    def sheets(self, body: Any) -> Iterator[Page]:
        """Yield a page a sheet."""
        for sheet in body.iterfind(TABLE + "table"):
            name = sheet.get(TABLE + "name", "")
            rows, merges, _ = _grid(sheet)
            parts = sheet.iter(TABLE + "table-row", TABLE + "table-column")
            off = any(one.get(TABLE + "visibility", "visible") != "visible" for one in parts)
            said = (
                [f"Sheet {name} is hidden; it was read."]
                if sheet.get(TABLE + "style-name") in self.hidden
                else []
            )
            said += [f"Sheet {name} has hidden rows or columns; they were read."] if off else []
            found = tuple(elements(rows, merges, name, self.doc_id))
            yield Page(elements=found, warnings=tuple(said), place=Place(sheet=name))

    def slides(self, body: Any) -> Iterator[Page]:
        """Yield a page a slide: its title, what stands on it, its notes."""
        for number, slide in enumerate(body.iterfind(DRAW + "page"), start=1):
            found: list[Element] = []
            nodes = [one for one in slide if isinstance(one.tag, str)]
            for node in sorted(nodes, key=lambda one: one.get(PRESENTATION + "class") != "title"):
                place = Place(page=number, box=_box(node))
                if node.get(PRESENTATION + "class") == "title":
                    found += line(self.doc_id, squeeze(words(node)), place, level=1)
                elif node.tag == PRESENTATION + "notes":
                    text = words(node)
                    found += line(self.doc_id, f"Speaker notes: {text}" if text else "", Place(page=number))
                else:
                    found += self.block(node, place)
            yield Page(elements=tuple(found), place=Place(page=number))


def _box(node: Any) -> Box | None:
    x, y, wide, high = (_points(node.get(SVG + name, "")) for name in ("x", "y", "width", "height"))
    if x is None or y is None:
        return None
    return round(x, 1), round(y, 1), round(x + (wide or 0), 1), round(y + (high or 0), 1)


def _points(text: str) -> float | None:
    match = re.fullmatch(r"(-?\d+\.?\d*)(pt|in|cm|mm|pc|px)", text)
    return float(match[1]) * POINTS[match[2]] if match else None


def _grid(node: Any) -> tuple[list[Row], list[Merge], int]:
    """Return rows with content, merges and the number of header rows; repetitions of nothing take no room."""
    rows: list[Row] = []
    merges: list[Merge] = []
    header, number, budget = 0, 1, CELLS
    for row in _rows(node):
        texts = _cells(row, number, merges)
        repeated = _count(row, "number-rows-repeated")
        budget -= len(texts) * repeated + 1
        if budget < 0:
            raise too_many()
        rows += [(one, dict(texts)) for one in range(number, number + repeated if texts else number)]
        number += repeated
        header += row.getparent().tag == HEADER
    return rows, merges, header


def _rows(node: Any) -> Iterator[Any]:
    for child in node:
        if child.tag == TABLE + "table-row":
            yield child
        elif child.tag in ROWS:
            yield from _rows(child)


def _cells(row: Any, number: int, merges: list[Merge]) -> dict[int, str]:
    texts: dict[int, str] = {}
    column = 1
    for cell in row.iterchildren(TABLE + "table-cell", TABLE + "covered-table-cell"):
        repeated = _count(cell, "number-columns-repeated")
        text = _words(cell) if cell.tag == TABLE + "table-cell" else ""
        if text:
            texts.update((one, text) for one in range(column, min(column + repeated, COLUMNS + 1)))
        wide, high = _count(cell, "number-columns-spanned"), _count(cell, "number-rows-spanned")
        if wide > 1 or high > 1:
            merges.append((number, column, number + high - 1, column + wide - 1))
        column += repeated
    return texts


def _words(cell: Any) -> str:
    """Return a cell's words, those of notes and tables inside it too; comments are left out."""
    for comment in cell.findall(OFFICE + "annotation"):
        cell.remove(comment)
    return squeeze(clean(words(cell)))


def _count(node: Any, name: str) -> int:
    found = node.get(TABLE + name, "1")
    return min(max(int(found), 1), 1 << 21) if found.isdigit() and len(found) < 10 else 1
