"""Sentence vectors: the best sentence lifts its passage; unknown languages and single hits are left alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lyceum import wire
from lyceum.core.types import Query
from lyceum.search.multivector import Sentences
from lyceum.search.reranked import Reranked
from tests.answer.made import hit, prose
from tests.toys import Home, ToyEncoder, document, run

LONG = hit(prose("Nothing here tells anything. the red valve opens. Other words follow on and on."), 1.0)
SHORT = hit(prose("the red lamp opens other words"), 1.0)
ASKED = Query(text="the red valve opens.")


def test_the_best_sentence_counts_beside_the_passage() -> None:
    ranked = run(Sentences(ToyEncoder(), weight=1.0)(ASKED, [SHORT, LONG]))
    assert [one.chunk.text for one in ranked] == [LONG.chunk.text, SHORT.chunk.text]
    # The formula, by hand: the mean of the passage's cosine and the best sentence's, as z-scores.
    assert [one.score for one in ranked] == pytest.approx([1.0, -1.0], abs=1e-3)


def test_a_weight_of_nothing_keeps_the_order_of_the_scores() -> None:
    hits = [hit(SHORT.chunk, 0.9), hit(LONG.chunk, 0.4)]
    assert [one.chunk.id for one in run(Sentences(ToyEncoder(), weight=0.0)(ASKED, hits))] == [
        one.chunk.id for one in hits
    ]


def test_sentences_are_encoded_once() -> None:
    encoder = ToyEncoder()
    rerank = Sentences(encoder)
    run(rerank(ASKED, [SHORT, LONG]))
    first = encoder.encoded
    run(rerank(ASKED, [LONG, SHORT]))
    assert encoder.encoded == first == 7  # the question, two passages, one sentence and three


@pytest.mark.parametrize("question", ["红色阀门", "the valve"])
def test_what_cannot_be_compared_stays(question: str) -> None:
    rerank = Sentences(ToyEncoder() if question == "红色阀门" else None)
    assert run(rerank(Query(text=question), [SHORT, LONG])) == [SHORT, LONG]


def test_over_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    run(home.store.put([document("a.md", "pump and valve. " * 3), document("b.md", "pump. lamp oil wick")]))
    hits = run(Reranked(home.hybrid, Sentences(home.encoder))(Query(text="lamp oil wick", top_k=2)))
    assert hits[0].document.source == "b.md"
    assert all(math.isfinite(one.score) for one in hits)


def test_a_configuration_names_it(tmp_path: Path) -> None:
    base = {"kind": "search.reranked", "reranker": {"kind": "search.sentences", "weight": 0.2}}
    inner = {"kind": "search.parents", "around": 2, "retriever": {"kind": "search.distinct", "retriever":
             {"kind": "search.fresh", "retriever": {**base, "retriever": {"kind": "search.hybrid"}}}}}  # fmt: skip
    platform = wire.build({"retriever": inner}, tmp_path, replace={"encoder": ToyEncoder(), "spans": None})
    assert run(platform.retriever(Query(text="anything"))) == []
    run(platform.close())
