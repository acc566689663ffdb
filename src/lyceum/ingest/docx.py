"""DOCX to headings, paragraphs, lists and tables in the order of the body; a place is the block's number."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import docx
from docx.oxml.ns import qn
from docx.table import Table as DocxTable
from docx.text.paragraph import Paragraph
from lxml.etree import XMLSyntaxError

from lyceum.core.errors import ParseError
from lyceum.core.text import clean
from lyceum.core.types import Document, Element, Page, Piece, Place
from lyceum.ingest.tables import table

_heading = re.compile(r"^(?:heading|标题|überschrift|titre)\s*(\d)", re.I)
HAN = "零一二三四五六七八九十"


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page: DOCX has none of its own before it is printed."""
    try:
        opened = docx.Document(io.BytesIO(data))
    except (KeyError, ValueError, zipfile.BadZipFile, XMLSyntaxError) as problem:
        raise ParseError("The DOCX is damaged.", hint="Open it in Word and save it again.") from problem
    numbers = _Numbers(opened)
    elements: list[Element] = []
    for line, child in enumerate(opened.element.body.iterchildren(), start=1):
        place = Place(line=line)
        if child.tag == qn("w:p"):
            elements.extend(_paragraph(Paragraph(child, opened), numbers, document.id, place))
        elif child.tag == qn("w:tbl"):
            found = _table(DocxTable(child, opened), document.id, place)
            elements.extend([found] if found else [])
    title = clean(opened.core_properties.title or "")
    first = next((one.text for one in elements if one.kind == "heading"), "")
    yield Page(elements=tuple(elements), title=title or first)


def _paragraph(paragraph: Any, numbers: _Numbers, doc_id: str, place: Place) -> Iterator[Element]:
    text = clean(paragraph.text)
    if not text:
        return
    style = paragraph.style.name if paragraph.style is not None else ""
    level = _level(style)
    label = numbers.label(paragraph)
    if label:
        text = f"{label} {text}"
    piece = Piece(start=0, end=len(text), place=place)
    kind: Any = "heading" if level else "code" if "code" in style.lower() else "text"
    yield Element(doc_id=doc_id, kind=kind, text=text, place=place, pieces=(piece,), level=level)


def _level(style: str) -> int:
    if style.lower() in ("title", "标题"):
        return 1
    match = _heading.match(style)
    return min(int(match.group(1)), 6) if match else 0


def _table(found: Any, doc_id: str, place: Place) -> Element | None:
    """Return a table; merged cells repeat their text in every row, so that a row can be read alone."""
    rows = []
    for row in found.rows:
        cells: list[str] = []
        before: Any = None
        for cell in row.cells:
            wide = before is not None and cell._tc is before  # one cell over several columns
            cells.append("" if wide else _words(cell))
            before = cell._tc
        rows.append(cells)
    return table(doc_id, rows, [Place(line=place.line, row=n) for n in range(1, len(rows) + 1)])


def _words(cell: Any) -> str:
    texts = [paragraph.text for paragraph in cell.paragraphs]
    texts += [_words(inner) for nested in cell.tables for row in nested.rows for inner in row.cells]
    return " ".join(text for text in texts if text)


class _Numbers:
    """Automatic numbers of paragraphs, counted as Word shows them: "2.1", "(a)", "第三条" (ECMA-376, 17.9)."""

    def __init__(self, opened: Any) -> None:
        self.levels: dict[str, dict[int, tuple[str, str, int]]] = {}
        self.counts: dict[str, dict[int, int]] = {}
        try:
            root = opened.part.numbering_part.element
        except (KeyError, NotImplementedError):
            return
        abstract = {one.get(qn("w:abstractNumId")): one for one in root.findall(qn("w:abstractNum"))}
        for number in root.findall(qn("w:num")):
            link = number.find(qn("w:abstractNumId"))
            source = abstract.get(link.get(qn("w:val"))) if link is not None else None
            if source is not None:
                self.levels[number.get(qn("w:numId"))] = {
                    int(level.get(qn("w:ilvl"))): self._read(level) for level in source.findall(qn("w:lvl"))
                }

    @staticmethod
    def _read(level: Any) -> tuple[str, str, int]:
        def value(name: str, default: str) -> str:
            found = level.find(qn(name))
            return str(found.get(qn("w:val"), default)) if found is not None else default

        return value("w:numFmt", "decimal"), value("w:lvlText", ""), int(value("w:start", "1"))

    def label(self, paragraph: Any) -> str:
        """Return a paragraph's number or bullet, empty when it has none."""
        reference = self._reference(paragraph)
        if reference is None:
            return ""
        number, depth = reference
        levels = self.levels.get(number, {})
        if depth not in levels:
            return ""
        counts = self.counts.setdefault(number, {})
        counts[depth] = counts.get(depth, levels[depth][2] - 1) + 1
        for deeper in [one for one in counts if one > depth]:
            del counts[deeper]
        if levels[depth][0] == "bullet":
            return "-"
        return re.sub(
            r"%(\d)", lambda match: self._shown(levels, counts, int(match.group(1)) - 1), levels[depth][1]
        ).strip()

    @staticmethod
    def _shown(levels: dict[int, tuple[str, str, int]], counts: dict[int, int], depth: int) -> str:
        form, _, first = levels.get(depth, ("decimal", "", 1))
        return written(counts.get(depth, first), form)

    @staticmethod
    def _reference(paragraph: Any) -> tuple[str, int] | None:
        """Return (list, depth) from the paragraph or the styles it is based on."""
        holders = [paragraph._p.pPr]
        style = paragraph.style
        while style is not None:
            holders.append(style.element.pPr)
            style = style.base_style
        for holder in holders:
            found = holder.numPr if holder is not None else None
            if found is not None and found.numId is not None:
                return str(found.numId.val), int(found.ilvl.val) if found.ilvl is not None else 0
        return None


def written(number: int, form: str) -> str:
    """Return a number as Word writes it in a format."""
    if form in ("lowerLetter", "upperLetter"):
        letter = chr(ord("a") + (number - 1) % 26)
        return letter if form == "lowerLetter" else letter.upper()
    if form in ("lowerRoman", "upperRoman"):
        roman, rest = "", number
        steps = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
        for value, sign in steps:
            while rest >= value:
                roman, rest = roman + sign, rest - value
        return roman if form == "lowerRoman" else roman.upper()
    if form.startswith("chinese") or form in ("japaneseCounting", "ideographDigital"):
        tens, ones = divmod(number, 10)
        return (("" if tens == 1 else HAN[tens]) + "十" if tens else "") + (
            HAN[ones] if ones or not tens else ""
        )
    return str(number)
