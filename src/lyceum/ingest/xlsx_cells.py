"""One sheet's XML as a stream of rows, with what a plain read leaves out: merges, hidden parts, unsaved values.

It adds to openpyxl's own reader of cells, whose read-only sheet knows none of these; a row at a time is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from openpyxl.utils import range_boundaries
from openpyxl.worksheet._reader import CELL_TAG, COL_TAG, FORMULA_TAG, ROW_TAG, WorkSheetParser
from openpyxl.xml.functions import iterparse

from lyceum.ingest.sheet import Merge

MERGE_TAG = CELL_TAG[:-1] + "mergeCell"
MERGES = 100_000
ON = ("1", "true")


class Cells(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
    """Iterate once; `merges`, `hidden_rows` and the counts are whole afterwards."""

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
                    self._merge(element.get("ref", ""))

    def _merge(self, reference: str) -> None:
        try:
            left, top, right, bottom = range_boundaries(reference)
        except ValueError:
            return
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

    def is_hidden(self, column: int) -> bool:
        """Say whether a column is hidden."""
        return any(first <= column <= last for first, last in self.hidden_columns)
