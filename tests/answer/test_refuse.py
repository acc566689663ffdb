"""How sure an answer is, and the reason where it is not sure enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lyceum.answer.evidence import Evidence, Judged
from lyceum.answer.refuse import REASONS, THRESHOLD, confidence, doubted, explained, reason
from lyceum.core.text import language
from lyceum.core.types import Query
from lyceum.search.analyzer import Standard
from tests.answer.made import hit, prose
from tests.toys import ToyEncoder, run

PUMP = "Where is the pump?"


def judged(question: str, text: str, title: str = "", encoder: ToyEncoder | None = None) -> list[Judged]:
    return run(Evidence(Standard(), encoder)(Query(text=question), [hit(prose(text, title=title))]))


@pytest.fixture(params=[None, ToyEncoder()], ids=["by words", "by meaning"])
def best(request: pytest.FixtureRequest) -> Judged:
    """Return a statement judged with and without an encoder."""
    (one,) = judged(PUMP, "The pump is outside.", encoder=request.param)
    return one


def test_nothing_found_is_no_confidence() -> None:
    assert confidence(PUMP, []) == 0.0


@pytest.mark.parametrize("field", ["coverage", "passage"])
def test_confidence_rises_with_what_is_covered(best: Judged, field: str) -> None:
    sure = [confidence(PUMP, [replace(best, **{field: share})]) for share in (0.0, 0.3, 0.6, 1.0)]
    assert sure == sorted(set(sure)), "strictly"
    assert all(0 < one < 1 for one in sure)


def test_confidence_rises_with_the_cosine(best: Judged) -> None:
    near, far = (confidence(PUMP, [replace(best, cosine=cosine)]) for cosine in (0.9, 0.1))
    assert near > far


def test_confidence_falls_where_the_kind_of_value_is_missing(best: Judged) -> None:
    assert confidence(PUMP, [replace(best, lacks=True)]) < confidence(PUMP, [replace(best, lacks=False)])


def read(question: str, *texts: str) -> list[Judged]:
    """Return the statements of texts that are passages of one document."""
    return run(Evidence(Standard())(Query(text=question), [hit(prose(text)) for text in texts]))


@pytest.mark.parametrize(
    ("question", "texts", "doubt"),
    [
        ("Where is the pump P7?", ["The pump is outside."], True),
        ("Where is the pump P7?", ["The pump P7 is outside."], False),
        ("Where is the pump P7?", ["The pump is outside.", "P7 is red."], False),
        ("Which firm was chosen in 2023?", ["The firm Ebb was chosen."], False),
        ("Which firm was chosen in 2023?", ["The firm Ebb was chosen in 2025."], True),
        ("Which firm was chosen in 2023?", ["The firm Ebb was chosen in 2025.", "Minutes of 2023."], False),
        ("Which firm was chosen in 2023 and 2025?", ["The firm Ebb was chosen in 2025."], False),
        ("What does the pump cost?", ["The pump is outside."], True),
    ],
)
def test_what_is_likely_about_something_else(question: str, texts: list[str], doubt: bool) -> None:
    assert doubted(question, read(question, *texts)) == doubt


def test_what_is_doubted_is_refused_however_well_it_is_covered() -> None:
    asked = "Where is the pump P7?"
    assert confidence(asked, read(asked, "The pump P7 is outside.")) > THRESHOLD
    assert confidence(asked, read(asked, "The pump is where the pump is.")) < THRESHOLD


def test_an_answer_is_above_the_threshold_and_nonsense_below() -> None:
    text = "The pump is outside."
    assert confidence(PUMP, judged(PUMP, text)) > THRESHOLD
    zebra = "Who counts migrating zebras?"
    assert confidence(zebra, judged(zebra, text)) < THRESHOLD


def test_the_same_reasons_in_both_languages() -> None:
    assert REASONS["en"].keys() == REASONS["zh"].keys()


@pytest.mark.parametrize("name", REASONS["en"])
def test_a_reason_speaks_the_language_of_the_question(name: str) -> None:
    english, chinese = reason(PUMP, name, "TX-900"), reason("水泵在哪里？", name, "TX-900")
    assert (language(english), language(chinese)) == ("en", "zh")
    assert "{" not in english + chinese
    assert ("TX-900" in english) == ("TX-900" in chinese) == (name == "detail")


@pytest.mark.parametrize(
    ("question", "text", "name", "detail"),
    [
        (PUMP, "", "nothing", ""),
        (PUMP, "Zebras migrate.", "weak", ""),
        ("Where is the TX-900?", "The TX-200 is outside.", "detail", "TX-900"),
        ("What does the TX-200 cost in Oslo?", "The TX-200 costs 90 EUR in Bergen.", "detail", "Oslo"),
        ("水泵在哪里？", "", "nothing", ""),
        ("水泵在哪里？", "食堂在一楼。", "weak", ""),
        ("TX-900在哪里？", "TX-200在室外。", "detail", "TX-900"),
    ],
)
def test_explained(question: str, text: str, name: str, detail: str) -> None:
    said = explained(question, judged(question, text))
    assert said == reason(question, name, detail)
    assert detail in said


def test_details_are_held_by_the_passage_or_its_headings() -> None:
    text = "It is outside. The tx-200 is grey."
    question = "Where is the TX-200 of ACME?"
    assert judged(question, text)[0].missing == ("ACME",)
    assert judged(question, text, title="ACME guide")[0].missing == ()


def test_a_part_of_another_code_is_not_the_code() -> None:
    question = "Where is the TX-20?"
    assert judged(question, "The TX-200 is outside.")[0].missing == ("TX-20",)
