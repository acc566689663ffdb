"""Hits whose scores are shares: of hits with this score, so many were right. It knows neither retriever nor set.

A curve is fitted for each retriever from (score, right or not) of questions with known passages: isotonic (Zadrozny
and Elkan 2002, by pooling adjacent violators, Ayer et al. 1955) or a sigmoid (Platt 1999). Then a threshold means
the same behind every retriever; the order stays.
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
from lyceum.search.learned import logistic

POINTS = 101
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
            kept = [(hit, share) for hit, share in zip(hits, shares, strict=True) if share >= self.threshold]
            facts["left_out"] = len(hits) - len(kept)
        return [replace(hit, score=share) for hit, share in kept]


def applied(curve: Curve, scores: Sequence[float]) -> list[float]:
    """Return what scores mean by a curve."""
    shares: list[float] = np.interp(scores, curve["scores"], curve["shares"]).tolist()
    return shares


def isotonic(scores: Sequence[float], right: Sequence[float]) -> Curve:
    """Return the rising curve nearest to what was right: each block of pooled neighbours is flat."""
    values, at = np.unique(np.asarray(scores, float), return_inverse=True)
    size = np.bincount(at).astype(float)
    mean = np.bincount(at, np.asarray(right, float)) / size
    blocks: list[tuple[float, float, int, int]] = []  # mean, size, first and last value
    for place in range(len(values)):
        block = (float(mean[place]), float(size[place]), place, place)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            both = before[1] + block[1]
            block = ((before[0] * before[1] + block[0] * block[1]) / both, both, before[2], block[3])
        blocks.append(block)
    ends = [(float(values[end]), share) for share, _, first, last in blocks for end in {first: 0, last: 0}]
    return {"scores": [score for score, _ in ends], "shares": [share for _, share in ends]}


def platt(scores: Sequence[float], right: Sequence[float]) -> Curve:
    """Return the sigmoid that fits best, with the targets (n+ + 1) / (n+ + 2) and 1 / (n- + 2), at POINTS scores."""
    data, labels = np.asarray(scores, float), np.asarray(right, float) > 0
    yes = int(labels.sum())
    targets = np.where(labels, (yes + 1) / (yes + 2), 1 / (len(labels) - yes + 2))
    rows = np.stack([data, np.ones(len(data))], axis=1)
    slope, middle = logistic(np.concatenate([rows, -rows]), np.concatenate([targets, 1 - targets]), 0.0)
    at = np.linspace(data.min(), data.max(), POINTS)
    shares = 0.5 * (1 + np.tanh((max(slope, 0.0) * at + middle) / 2))
    return {"scores": at.tolist(), "shares": shares.tolist()}


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
        raise ConfigError(f"{file} holds no curve: {problem}.", hint="Fit it again.") from problem
    return {"scores": scores.tolist(), "shares": shares.tolist()}
