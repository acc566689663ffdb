"""XLSX to a page a sheet: its tables with the sheet row of every row; values as a person reads them.

Charts and macros are left alone: what a chart shows stands in the cells.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from lyceum.core.errors import ParseError
from lyceum.core.text import clean
from lyceum.core.types import Document, Page, Place
from lyceum.ingest.numbers import shown
from lyceum.ingest.ooxml import normal
from lyceum.ingest.sheet import CELLS, COLUMNS, Row, elements, too_many
from lyceum.ingest.xlsx_cells import Cells


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page a sheet."""
    try:
        with warnings.catch_warnings(action="ignore"):  # styles and extensions that do not matter here
            opened = _Reader(normal(data), read_only=True, data_only=True, keep_links=False)
            opened.read()
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError) as problem:
        raise ParseError("The XLSX is damaged.", hint="Open it in Excel and save it again.") from problem
    book = opened.wb
    title = clean(book.properties.title or "")
    budget = CELLS
    for sheet in book.worksheets:
        with warnings.catch_warnings(action="ignore"):
            cells = Cells(sheet)
            rows, budget = _rows(cells, book, budget)
        found = tuple(elements(rows, cells.merges, sheet.title, document.id))
        yield Page(
            elements=found, title=title, warnings=tuple(_warnings(sheet, cells, rows)),
            place=Place(sheet=sheet.title),
        )  # fmt: skip
        title = ""


class _Reader(ExcelReader):  # type: ignore[misc]  # openpyxl has no types
    """A reader of books that passes over chart sheets, whose drawings it would parse for nothing."""

    def read_chartsheet(self, sheet: Any, rel: Any) -> None:
        """Leave it: what a chart shows stands in the cells."""


def _rows(cells: Cells, book: Any, budget: int) -> tuple[list[Row], int]:
    """Return the rows with content, as their cells say; the file's own claim of its size is not believed."""
    formats: dict[int, str] = {}  # by style: a book has few of them and a cell each
    rows: list[Row] = []
    for number, row in cells:
        budget -= len(row) or 1
        if budget < 0:
            raise too_many()
        texts: dict[int, str] = {}
        for cell in row:
            style = cell["style_id"]
            if style not in formats:
                formats[style] = _format(book, style)
            if text := shown(cell["value"], formats[style]):
                texts[cell["column"]] = text
        if texts:
            rows.append((number, dict(list(texts.items())[:COLUMNS])))
    return rows, budget


def _format(book: Any, style: int) -> str:
    known = book._cell_styles
    number = known[style].numFmtId if style < len(known) else 0
    if number in BUILTIN_FORMATS:
        return str(BUILTIN_FORMATS[number])
    own = number - BUILTIN_FORMATS_MAX_SIZE
    return str(book._number_formats[own]) if 0 <= own < len(book._number_formats) else ""


def _warnings(sheet: Any, cells: Cells, rows: Sequence[Row]) -> Iterator[str]:
    if sheet.sheet_state != "visible":
        yield f"Sheet {sheet.title} is hidden; it was read."
    hidden = [str(number) for number, _ in rows if number in cells.hidden_rows]
    if hidden:
        yield f"Sheet {sheet.title} has hidden rows ({_few(hidden)}); they were read."
    used = {column for _, texts in rows for column in texts}
    letters = [get_column_letter(column) for column in sorted(used) if cells.is_hidden(column)]
    if letters:
        yield f"Sheet {sheet.title} has hidden columns ({_few(letters)}); they were read."
    if cells.unsolved:
        yield f"Sheet {sheet.title} has formulas without a saved value, shown as formulas: {cells.unsolved}."
    if cells.errors:
        yield f"Sheet {sheet.title} has cells with an error: {cells.errors}."


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
