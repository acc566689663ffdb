"""The parse report: true counts, and for each thing that may be wrong a page that has it and one that has not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lyceum.core.packed import dump
from lyceum.core.types import Element, Page, Piece, Place, Table
from lyceum.ingest.report import LISTED, REASONS, report
from lyceum.ingest.worker import pack_page

PROSE = "The contract ends on the last day of June, and either side may give notice three months before. " * 3
CODED = (
    "WKH FRQWUDFW HQGV RQ WKH ODVW GDB RI MQQH DQG HLWKHU VLGH PDB JLYH QRWLFH WKUHH PRQWKV EHIRUH ".replace(
        "Y", "X"
    )
    * 3
)
CONTENTS = "".join(f"{n} Chapter with a name {'. ' * 40}{n}\n" for n in range(1, 9))


def text(words: str, *boxes: tuple[float, float, float, float], kind: Any = "text") -> Element:
    """Return a paragraph; with boxes it is cut into as many lines."""
    size = len(words) // max(len(boxes), 1)
    pieces = tuple(
        Piece(start=n * size, end=(n + 1) * size, place=Place(page=1, box=box)) for n, box in enumerate(boxes)
    )
    return Element(doc_id="d", kind=kind, text=words, pieces=pieces)


def table(header: int) -> Element:
    rows = (("part", "price"), ("V7", "42"))
    return Element(doc_id="d", kind="table", text="| part | price |", table=Table(rows=rows, header=header))


def told(*pages: Page) -> dict[str, Any]:
    """Return the report of pages after the journey through the pipe."""
    return report([json.loads(dump(pack_page(page))) for page in pages])


def reasons(*elements: Element, **more: Any) -> list[str]:
    listed = told(Page(elements=elements, **more))["listed"]
    return [reason for row in listed for reason in row.get("reasons", ())]


TWO_COLUMNS = [
    (50.0 + 250 * (n % 2), 100.0 + 14 * (n // 2), 250.0 + 250 * (n % 2), 112.0 + 14 * (n // 2))
    for n in range(20)
]
IN_ORDER = sorted(TWO_COLUMNS)
PAGES: dict[str, tuple[list[Element], dict[str, Any]]] = {
    "picture_without_text": ([], {"pictured": True}),
    "no_text": ([], {}),
    "unreadable": ([text(PROSE + "\ufffd\ue012" * 10)], {}),
    "no_vowels": ([text(CODED)], {}),
    "few_letters": ([text("% & $ / = ? ( ) [ ] # + * ~ a b c " * 10)], {}),
    "columns": ([text(PROSE, *TWO_COLUMNS)], {}),
    "no_header": ([table(0)], {}),
    "warning": ([text(PROSE)], {"warnings": ("Row 7 has too many cells.",)}),
}  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_a_page(reason: str) -> None:
    elements, more = PAGES[reason]
    assert reasons(*elements, **more) == [reason]
    (row,) = told(Page(elements=tuple(elements), **more))["listed"]
    assert row["score"] == REASONS[reason][0]
    assert row["page"] == 1


@pytest.mark.parametrize(
    "element",
    [text(PROSE), text("员工辞职应提前三十天书面通知。" * 20), text(CONTENTS), text(PROSE, *IN_ORDER), table(1),
     text("for (i = 0; i < n; ++i) { a[i] += b[i]; } // !!" * 9, kind="code"),
     text("Współczynnik przepływu wzrósł, źródło: GUS. Krč, Brno a Třebíč čtvrtý den. " * 5)],
)  # fmt: skip
def test_pages_with_nothing_wrong(element: Element) -> None:
    assert reasons(element) == []


def test_counts_and_order() -> None:
    found = told(
        Page(elements=(text(PROSE), table(1)), title="A"),
        Page(elements=(text("recognised"),), ocr=True),
        Page(elements=(), pictured=True, warnings=("Page 3 has no text layer (a scan?).",)),
    )
    assert (found["pages"], found["tables"], found["ocr_pages"]) == (3, 1, 1)
    assert found["characters"] == len(PROSE) + 1 + len("| part | price |") + len("recognised")
    assert found["score"] == round(2 / 3, 3)
    assert [(row["page"], row["score"]) for row in found["listed"]] == [(2, 1.0), (3, 0.0)]
    assert found["listed"][0]["ocr"] is True
    assert found["warnings"] == ["Page 3 has no text layer (a scan?)."]


def test_a_page_is_named_by_its_place() -> None:
    place = Place(part="offer.zip/list.xlsx", sheet="Prices")
    (row,) = told(Page(elements=(table(0),), place=place))["listed"]
    assert (row["part"], row["sheet"]) == ("offer.zip/list.xlsx", "Prices")


def test_a_long_document_stays_small() -> None:
    bad = Page(elements=(), pictured=True, warnings=("no text layer",))
    doubtful = Page(elements=(table(0),))
    found = told(*[doubtful] * 600, *[bad] * 600)
    assert (len(found["listed"]), found["more_listed"]) == (LISTED, 700)
    assert {row["score"] for row in found["listed"]} == {0.0}, "the worst come first"
    assert found["more_warnings"] == 550
    assert len(dump(found)) < 60_000


def test_nothing_at_all() -> None:
    assert told()["score"] == 0
