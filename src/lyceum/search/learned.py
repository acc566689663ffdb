"""Hits by a sum of what speaks for each, whose weights were learnt from questions with known passages.

The model is linear (RankNet and LambdaRank, Burges 2010), so each weight can be read; its file is JSON. Whoever fits
it brings questions and grades (bench/rerankers.py); it knows no set and no index.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
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
Array = npt.NDArray[np.float64]


class Learned:
    """A reranker with the weights of `file`; `evidence` and `reranker` are asked where a weight needs them."""

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


class Features:
    """A question and its hits to a row of FEATURES for each hit; what is not known of a hit is zero.

    score, rank: of the retriever; bm25, vectors: of its parts; overlap, title: shares of the question's terms; fresh:
    place by `meta["dated"]` of the documents, the newest 1; read: the best statement in the passage by `evidence`,
    agrees: it is the best of all; other: the score of `reranker`. Scores are deviations within the hits.
    """

    def __init__(self, analyzer: Analyzer, evidence: Any = None, reranker: Reranker | None = None) -> None:
        self.analyzer, self.evidence, self.reranker = analyzer, evidence, reranker

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> Array:
        """Return hits x FEATURES."""
        columns: dict[str, Sequence[float] | Array] = {
            "score": _scaled([hit.score for hit in hits]),
            "rank": [1 / math.log2(place + 2) for place in range(len(hits))],
            "overlap": self._shares(query, [f"{headline(hit.chunk)} {hit.chunk.text}" for hit in hits]),
            "title": self._shares(query, [headline(hit.chunk) for hit in hits]),
            "fresh": _fresh(hits),
        }
        for part in ("bm25", "vectors"):
            found = [next((one for one in hit.by if one.part == part), None) for hit in hits]
            columns[part] = _scaled([one.score if one else math.nan for one in found])
            columns[f"{part}_rank"] = [
                1 / math.log2(one.rank + 1) if one and one.rank else 0.0 for one in found
            ]
        if self.evidence:
            best = [-math.inf] * len(hits)
            for one in await self.evidence(query, hits):
                best[one.statement.rank] = max(one.score, best[one.statement.rank])
            columns["read"] = _scaled(best)
            columns["agrees"] = [float(value == max(best) > -math.inf) for value in best]
        if self.reranker:
            scores = {hit.chunk.id: hit.score for hit in await self.reranker(query, hits)}
            columns["other"] = _scaled([scores.get(hit.chunk.id, math.nan) for hit in hits])
        nothing = np.zeros(len(hits))
        return np.stack([np.asarray(columns.get(name, nothing), float) for name in FEATURES], axis=1)

    def _shares(self, query: Query, texts: Sequence[str]) -> list[float]:
        terms = set(self.analyzer(query.text))
        return [len(terms & set(self.analyzer(text))) / max(len(terms), 1) for text in texts]


def read(file: Path) -> dict[str, float]:
    """Return the weights of a file; raises ConfigError when it holds none that are known."""
    try:
        weights = {name: float(value) for name, value in json.loads(file.read_bytes())["weights"].items()}
        if unknown := [
            name for name, one in weights.items() if name not in FEATURES or not math.isfinite(one)
        ]:
            raise ValueError(f"{unknown[0]!r} is no weight")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ConfigError(
            f"{file} holds no weights: {problem}.", hint="Fit it: bench/rerankers.py."
        ) from problem
    return weights


def _scaled(values: Sequence[float]) -> Array:
    """Return deviations of the finite values, zero for the others."""
    data = np.array(values, float)
    known = np.isfinite(data)
    data[known], data[~known] = deviations(data[known]), 0.0
    return data


def _fresh(hits: Sequence[Hit]) -> list[float]:
    """Return for each hit the share of the other dates that are older, zero without a date."""
    days = [str(hit.document.meta.get("dated", "")) for hit in hits]
    known = sorted({day for day in days if day})
    return [known.index(day) / (len(known) - 1) if day and len(known) > 1 else 0.0 for day in days]
