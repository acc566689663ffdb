"""PDF to elements page by page: text layer, headings, two columns, tables; running headers set aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from lyceum.core.errors import ParseError
from lyceum.core.types import Box, Document, Element, Page
from lyceum.ingest.pdf_layout import Line, Style, compose, masked, read_lines, style
from lyceum.ingest.pdf_tables import Tables

SAMPLE = 40  # pages from which the document's style is learnt


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page at a time; the first carries the document's title."""
    pdf = _open(data)
    try:
        count = len(pdf)
        step = max(1, count // SAMPLE)
        learnt = [_lines(pdf, index) for index in range(0, count, step)]
        look = style(learnt)
        tables = Tables()
        title = (pdf.get_metadata_value("Title") or "").strip()
        for index in range(count):
            lines = learnt[index // step] if index % step == 0 else _lines(pdf, index)
            page = _page(pdf, index, lines, look, tables, document.id, title if index == 0 else "")
            yield from tables.joined(page)
        yield from tables.rest()
    finally:
        pdf.close()


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
    pdf: Any, index: int, lines: Sequence[Line], look: Style, finder: Tables, doc_id: str, title: str
) -> Page:
    number = index + 1
    kept = [line for line in lines if masked(line) not in look.repeated]
    page = pdf[index]
    try:
        tables = finder(page, number, doc_id) if kept else []
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
