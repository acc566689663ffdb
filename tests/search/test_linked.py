"""The link step by hand, its guards, what hits say of it, and what happens when the view fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum import wire
from lyceum.core.errors import StoreError
from lyceum.core.trace import tracing
from lyceum.core.types import Hit, Query, Span
from lyceum.search.analyzer import Standard
from lyceum.search.history import History
from lyceum.search.hybrid import Hybrid
from lyceum.search.linked import Linked, corrected, named, walk
from lyceum.search.single import Single
from tests.store.test_links import titled
from tests.toys import ALL, Home, ToyEncoder, run

QUESTION = "Which river flows through the town where the painter Ada Brook was born"


def test_titles_in_the_question_by_hand() -> None:
    assert named({1: 1.0, 2: 0.0}, {2: 1.0, 3: 0.5}) == {
        1: pytest.approx(1 / 1.4), 2: pytest.approx(0.4 / 1.4), 3: pytest.approx(0.2 / 1.4),
    }  # fmt: skip


def test_a_walk_by_hand() -> None:
    """From 1 with one neighbour: after five steps with restart .5 the mass is 11/16 + ... (Haveliwala 2002)."""
    at = walk({1: 4.0}, {1: {2: 1.0}})
    mass, other = 1.0, 0.0
    for _ in range(5):
        mass, other = 0.5 + 0.5 * other, 0.5 * mass
    assert at == {1: 1.0, 2: pytest.approx(other / mass)}
    assert walk({1: 1.0, 2: 1.0}, {}) == {1: 1.0, 2: 1.0}
    assert walk({}, {}) == {}


def test_neighbours_gain_by_the_best_of_the_first_five() -> None:
    scores = {1: 1.0, 2: 0.5, 3: 0.2}
    around = {1: {3: 0.5}, 2: {3: 1.0, 9: 0.5}}
    ends = walk({1: 1.0, 2: 0.25}, around)
    final = corrected(scores, [1, 2], around)
    assert final[3] == pytest.approx(0.2 + 0.2 * 0.5 + 0.5 * ends[3])
    assert final[9] == pytest.approx(0.2 * 0.25 + 0.5 * ends[9])
    assert final[1] == pytest.approx(1.0 + 0.5 * ends[1])


def home_of(folder: Path) -> Home:
    home = Home(folder)
    others = [titled(f"{n}.md", f"River town number{n}", f"painter river flows town {n}") for n in range(20)]
    run(
        home.store.put(
            [
                titled("ada.md", "Ada Brook", "Ada Brook was a painter born in Lower Wick."),
                titled("wick.md", "Lower Wick", "The Tey crosses it."), *others,
                titled("pay.md", "Tey", "secret", readers=frozenset({"boss"})),
            ]
        )
    )  # fmt: skip
    return home


def linked(home: Home, least: int = 8) -> Linked:
    return Linked(home.ledger, home.links, Standard(), Single(home.ledger, home.lexical), least)


def test_what_the_first_hit_names_is_found(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    query = Query(text=QUESTION, top_k=5)
    plain = [hit.document.source for hit in run(linked(home, 99)(query))]
    hits = run(linked(home)(query))
    assert "wick.md" not in plain
    assert [hit.document.source for hit in hits][:2] == ["ada.md", "wick.md"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    (by,) = hits[1].by
    assert by.part == "links"
    assert by.score > 0
    assert [one.part for one in hits[0].by] == ["bm25", "links"]
    assert all(len(hit.by) == 1 for hit in hits[2:])


def test_scores_stay_on_their_scale(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    query = Query(text=QUESTION, top_k=22)
    before = {hit.chunk.number: hit.score for hit in run(linked(home, 99)(query))}
    for hit in run(linked(home)(query)):
        gain = sum(by.score for by in hit.by if by.part == "links")
        if not gain and hit.chunk.number in before:
            assert hit.score == pytest.approx(before[hit.chunk.number])


def test_short_questions_are_passed_on(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    asked: list[Query] = []

    async def retriever(query: Query) -> list[Hit]:
        asked.append(query)
        return []

    passing = Linked(home.ledger, home.links, Standard(), retriever)
    assert run(passing(Query(text="Where was Ada Brook born?", top_k=3))) == []
    hits = run(passing(Query(text=QUESTION, top_k=3)))
    assert [hit.document.source for hit in hits] == ["ada.md", "wick.md"], "titles are found on their own"
    assert [query.top_k for query in asked] == [3, 100]


def test_readers_and_filters_hold(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    text = f"{QUESTION} near the Tey"

    def sources(**more: Any) -> set[str]:
        return {hit.document.source for hit in run(linked(home)(Query(text=text, top_k=30, **more)))}

    assert "pay.md" not in sources()
    assert "pay.md" in sources(readers=ALL | {"boss"})
    assert sources(filters={"source": "ada.md"}) == {"ada.md"}
    run(home.store.remove(replace(titled("wick.md", "", "")[0]).id, ALL))
    assert "wick.md" not in sources()


def test_a_view_that_fails_leaves_the_ranking(tmp_path: Path) -> None:
    home = home_of(tmp_path)

    class Failing:
        async def find(self, *_: Any) -> list[tuple[int, float]]:
            raise StoreError("gone", code="disk_io")

    spans: list[Span] = []
    query = Query(text=QUESTION, top_k=5)
    broken = Linked(home.ledger, Failing(), Standard(), Single(home.ledger, home.lexical))  # type: ignore[arg-type]
    with tracing(spans.append):
        hits = run(broken(query))
    assert [hit.chunk.id for hit in hits] == [hit.chunk.id for hit in run(linked(home, 99)(query))]
    assert [one.facts["warning"] for one in spans if one.name == "search.links"] == ["not linked: disk_io"]


@pytest.mark.parametrize(("encoder", "inner"), [(ToyEncoder(), Hybrid), (None, Single)])
def test_it_is_the_default_with_and_without_an_encoder(tmp_path: Path, encoder: Any, inner: type) -> None:
    platform = wire.build({}, tmp_path, replace={"encoder": encoder, "spans": None})
    assert isinstance(platform.retriever, History)
    assert isinstance(platform.retriever.retriever, Linked)
    assert type(platform.retriever.retriever.retriever) is inner
    assert [view.name.partition("-")[0] for view in platform.store.views][-1] == "links"
    alone = wire.build(
        {"retriever": {"kind": "search.hybrid"}}, tmp_path, replace={"encoder": encoder, "spans": None}
    )
    assert type(alone.retriever) is inner
    run(platform.close())
    run(alone.close())
