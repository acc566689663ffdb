"""PPTX: known answers, places and boxes, broken pictures, and what is set aside."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pptx
import pytest
from pptx.util import Pt

from tests.ingest.office import CASES, DECK, Case, deck, pages, replaced, shapes

SLIDES = [case for case in CASES if case.name.endswith(("pptx", "pptm", "ppsx"))]


@pytest.mark.parametrize("case", SLIDES, ids=lambda case: case.name)
def test_what_a_deck_holds_comes_out_in_order(case: Case) -> None:
    read = pages(case.made(), case.name)
    assert shapes([element for page in read for element in page.elements]) == case.expected
    warnings = [warning for page in read for warning in page.warnings]
    assert all(any(said in warning for warning in warnings) for said in case.warned)


def test_the_comparison_sees_a_lost_note() -> None:
    """The control of the suite: the same deck with its notes away gives other elements."""
    read = pages(replaced(deck(), "notesSlide", b"Smile.", b"Frown."), "a.pptx")
    assert shapes([element for page in read for element in page.elements]) != DECK


def test_places_are_slides_and_boxes_points() -> None:
    first, second = pages(deck(), "a.pptx")
    assert (first.place.page, second.place.page) == (1, 2)
    assert (first.title, second.title) == ("Cold chain", "Cold chain")
    table = next(element for element in second.elements if element.table)
    assert table.place.box == (10.0, 150.0, 310.0, 240.0)
    assert table.table is not None
    assert [place.row for place in table.table.places] == [1, 2, 3]


def test_a_group_scales_what_is_in_it() -> None:
    made = pptx.Presentation()
    slide = made.slides.add_slide(made.slide_layouts[6])
    outer = slide.shapes.add_group_shape()
    inner = outer.shapes.add_group_shape()
    inner.shapes.add_textbox(Pt(100), Pt(100), Pt(50), Pt(20)).text_frame.text = "deep"
    for group in (inner, outer):
        group.left, group.top, group.width, group.height = Pt(200), Pt(300), Pt(100), Pt(40)
    out = io.BytesIO()
    made.save(out)
    (page,) = pages(out.getvalue(), "a.pptx")
    (element,) = page.elements
    # Inner: 50 x 20 at (100, 100), drawn 100 x 40 at (200, 300); outer: the same once more, so twice as large.
    assert element.place.box == (400.0, 700.0, 600.0, 780.0)


def test_a_picture_that_is_none_stops_nothing() -> None:
    made = replaced(deck(), "slides/slide2.xml", b"r:embed=", b"r:missing=")
    assert shapes([element for page in pages(made, "a.pptx") for element in page.elements]) == DECK


def test_footers_and_numbers_are_set_aside() -> None:
    made = replaced(deck(), "slides/slide1.xml", b'type="title"', b'type="sldNum"')
    assert "Cold chain" not in str(shapes(pages(made, "a.pptx")[0].elements))


@pytest.mark.skipif("LYCEUM_SHARED" not in os.environ, reason="LYCEUM_SHARED names the real files")
def test_a_real_deck_with_malformed_pictures() -> None:
    name = "docling__powerpoint_malformed_pictures.pptx"
    path = Path(os.environ["LYCEUM_SHARED"]) / "documents" / "pptx" / name
    read = pages(path.read_bytes(), path.name)
    assert [shapes(page.elements) for page in read] == [
        ("t Slide With Missing BlipFill",), ("t Slide With Dangling Rel",), ("t Slide With Wrong Content Type",)
    ]  # fmt: skip
