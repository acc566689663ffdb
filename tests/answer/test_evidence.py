"""What speaks for a statement: words, meaning, kind of value, passage; and what it adds to the question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from lyceum.answer.evidence import Evidence, Judged
from lyceum.answer.statements import statements
from lyceum.core.types import Hit, Query, Reading
from lyceum.search.analyzer import Standard
from tests.answer.made import hit, prose, table
from tests.toys import ToyEncoder, run

by_words = Evidence(Standard())


class Bilingual(ToyEncoder):
    languages: ClassVar[dict[str, float]] = {"en": 1.0, "zh": 1.0}


class Reads(ToyEncoder):
    """Texts that all mean the same, and words of which only a vehicle and a lorry are alike."""

    async def read(self, texts: Sequence[str]) -> list[Reading]:
        split = [tuple(text.lower().strip("?.").replace("?", "").split()) for text in texts]
        return [
            Reading(vector=AXES[0], words=words, vectors=np.stack(list(map(_axis, words)))) for words in split
        ]


AXES = np.eye(64, dtype=np.float32)


def _axis(word: str) -> Any:
    word = "lorry" if word == "vehicle" else word
    return AXES[sum(map(ord, word)) % 64].astype(np.float16)


def judge(question: str, *hits: Hit, evidence: Evidence = by_words) -> dict[str, Judged]:
    """Return what is judged, best first, by quote."""
    return {one.statement.quote: one for one in run(evidence(Query(text=question), hits))}


def test_coverage_counts_the_words_of_the_question() -> None:
    found = judge(
        "Where is the pump valve?",
        hit(prose("Zebras migrate. The pump hums. The valve of the pump is behind the wall.")),
    )
    all_of_it, half, none = found.values()
    assert all_of_it.statement.quote == "The valve of the pump is behind the wall."
    assert all_of_it.coverage == pytest.approx(1.0)
    assert 0 < half.coverage < 1
    assert none.coverage == 0
    assert all_of_it.score > half.score > none.score


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    found = judge(
        "Where is the pump zebra?",
        hit(prose("The pump hums. This pump leaks. Our pump is old. No zebra leaks.")),
    )
    assert found["No zebra leaks."].coverage > found["The pump hums."].coverage


def test_a_word_above_counts_less_than_one_in_the_statement() -> None:
    found = judge(
        "Where is the pump?",
        hit(prose("It is behind the wall.", title="Pump")),
        hit(prose("The pump is outside.", title="Guide")),
        hit(prose("It is downstairs.", title="Leaflet")),
    )
    inside, under = found["The pump is outside."], found["It is behind the wall."]
    assert inside.coverage > under.coverage > found["It is downstairs."].coverage == 0


def test_a_like_word_speaks_for_a_statement() -> None:
    found = judge(
        "Where is the vehicle?", hit(prose("The kitchen is outside. The lorry is outside.")),
        evidence=Evidence(Standard(), Reads()),
    )  # fmt: skip
    lorry, kitchen = found["The lorry is outside."], found["The kitchen is outside."]
    assert lorry.coverage == kitchen.coverage == 0
    assert lorry.cosine == kitchen.cosine
    assert lorry.likeness is not None
    assert kitchen.likeness is not None
    assert lorry.likeness > kitchen.likeness
    assert lorry.score > kitchen.score + 0.1


def test_the_passage_lends_words_to_its_statements() -> None:
    found = judge(
        "What colour is the pump?",
        hit(prose("The pump is new. Its colour is red.")),
        hit(prose("The colour of walls is white.")),
    )
    assert found["Its colour is red."].passage == pytest.approx(1.0)
    assert found["Its colour is red."].coverage == found["The colour of walls is white."].coverage < 1
    assert found["The colour of walls is white."].passage < 1


def test_chinese_words_are_covered() -> None:
    found = judge("水泵的压力是多少？", hit(prose("水泵的压力是四十巴。食堂在一楼。")))
    assert next(iter(found)) == "水泵的压力是四十巴。"
    assert found["水泵的压力是四十巴。"].coverage > 0.5
    assert found["食堂在一楼。"].coverage == 0


def test_chinese_words_that_share_a_character_are_not_strangers() -> None:
    found = judge("保修多久？", hit(prose("维修为十二个月。食堂在一楼。")))
    assert found["维修为十二个月。"].coverage > found["食堂在一楼。"].coverage == 0


def test_without_an_encoder_there_is_no_cosine() -> None:
    assert (
        judge("Where is the pump?", hit(prose("The pump is outside.")))["The pump is outside."].cosine is None
    )


def test_meaning_is_compared_in_the_languages_of_the_encoder() -> None:
    encoder = ToyEncoder()
    mixed = hit(prose("The pump is outside.\n\n水泵在室外。"))
    english = judge("The pump is outside.", mixed, evidence=Evidence(Standard(), encoder))
    assert english["The pump is outside."].cosine == pytest.approx(1.0, abs=1e-5)
    assert english["水泵在室外。"].cosine is None

    encoder.encoded = 0
    chinese = judge("水泵在哪里？", mixed, evidence=Evidence(Standard(), encoder))
    assert [one.cosine for one in chinese.values()] == [None, None]
    assert encoder.encoded == 0

    both = judge("水泵在室外。", mixed, evidence=Evidence(Standard(), Bilingual()))
    assert both["水泵在室外。"].cosine == pytest.approx(1.0, abs=1e-5)
    assert both["The pump is outside."].cosine is not None


def test_meaning_decides_between_statements_with_the_same_words() -> None:
    far = "The pump of the very old and rusty engine under the roof hums."
    words = judge("the pump hums", hit(prose(f"{far} The pump hums.")))
    assert words[far].score == words["The pump hums."].score
    meaning = judge(
        "the pump hums.", hit(prose(f"{far} The pump hums.")), evidence=Evidence(Standard(), ToyEncoder())
    )
    assert meaning["The pump hums."].score > meaning[far].score


@pytest.mark.parametrize(
    ("question", "without", "with_value"),
    [
        ("How much does lunch cost?", "The cost of lunch is low.", "The cost of lunch is 45 EUR."),
        ("When is the salary paid?", "The salary is paid by bank.", "The salary is paid on 25 March 2026."),
        ("保修期多久？", "保修期由厂家决定。", "保修期为十二个月。"),
    ],
)
def test_without_the_kind_of_value_a_statement_falls_behind(
    question: str, without: str, with_value: str
) -> None:
    found = judge(question, hit(prose(without)), hit(prose(with_value)))
    assert found[without].coverage == found[with_value].coverage
    assert (found[without].lacks, found[with_value].lacks) == (True, False)
    assert found[without].score < found[with_value].score
    assert list(found) == [with_value, without]


def test_a_row_may_have_its_unit_elsewhere() -> None:
    found = judge(
        "How much does the fan cost?", hit(table(("Part", "Tariff"), ("Fan", "90"), ("Seal", "open")))
    )
    assert not found["Fan | 90"].lacks
    assert found["Seal | open"].lacks


@pytest.mark.parametrize(
    ("question", "row"),
    [
        ("How much does the fan cost?", (("Part", "Shelf"), ("Fan", "90"))),
        ("How long is the fan on order?", (("Part", "Shelf"), ("Fan", "90"))),
        ("What is the phone number of the fan's maker?", (("Part", "Opened"), ("Fan", "2017"))),
        ("How many fans are there?", (("Part", "Ordered"), ("Fan", "2025-03-04"))),
    ],
)
def test_a_number_of_another_kind_is_no_answer(question: str, row: tuple[tuple[str, ...], ...]) -> None:
    (found,) = judge(question, hit(table(*row))).values()
    assert found.lacks


def test_a_month_is_there_in_any_spelling() -> None:
    held = hit(table(("Shipment", "Date"), ("SH-7", "2025-10-04")))
    (found,) = judge("What came with the October shipment?", held).values()
    assert found.missing == ()
    (found,) = judge("What came with the November shipment?", held).values()
    assert found.missing == ("November",)


def test_a_passage_that_ranked_lower_falls_behind() -> None:
    low, high = prose("The pump is outside.", title="Guide"), prose("The pump is inside.", title="Guide")
    found = judge("Where is the pump?", hit(low, 1.0), hit(high, 3.0))
    assert list(found) == ["The pump is inside.", "The pump is outside."]


def test_no_hits_no_evidence() -> None:
    assert judge("Where is the pump?") == {}
    assert judge("Where is the pump?", evidence=Evidence(Standard(), ToyEncoder())) == {}


def test_news_are_the_words_and_codes_that_the_question_did_not_hold() -> None:
    (one,) = statements([hit(prose("The freezer door is sealed by gasket DS-40 in 1999."))])
    news = by_words.news("Which part seals the freezer door?", one).split()
    assert {"gasket", "DS-40"} <= set(news)
    assert not {"door", "freezer", "seal", "1999"} & set(news)
    assert not any(word.startswith("#") for word in news)
    assert len(news) == len(set(news))


def test_a_statement_that_only_repeats_the_question_is_no_news() -> None:
    (one,) = statements([hit(prose("The pump hums."))])
    assert by_words.news("When does the pump hum?", one) == ""


def test_questions_at_once_do_not_empty_each_other_s_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """One question waits for the encoder while another fills the memory and empties it."""
    monkeypatch.setattr("lyceum.answer.evidence.REMEMBERED", 6)
    first, *others = [
        hit(prose(f"The pump {word} is outside.")) for word in ("alpha", "beta", "gamma", "delta")
    ]

    class Slow(ToyEncoder):
        async def __call__(self, texts: Sequence[str]) -> Any:
            await asyncio.sleep(0)
            return await super().__call__(texts)

    async def check() -> None:
        evidence = Evidence(Standard(), Slow())
        await evidence(Query(text="Where is the pump?"), [first])
        few, many = Query(text="Where is the pump now?"), Query(text="Where are the pumps?")
        judged = await asyncio.gather(evidence(few, [first]), evidence(many, others))
        assert [len(found) for found in judged] == [1, 3]
        assert all(one.cosine is not None for found in judged for one in found)

    run(check())


def test_names_that_a_chinese_statement_adds_hold_nothing_of_the_question() -> None:
    (told,) = statements([hit(prose("工伤须报告安全主管潘志刚，代号QX-5。"))])
    assert Evidence(Standard()).names("发生工伤要报告哪位安全主管？", told) == ["QX-5", "潘志刚"]
