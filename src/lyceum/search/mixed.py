"""Two opinions of the same hits to one order; knows neither who ranked them first nor who did it again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lyceum.core.protocols import Reranker
from lyceum.core.types import Hit, Query

Array = npt.NDArray[np.float64]


class Mixed:
    """A reranker whose opinion counts `weight` beside the scores that the hits came with."""

    def __init__(self, reranker: Reranker, weight: float = 0.3) -> None:
        assert 0 <= weight <= 1, weight
        self.reranker, self.weight = reranker, weight

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits by both; a hit that was not scored gets no number."""
        scores = {hit.chunk.id: hit.score for hit in await self.reranker(query, hits)}
        return mixed(hits, [scores.get(hit.chunk.id, math.nan) for hit in hits], self.weight)


def mixed(hits: Sequence[Hit], scores: Sequence[float], weight: float) -> list[Hit]:
    """Return the hits by (1 - weight) their own score + weight the other, best first, equal ones as they came.

    Both are measured in deviations of these hits. The result stands in the scale of the hits' own scores, for
    what reads them takes a passage that ranked lower to be worth less by their difference.
    """
    own = np.array([hit.score for hit in hits], float)
    spread = float(own.std()) if len(own) else 0.0
    total = (1 - weight) * deviations(own) + weight * deviations(np.asarray(scores, float))
    values = (own.mean() if len(own) else 0.0) + (spread or 1.0) * total
    scored = [replace(hit, score=float(value)) for hit, value in zip(hits, values, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)


def deviations(values: Array) -> Array:
    """Return how many deviations each value lies above the mean; zeros when all are the same."""
    spread = values.std() if len(values) else 0.0
    return np.zeros(len(values)) if spread < 1e-9 else (values - values.mean()) / spread
