"""What learnt weights and calibrated scores are fitted with: a pairwise ranker, isotonic curves, sigmoids. Pure.

bench/rerankers.py fits them and writes their files; search/learned.py and search/calibrated.py use those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lyceum.search.calibrated import Curve
from lyceum.search.learned import FEATURES

ROUNDS = 5  # of weighing pairs by the ranking that the last weights gave
POINTS = 101  # of a sigmoid that are kept
Array = Any


def weights(lists: Sequence[tuple[Array, Sequence[float]]], penalty: float = 0.05) -> dict[str, float]:
    """Return the weight of each feature, from (hits x FEATURES, grade of each hit) of every question.

    Pairwise logistic (RankNet, Burges et al. 2005), each pair weighed by what exchanging it changes in nDCG
    (LambdaRank, Burges 2010). `penalty` draws weights to zero (ridge), as a share of all that the pairs weigh.
    """
    found = np.zeros(len(FEATURES))
    found[FEATURES.index("score")] = 1.0  # the first weighing of pairs is by the ranking as it was
    for _ in range(ROUNDS):
        drawn = [pairs(rows, np.asarray(grades, float), rows @ found) for rows, grades in lists]
        gaps = np.concatenate([gap for gap, _ in drawn] or [np.zeros((0, len(FEATURES)))])
        worth = np.concatenate([one for _, one in drawn] or [np.zeros(0)])
        found = logistic(gaps, worth, penalty * float(worth.sum()))
    return dict(zip(FEATURES, found.tolist(), strict=True))


def logistic(gaps: Array, worth: Array, ridge: float) -> Array:
    """Return the w that maximises sum(worth x log sigmoid(gaps w)) - ridge |w|² / 2, by at most 100 Newton steps."""
    found = np.zeros(gaps.shape[1])
    for _ in range(100):
        wrong = 0.5 * (1 - np.tanh(gaps @ found / 2))
        slope = gaps.T @ (worth * wrong) - ridge * found
        curve = (gaps * (worth * wrong * (1 - wrong))[:, None]).T @ gaps + (ridge + 1e-9) * np.eye(len(found))
        step = np.linalg.solve(curve, slope)
        found += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return found


def pairs(rows: Array, grades: Array, scores: Array) -> tuple[Array, Array]:
    """Return (better - worse) rows of every pair that differs in grade, and what exchanging it changes in nDCG."""
    ranks = np.argsort(np.argsort(-scores, kind="stable"), kind="stable")
    discount = 1 / np.log2(ranks + 2)
    best = float(np.sort(grades)[::-1] @ (1 / np.log2(np.arange(len(rows)) + 2)))
    better, worse = np.nonzero(grades[:, None] > grades[None, :])
    worth = (grades[better] - grades[worse]) * np.abs(discount[better] - discount[worse])
    return rows[better] - rows[worse], worth / best if best else worth


def isotonic(scores: Sequence[float], right: Sequence[float]) -> Curve:
    """Return the rising curve nearest to what was right, by pooling adjacent violators (Ayer et al. 1955).

    As calibration: Zadrozny and Elkan 2002. Each block of pooled neighbours is flat.
    """
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
    """Return the sigmoid that fits best, with the targets (n+ + 1) / (n+ + 2) and 1 / (n- + 2) (Platt 1999)."""
    data, labels = np.asarray(scores, float), np.asarray(right, float) > 0
    yes = int(labels.sum())
    targets = np.where(labels, (yes + 1) / (yes + 2), 1 / (len(labels) - yes + 2))
    rows = np.stack([data, np.ones(len(data))], axis=1)
    slope, middle = logistic(np.concatenate([rows, -rows]), np.concatenate([targets, 1 - targets]), 0.0)
    at = np.linspace(data.min(), data.max(), POINTS)
    shares = 0.5 * (1 + np.tanh((max(slope, 0.0) * at + middle) / 2))
    return {"scores": at.tolist(), "shares": shares.tolist()}
