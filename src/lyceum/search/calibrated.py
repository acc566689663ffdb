"""Hits whose scores are shares: of hits with such a score, so many were right. It knows neither retriever nor set.

The curve is fitted for each retriever on questions with known passages: isotonic (Zadrozny and Elkan 2002) or a
sigmoid (Platt 1999). Then a threshold means the same behind every retriever; the order stays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lyceum.core.errors import ConfigError
from lyceum.core.protocols import Retriever
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query

Curve = dict[str, list[float]]
"""Rising `scores` with the `shares` they mean; between two of them a line, outside the nearest."""


class Calibrated:
    """Wraps the retriever that the curve in `file` was fitted for; hits below `threshold` are left out."""

    def __init__(self, retriever: Retriever, file: Path, threshold: float = 0.0) -> None:
        assert 0 <= threshold <= 1, threshold
        self.retriever, self.threshold, self.curve = retriever, threshold, read(file.expanduser())

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits with shares for scores; as they were, with a warning in the trace, if one is no number."""
        hits = await self.retriever(query)
        with span("search.calibrate", hits=len(hits)) as facts:
            if not all(math.isfinite(hit.score) for hit in hits):
                facts["warning"] = "not calibrated: a score is no number"
                return hits
            shares = applied(self.curve, [hit.score for hit in hits])
            kept = [replace(hit, score=share) for hit, share in zip(hits, shares, strict=True)]
            kept = [hit for hit in kept if hit.score >= self.threshold]
            facts["left_out"] = len(hits) - len(kept)
        return kept


def applied(curve: Curve, scores: Sequence[float]) -> list[float]:
    """Return what scores mean by a curve."""
    shares: list[float] = np.interp(scores, curve["scores"], curve["shares"]).tolist()
    return shares


def read(file: Path) -> Curve:
    """Return the curve of a file; raises ConfigError when it holds none that rises from 0 to 1."""
    try:
        found = json.loads(file.read_bytes())
        scores, shares = (np.array(found[name], float) for name in ("scores", "shares"))
        rises = (
            len(scores) == len(shares) > 0 and (np.diff(scores) > 0).all() and (np.diff(shares) >= 0).all()
        )
        if not rises or not (shares[0] >= 0 and shares[-1] <= 1):
            raise ValueError("it does not rise from 0 to 1")
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ConfigError(
            f"{file} holds no curve: {problem}.", hint="Fit it: bench/rerankers.py."
        ) from problem
    return {"scores": scores.tolist(), "shares": shares.tolist()}
