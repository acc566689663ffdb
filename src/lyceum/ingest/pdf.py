"""PDF to elements page by page: text layer, headings, two columns, tables; running headers set aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from lyceum.core.types import Box, Document, Element, Page
from lyceum.ingest import ocr
from lyceum.ingest.pdf_blocks import compose, ordered
from lyceum.ingest.pdf_file import opened
from lyceum.ingest.pdf_headings import Style, Title, outline, style, without_running
from lyceum.ingest.pdf_layout import Line, read_lines
from lyceum.ingest.pdf_tables import Tables

SAMPLE = 40  # pages from which the document's style is learnt


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page at a time; the first carries the document's title and what had to be done to open it."""
    pdf, warnings = opened(data, document.meta.get("passwords", ()))
    with closing(pdf):
        count = len(pdf)
        step = max(1, count // SAMPLE)
        learnt = {index: _lines(pdf, index) for index in range(0, count, step)}
        titles = outline(pdf)
        look = style(list(learnt.values()), [titles.get(index, ()) for index in learnt])
        tables = Tables()
        title = (pdf.get_metadata_value("Title") or "").strip()
        for index in range(count):
            with closing(pdf[index]) as page:
                lines = learnt.pop(index, None) or read_lines(page)
                made = ocr.recognise(page, index + 1, "".join(line.text for line in lines), document)
                if not made.elements:
                    found = _elements(
                        page, index + 1, lines, look, titles.get(index, ()), tables, document.id
                    )
                    made = replace(made, elements=found)
            if index == 0:
                first = (one.text for one in made.elements if one.kind == "heading" and one.level == 1)
                title = title or next(first, "")
                made = replace(made, title=title, warnings=warnings + made.warnings, total=count)
            yield from tables.joined(made)
        yield from tables.rest()


def _lines(pdf: Any, index: int) -> list[Line]:
    with closing(pdf[index]) as page:
        return read_lines(page)


def _elements(
    page: Any, number: int, lines: Sequence[Line], look: Style, titles: Sequence[Title], finder: Tables, doc_id: str
) -> tuple[Element, ...]:  # fmt: skip
    kept = ordered(without_running(lines, look))
    tables = finder(page, number, doc_id) if kept else []
    elements: list[Element] = []
    prose: list[Line] = []
    for line in kept:
        inside = [one for one in tables if _inside(line, one.place.box)]
        for found in inside:
            if found not in elements:
                elements += [*compose(prose, look, doc_id, number, titles), found]
                prose = []
        prose += [] if inside else [line]
    elements += compose(prose, look, doc_id, number, titles)
    return (*elements, *(found for found in tables if found not in elements))


def _inside(line: Line, box: Box | None) -> bool:
    assert box is not None
    x, y = (line.box[0] + line.box[2]) / 2, (line.box[1] + line.box[3]) / 2
    return box[0] - 2 <= x <= box[2] + 2 and box[1] - 2 <= y <= box[3] + 2
