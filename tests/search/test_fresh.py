"""The freshness prior: newer first among equals, never against a year that is named."""

from __future__ import annotations

import pytest

from lyceum.core.types import Hit, Query
from lyceum.search.fresh import Fresh
from tests.answer.made import hit, prose


def ranked(question: str, *hits: Hit, **options: float) -> list[Hit]:
    async def given(query: Query) -> list[Hit]:
        return list(hits)

    from tests.toys import run

    return run(Fresh(given, **options)(Query(text=question)))


OLD = hit(prose("a", title="old"), 1.0, dated="2023-05-01")
NEW = hit(prose("b", title="new"), 0.9, dated="2025-04-30")
NAMED = hit(prose("c", title="rates-2024.md"), 0.8)
PLAIN = hit(prose("d", title="plain"), 0.7)


def test_recency_halves_with_each_half_life() -> None:
    found = {
        one.document.source: one.score
        for one in ranked("What is the rate?", OLD, NEW, NAMED, PLAIN, weight=0.4)
    }
    assert found["new"] == pytest.approx(0.9 + 0.4)
    assert found["old"] == pytest.approx(1.0 + 0.4 * 0.5**2, abs=1e-3)  # 730 days
    assert found["rates-2024.md"] == pytest.approx(0.8 + 0.4 * 0.5 ** (303 / 365))  # the middle of its year
    gains = [found["new"] - 0.9, found["old"] - 1.0, found["rates-2024.md"] - 0.8]
    assert found["plain"] - 0.7 == pytest.approx(sum(gains) / 3)
    assert next(iter(found)) == "new"


@pytest.mark.parametrize(
    "question", ["What was the rate in 2023?", "What did the old policy say?", "旧版的限额是多少？"]
)
def test_what_is_asked_of_the_past_is_left_alone(question: str) -> None:
    assert ranked(question, OLD, NEW) == [OLD, NEW]


def test_dates_that_are_none_and_none_at_all() -> None:
    odd = hit(prose("x", title="odd"), 0.5, dated="2024-99-99")
    assert [one.score for one in ranked("rate?", PLAIN, odd)] == [0.7, 0.5]
