"""Learnt weights: features by hand, the fit against closed forms, files that hold none, a model that is used."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lyceum import wire
from lyceum.answer.evidence import Evidence
from lyceum.core.errors import ConfigError
from lyceum.core.types import Found, Hit, Query
from lyceum.search.analyzer import Standard
from lyceum.search.learned import FEATURES, Features, Learned
from tests.search.hits_made import hit, made, numbers
from tests.toys import ToyEncoder, run

sys.path.append(str(Path(__file__).parents[2] / "bench"))

import fitting

BOTH = [Found(part="bm25", rank=1, score=6.0), Found(part="vectors", rank=3, score=0.5)]
HITS = [
    hit(1, "The pump is red.", 3.0, [Found(part="bm25", rank=2, score=4.0)], dated="2024-05-01"),
    hit(2, "The pump costs 42 euro.", 2.0, BOTH, dated="2026-01"),
    hit(3, "Valves.", 1.0, [Found(part="vectors", rank=1, score=0.7)]),
]  # fmt: skip


def column(name: str, **parts: object) -> list[float]:
    rows = run(Features(Standard(), **parts)(Query(text="What does the pump cost?"), HITS))  # type: ignore[arg-type]
    return rows[:, FEATURES.index(name)].tolist()


def test_features() -> None:
    assert column("score") == pytest.approx([1.2247, 0, -1.2247], abs=1e-3)
    assert column("rank") == pytest.approx([1, 1 / math.log2(3), 0.5])
    assert column("bm25") == pytest.approx([-1, 1, 0])  # not found: not known, no opinion
    assert column("bm25_rank") == pytest.approx([1 / math.log2(3), 1, 0])
    assert column("vectors_rank") == pytest.approx([0, 0.5, 1])
    assert column("overlap") == pytest.approx([0.25, 0.5, 0])  # of what, does, pump, cost
    assert column("fresh") == [0, 1, 0]  # the third has no date
    assert column("read") == column("other") == [0, 0, 0]


def test_features_of_the_reader_and_of_another_reranker() -> None:
    evidence = Evidence(Standard(), None, None)
    assert column("agrees", evidence=evidence) == [0, 1, 0]
    assert np.argmax(column("read", evidence=evidence)) == 1

    async def other(query: Query, hits: Sequence[Hit]) -> list[Hit]:
        return sorted(hits, key=lambda one: one.score)

    assert column("other", reranker=other) == pytest.approx(column("score"))


def test_no_hits_have_no_features() -> None:
    evidence = Evidence(Standard(), None, None)
    assert run(Features(Standard(), evidence)(Query(text="x"), [])).shape == (0, len(FEATURES))


def test_ranknet_by_its_closed_form() -> None:
    """Burges et al. 2005: P = sigmoid(difference); of 40 equal pairs 30 for the feature: w = ln(30 / 10)."""
    gaps = np.array([[1.0]] * 30 + [[-1.0]] * 10)
    assert fitting.logistic(gaps, np.ones(40), 0.0) == pytest.approx([math.log(3)], abs=1e-6)
    twice = np.array([[1.0], [-1.0]])
    assert fitting.logistic(twice, np.array([30.0, 10.0]), 0.0) == pytest.approx([math.log(3)], abs=1e-6)
    assert abs(fitting.logistic(gaps, np.ones(40), 1e6)[0]) < 1e-4


def test_a_pair_weighs_what_its_exchange_changes_in_ndcg() -> None:
    """Burges 2010: gain x |1 / log2(1 + rank) - 1 / log2(1 + rank)| over the ideal; ranks by the present scores."""
    gaps, worth = fitting.pairs(np.eye(3), np.array([0.0, 1.0, 0.0]), np.array([3.0, 2.0, 1.0]))
    assert gaps.tolist() == [[-1, 1, 0], [0, 1, -1]]
    second = 1 / math.log2(3)
    assert worth == pytest.approx([1 - second, second - 0.5])


def test_the_fit_finds_what_ranks() -> None:
    rng = np.random.default_rng(3)
    lists = []
    for _ in range(60):
        rows = rng.normal(size=(10, len(FEATURES)))
        rows[:, 0] = np.sort(rows[:, 0])[::-1]  # the order as it is says nothing of what is right
        truth = rows[:, FEATURES.index("overlap")] + 0.1 * rng.normal(size=10)
        lists.append((rows, [float(one == truth.max()) for one in truth]))
    weights = fitting.weights(lists)
    assert max(weights, key=lambda name: abs(weights[name])) == "overlap"
    assert weights["overlap"] > 3 * max(abs(one) for name, one in weights.items() if name != "overlap")
    assert set(fitting.weights([]).values()) == {0.0}


def kept(folder: Path, **weights: float) -> Path:
    file = folder / "weights.json"
    file.write_text(json.dumps({"weights": weights}))
    return file


def test_a_model_ranks_and_asks_only_what_it_needs(tmp_path: Path) -> None:
    async def never(query: Query, hits: Sequence[Hit]) -> list[Hit]:
        raise AssertionError("nothing needs it")

    ranker = Learned(kept(tmp_path, overlap=2.0, read=0.0), Standard(), evidence=never, reranker=never)
    found = run(ranker(Query(text="What does the pump cost?"), HITS))
    assert numbers(found) == [2, 1, 3]
    assert [one.score for one in found] == pytest.approx([3, 2, 1])  # in the scale of before
    assert run(ranker(Query(text="x"), [])) == []
    assert numbers(run(ranker(Query(text="x"), made("a")))) == [1]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weights": {"colour": 1}}', '{"weights": {"rank": NaN}}', '{"weights": [1]}']
)
def test_a_file_without_weights_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(ConfigError, match="holds no weights"):
        Learned(tmp_path / "w.json", Standard())
    with pytest.raises(ConfigError, match="holds no weights"):
        Learned(tmp_path / "absent.json", Standard())


def test_a_part_that_the_weights_need_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="learnt with a reranker"):
        Learned(kept(tmp_path, other=1.0), Standard())
    tables = {
        "retriever": {
            "kind": "search.reranked", "retriever": {"kind": "search.lexical"},
            "reranker": {"kind": "search.learned", "file": str(kept(tmp_path, read=1.0, bm25=1.0))},
        }
    }  # fmt: skip
    platform = wire.build(tables, tmp_path, replace={"encoder": ToyEncoder(), "spans": None})
    assert platform.retriever.reranker.features.evidence is platform.evidence  # type: ignore[attr-defined]
    assert run(platform.retriever(Query(text="anything"))) == []
    run(platform.close())
