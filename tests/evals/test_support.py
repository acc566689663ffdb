"""Statements and texts: what is supported, what a number, a name or a "not" takes away, and the four measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lyceum.core.types import Answer, Chunk, Citation, Document, Example, Hit, Score
from lyceum.evals.support import FEATURES, SUPPORT, WEIGHTS, Support, average_precision, rests_on
from tests.toys import ToyEncoder, run

WARRANTY = "The warranty of the Model A40 runs for 24 months from delivery. It does not cover wear."
OFFICE = "The office in Berlin opened in 1999 and employs forty people. Anna Weber leads it."
CHINESE = "本产品保修期为24个月，自交货之日起计算。磨损不在保修范围之内。"


def chance(said: str, text: str, question: str = "") -> float:
    return float(run(Support()([(question, said)], [text]))[0, 0])


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("The warranty runs for 24 months from delivery.", "The warranty runs for 36 months from then.", WARRANTY),
        ("It does not cover wear.", "It covers wear.", WARRANTY),
        ("Anna Weber leads the office in Berlin.", "Carl Weber leads the office in Hamburg.", OFFICE),
        ("The office in Berlin opened in 1999.", "The office in Berlin opened in 1998.", OFFICE),
        ("产品保修期为24个月。", "产品保修期为36个月。", CHINESE),
        ("磨损不在保修范围之内。", "运输损坏由供应商承担。", CHINESE),
    ],
)  # fmt: skip
def test_what_the_text_says_is_supported_and_what_is_changed_is_not(
    right: str, wrong: str, text: str
) -> None:
    assert chance(right, text) >= 0.5 > chance(wrong, text)


def test_a_question_with_its_answer() -> None:
    assert chance("24 months", WARRANTY, "How long is the warranty of the A40?") >= 0.5
    assert chance("36 months", WARRANTY, "How long is the warranty of the A40?") < 0.5
    assert chance("24 months", OFFICE, "How long is the warranty of the A40?") < 0.5


def test_the_features_by_hand() -> None:
    ((claim, text, row),) = run(
        Support().rows([("", "Red cats sleep 5 hours, not in Paris.")], ["Red cats sleep 6 hours."])
    )
    told = dict(zip(FEATURES, row, strict=True))
    assert (claim, text) == (0, 0)
    assert told["words"] == told["answer"] == told["words-all"] == pytest.approx(4 / 7)
    assert told["pairs"] == pytest.approx(2 / 6)
    assert told["numbers"] == told["numbers-all"] == told["negated"] == told["names-all"] == 1
    assert told["exchanged"] == pytest.approx((4 / 7) ** 3)
    assert told["rival"] == 0
    assert np.isnan(told["cosine"])
    assert all(len(one) == len(FEATURES) + key[-1] for key, one in WEIGHTS.items())


def test_an_encoder_is_asked_in_its_languages_only() -> None:
    encoder = ToyEncoder()
    rows = run(Support(encoder).rows([("", "Cats sleep.")], ["Cats sleep.", "Dogs bark."]))
    assert [round(row[-1], 3) for _, _, row in rows] == [1.0, 0.0]
    assert encoder.encoded == 2, "the statement and one sentence are the same"
    run(Support(encoder)([("", "猫睡觉。")], [CHINESE]))
    assert encoder.encoded == 2


def answer(text: str, *texts: str, cited: int = 0) -> Answer:
    document = Document(id="d", source="d", version="1")
    hits = [Hit(chunk=Chunk(id=one, doc_id="d", text=one), document=document, score=1.0) for one in texts]
    marks = [
        Citation(number=n, document_id="d", source="d", title="", quote=texts[n - 1], chunk_id=texts[n - 1])
        for n in range(1, cited + 1)
    ]  # fmt: skip
    return Answer(text=text, hits=tuple(hits), citations=tuple(marks))


def value(name: str, example: Example, told: Answer) -> Score:
    return run(SUPPORT[name]()(example, told))  # type: ignore[arg-type]


ASKED = Example(
    id="1", question="How long is the warranty of the A40?", answers=(("24 months", "two years"),)
)


def test_faithful_to_what_is_cited_not_to_what_was_found() -> None:
    told = answer(
        "The warranty runs for 24 months. [1] The office in Berlin opened in 1999. [1]",
        WARRANTY,
        OFFICE,
        cited=1,
    )
    score = value("faithfulness", ASKED, told)
    assert score.value == 0.5
    assert "The office in Berlin" in score.reason
    uncited = replace(told, text=told.text.replace(" [1]", ""))
    assert value("faithfulness", ASKED, uncited).value == 1.0
    assert rests_on(replace(told, hits=()))[1] == [WARRANTY], "a record without texts still has its quotes"
    assert (
        value("faithfulness", ASKED, Answer(text="", abstained=True, reason="no")).reason
        == "nothing is stated"
    )


def test_relevance_is_of_the_question() -> None:
    near = value("answer-relevance", ASKED, answer("The warranty of the A40 is 24 months long.")).value
    far = value("answer-relevance", ASKED, answer("The office in Berlin opened in 1999.")).value
    assert near == 1.0
    assert far == 0.0
    with_encoder = run(SUPPORT["answer-relevance"](ToyEncoder())(ASKED, answer("The warranty of the A40.")))
    assert 0 < (with_encoder.value or 0) < 1


def test_context_is_judged_by_the_gold_answer() -> None:
    told = answer("", OFFICE, WARRANTY)
    assert value("context-precision", ASKED, told).value == 0.5
    assert value("context-recall", ASKED, told).value == 1.0
    both = replace(
        ASKED, answers=(("24 months",), ("The device weighs about eleven kilograms without its packaging",))
    )
    assert value("context-recall", both, told).value == 0.5
    assert value("context-recall", ASKED, answer("", OFFICE)).value == 0.0
    assert value("context-recall", ASKED, answer("")).value == 0.0
    assert value("context-precision", replace(ASKED, answers=()), told).reason == "no gold answer"


def test_average_precision() -> None:
    """Es et al. 2024: right at 1 and 3 of four."""
    assert average_precision([True, False, True, False]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([False]) == 0
