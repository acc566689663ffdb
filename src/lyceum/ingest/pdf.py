"""PDF to elements page by page: text layer, headings, two columns, ruled tables; running headers set aside."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from lyceum.core.errors import ParseError
from lyceum.core.types import Box, Document, Element, Page, Place
from lyceum.ingest.pdf_layout import Line, Style, compose, masked, read_lines, style
from lyceum.ingest.tables import table

SAMPLE = 40  # pages from which the document's style is learnt
RULINGS = 4  # fewer paths than this draw no table
DOTS = "...."


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page at a time; the first carries the document's title."""
    pdf = _open(data)
    try:
        count = len(pdf)
        step = max(1, count // SAMPLE)
        learnt = [_lines(pdf, index) for index in range(0, count, step)]
        look = style(learnt)
        rulings = _Rulings(data)
        title = (pdf.get_metadata_value("Title") or "").strip()
        for index in range(count):
            lines = learnt[index // step] if index % step == 0 else _lines(pdf, index)
            yield _page(pdf, index, lines, look, rulings, document.id, title if index == 0 else "")
    finally:
        pdf.close()


def count_pages(data: bytes, document: Document) -> int:
    """Return the number of pages, before any of them is read."""
    with _open(data) as pdf:
        return len(pdf)


def _open(data: bytes) -> Any:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as problem:
        if "password" in str(problem).lower():
            raise ParseError(
                "The PDF is protected by a password.",
                hint="Save a copy without the password.",
                code="password",
            ) from problem
        raise ParseError(
            "The PDF is damaged and cannot be opened.", hint="Print it to a new PDF, or get another copy."
        ) from problem


def _lines(pdf: Any, index: int) -> list[Line]:
    page = pdf[index]
    try:
        return read_lines(page)
    finally:
        page.close()


def _page(
    pdf: Any, index: int, lines: Sequence[Line], look: Style, rulings: _Rulings, doc_id: str, title: str
) -> Page:
    number = index + 1
    kept = [line for line in lines if masked(line) not in look.repeated]
    page = pdf[index]
    try:
        tables = rulings.tables(page, index, doc_id) if kept else []
        warnings = () if lines or not _has_image(page) else (f"Page {number} has no text layer (a scan?).",)
    finally:
        page.close()
    elements: list[Element] = []
    start = 0
    for found in sorted(tables, key=lambda one: _first_inside(kept, one)):
        at = max(start, _first_inside(kept, found))
        elements += compose(_outside(kept[start:at], tables), look, doc_id, number)
        elements.append(found)
        start = at
    elements += compose(_outside(kept[start:], tables), look, doc_id, number)
    if index == 0 and not title:
        title = next((one.text for one in elements if one.kind == "heading" and one.level == 1), "")
    return Page(elements=tuple(elements), title=title, warnings=warnings)


def _has_image(page: Any) -> bool:
    return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=2))


def _inside(line: Line, box: Box | None) -> bool:
    assert box is not None
    x, y = (line.box[0] + line.box[2]) / 2, (line.box[1] + line.box[3]) / 2
    return box[0] - 2 <= x <= box[2] + 2 and box[1] - 2 <= y <= box[3] + 2


def _first_inside(lines: Sequence[Line], found: Element) -> int:
    return next((i for i, line in enumerate(lines) if _inside(line, found.place.box)), len(lines))


def _outside(lines: Sequence[Line], tables: Sequence[Element]) -> list[Line]:
    return [line for line in lines if not any(_inside(line, one.place.box) for one in tables)]


class _Rulings:
    """Finds ruled tables; pdfplumber is slow, so it is opened only for a page that draws enough paths."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._plumber: Any = None

    def tables(self, page: Any, index: int, doc_id: str) -> list[Element]:
        if page.get_rotation() or not _draws(page):
            return []
        if self._plumber is None:
            import pdfplumber

            self._plumber = pdfplumber.open(io.BytesIO(self.data))
        drawn = self._plumber.pages[index]
        text_page = page.get_textpage()
        left, _, _, top = page.get_cropbox()
        elements = []
        for found in drawn.find_tables():
            rows = [
                [_words(text_page, cell, left, top) if cell else "" for cell in row.cells]
                for row in found.rows
            ]
            if _believable(rows):
                places = [Place(page=index + 1, box=_rounded(row.bbox)) for row in found.rows]
                made = table(doc_id, rows, places)
                if made:
                    elements.append(_placed(made, Place(page=index + 1, box=_rounded(found.bbox))))
        text_page.close()
        drawn.close()
        return elements


def _draws(page: Any) -> bool:
    """Say whether a page holds enough drawn paths for a table."""
    paths = page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH], max_depth=2)
    return sum(1 for _ in itertools.islice(paths, RULINGS)) == RULINGS


def _words(text_page: Any, cell: Box, left: float, top: float) -> str:
    x0, y0, x1, y1 = cell
    text: str = text_page.get_text_bounded(x0 + left + 0.5, top - y1 + 0.5, x1 + left - 0.5, top - y0 - 0.5)
    return text.replace("\u0002", "").replace("\ufffe", "")


def _believable(rows: Sequence[Sequence[str]]) -> bool:
    """Refuse plot frames, boxes around text and tables of contents: 2 x 2, half filled, no leader dots."""
    cells = [cell for row in rows for cell in row]
    filled = [cell for cell in cells if cell.strip()]
    wide = len(rows) >= 2 and max(map(len, rows)) >= 2
    return (
        wide and len(filled) >= len(cells) / 2 and sum(DOTS in cell for cell in filled) < len(filled) / 4 + 1
    )


def _rounded(box: Any) -> Box:
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3]))


def _placed(element: Element, place: Place) -> Element:
    return Element(
        doc_id=element.doc_id,
        kind="table",
        text=element.text,
        place=place,
        pieces=element.pieces,
        table=element.table,
    )
