"""DOCX: known answers, strict and macro variants, hostile XML, and one real file of the strict form."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lyceum.core.errors import ParseError
from lyceum.ingest.docx_styles import written
from tests.ingest.office import CASES, Case, pages, replaced, shapes
from tests.ingest.office_word import DRAWINGS, NOTES, drawings, notes, p, word, zipped

WORD = [case for case in CASES if case.name.endswith(("docx", "docm", "dotx"))]


@pytest.mark.parametrize("case", WORD, ids=lambda case: case.name)
def test_what_a_file_holds_comes_out_in_order(case: Case) -> None:
    (page,) = pages(case.made(), case.name)
    assert shapes(page.elements) == case.expected
    for said in case.warned:
        assert any(said in warning for warning in page.warnings)
    assert len(page.warnings) == len(case.warned)


def test_the_comparison_sees_a_lost_note() -> None:
    """The control of the suite: the same file without its notes gives other elements."""
    (page,) = pages(replaced(notes(), "footnotes", b"w:footnote", b"w:nothing"), "a.docx")
    assert shapes(page.elements) != NOTES


def test_places_count_blocks() -> None:
    (page,) = pages(word(p("one") + p("") + p("two")), "a.docx")
    assert [element.place.line for element in page.elements] == [1, 3]


def test_entities_and_depth_end_with_a_code() -> None:
    for document in (
        b'<!DOCTYPE d [<!ENTITY a "words"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        b'<!DOCTYPE d [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
    ):
        made = replaced(
            word(p("before &b; after")), "document.xml", b"<w:document", document + b"<w:document"
        )
        (page,) = pages(made, "a.docx")
        assert shapes(page.elements) == ("t before",)  # what stands behind an entity is the author's loss
    with pytest.raises(ParseError) as raised:
        pages(word("<w:tbl><w:tr><w:tc>" * 200 + p("x") + "</w:tc></w:tr></w:tbl>" * 200), "a.docx")
    assert raised.value.code == "corrupt"


def test_a_damaged_part_is_no_crash() -> None:
    for made in (
        word("<w:p>"),
        zipped({"word/document.xml": "<x/>"}),
        replaced(notes(), "footnotes", b"</w:footnotes>", b""),
    ):
        with pytest.raises(ParseError) as raised:
            pages(made, "a.docx")
        assert raised.value.code == "corrupt"


def test_a_broken_drawing_stops_nothing() -> None:
    (page,) = pages(replaced(drawings(), "chart.xml", b"</c:chartSpace>", b""), "a.docx")
    assert shapes(page.elements) == (DRAWINGS[0], DRAWINGS[-1])


@pytest.mark.parametrize(
    ("number", "form", "text"),
    [
        (3, "decimal", "3"),
        (44, "lowerRoman", "xliv"),
        (28, "lowerLetter", "bb"),
        (11, "chineseCounting", "十一"),
        (1999, "upperRoman", "MCMXCIX"),
    ],
)
def test_numbers_as_word_writes_them(number: int, form: str, text: str) -> None:
    assert written(number, form) == text


@pytest.mark.skipif("LYCEUM_SHARED" not in os.environ, reason="LYCEUM_SHARED names the real files")
def test_a_real_strict_file() -> None:
    path = Path(os.environ["LYCEUM_SHARED"]) / "documents" / "docx" / "docling__Strict.docx"
    (page,) = pages(path.read_bytes(), path.name)
    assert shapes(page.elements) == ("t Some text",)
