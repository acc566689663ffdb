"""Scores to intervals and verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def interval(values: Sequence[float], resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean (Efron and Tibshirani, 1993)."""
    data = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(data), (resamples, len(data)))
    low, high = np.percentile(data[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)
