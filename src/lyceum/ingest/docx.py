"""DOCX to headings, paragraphs, lists, tables, notes and comments in the order of the body.

A place is the block's number. Headers and footers, deleted text and instructions of fields are set aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docx

from lyceum.core.text import clean, squeeze
from lyceum.core.types import Document, Element, Page, Place
from lyceum.ingest.charts import drawn
from lyceum.ingest.docx_styles import Numbers, Styles, related, value
from lyceum.ingest.docx_words import Said, gather
from lyceum.ingest.lines import first_heading, line
from lyceum.ingest.ooxml import W, described, normal, whole
from lyceum.ingest.tables import grid

SPAN = 63  # the most columns a table of Word has
P, TABLE, ROW, CELL = W + "p", W + "tbl", W + "tr", W + "tc"
WRAPPERS = frozenset(W + name for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"))


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page: DOCX has none of its own before it is printed."""
    opened = docx.Document(normal(data))
    body = _Body(opened.part, document.id)
    elements: list[Element] = []
    for number, child in enumerate(opened.element.body, start=1):
        elements += body.block(child, Place(line=number))
    title = clean(opened.core_properties.title or "") or first_heading(elements)
    yield Page(elements=tuple(elements), title=title, warnings=tuple(body.warnings))


class _Body:
    """A walk over blocks; counts numbers and notes on its way, so every block is read once and in order."""

    def __init__(self, part: Any, doc_id: str) -> None:
        self.part, self.doc_id = part, doc_id
        self.styles = Styles(part)
        self.numbers = Numbers(part, self.styles)
        self.notes = {
            kind: {one.get(W + "id", ""): one for one in related(part, kind + "s").iter(W + kind)}
            for kind in ("footnote", "endnote", "comment")
        }
        self.counted = dict.fromkeys(self.notes, 0)
        self.warnings: dict[str, None] = {}

    def block(self, node: Any, place: Place) -> Iterator[Element]:
        """Yield the elements of a paragraph, a table, or what holds some."""
        if node.tag == P:
            yield from self._paragraph(node, place)
        elif node.tag == TABLE:
            yield from self._table(node, place)
        elif node.tag in WRAPPERS:
            yield from self._blocks(node, place)
        elif node.tag == W + "altChunk":
            self.warnings["A document embedded in another format (altChunk) was not read."] = None

    def _blocks(self, nodes: Any, place: Place) -> Iterator[Element]:
        for node in nodes:
            yield from self.block(node, place)

    def _paragraph(self, node: Any, place: Place) -> Iterator[Element]:
        said, text = self._said(node)
        properties = node.find(W + "pPr")
        level = self.styles.level(properties, text) if text else 0
        kind = "formula" if said.formula else "code" if self.styles.is_code(properties) else "text"
        yield from line(self.doc_id, text, place, kind=kind, level=level)
        yield from self._aside(said, place)

    def _said(self, node: Any) -> tuple[Said, str]:
        """Return a paragraph's words, whole with its number and the marks of its notes."""
        said = gather(node, Said())
        if said.changed:
            self.warnings["Tracked changes: inserted text was read, deleted text was left out."] = None
        for index, (kind, held) in enumerate(said.aside):
            if kind in ("footnote", "endnote"):
                number, position = held
                self.counted[kind] += 1
                mark = said.parts[position] = f"[{'e' * (kind == 'endnote')}{self.counted[kind]}]"
                said.aside[index] = (kind, (number, mark))
        text = clean(said.text)
        label = self.numbers.label(node.find(W + "pPr")) if text else ""
        return said, f"{label} {text}".strip()

    def _aside(self, said: Said, place: Place) -> Iterator[Element]:
        """Yield what hangs on a paragraph behind it: boxes, pictures, drawings, notes, comments."""
        for kind, held in said.aside:
            if kind == "box":
                yield from self._blocks(held, place)
            elif kind == "picture":
                yield from line(self.doc_id, described(held), place, kind="image")
            elif kind == "drawing":
                for title, rows in drawn(held, self.part):
                    yield from line(self.doc_id, title, place)
                    yield from grid(self.doc_id, rows, [place] * len(rows), header=1)
            elif (note := self.notes[kind].get(held[0])) is not None:
                who = note.get(W + "author") or "somebody"
                mark = f"Comment by {who}:" if kind == "comment" else held[1]
                words = squeeze(" ".join(gather(one, Said()).text for one in note.iter(P)))
                yield from line(self.doc_id, f"{mark} {words}" if words else "", place)

    def _table(self, node: Any, place: Place) -> Iterator[Element]:
        """Yield a table; merged cells repeat their text in every row, so that a row can be read alone."""
        found = [row for row in _inside(node, ROW) if row.find(f"{W}trPr/{W}del") is None]
        cells = [list(_inside(row, CELL)) for row in found]
        if len(cells) == 1 and len(cells[0]) == 1:  # a frame round other blocks
            yield from self._blocks(cells[0][0], place)
            return
        header = 0
        while header < len(found) and _names_columns(found[header]):
            header += 1
        beside = Said()
        rows: list[list[str]] = []
        for row, held in zip(found, cells, strict=True):
            rows.append(self._row(row, held, rows[-1] if rows else [], beside))
        places = [Place(line=place.line, row=number) for number in range(1, len(rows) + 1)]
        yield from grid(self.doc_id, rows, places, header=header or None)
        yield from self._aside(beside, place)

    def _row(self, row: Any, cells: list[Any], above: list[str], beside: Said) -> list[str]:
        texts = [""] * min(whole(value(row.find(W + "trPr"), "gridBefore"), 0), SPAN)
        for cell in cells:
            properties = cell.find(W + "tcPr")
            merged = properties.find(W + "vMerge") if properties is not None else None
            if merged is not None and merged.get(W + "val", "continue") == "continue":
                text = above[len(texts)] if len(texts) < len(above) else ""
            else:
                text = self._cell(cell, beside)
            texts += [text] + [""] * (min(whole(value(properties, "gridSpan"), 1), SPAN) - 1)
        return texts

    def _cell(self, cell: Any, beside: Said) -> str:
        """Return a cell's words; a table inside it is read row by row."""
        texts = []
        for child in cell:
            if child.tag == P:
                said, text = self._said(child)
                beside.aside += said.aside
                texts.append(text)
            elif child.tag == TABLE:
                rows = (
                    [self._cell(one, beside) for one in _inside(row, CELL)] for row in _inside(child, ROW)
                )
                texts.append("; ".join(", ".join(filter(None, row)) for row in rows))
            elif child.tag in WRAPPERS:
                texts.append(self._cell(child, beside))
        return " ".join(text for text in texts if text)


def _inside(node: Any, tag: str) -> Iterator[Any]:
    """Yield the rows of a table or the cells of a row, through what may wrap them."""
    for child in node:
        if child.tag == tag:
            yield child
        elif child.tag in WRAPPERS:
            yield from _inside(child, tag)


def _names_columns(row: Any) -> bool:
    found = row.find(f"{W}trPr/{W}tblHeader")
    return found is not None and found.get(W + "val", "1") not in ("0", "false", "off")
