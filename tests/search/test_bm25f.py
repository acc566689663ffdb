"""The postings view against BM25F by its formula: titles repeated in one field rank nearly as two fields do."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lyceum.core.types import Query
from tests.exact import ExactBM25F
from tests.toys import Home, document, run

# Robertson and Zaragoza 2009 by hand: N = 2, "pump" only in the first document, once in a body of two words
# (average 1.5): idf = ln(1 + 1.5 / 1.5), norm = .25 + .75 * 2 / 1.5.
BY_HAND = 0.6931471805599453 * (1 / 1.25) / (1.2 + 1 / 1.25)


def test_known_answer() -> None:
    exact = ExactBM25F([([], ["pump", "red"]), ([], ["valve"])])
    assert exact(["pump"], 10) == [(0, pytest.approx(BY_HAND))]


def test_a_title_counts_three_times() -> None:
    exact = ExactBM25F([(["pump"], ["red"]), (["valve"], ["pump"])])
    assert [number for number, _ in exact(["pump"], 10)] == [0, 1]


def test_postings_rank_as_the_formula_does(tmp_path: Path) -> None:
    random.seed(7)
    words = [f"w{n}ord" for n in range(300)]
    texts = [" ".join(random.choices(words, k=random.randint(5, 60))) for _ in range(400)]

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document(f"title{n % 7}x{n}.md", text) for n, text in enumerate(texts)])
        analyze = home.lexical.analyzer
        exact = ExactBM25F([(analyze(f"title{n % 7}x{n}"), analyze(text)) for n, text in enumerate(texts)])
        agreement = 0.0
        for _ in range(50):
            asked = " ".join(random.sample(words, 4))
            mine = [number - 1 for number, _ in await home.lexical.find(Query(text=asked), 10)]
            theirs = [number for number, _ in exact(analyze(asked), 10)]
            agreement += len(set(mine) & set(theirs)) / max(len(theirs), 1) / 50
        assert agreement > 0.95

    run(check())
