"""XLSX to a page a sheet: its tables with the sheet row of every row; values as a person reads them."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from lyceum.core.errors import ParseError
from lyceum.core.text import clean
from lyceum.core.types import Document, Element, Page, Piece, Place
from lyceum.ingest.tables import table

CELLS = 2_000_000
COLUMNS = 1_000


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page a sheet."""
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError) as problem:
        raise ParseError("The XLSX is damaged.", hint="Open it in Excel and save it again.") from problem
    title = clean(book.properties.title or "")
    budget = CELLS
    for sheet in book.worksheets:
        warnings = () if sheet.sheet_state == "visible" else (f"Sheet {sheet.title} is hidden; it was read.",)
        rows, budget = _rows(sheet, budget)
        elements = tuple(_elements(rows, sheet.title, document.id))
        yield Page(elements=elements, title=title, warnings=warnings)
        title = ""


def _rows(sheet: Any, budget: int) -> tuple[list[tuple[int, list[str]]], int]:
    """Return (row number, cells) of rows with content; the file's own claim of its size is not believed."""
    sheet.reset_dimensions()
    rows = []
    for number, row in enumerate(sheet.iter_rows(), start=1):
        budget -= len(row) or 1
        if budget < 0:
            raise ParseError(
                "The workbook has over 2,000,000 cells.", hint="Split it into files.", code="limit"
            )
        cells = [shown(cell.value, getattr(cell, "number_format", "") or "") for cell in row[:COLUMNS]]
        if any(cells):
            rows.append((getattr(row[0], "row", number) or number, cells))
    return rows, budget


def shown(value: Any, form: str = "") -> str:
    """Return a cell's value as text: ISO dates, percentages, no trailing ".0"."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        return (
            value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "minutes")
        )
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int | float):
        if "%" in form:
            return f"{value * 100:.6g}%"
        return f"{value:.10g}" if isinstance(value, float) else str(value)
    return clean(str(value))


def _elements(rows: Sequence[tuple[int, list[str]]], sheet: str, doc_id: str) -> Iterator[Element]:
    """Yield the sheet's name as a heading, single cells as text, and each block of rows as a table."""
    first = Place(sheet=sheet, row=1)
    if rows:
        yield _line(doc_id, sheet, first, level=1)
    block: list[tuple[int, list[str]]] = []
    for number, cells in [*rows, (10**9, [])]:
        if block and (number > block[-1][0] + 1):
            yield from _block(block, sheet, doc_id)
            block = []
        filled = [cell for cell in cells if cell]
        if len(filled) == 1 and not block:
            yield _line(doc_id, filled[0], Place(sheet=sheet, row=number), level=0)
        elif filled:
            block.append((number, cells))


def _block(block: Sequence[tuple[int, list[str]]], sheet: str, doc_id: str) -> Iterator[Element]:
    used = [column for column in range(max(len(cells) for _, cells in block)) if any(
        column < len(cells) and cells[column] for _, cells in block
    )]  # fmt: skip
    rows = [[cells[column] if column < len(cells) else "" for column in used] for _, cells in block]
    found = table(doc_id, rows, [Place(sheet=sheet, row=number) for number, _ in block])
    if found:
        yield found


def _line(doc_id: str, text: str, place: Place, *, level: int) -> Element:
    piece = Piece(start=0, end=len(text), place=place)
    kind: Any = "heading" if level else "text"
    return Element(doc_id=doc_id, kind=kind, text=text, place=place, pieces=(piece,), level=level)
