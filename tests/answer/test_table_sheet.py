"""Cells to values, chunks to sheets: separators, signs, scales, dates; headers of several rows; long tables."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from lyceum.answer.table_cells import date, number, scale, value, words
from lyceum.answer.table_sheet import Sheet, gathered, sheet
from lyceum.core.types import Element, Query, Table
from lyceum.ingest.splitter import Structured
from tests.answer.made import hit, staged, table
from tests.toys import Home, run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ 1,452.4", 1452.4), ("(1,306)", -1306.0), ("$(2,235)", -2235.0), ("(13)%", -13.0), ("-5", -5.0),
        ("−0.7", -0.7), ("14.0%", 14.0), ("3.5 million", 3.5e6), ("1.2亿", 1.2e8), ("¥90万", 9e5), ("#14", 14.0),
        ("3rd", 3.0), ("203.0 km (126.1 mi)", 203.0), (".75", 0.75), ("7[1]", 7.0), ("n/a", None), ("", None),
        ("1,00", 1.0),
    ],
)  # fmt: skip
def test_numbers(text: str, expected: float | None) -> None:
    assert number(text) == (expected if expected is None else pytest.approx(expected))


def test_dates_and_times_compare() -> None:
    order = ["4 May 1999", "May 5, 1999", "1999-06-01", "2000年1月2日", "Sept. 2001"]
    values = [date(one) for one in order]
    assert all(a is not None and b is not None and a < b for a, b in pairwise(values))
    assert value("2:20.54") == pytest.approx(140.54)
    assert value("1:00:01") == 3601
    assert value("1999") == 1999
    assert date("45 May") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(in thousands)", "thousand"), ("$'000", "thousand"), ("2019 £m", "million"), ("金额（万元）", "万"),
        ("Rate %", "percent"), ("Years ended", ""), ("Millionaires", ""),
    ],
)  # fmt: skip
def test_scales(text: str, expected: str) -> None:
    assert scale(text) == expected


def test_words_compare_numbers_without_separators() -> None:
    assert words("Net sales: 1,234.5 万元") == ["net", "sales", "1234.5", "万", "元"]


def made(*rows: tuple[str, ...]) -> Sheet:
    """Return rows as a sheet, the first being the header."""
    found = hit(table(*rows))
    one = sheet([found.chunk], found)
    assert one is not None
    return one


def test_a_header_of_several_rows_becomes_one() -> None:
    one = made(
        ("", "Domestic", "", "International", ""), ("(in millions)", "2019", "2018", "2019", "2018"),
        ("Discount rate", "4.00%", "3.75%", "1.90%", "2.80%"),
    )  # fmt: skip
    assert one.columns[1:] == ("Domestic 2019", "Domestic 2018", "International 2019", "International 2018")
    assert [line.cells[0] for line in one.lines] == ["Discount rate"]
    assert one.scale == "million"


def test_a_row_of_numbers_is_no_header_and_a_lone_label_is_a_section() -> None:
    one = made(("Item", "2019", "2018"), ("Assets", "", ""), ("Cash", "5", "6"), ("", "7", "8"))
    assert [(line.section, line.cells[0]) for line in one.lines] == [
        ("Assets", "Assets"), ("Assets", "Cash"), ("Assets", ""),
    ]  # fmt: skip
    assert one.numeric == [False, True, True]


def long_table(source: str, rows: int, start: int = 0) -> Element:
    """Return a table element that is split over several chunks."""
    cells = (("Town", "People"), *((f"Town {n}", str(1000 + n)) for n in range(start, start + rows)))
    return Element(doc_id=source, kind="table", text="", table=Table(rows=cells))


def test_a_long_table_is_put_together_from_its_chunks(tmp_path: Path) -> None:
    async def check() -> None:
        document, _, _ = staged("towns.csv")
        chunks = Structured()(document, [long_table(document.id, 900)])
        assert len(chunks) > 40, "more than one step in either direction"
        home = Home(tmp_path)
        await home.store.put([staged("before.md", table(("Town", "People"), ("Other", "1")))])
        await home.store.put([(document, [], chunks)])
        await home.store.put([staged("after.md", table(("Town", "People"), ("Another", "2")))])
        (found,) = await home.hybrid(Query(text="Town 450 1450", top_k=1, filters={"source": "towns.csv"}))
        whole = sheet(await gathered(home.ledger, Query(text=""), found), found)
        assert whole is not None
        assert [line.cells for line in whole.lines] == [(f"Town {n}", str(1000 + n)) for n in range(900)]
        line = whole.lines[899]
        assert line.hit.chunk.text[line.start : line.end] == "| Town 899 | 1899 |"

    run(check())


def test_what_the_reader_may_not_see_is_not_gathered(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        document, _, _ = staged("towns.csv", readers=frozenset({"boss"}))
        await home.store.put([(document, [], Structured()(document, [long_table(document.id, 200)]))])
        boss = Query(text="Town 5", top_k=1, readers=frozenset({"boss"}))
        (found,) = await home.hybrid(boss)
        assert len(await gathered(home.ledger, boss, found)) > 3
        alone = await gathered(home.ledger, replace(boss, readers=frozenset({"*"})), found)
        assert [chunk.number for chunk in alone] == [found.chunk.number]

    run(check())


def test_two_tables_with_the_same_header_stay_two_where_their_places_differ() -> None:
    first, second = table(("A", "B"), ("x", "1")), table(("A", "B"), ("y", "2"))
    moved = replace(second, pieces=tuple(replace(p, place=replace(p.place, page=2)) for p in second.pieces))
    from lyceum.answer.table_sheet import _head

    assert _head(first) == _head(replace(second, doc_id=first.doc_id))
    assert _head(first) != _head(moved)
