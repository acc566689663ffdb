"""Fusion by z-scores, and what a retriever refuses to search."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from lyceum.core.errors import InvalidInput, TooLarge
from lyceum.core.trace import tracing
from lyceum.core.types import Query, Span
from lyceum.search.hybrid import Hybrid, fuse, standardise
from lyceum.search.single import Single
from tests.answer.made import staged, table
from tests.toys import Home, ToyEncoder, document, run


def test_z_scores_by_hand() -> None:
    top = [(1, 4.0), (2, 2.0), (3, 0.0)]
    scores = standardise(top, {1: 4.0, 2: 2.0, 3: 0.0, 9: 6.0})
    assert scores[1] == pytest.approx(1.2247448714)
    assert scores[2] == pytest.approx(0.0)
    assert scores[9] == pytest.approx(2.4494897428)


def test_no_spread_gives_zero() -> None:
    assert standardise([(1, 2.0), (2, 2.0)], {1: 2.0, 2: 2.0, 3: 0.0}) == {1: 0.0, 2: 0.0, 3: 0.0}
    assert standardise([], {3: 0.4}) == {3: 0.0}


def test_a_single_match_stands_out_against_the_zeros_of_the_others() -> None:
    scores = standardise([(1, 5.0)], {1: 5.0, 2: 0.0}, size=100)
    assert scores[1] == pytest.approx((5.0 - 0.05) / (0.05 * 4.95) ** 0.5)
    assert scores[2] < 0


def test_fuse_by_hand() -> None:
    fused = fuse({1: 1.0, 2: -1.0}, {2: 2.0, 1: 0.0}, 0.4)
    assert fused == [(1, pytest.approx(0.6)), (2, pytest.approx(0.2))]


def test_without_a_dense_score_the_lexical_one_stands_alone() -> None:
    assert fuse({1: 1.0, 2: 0.9}, {2: 0.0}, 0.4) == [(1, 1.0), (2, pytest.approx(0.54))]


def test_each_hit_says_which_part_found_it(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "pump pressure", "valve colour"), document("b.md", "motor")])
        (first, *_) = await home.hybrid(Query(text="pump pressure"))
        assert first.chunk.text == "pump pressure"
        assert [(by.part, by.rank) for by in first.by] == [("bm25", 1), ("vectors", 1)]
        assert first.document.source == "a.md"

    run(check())


def test_a_chinese_question_is_not_compared_by_an_english_encoder(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "水泵的压力是四十巴"), document("b.md", "pump")])
        chinese = await home.dense.find(Query(text="水泵压力"), 10)
        assert [number for number, _ in chinese] == [2], "only across languages"
        hits = await home.hybrid(Query(text="水泵压力"))
        assert hits[0].document.source == "a.md"

    run(check())


@pytest.mark.parametrize(("trust", "weight"), [(1.0, 0.4), (0.25, 0.1), (0.0, 0.0)])
def test_meaning_weighs_as_much_as_it_can_be_trusted(tmp_path: Path, trust: float, weight: float) -> None:
    class Glossing(ToyEncoder):
        languages: ClassVar[dict[str, float]] = {"en": 1.0, "zh": trust}

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "水泵 压力"), document("b.md", "马达")])
        hybrid = Hybrid(home.ledger, home.lexical, home.dense, Glossing())
        kept: list[Span] = []
        with tracing(kept.append):
            await hybrid(Query(text="水泵 压力"))
            await hybrid(Query(text="pump"))
        assert [span.facts["weight"] for span in kept if span.name == "search.fuse"] == [weight, 0.4]

    run(check())


def test_a_table_is_also_judged_by_its_best_row(tmp_path: Path) -> None:
    """Two tables hold the same words equally often; in one of them a single row holds them together."""

    async def check() -> None:
        home = Home(tmp_path)
        scattered = table(("Team", "Points"), ("red valve", "1"), ("blue pump", "2"), ("red pump", "3"))
        together = table(("Team", "Points"), ("red blue", "1"), ("valve pump", "2"), ("red pump", "3"))
        await home.store.put([staged("a.csv", together), staged("b.csv", scattered)])
        query = Query(text="valve pump", top_k=2)
        plain, rows = (Hybrid(home.ledger, home.lexical, home.dense, rows=share) for share in (0.0, 0.5))
        before, after = {h.document.source: h for h in await plain(query)}, await rows(query)
        gained = {hit.document.source: hit.score - before[hit.document.source].score for hit in after}
        assert gained["a.csv"] > gained["b.csv"]
        assert [by.part for by in after[0].by] == ["bm25", "vectors", "rows"]
        assert all(len(hit.by) == 2 for hit in before.values()), "without a share, rows are not asked"

    run(check())


def test_a_row_that_may_not_be_seen_lifts_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        hidden = staged("secret.csv", table(("Part", "Price"), ("pump", "12")), readers=frozenset({"boss"}))
        await home.store.put([document("a.md", "pump"), hidden])
        (hit,) = await home.hybrid(Query(text="pump price"))
        assert [by.part for by in hit.by] == ["bm25", "vectors"]
        assert len(await home.hybrid(Query(text="pump price", readers=frozenset({"boss", "*"})))) == 2

    run(check())


def test_dead_entries_are_asked_past(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", *[f"pump number{n}" for n in range(150)])])
        old = home.store.views
        home.store.views = []  # the views miss the replacement, as in the instant after a flip
        await home.store.put([document("a.md", "motor", version="2")])
        home.store.views = old
        assert await home.texts("pump") == []
        single = Single(home.ledger, home.lexical)
        assert await single(Query(text="pump", top_k=3)) == []

    run(check())


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_empty_questions(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        run(Home(tmp_path).texts(text))


def test_huge_questions(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="10,000"):
        run(Home(tmp_path).texts("x" * 10_001))
    with pytest.raises(InvalidInput, match="top_k"):
        run(Home(tmp_path).texts("x", top_k=0))


@pytest.mark.parametrize(
    "text",
    ["the of and", "AND OR NOT", '"unclosed', "a:b^2~ (*", "field:[1 TO 2]", "𝔘𝔫𝔦 \x00 \ud800", "? ! ."],
)
def test_odd_questions_are_words_and_nothing_else(tmp_path: Path, text: str) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "pump and valve")])
        assert isinstance(await home.texts(text), list)

    run(check())
