"""XLSX to a page a sheet: its tables with the sheet row of every row; values as a person reads them.

Charts and macros are left alone: what a chart shows stands in the cells.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE
from openpyxl.utils import get_column_letter, range_boundaries
from openpyxl.worksheet._reader import CELL_TAG, COL_TAG, FORMULA_TAG, ROW_TAG, WorkSheetParser
from openpyxl.xml.functions import iterparse

from lyceum.core.text import clean
from lyceum.core.types import Document, Page, Place
from lyceum.ingest.numbers import shown
from lyceum.ingest.ooxml import normal
from lyceum.ingest.sheet import CELLS, COLUMNS, Merge, Row, elements, too_many

MERGE_TAG = CELL_TAG[:-1] + "mergeCell"
MERGES = 100_000
ON = ("1", "true")


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page a sheet."""
    with warnings.catch_warnings(action="ignore"):  # styles and extensions that do not matter here
        opened = _Reader(normal(data), read_only=True, data_only=True, keep_links=False)
        opened.read()
    book = opened.wb
    title = clean(book.properties.title or "")
    budget = CELLS
    for sheet in book.worksheets:
        with warnings.catch_warnings(action="ignore"):
            cells = _Sheet(sheet)
            rows, budget = _rows(cells, book, budget)
        found = tuple(elements(rows, cells.merges, sheet.title, document.id))
        said = tuple(f"Sheet {sheet.title} {one}" for one in _warnings(sheet, cells, rows))
        yield Page(elements=found, title=title, warnings=said, place=Place(sheet=sheet.title))
        title = ""


class _Reader(ExcelReader):  # type: ignore[misc]  # openpyxl has no types
    """A reader of books that passes over chart sheets, whose drawings it would parse for nothing."""

    def read_chartsheet(self, sheet: Any, rel: Any) -> None:
        """Leave it: what a chart shows stands in the cells."""


class _Sheet(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
    """The rows of a sheet, one at a time in memory, with what openpyxl's own reading of them leaves out.

    Iterate once; `merges`, `hidden_rows`, `hidden_columns` and the counts are whole afterwards.
    """

    def __init__(self, sheet: Any) -> None:
        book = sheet.parent
        super().__init__(
            None, sheet._shared_strings, data_only=True, epoch=book.epoch, date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )  # fmt: skip
        self.sheet = sheet
        self.merges: list[Merge] = []
        self.hidden_rows: set[int] = set()
        self.hidden_columns: list[tuple[int, int]] = []
        self.unsolved = self.errors = 0

    def __iter__(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        with self.sheet._get_source() as source:
            for _, element in iterparse(source):
                if element.tag == ROW_TAG:
                    yield self.parse_row(element)
                    element.clear()
                elif element.tag == COL_TAG and element.get("hidden") in ON:
                    self.hidden_columns.append((int(element.get("min", "0")), int(element.get("max", "0"))))
                elif element.tag == MERGE_TAG and len(self.merges) < MERGES:
                    with suppress(ValueError):  # a strange reference merges nothing
                        left, top, right, bottom = range_boundaries(element.get("ref", ""))
                        if None not in (left, top, right, bottom):
                            self.merges.append((top, left, bottom, right))

    def parse_row(self, row: Any) -> tuple[int, list[dict[str, Any]]]:
        number, cells = super().parse_row(row)
        self.row_dimensions.clear()
        if row.get("hidden") in ON:
            self.hidden_rows.add(number)
        return number, cells

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """Return a cell; a formula that was never computed is its own value."""
        cell: dict[str, Any] = super().parse_cell(element)
        if cell["value"] is None:
            if element.get("t") != "str" and element.find(FORMULA_TAG) is not None:
                formula = self.parse_formula(element)
                cell["value"] = getattr(formula, "text", None) or str(formula)
                self.unsolved += 1
        elif cell["data_type"] == "e":
            self.errors += 1
        return cell


def _rows(cells: _Sheet, book: Any, budget: int) -> tuple[list[Row], int]:
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
    known, own = book._cell_styles, book._number_formats
    number = known[style].numFmtId if style < len(known) else 0
    if number < BUILTIN_FORMATS_MAX_SIZE:
        return str(BUILTIN_FORMATS.get(number, ""))
    return str(own[number - BUILTIN_FORMATS_MAX_SIZE]) if number - BUILTIN_FORMATS_MAX_SIZE < len(own) else ""


def _warnings(sheet: Any, cells: _Sheet, rows: Sequence[Row]) -> Iterator[str]:
    if sheet.sheet_state != "visible":
        yield "is hidden; it was read."
    if hidden := [str(number) for number, _ in rows if number in cells.hidden_rows]:
        yield f"has hidden rows ({_few(hidden)}); they were read."
    used = sorted({column for _, texts in rows for column in texts})
    off = [one for one in used if any(first <= one <= last for first, last in cells.hidden_columns)]
    if off:
        yield f"has hidden columns ({_few([get_column_letter(one) for one in off])}); they were read."
    if cells.unsolved:
        yield f"has formulas without a saved value, shown as formulas: {cells.unsolved}."
    if cells.errors:
        yield f"has cells with an error: {cells.errors}."


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
