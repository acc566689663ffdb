"""Questions about several things: their parts by rules, and the fusion that keeps the whole first."""

from __future__ import annotations

import time

import pytest

from lyceum.core.turns import alone, dependent
from lyceum.core.types import Chunk, Document, Hit, Message, Query
from lyceum.search.decomposed import Decomposed, parts
from lyceum.search.feedback import introduced
from lyceum.search.hits import together
from lyceum.search.selfquery import meant
from tests.toys import run


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What is the price of the pump and who sells it?", ["What is the price of the pump", "who sells it"]),
        ("Are both Berg and Hansen engineers?", ["Are both Berg engineers?", "Are both Hansen engineers?"]),
        ("Compare Kestrel with Osprey", []),
        ("Who came first, Ada Berg or Jon Hansen?", ["Who came first, Ada Berg?", "Who came first, Jon Hansen?"]),
        ("公司和员工都要遵守的规定有哪些？", []),
        ("年假和病假分别有多少天？", ["年假分别有多少天？", "病假分别有多少天？"]),
        ("What is the price of the pump?", []),
        ("research and development costs", []),
        ("", []),
    ],
)  # fmt: skip
def test_parts(text: str, found: list[str]) -> None:
    assert parts(text) == found


def test_hostile_questions_cost_little() -> None:
    started = time.process_time()
    for text in (
        " " * 9_999,
        "which , " + "or " * 3_000,
        "of A " * 2_000,
        "A-" * 4_999,
        "和" * 9_999,
        "? and " * 1_600,
    ):
        parts(text)
        dependent(text)
        alone(
            Query(text=text, history=(Message(role="user", content=text), Message(role="user", content="x")))
        )
        list(introduced("x", text))
        meant(text, [])
    assert time.process_time() - started < 2


def hits(**scores: float) -> list[Hit]:
    told = Document(id="d", source="d.md", version="1")
    made = [
        Hit(chunk=Chunk(id=name, doc_id="d", text=name), document=told, score=s) for name, s in scores.items()
    ]
    return sorted(made, key=lambda hit: -hit.score)


def test_fusion_by_hand() -> None:
    lists = {"whole": hits(a=2.0, b=1.0), "one": hits(b=3.0, c=0.0), "two": []}

    async def retriever(query: Query) -> list[Hit]:
        return lists[query.text]

    found = run(together(retriever, Query(text="whole"), [Query(text="one"), Query(text="two")], 0.5))
    # whole counts 1, one .25, the empty list nothing; c has the whole's lowest score, a the part's
    scores = {hit.chunk.id: hit.score for hit in found}
    assert scores == {
        "b": pytest.approx((1 + 0.25 * 3) / 1.25), "a": pytest.approx(2 / 1.25), "c": pytest.approx(1 / 1.25),
    }  # fmt: skip
    assert [hit.chunk.id for hit in found] == ["a", "b", "c"]


def test_nothing_found_anywhere() -> None:
    async def nothing(query: Query) -> list[Hit]:
        return []

    assert run(Decomposed(nothing)(Query(text="Who sells pumps and who sells boats?"))) == []


def test_one_question_is_asked_once() -> None:
    heard: list[Query] = []

    async def noted(query: Query) -> list[Hit]:
        heard.append(query)
        return []

    run(Decomposed(noted)(Query(text="Who sells pumps?")))
    assert heard == [Query(text="Who sells pumps?")]
