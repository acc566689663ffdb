"""Of several editions of one text only the one that is meant; everything else is left alone."""

from __future__ import annotations

import pytest

from lyceum.answer.current import current
from lyceum.core.types import Hit
from tests.answer.made import hit, prose


def edition(title: str, number: float, dated: str = "") -> Hit:
    meta = {"edition": number, "dated": dated} if dated else {"edition": number}
    return hit(prose("The limit is stated here.", title=title), **meta)


def titles(question: str, hits: list[Hit]) -> list[str]:
    return [one.document.title for one in current(question, hits)]


FIRST = edition("Travel policy version 1", 1.0, "2023-01-01")
SECOND = edition("Travel policy version 2", 2.0, "2025-04-01")
POLICIES = [FIRST, SECOND]
RULES = [edition("车辆规定（第一版）", 1.0, "2022-05-01"), edition("车辆规定（第二版）", 2.0, "2025-09-01")]


@pytest.mark.parametrize("hits", [POLICIES, POLICIES[::-1]])
def test_the_newest_edition_wins(hits: list[Hit]) -> None:
    assert titles("What is the hotel limit?", hits) == ["Travel policy version 2"]


@pytest.mark.parametrize(
    "question",
    [
        "What is the limit in version 1?",
        "What is the limit by edition 1?",
        "What did v1 say?",
        "What was the limit in 2023?",
        "What was the limit in the old policy?",
        "What did the previous edition allow?",
        "第一版的限额是多少？",
        "第 1 版的限额是多少？",
        "旧版的限额是多少？",
    ],
)
def test_a_question_can_mean_the_older_one(question: str) -> None:
    assert titles(question, POLICIES) == ["Travel policy version 1"]


@pytest.mark.parametrize(
    "question",
    [
        "What is the limit in version 2?",
        "What is the limit in 2025?",
        "What is the limit in version 10?",
        "What is the limit in version 1.5?",
        "What is the limit of 1 night?",
        "What do golden tickets cost?",
    ],
)
def test_what_does_not_name_the_older_one(question: str) -> None:
    assert titles(question, POLICIES) == ["Travel policy version 2"]


def test_a_named_edition_counts_more_than_the_word_old() -> None:
    assert titles("Does version 2 still have the old limit?", POLICIES) == ["Travel policy version 2"]


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("车辆限速是多少？", "车辆规定（第二版）"),
        ("第一版规定的限速是多少？", "车辆规定（第一版）"),
        ("旧规定的限速是多少？", "车辆规定（第一版）"),
        ("2022年的限速是多少？", "车辆规定（第一版）"),
    ],
)
def test_chinese_editions(question: str, title: str) -> None:
    assert titles(question, RULES) == [title]


def test_of_three_editions_one_is_left() -> None:
    hits = [*POLICIES, edition("Travel policy version 3", 3.0)]
    assert titles("What is the limit?", hits) == ["Travel policy version 3"]
    assert titles("What is the limit in version 1?", hits) == ["Travel policy version 1"]


def test_a_higher_number_is_newer_as_a_number() -> None:
    hits = [edition("Guide v9", 9.0), edition("Guide v10", 10.0)]
    assert titles("What is the limit?", hits) == ["Guide v10"]


def test_minutes_of_two_dates_are_two_texts() -> None:
    hits = [
        hit(prose("Agreed.", title="Board minutes March"), dated="2025-03-01"),
        hit(prose("Agreed.", title="Board minutes June"), dated="2025-06-01"),
    ]
    assert current("What was agreed?", hits) == hits


def test_other_documents_stay_in_their_order() -> None:
    plain = hit(prose("Lunch is at noon.", title="Canteen plan"))
    alone = edition("Security policy version 1", 1.0)
    assert current("What is the limit?", [plain, FIRST, alone, SECOND]) == [plain, alone, SECOND]


def test_families_are_judged_one_by_one() -> None:
    assert titles("What is the limit?", [*RULES, *POLICIES]) == [
        "车辆规定（第二版）",
        "Travel policy version 2",
    ]


def test_all_hits_of_an_edition_share_its_fate() -> None:
    again = hit(prose("Another passage.", title=FIRST.document.title), edition=1.0, dated="2023-01-01")
    assert current("What is the limit?", [FIRST, again, SECOND]) == [SECOND]
    assert current("What is the limit in version 1?", [FIRST, again, SECOND]) == [FIRST, again]


def test_nothing_found_and_a_single_edition() -> None:
    assert current("What is the limit?", []) == []
    assert current("What is the limit in version 2?", [FIRST]) == [FIRST]


def test_the_years_of_one_text_say_nothing_of_another() -> None:
    """Both texts have an edition 1; the question names the year of the travel policy's."""
    other = [
        edition("Parking rules version 1", 1.0, "2020-01-01"),
        edition("Parking rules version 2", 2.0, "2024-01-01"),
    ]
    kept = titles("What was the hotel limit in 2023?", [*POLICIES, *other])
    assert kept == ["Travel policy version 1", "Parking rules version 2"]
