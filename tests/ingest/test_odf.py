"""OpenDocument and RTF: known answers, boxes, locked files, repetitions that would fill the memory."""

from __future__ import annotations

import pytest

from lyceum.core.errors import ParseError
from lyceum.ingest.media import detect
from tests.ingest.office import CASES, Case, odf, odp, ods, pages, rtf, shapes

OPEN = [case for case in CASES if case.name.endswith(("odt", "ods", "odp", "rtf"))]


@pytest.mark.parametrize("case", OPEN, ids=lambda case: case.name)
def test_what_a_file_holds_comes_out_in_order(case: Case) -> None:
    read = pages(case.made(), case.name)
    assert shapes([element for page in read for element in page.elements]) == case.expected
    warnings = [warning for page in read for warning in page.warnings]
    assert all(any(said in warning for warning in warnings) for said in case.warned)
    assert detect(case.made(), "unnamed") == case.name.rsplit(".", 1)[1]


def test_boxes_are_points_and_places_are_slides() -> None:
    (page,) = pages(odp(), "a.odp")
    assert page.elements[1].place.box == (72.0, 144.0, 144.0, 216.0)
    assert (page.place.page, page.title) == (1, "Cold chain")


def test_rows_of_a_sheet_count_what_is_repeated() -> None:
    page = pages(ods(), "a.ods")[0]
    assert page.elements[2].place.row == 1_048_004
    assert page.place.sheet == "Costs"


def test_a_locked_file_says_so() -> None:
    with pytest.raises(ParseError) as raised:
        pages(odf("text", "<text:p>x</text:p>", manifest="<m><encryption-data/></m>"), "a.odt")
    assert raised.value.code == "password"


def test_repetitions_and_entities_end_with_a_code() -> None:
    cell = '<table:table-cell table:number-columns-repeated="900"><text:p>x</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="2000000">{cell}</table:table-row>'
    with pytest.raises(ParseError) as raised:
        pages(odf("spreadsheet", f'<table:table table:name="a">{row}</table:table>'), "a.ods")
    assert raised.value.code == "limit"
    with pytest.raises(ParseError) as raised:
        pages(odf("text", "<text:section>" * 300 + "</text:section>" * 300), "a.odt")
    assert raised.value.code == "corrupt"


def test_rtf_keeps_its_title_and_loses_no_words_without_styles() -> None:
    assert pages(rtf(), "a.rtf")[0].title == "Rent rules"
    (page,) = pages(rb"{\rtf1 plain words\par more}", "a.rtf")
    assert shapes(page.elements) == ("t plain words", "t more")
