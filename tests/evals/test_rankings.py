"""Figures of rankings: by hand, and against ir-measures (trec_eval) on rankings with ties, grades and gaps."""

from __future__ import annotations

import math
from typing import Any

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, Rprec, Success, nDCG

from lyceum.core.errors import InvalidInput
from lyceum.evals.rankings import grades, ranking_metrics

ORACLE = {
    "recall@5": R @ 5, "precision@5": P @ 5, "hit@5": Success @ 5, "map@5": AP @ 5, "ndcg@5": nDCG @ 5,
    "recall@20": R @ 20, "precision@20": P @ 20, "ndcg@20": nDCG @ 20,
    "map": AP, "mrr": RR, "ndcg": nDCG, "r-precision": Rprec,
}  # fmt: skip


def made(seed: int, values: int, queries: int = 60) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return gold and runs: few `values` of scores make ties; some queries were not run, some find nothing."""
    random = np.random.default_rng(seed)
    gold, run = {}, {}
    for number in range(queries):
        hits = random.choice(60, int(random.integers(1, 40)), replace=False).tolist()
        right = random.choice(80, int(random.integers(1, 9)), replace=False).tolist()
        gold[f"q{number}"] = {f"d{one}": int(random.integers(0, 4)) for one in right}
        gold[f"q{number}"][f"d{right[0]}"] = 1
        if number % 7:
            run[f"q{number}"] = {f"d{one}": float(random.integers(values)) / 8 for one in hits}
    run["not asked"] = {"d1": 1.0}
    return gold, run


@pytest.mark.parametrize("values", [2, 5, 10_000])
def test_equal_to_trec_eval_with_ties_grades_and_missing_queries(values: int) -> None:
    gold, run = made(values, values)
    figures = ranking_metrics(*grades(run, gold), (5, 20))
    rows = {query: row for row, query in enumerate(gold)}
    names = {str(measure): name for name, measure in ORACLE.items()}
    seen = 0
    for one in ir_measures.iter_calc(list(ORACLE.values()), gold, run):
        assert figures[names[str(one.measure)]][rows[one.query_id]] == pytest.approx(one.value, abs=1e-9)
        seen += 1
    assert seen == len(ORACLE) * len(gold)
    reciprocal = figures["mrr"]
    assert figures["mrr@5"] == pytest.approx(np.where(reciprocal >= 1 / 5, reciprocal, 0))
    assert set(figures["all-gold@20"]) == {0.0, 1.0}
    assert ((figures["recall@20"] == 1) == (figures["all-gold@20"] == 1)).all()


def test_the_oracle_can_disagree() -> None:
    gold, run = made(3, 10_000)
    worse = {query: {name: -score for name, score in found.items()} for query, found in run.items()}
    figures = ranking_metrics(*grades(worse, gold), (5,))
    theirs = np.mean([one.value for one in ir_measures.iter_calc([nDCG @ 5], gold, run)])
    assert abs(figures["ndcg@5"].mean() - theirs) > 0.01


def test_figures_by_hand() -> None:
    """Grades 3 at rank 1 and 2 at rank 3; one of grade 1 is missing (Järvelin and Kekäläinen, 2002)."""
    figures = ranking_metrics([[3, 0, 2, 0, 0]], [[3, 2, 1]], (1, 2, 5))
    found = {name: float(values[0]) for name, values in figures.items()}
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    expected = {
        "recall@1": 1 / 3, "recall@5": 2 / 3, "precision@2": 0.5, "precision@5": 0.4, "hit@1": 1.0, "mrr@1": 1.0,
        "map": (1 + 2 / 3) / 3, "r-precision": 2 / 3, "all-gold@5": 0.0, "map@2": 1 / 3,
        "ndcg": (3 + 2 / 2) / ideal, "ndcg@5": (3 + 2 / 2) / ideal, "ndcg@2": 3 / (3 + 2 / math.log2(3)), "mrr": 1.0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_lists_count_a_document_once_and_queries_without_gold_have_no_figure() -> None:
    relevance, ideal = grades({"a": ["x", "x", "y"], "b": ["x"]}, {"a": {"y": 1}, "b": {}, "c": {"z": 0}})
    assert relevance.tolist() == [[0, 1, 0][: relevance.shape[1]], [0, 0], [0, 0]]
    figures = ranking_metrics(relevance, ideal)
    assert figures["mrr@10"][0] == 0.5
    assert all(np.isnan(values[1:]).all() for values in figures.values())


def test_nothing_at_all_and_scores_that_are_none() -> None:
    assert ranking_metrics(*grades({}, {"a": {"x": 1.0}}))["ndcg@10"].tolist() == [0.0]
    with pytest.raises(InvalidInput, match="nan"):
        grades({"a": {"x": math.nan}}, {"a": {"x": 1.0}})
