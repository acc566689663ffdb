"""ODT, ODS and ODP to elements: a page for a text, one for each sheet or slide; values as the file shows them.

Headers, footers and deleted text are set aside; macros are never run.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.text import clean, squeeze
from lyceum.core.types import Box, Document, Element, Page, Place
from lyceum.ingest.docx_styles import written
from lyceum.ingest.docx_words import Said
from lyceum.ingest.lines import NOTES, first_heading, line
from lyceum.ingest.ooxml import whole, xml
from lyceum.ingest.sheet import CELLS, COLUMNS, Merge, Row, elements, spread, too_many
from lyceum.ingest.tables import grid

_urn = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
OFFICE, TEXT, TABLE, DRAW, STYLE, PRESENTATION, SVG = (
    _urn % name for name in ("office", "text", "table", "drawing", "style", "presentation", "svg-compatible")
)
DC = "{http://purl.org/dc/elements/1.1/}"
UNREAD = frozenset((TEXT + "ruby-text", TEXT + "tracked-changes", TEXT + "note-citation"))
SIGNS = {TEXT + "tab": "\t", TEXT + "line-break": "\n", TEXT + "s": " "}
FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
POINTS = {"pt": 1.0, "in": 72.0, "cm": 72 / 2.54, "mm": 72 / 25.4, "pc": 12.0, "px": 0.75}
HEADER = TABLE + "table-header-rows"
ROWS = frozenset((HEADER, TABLE + "table-rows", TABLE + "table-row-group"))


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield the pages of a text, a spreadsheet or a presentation."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        if b"encryption-data" in package.read("META-INF/manifest.xml"):
            hint = "Save a copy without the password."
            raise ParseError("It is protected by a password.", hint=hint, code="password")
        content = xml(package.read("content.xml"))
        styles, meta = (
            xml(package.read(name) if name in package.namelist() else b"<none/>")
            for name in ("styles.xml", "meta.xml")
        )
    title = clean(meta.findtext(f".//{DC}title") or "")
    walk = _Walk(content, styles, document.id)
    makers = {"text": walk.text, "spreadsheet": walk.sheets, "presentation": walk.slides}
    for name, maker in makers.items():
        for body in content.iterfind(f"{OFFICE}body/{OFFICE}{name}"):
            for found, warnings, place in maker(body):
                title = title or (first_heading(found) if name != "spreadsheet" else "")
                yield Page(elements=tuple(found), title=title, warnings=tuple(warnings), place=place)


def _gather(node: Any, said: Said) -> Said:
    """Add the words of a node to `said`, aside (mark, node): "[1]" for a note, "comment", "frame"."""
    said.parts.append(node.text or "")
    for child in node:
        tag = child.tag if isinstance(child.tag, str) else ""
        if tag in SIGNS:
            said.parts.append(SIGNS[tag])
        elif tag == TEXT + "note":
            mark = f"[{child.findtext(TEXT + 'note-citation') or '*'}]"
            said.parts.append(mark)
            said.aside.append((mark, child))
        elif tag == OFFICE + "annotation":
            said.aside.append(("comment", child))
        elif tag.startswith(DRAW):
            said.aside.append(("frame", child))
        elif tag and tag not in UNREAD:
            _gather(child, said)
            said.parts.append(" " if tag == TEXT + "number" else "")
        said.parts.append(child.tail or "")
    return said


def _words(node: Any) -> str:
    """Return the words of all paragraphs below a node, a line each."""
    texts = (_gather(one, Said()).text for one in node.iter(TEXT + "p", TEXT + "h"))
    return "\n".join(text for text in texts if text.strip())


Found = tuple[list[Element], list[str], Place]  # elements, warnings and place of a page


class _Walk:
    """A walk over one content.xml."""

    def __init__(self, content: Any, styles: Any, doc_id: str) -> None:
        self.doc_id = doc_id
        self.parents = {
            one.get(STYLE + "name"): one.get(STYLE + "parent-style-name")
            for one in content.iter(STYLE + "style")
        }
        off = content.iterfind(f".//{STYLE}style/{STYLE}table-properties[@{TABLE}display='false']")
        self.hidden = {one.getparent().get(STYLE + "name") for one in off}
        self.numbered = {  # the form of numbers by a list's style and level
            (one.getparent().get(STYLE + "name", ""), one.get(TEXT + "level", "1")): one.get(
                STYLE + "num-format"
            )
            for root in (styles, content)
            for one in root.iter(TEXT + "list-level-style-number")
        }

    def text(self, body: Any) -> Iterator[Found]:
        """Yield one page: an ODT has none of its own before it is printed."""
        changed = body.find(TEXT + "tracked-changes") is not None
        warnings = ["Tracked changes: inserted text was read, deleted text was left out."] if changed else []
        blocks = (self.block(child, Place(line=number)) for number, child in enumerate(body, start=1))
        yield [one for block in blocks for one in block], warnings, Place()

    def block(self, node: Any, place: Place, mark: str = "") -> Iterator[Element]:
        """Yield the elements of a paragraph, a list, a table, a frame, or what holds some."""
        tag = node.tag if isinstance(node.tag, str) else ""
        if tag in (TEXT + "p", TEXT + "h"):
            said = _gather(node, Said())
            text = clean(said.text)
            yield from line(self.doc_id, mark + text if text else "", place, level=self._level(node))
            yield from self._aside(said, place)
        elif tag == TEXT + "list":
            yield from self._list(node, place, "", 1)
        elif tag == TABLE + "table":
            rows, merges, header = _rows(node)
            spread(rows, merges)
            width = max((max(texts) for _, texts in rows), default=0)
            cells = [[texts.get(column, "") for column in range(1, width + 1)] for _, texts in rows]
            places = [Place(page=place.page, box=place.box, line=place.line, row=row) for row, _ in rows]
            yield from grid(self.doc_id, cells, places, header=header or None)
        elif tag.startswith((TEXT, DRAW)) and tag != TEXT + "tracked-changes":
            for child in node:
                yield from self.block(child, place)
            yield from line(self.doc_id, node.findtext(SVG + "desc") or "", place, kind="image")

    def _list(self, node: Any, place: Place, style: str, depth: int) -> Iterator[Element]:
        style = node.get(TEXT + "style-name", style)
        form = self.numbered.get((style, str(depth)))
        count = 0
        for item in node.iterchildren(TEXT + "list-item", TEXT + "list-header"):
            count = whole(item.get(TEXT + "start-value"), count + 1)
            mark = f"{written(count, FORMS.get(form, 'decimal'))}. " if form else "- "
            mark = mark if item.tag == TEXT + "list-item" else ""
            for child in item:
                if child.tag == TEXT + "list":
                    yield from self._list(child, place, style, depth + 1)
                else:
                    yield from self.block(child, place, mark)
                    mark = ""

    def _level(self, node: Any) -> int:
        if node.tag == TEXT + "h":
            return min(max(whole(node.get(TEXT + "outline-level"), 1), 1), 6)
        style = node.get(TEXT + "style-name", "")
        return 1 if "Title" in (style, self.parents.get(style)) else 0

    def _aside(self, said: Said, place: Place) -> Iterator[Element]:
        for mark, held in said.aside:
            if mark == "frame":
                yield from self.block(held, place)
            elif text := squeeze(_words(held)):
                who = held.findtext(DC + "creator") or "somebody"
                start = f"Comment by {who}:" if mark == "comment" else mark
                yield from line(self.doc_id, f"{start} {text}", place)

    def sheets(self, body: Any) -> Iterator[Found]:
        """Yield a page a sheet."""
        for sheet in body.iterfind(TABLE + "table"):
            name = sheet.get(TABLE + "name", "")
            rows, merges, _ = _rows(sheet)
            parts = sheet.iter(TABLE + "table-row", TABLE + "table-column")
            said = []
            if sheet.get(TABLE + "style-name") in self.hidden:
                said.append(f"Sheet {name} is hidden; it was read.")
            if any(one.get(TABLE + "visibility", "visible") != "visible" for one in parts):
                said.append(f"Sheet {name} has hidden rows or columns; they were read.")
            yield list(elements(rows, merges, name, self.doc_id)), said, Place(sheet=name)

    def slides(self, body: Any) -> Iterator[Found]:
        """Yield a page a slide: its title, what stands on it, its notes."""
        for number, slide in enumerate(body.iterfind(DRAW + "page"), start=1):
            found: list[Element] = []
            for node in sorted(slide.iterchildren("*"), key=lambda one: not _is_title(one)):
                place = Place(page=number, box=_box(node))
                if _is_title(node):
                    found += line(self.doc_id, squeeze(_words(node)), place, level=1)
                elif node.tag == PRESENTATION + "notes":
                    text = _words(node)
                    found += line(self.doc_id, NOTES if text else "", Place(page=number), level=2)
                    found += line(self.doc_id, text, Place(page=number))
                else:
                    found += self.block(node, place)
            yield found, [], Place(page=number)


def _is_title(node: Any) -> bool:
    return bool(node.get(PRESENTATION + "class") == "title")


def _box(node: Any) -> Box | None:
    x, y, wide, high = (_points(node.get(SVG + name, "")) for name in ("x", "y", "width", "height"))
    if x is None or y is None:
        return None
    return round(x, 1), round(y, 1), round(x + (wide or 0), 1), round(y + (high or 0), 1)


def _points(text: str) -> float | None:
    match = re.fullmatch(r"(-?\d+\.?\d*)(pt|in|cm|mm|pc|px)", text)
    return float(match[1]) * POINTS[match[2]] if match else None


def _rows(node: Any) -> tuple[list[Row], list[Merge], int]:
    """Return rows with content, merges and the number of header rows; repetitions of nothing take no room."""
    rows: list[Row] = []
    merges: list[Merge] = []
    header, number, budget = 0, 1, CELLS
    for row in _nodes(node):
        texts = _cells(row, number, merges)
        repeated = _count(row, "number-rows-repeated")
        budget -= len(texts) * repeated + 1
        if budget < 0:
            raise too_many()
        rows += [(one, dict(texts)) for one in range(number, number + repeated if texts else number)]
        number += repeated
        header += row.getparent().tag == HEADER
    return rows, merges, header


def _nodes(node: Any) -> Iterator[Any]:
    for child in node:
        if child.tag == TABLE + "table-row":
            yield child
        elif child.tag in ROWS:
            yield from _nodes(child)


def _cells(row: Any, number: int, merges: list[Merge]) -> dict[int, str]:
    """Return a row's words by column, those of notes and tables inside cells too; comments are left out."""
    texts: dict[int, str] = {}
    column = 1
    for cell in row.iterchildren(TABLE + "table-cell", TABLE + "covered-table-cell"):
        repeated = _count(cell, "number-columns-repeated")
        for comment in cell.findall(OFFICE + "annotation"):
            cell.remove(comment)
        text = squeeze(clean(_words(cell))) if cell.tag == TABLE + "table-cell" else ""
        if text:
            texts.update((one, text) for one in range(column, min(column + repeated, COLUMNS + 1)))
        wide, high = _count(cell, "number-columns-spanned"), _count(cell, "number-rows-spanned")
        if wide > 1 or high > 1:
            merges.append((number, column, number + high - 1, column + wide - 1))
        column += repeated
    return texts


def _count(node: Any, name: str) -> int:
    return min(max(whole(node.get(TABLE + name), 1), 1), 1 << 21)
