"""Rankings of many queries to figures, a row a query; knows no hit, no document and no example.

A grade above 0 is relevant; a query without relevant documents has no figure (nan). Formulas: precision, recall,
R-precision and average precision as in trec_eval (Voorhees and Harman, TREC, 2005), reciprocal rank (Voorhees,
TREC-8, 1999), nDCG with linear gain (Järvelin and Kekäläinen, TOIS 20, 2002); all-gold@k is 1 where nothing that
is relevant is missing among the first k, which a question over several documents needs (Yang et al., HotpotQA, 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from lyceum.core.errors import InvalidInput

Figures = dict[str, npt.NDArray[np.float64]]
Grades = Mapping[str, float]
Ranked = Mapping[str, float] | Sequence[str]  # documents with their scores, or in their order
BLOCK = 16_384  # gold documents whose ranks are counted at a time


def ranking_metrics(relevance: Any, ideal: Any, cutoffs: Sequence[int] = (10,)) -> Figures:
    """Return figures of rankings: `relevance` holds grades in ranked order, `ideal` those of all relevant documents.

    Both have a row a query, filled up with 0; a row of `ideal` falls. Names: recall@10, …; map, mrr, ndcg and
    r-precision look at the whole ranking.
    """
    relevance, ideal = np.atleast_2d(np.asarray(relevance, float)), np.atleast_2d(np.asarray(ideal, float))
    queries, depth = len(ideal), max(relevance.shape[1], ideal.shape[1], 1)
    rows, ranks = np.nonzero(relevance > 0)
    known = (ideal > 0).sum(axis=1)
    discounts = 1 / np.log2(np.arange(2, depth + 2))
    gains = relevance[rows, ranks] * discounts[ranks]
    found = np.arange(1, len(rows) + 1) - np.searchsorted(rows, rows)  # as many were found up to this rank
    reciprocal = (found == 1) / (ranks + 1)

    def total(weights: Any, inside: Any) -> npt.NDArray[np.float64]:
        return np.bincount(rows[inside], np.broadcast_to(weights, len(rows))[inside], queries).astype(float)

    with np.errstate(invalid="ignore", divide="ignore"):
        every = np.ones(len(rows), bool)
        best = np.cumsum(np.maximum(ideal, 0) * discounts[: ideal.shape[1]], axis=1)
        figures = {
            "map": total(found / (ranks + 1), every) / known,
            "mrr": total(reciprocal, every),
            "ndcg": total(gains, every) / best[:, -1],
            "r-precision": total(1.0, ranks < known[rows]) / known,
        }
        for k in cutoffs:
            inside = ranks < k
            right = total(1.0, inside)
            figures |= {
                f"recall@{k}": right / known,
                f"precision@{k}": right / k,
                f"hit@{k}": np.minimum(right, 1.0),
                f"mrr@{k}": total(reciprocal, inside),
                f"map@{k}": total(found / (ranks + 1), inside) / known,
                f"ndcg@{k}": total(gains, inside) / best[:, min(k, best.shape[1]) - 1],
                f"all-gold@{k}": (right == known).astype(float),
            }
    return {name: np.where(known > 0, values, np.nan) for name, values in figures.items()}


def grades(
    run: Mapping[str, Ranked], gold: Mapping[str, Grades]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what `ranking_metrics` takes, a row for every query of `gold`; one that was not run found nothing.

    Equal scores are put in the order of trec_eval: the later name first. A document counts where it stands first.
    """
    wanted = [[(name, grade) for name, grade in one.items() if grade > 0] for one in gold.values()]
    ideal = np.zeros((len(wanted), max(map(len, wanted), default=0) or 1))
    for row, one in enumerate(wanted):
        ideal[row, : len(one)] = sorted((grade for _, grade in one), reverse=True)
    results = [_scored(run.get(query, {})) for query in gold]
    scores = _filled([one.values() for one in results])
    if np.isnan(scores).any():
        raise InvalidInput("A score is no number (nan).", hint="Give every document of a ranking a score.")
    at = [
        (row, one[name], grade, name)
        for row, (one, some) in enumerate(zip(results, wanted, strict=True))
        for name, grade in some
        if name in one
    ]
    relevance = np.zeros((len(wanted), max(scores.shape[1], 1)))
    for start in range(0, len(at), BLOCK):
        rows, own, grade, names = zip(*at[start : start + BLOCK], strict=True)
        found = scores[list(rows)]
        mine = np.array(own, float)[:, None]
        ranks = (found > mine).sum(axis=1)
        for tied in np.nonzero((found == mine).sum(axis=1) > 1)[0]:
            others = results[rows[tied]].items()
            ranks[tied] += sum(score == own[tied] and name > names[tied] for name, score in others)
        relevance[list(rows), ranks] = grade
    return relevance, ideal


def _scored(found: Ranked) -> Grades:
    if isinstance(found, Mapping):
        return found
    return {name: float(-rank) for rank, name in enumerate(dict.fromkeys(found))}


def _filled(rows: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return rows of numbers as one array, the shorter ones ended by -inf."""
    lengths = np.fromiter(map(len, rows), int, len(rows))
    table = np.full((len(rows), lengths.max(initial=0)), -np.inf)
    flat = np.fromiter(chain.from_iterable(rows), float, int(lengths.sum()))
    table[np.arange(table.shape[1]) < lengths[:, None]] = flat
    return table
