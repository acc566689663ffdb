"""XLSX: known answers, places, number formats, tables beside each other, and files that lie about themselves."""

from __future__ import annotations

import datetime
import io
import random
import re
import zipfile
from typing import Any

import openpyxl
import pytest

from lyceum.ingest.numbers import shown
from lyceum.ingest.sheet import header_rows, regions
from tests.ingest.office import BOOK, CASES, Case, book, pages, shapes
from tests.ingest.office_word import zipped

BOOKS = [case for case in CASES if case.name.endswith(("xlsx", "xlsm"))]


def made(*rows: tuple[Any, ...], merged: tuple[str, ...] = ()) -> bytes:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for one in merged:
        sheet.merge_cells(one)
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def patched(data: bytes, pattern: str, new: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        found = {name: package.read(name) for name in package.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    return zipped({**found, sheet: re.sub(pattern.encode(), new.encode(), found[sheet])})


@pytest.mark.parametrize("case", BOOKS, ids=lambda case: case.name)
def test_what_a_book_holds_comes_out_in_order(case: Case) -> None:
    read = pages(case.made(), case.name)
    assert shapes([element for page in read for element in page.elements]) == case.expected
    warnings = [warning for page in read for warning in page.warnings]
    assert all(any(said in warning for warning in warnings) for said in case.warned)


def test_the_comparison_sees_a_lost_merge() -> None:
    """The control of the suite: the same book without its merges gives other elements."""
    read = pages(patched(book(), "<mergeCells.*</mergeCells>", ""), "a.xlsx")
    assert shapes([element for page in read for element in page.elements]) != BOOK


def test_places_are_sheets_and_rows() -> None:
    page = pages(book(), "a.xlsx")[0]
    assert page.place.sheet == "Costs"
    tables = [element.table for element in page.elements if element.table]
    assert [[place.row for place in table.places] for table in tables] == [
        [2, 3, 4, 5],
        [7, 8, 9, 10],
        [7, 8],
        [10],
    ]


def test_a_saved_value_is_shown_instead_of_its_formula() -> None:
    data = made(("a", "b"), (1, "=A2*2"))
    (page,) = pages(patched(data, "<f>A2\\*2</f><v ?/?>(</v>)?", "<f>A2*2</f><v>2</v>"), "a.xlsx")
    assert shapes(page.elements)[1] == (1, (("a", "b"), ("1", "2")))
    assert page.warnings == ()
    (page,) = pages(data, "a.xlsx")
    assert shapes(page.elements)[1] == (1, (("a", "b"), ("1", "=A2*2")))
    assert "shown as formulas: 1" in page.warnings[0]


def test_a_false_size_and_a_merge_over_everything() -> None:
    data = made(("a", "b"), ("c", "d"), merged=("D1:E9",))
    data = patched(data, 'ref="A1:B2"', 'ref="A1:A1"')
    (page,) = pages(patched(data, "D1:E9", "A1:XFD1048576"), "a.xlsx")
    assert len(page.elements) == 2
    assert "| d |" in page.elements[1].text


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.125, "0.0%", "12.5%"), (0.125, "0%", "13%"), (1234.5, "#,##0.00", "1,234.50"),
        (1234.5, "General", "1234.5"), (-5, '"$"#,##0_);\\("$"#,##0\\)', "($5)"), (-5.5, "0.00", "-5.50"),
        (3, '0 "kg"', "3 kg"), (7, "000", "007"), (0, '0;-0;"none"', "none"), (1234567, "#,##0,,", "1234567"),
        (1.5, "# ?/?", "1.5"), (12345.678, "0.00E+00", "12345.678"), (2.5, "0.##", "2.5"), (2, "0.##", "2"),
        (-0.001, "0.00", "0.00"), (1e300, "#,##0", "1e+300"), (9.5, "[$¥-804]#,##0.0", "¥9.5"),
        (float("inf"), "0.0", "inf"), (5, "[>=100]0;0.0", "5"), (True, "", "TRUE"), (None, "", ""),
        (datetime.datetime(2025, 3, 1), "d/m/yy", "2025-03-01"), ("007", "0", "007"),
        (datetime.datetime(2025, 3, 1, 8, 5), "", "2025-03-01 08:05"),
        (datetime.timedelta(hours=26), "[h]:mm", "26:00"),
    ],
)  # fmt: skip
def test_values_as_a_person_reads_them(value: object, form: str, text: str) -> None:
    assert shown(value, form) == text


def cut(*rows: str) -> list[list[str]]:
    """Return regions of a picture of a sheet: cells between bars."""
    held = [
        (n, {c: t.strip() for c, t in enumerate(row.split("|")) if t.strip()}) for n, row in enumerate(rows)
    ]
    return [
        [" ".join(texts.values()) for _, texts in region] for region in regions([r for r in held if r[1]], [])
    ]


def test_tables_side_by_side_are_two_and_a_gap_alone_is_none() -> None:
    assert cut("k|v||n|m", "a|1||b|2") == [["k v", "a 1"], ["n m", "b 2"]]
    assert cut("2024|a||2025|b", "x|1||y|2") == [["2024 a", "x 1"], ["2025 b", "y 2"]]
    assert cut("rent|1||$|5", "wages|2||$|6") == [["rent 1 $ 5", "wages 2 $ 6"]]
    assert cut("Name:||Anna|x", "Age:||30|y") == [["Name: Anna x", "Age: 30 y"]]


def test_header_rows_are_told_by_merges_alone() -> None:
    wide = [(1, 2, 1, 3)]
    two = [(1, {1: "Site", 2: "Cost"}), (2, {2: "low", 3: "high"}), (3, {1: "Suzhou", 2: "1", 3: "2"})]
    assert header_rows(two, wide) == 2
    assert two[0][1] == {1: "Site", 2: "Cost", 3: "Cost"}
    data = [(1, {1: "Site", 2: "Address"}), (2, {1: "Suzhou", 2: "Hanxing", 3: "288"})]
    assert header_rows(data, wide) == 1
    assert header_rows([(1, {1: "a", 2: "b"}), (2, {1: "c", 2: "d"})], []) is None


def test_no_cell_is_lost_or_doubled_by_cutting() -> None:
    rng = random.Random(5)
    for _ in range(200):
        grid = [
            (n, {c: rng.choice(("word", "7")) + f"{n}.{c}" for c in range(12) if rng.random() < 0.4})
            for n in range(9)
        ]
        rows = [row for row in grid if row[1]]
        wanted = sorted(text for _, texts in rows for text in texts.values())
        found = [text for region in regions(rows, []) for _, texts in region for text in texts.values()]
        assert sorted(found) == wanted
