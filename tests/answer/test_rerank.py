"""Re-ranking: a score that can be computed by hand, every passage with its cosine, ties in their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lyceum.answer.evidence import FOREIGN, WORDS, Evidence
from lyceum.answer.rerank import Rerank
from lyceum.core.types import Chunk, Document, Hit, Query
from lyceum.search.analyzer import Standard
from tests.toys import ToyEncoder, run


def hits(*texts: str) -> list[Hit]:
    document = Document(id="d", source="", version="")
    return [
        Hit(chunk=Chunk(id=str(n), doc_id="d", text=text, number=n), document=document, score=0.0)
        for n, text in enumerate(texts)
    ]


def ranked(encoder: Any, question: str, *texts: str) -> list[tuple[int, float]]:
    found = run(Rerank(Evidence(Standard(), encoder))(Query(text=question), hits(*texts)))
    return [(hit.chunk.number, hit.score) for hit in found]


def test_the_score_by_hand() -> None:
    texts = ["green anchors", "blue anchors"]
    made = run(ToyEncoder()(["green anchors", *texts]))
    cosines = made[1:] @ made[0]
    (first, best), (second, other) = ranked(ToyEncoder(), "green anchors", *texts)
    assert (first, second) == (0, 1)
    assert best == pytest.approx(1.0)
    # Rarity among the texts sent: "green" stands in one, "anchors" in both.
    weights = [np.log(1 + 3 / (seen + 0.5)) for seen in (1, 2)]
    coverage = weights[1] / sum(weights)
    assert other == pytest.approx(WORDS * coverage + (1 - WORDS) * cosines[1])


def test_every_passage_is_compared_by_meaning() -> None:
    texts = ["filler words here"] * 150 + ["harbour master"]
    assert ranked(ToyEncoder(), "harbour pilot", *texts)[0][0] == 150


def test_words_alone_where_the_language_is_not_known() -> None:
    assert ranked(ToyEncoder(), "试用期是几个月", "食堂周一供应汤。", "试用期为三个月。")[0][0] == 1
    (_, score), *_ = ranked(ToyEncoder(), "green anchors", "绿色 green anchors")
    assert score <= FOREIGN


def test_without_an_encoder_and_in_order_where_equal() -> None:
    assert [n for n, _ in ranked(None, "anchor", "no", "an anchor", "no", "no")] == [1, 0, 2, 3]
    assert ranked(None, "anchor") == []
