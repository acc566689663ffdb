"""Scores to intervals, p values and sample sizes; knows neither runs nor metrics. Bounds are two-sided and at 95 %.

The interval is Rubin's Bayesian bootstrap (1981): each resample weighs the examples by gamma variates instead of
counting how often each was drawn. Half an example more at either end of the scale makes it Jeffreys' interval for
scores of 0 and 1 (Brown, Cai and DasGupta 2001) and close to Agresti and Min's (2005) for paired ones. Percentile,
BCa and studentised intervals cover 84 to 86 % where two of 200 answers are wrong (docs/decisions/evaluation.md).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

ALPHA, POWER = 0.05, 0.8
CELLS = 1_000_000  # weights that are held at a time
OUTCOMES = 100_000  # sums of signs that are still counted one by one
Groups = Sequence[Hashable] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its interval and standard error."""

    mean: float
    low: float
    high: float
    error: float


def interval(values: Sequence[float], groups: Groups = None, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean; with `groups` whole groups are weighed, not examples."""
    found = estimate(values, groups, seed=seed)
    return found.low, found.high


def estimate(
    values: Sequence[float], groups: Groups = None, resamples: int = 10_000, seed: int = 0
) -> Estimate:
    """Return the mean of scores; their scale ends at 0 and 1 where one of them does, else at the extremes."""
    low, high = min(values), max(values)
    shares = low >= 0 and high <= 1 and (low == 0 or high == 1)
    return _estimate(values, groups, (0.0, 1.0) if shares else (low, high), resamples, seed)


def estimate_difference(
    values: Sequence[float], groups: Groups = None, resamples: int = 10_000, seed: int = 0
) -> Estimate:
    """Return the mean of paired differences; the largest one, or 1 where there is none, could be won or lost."""
    end = max(map(abs, values)) or 1.0
    return _estimate(values, groups, (-end, end), resamples, seed)


def _estimate(
    values: Sequence[float], groups: Groups, ends: tuple[float, float], resamples: int, seed: int
) -> Estimate:
    rows, counts = np.unique(_grouped(values, groups), axis=0, return_counts=True)
    table = np.vstack([rows, [(end, 1.0) for end in ends]])
    shape = np.append(counts, (0.5, 0.5)).astype(np.float32)
    random = np.random.default_rng(seed)
    step = max(1, CELLS // len(shape))
    parts = [
        random.standard_gamma(shape, (min(step, resamples - start), len(shape)), dtype=np.float32) @ table
        for start in range(0, resamples, step)
    ]
    sums = np.concatenate(parts)
    drawn = sums[:, 0] / sums[:, 1]
    mean = float(np.mean(values))
    low, high = map(float, np.quantile(drawn, (ALPHA / 2, 1 - ALPHA / 2)))
    return Estimate(mean=mean, low=min(mean, low), high=max(mean, high), error=float(drawn.std()))


def _grouped(values: Sequence[float], groups: Groups) -> Any:
    """Return (sum, size) of each group; without groups an example is its own."""
    data = np.asarray(values, float)
    if groups is None:
        return np.stack([data, np.ones(len(data))], axis=1)
    places: dict[Hashable, int] = {}
    at = [places.setdefault(group, len(places)) for group in groups]
    return np.stack([np.bincount(at, data), np.bincount(at)], axis=1)


def sign_flip(
    differences: Sequence[float], groups: Groups = None, flips: int = 10_000, seed: int = 0
) -> float:
    """Return the two-sided p that differences are symmetric around 0, flipping signs (of whole groups) (Fisher 1935).

    Exact while the sums can be counted, which for scores of 0 and 1 is the sign test (McNemar 1947); else by
    random flips with one added to hits and flips (Phipson and Smyth 2010), so that p is never 0.
    """
    sums = _grouped(differences, groups)[:, 0]
    sums = sums[sums != 0]
    seen = abs(sums.sum()) - 1e-6 * np.abs(sums).sum()  # sums that differ by rounding are the same
    sizes, counts = np.unique(np.abs(sums).round(12), return_counts=True)
    if math.prod((counts + 1).tolist()) <= OUTCOMES:
        totals, chances = _all_flips(sizes, counts)
        return float(min(1.0, chances[np.abs(totals) >= seen].sum()))
    random = np.random.default_rng(seed)
    extreme, step = 0, max(1, CELLS // len(sums))
    for start in range(0, flips, step):
        bits = random.integers(0, 256, (min(step, flips - start), -(-len(sums) // 8)), dtype=np.uint8)
        chosen = np.unpackbits(bits, axis=1, count=len(sums)).astype(np.float32)
        extreme += int((np.abs(2 * (chosen @ sums.astype(np.float32)) - sums.sum()) >= seen).sum())
    return (extreme + 1) / (flips + 1)


def _all_flips(sizes: Any, counts: Any) -> tuple[Any, Any]:
    """Return every sum that signs can give, and its chance."""
    totals, chances = np.zeros(1), np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        sums = size * (2 * np.arange(count + 1) - count)
        weights = np.array([math.comb(count, plus) / 2**count for plus in range(count + 1)])
        totals, chances = np.add.outer(totals, sums).ravel(), np.outer(chances, weights).ravel()
    return totals, chances


def holm(values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number, in the given order (Holm 1979)."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, values[place] * (len(values) - rank)))
        adjusted[place] = largest
    return adjusted


def effect_size(differences: Sequence[float]) -> float | None:
    """Return the mean difference in their standard deviations (Cohen 1988, d_z), None where they agree."""
    data = np.asarray(differences, float)
    deviation = float(data.std(ddof=1)) if len(data) > 1 else 0.0
    return float(data.mean()) / deviation if deviation > 1e-12 else None


def detectable(error: float, power: float = POWER) -> float:
    """Return the true difference that a test at 5 % finds with `power`, by its standard error (Bloom 1995)."""
    return (_normal(1 - ALPHA / 2) + _normal(power)) * error


def needed(effect: float, deviation: float, power: float = POWER) -> int:
    """Return how many pairs find `effect` when differences deviate by `deviation` (Cohen 1988; normal form)."""
    return math.ceil((detectable(deviation, power) / effect) ** 2)


def _normal(share: float) -> float:
    return NormalDist().inv_cdf(share)
