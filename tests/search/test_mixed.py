"""Two opinions of the same hits: weights, scale, ties, and what a broken second opinion does."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from lyceum.core.types import Hit, Query
from lyceum.search.mixed import Mixed, mixed
from tests.search.hits_made import hit, made, numbers
from tests.toys import run


def test_each_opinion_in_its_own_deviations() -> None:
    hits = made("a", "b", "c")  # scores 2 1 0: deviations 1.2247 0 -1.2247
    found = mixed(hits, [0.0, 0.0, 300.0], 0.5)  # deviations -.7071 -.7071 1.4142
    assert numbers(found) == [1, 3, 2]
    spread = math.sqrt(2 / 3)
    wanted = [
        1 + spread * (a + b) / 2 for a, b in ((1.224745, -0.707107), (-1.224745, 1.414214), (0, -0.707107))
    ]
    assert [one.score for one in found] == pytest.approx(wanted, abs=1e-5)


def test_the_ends_of_the_weight() -> None:
    hits = made("a", "b", "c")
    assert numbers(mixed(hits, [1, 2, 3], 0.0)) == [1, 2, 3]
    assert [one.score for one in mixed(hits, [1, 2, 3], 0.0)] == pytest.approx([2, 1, 0])
    assert numbers(mixed(hits, [1, 2, 3], 1.0)) == [3, 2, 1]
    assert [one.score for one in mixed(hits, [1, 2, 3], 1.0)] == pytest.approx([2, 1, 0])


def test_no_spread_and_no_hits() -> None:
    assert mixed([], [], 0.3) == []
    assert mixed(made("a"), [9.0], 0.3) == made("a")
    assert numbers(mixed(made("a", "b"), [5, 5], 1.0)) == [1, 2]
    flat = [hit(1, "a", 3.0), hit(2, "b", 3.0)]
    assert numbers(mixed(flat, [0, 1], 0.3)) == [2, 1]


def test_a_hit_that_was_not_scored_gets_no_number() -> None:
    async def forgets(query: Query, hits: Sequence[Hit]) -> list[Hit]:
        return [*hits[1:], hit(9, "not asked about", 9.0)]

    found = run(Mixed(forgets, 0.3)(Query(text="x"), made("a", "b")))
    assert sorted(numbers(found)) == [1, 2]
    assert any(math.isnan(one.score) for one in found)
