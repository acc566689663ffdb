"""Hits by a sum of what speaks for each, whose weights were learnt from questions with known passages.

The model is linear, so each weight can be read: pairwise logistic (RankNet, Burges et al. 2005), each pair weighed by
what exchanging it changes in nDCG (LambdaRank, Burges 2010), solved by Newton's method. Its file is JSON. Whoever
fits it brings questions and grades (bench/rerankers.py); it knows no set and no index.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lyceum.core.errors import ConfigError
from lyceum.core.protocols import Analyzer, Reranker
from lyceum.core.text import headline
from lyceum.core.types import Hit, Query
from lyceum.search.mixed import deviations, mixed

FEATURES = (
    "score", "rank", "bm25", "bm25_rank", "vectors", "vectors_rank", "overlap", "title", "fresh",
    "read", "agrees", "other",
)  # fmt: skip
NEEDS = {"evidence": ("read", "agrees"), "reranker": ("other",)}
ROUNDS = 5  # of weighing pairs by the ranking that the last weights gave
Array = npt.NDArray[np.float64]


class Features:
    """A question and its hits to a row of FEATURES for each hit; what cannot be known of a hit is zero.

    score, rank: of the retriever; bm25, vectors: of its parts; overlap, title: shares of the question's terms; fresh:
    place by `meta["date"]` of the documents, the newest 1; read: the best statement in the passage by `evidence`,
    agrees: it is the best of all; other: the score of `reranker`. Scores are deviations within the hits.
    """

    def __init__(self, analyzer: Analyzer, evidence: Any = None, reranker: Reranker | None = None) -> None:
        self.analyzer, self.reranker = analyzer, reranker
        self.evidence: Callable[[Query, Sequence[Hit]], Awaitable[Sequence[Any]]] | None = evidence

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> Array:
        """Return hits x FEATURES."""
        terms = set(self.analyzer(query.text))
        above = [self._share(terms, headline(hit.chunk)) for hit in hits]
        whole = [self._share(terms, f"{headline(hit.chunk)} {hit.chunk.text}") for hit in hits]
        columns: dict[str, Sequence[float] | Array] = {
            "score": deviations(np.array([hit.score for hit in hits], float)),
            "rank": [1 / math.log2(place + 2) for place in range(len(hits))],
            "overlap": whole, "title": above, "fresh": _fresh(hits),
        }  # fmt: skip
        for part in ("bm25", "vectors"):
            found = [next((one for one in hit.by if one.part == part), None) for hit in hits]
            columns[part] = _known([one.score if one else math.nan for one in found])
            columns[f"{part}_rank"] = [
                1 / math.log2(one.rank + 1) if one and one.rank else 0.0 for one in found
            ]
        if self.evidence:
            best = [math.nan] * len(hits)
            for one in await self.evidence(query, hits):
                best[one.statement.rank] = max(one.score, best[one.statement.rank])
            columns["read"] = _known(best)
            columns["agrees"] = [float(value == np.nanmax([*best, -math.inf])) for value in best]
        if self.reranker:
            scores = {hit.chunk.id: hit.score for hit in await self.reranker(query, hits)}
            columns["other"] = _known([scores.get(hit.chunk.id, math.nan) for hit in hits])
        nothing = np.zeros(len(hits))
        return np.stack([np.asarray(columns.get(name, nothing), float) for name in FEATURES], axis=1)

    def _share(self, terms: set[str], text: str) -> float:
        return len(terms & set(self.analyzer(text))) / len(terms) if terms else 0.0


class Learned:
    """A reranker with the weights of `file`; parts that the weights do not need are not asked."""

    def __init__(
        self, file: Path, analyzer: Analyzer, evidence: Any = None, reranker: Reranker | None = None
    ) -> None:
        self.weights = read(file.expanduser())
        given = {"evidence": evidence, "reranker": reranker}
        for part, names in NEEDS.items():
            if not any(self.weights.get(name) for name in names):
                given[part] = None
            elif given[part] is None:
                raise ConfigError(
                    f"{file} was learnt with a {part}.", hint=f"Name it: {part} = {{ kind = … }}."
                )
        self.features = Features(analyzer, **given)

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits by the weighted sum, in the scale of the scores that they came with."""
        weights = np.array([self.weights.get(name, 0.0) for name in FEATURES])
        return mixed(hits, (await self.features(query, hits) @ weights).tolist(), 1.0)


def fit(lists: Sequence[tuple[Array, Sequence[float]]], penalty: float = 0.01) -> dict[str, float]:
    """Return the weight of each feature, from (hits x FEATURES, grade of each hit) of every question.

    `penalty` draws weights to zero (ridge), as a share of all that the pairs weigh.
    """
    weights = np.zeros(len(FEATURES))
    weights[FEATURES.index("score")] = 1.0  # the first weighing of pairs is by the ranking as it was
    for _ in range(ROUNDS):
        found = [_pairs(rows, np.asarray(grades, float), rows @ weights) for rows, grades in lists]
        gaps = np.concatenate([gap for gap, _ in found] or [np.zeros((0, len(FEATURES)))])
        worth = np.concatenate([one for _, one in found] or [np.zeros(0)])
        weights = logistic(gaps, worth, penalty * float(worth.sum()))
    return dict(zip(FEATURES, weights.tolist(), strict=True))


def logistic(gaps: Array, worth: Array, ridge: float) -> Array:
    """Return the w that maximises sum(worth x log sigmoid(gaps w)) - ridge |w|² / 2, by at most 50 Newton steps."""
    weights = np.zeros(gaps.shape[1])
    for _ in range(50):
        wrong = 0.5 * (1 - np.tanh(gaps @ weights / 2))
        slope = gaps.T @ (worth * wrong) - ridge * weights
        curve = (gaps * (worth * wrong * (1 - wrong))[:, None]).T @ gaps + (ridge + 1e-9) * np.eye(
            len(weights)
        )
        step = np.linalg.solve(curve, slope)
        weights += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _pairs(rows: Array, grades: Array, scores: Array) -> tuple[Array, Array]:
    """Return (better - worse) rows of every pair that differs in grade, and what exchanging it changes in nDCG."""
    discount = np.empty(len(rows))
    discount[np.argsort(-scores, kind="stable")] = 1 / np.log2(np.arange(len(rows)) + 2)
    best = float(np.sort(grades)[::-1] @ (1 / np.log2(np.arange(len(rows)) + 2)))
    better, worse = np.nonzero(grades[:, None] > grades[None, :])
    worth = (grades[better] - grades[worse]) * np.abs(discount[better] - discount[worse])
    return rows[better] - rows[worse], worth / best if best else worth


def read(file: Path) -> dict[str, float]:
    """Return the weights of a file; raises ConfigError when it holds none that are known."""
    try:
        weights = json.loads(file.read_bytes())["weights"]
        if unknown := [
            name for name, value in weights.items() if name not in FEATURES or not math.isfinite(value)
        ]:
            raise ValueError(f"{unknown[0]!r} is no weight")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ConfigError(f"{file} holds no weights: {problem}.", hint="Fit it again.") from problem
    return {name: float(value) for name, value in weights.items()}


def _known(values: Sequence[float]) -> Array:
    """Return deviations of the known values, zero for those that are not."""
    data = np.array(values, float)
    known = np.isfinite(data)
    data[known], data[~known] = deviations(data[known]), 0.0
    return data


def _fresh(hits: Sequence[Hit]) -> list[float]:
    """Return for each hit the share of other dates among the hits that are older, zero without a date."""
    days = [_day(hit.document.meta.get("date")) for hit in hits]
    known = sorted({day for day in days if day is not None})
    place = {day: rank / (len(known) - 1) for rank, day in enumerate(known)} if len(known) > 1 else {}
    return [place.get(day, 0.0) if day is not None else 0.0 for day in days]


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
