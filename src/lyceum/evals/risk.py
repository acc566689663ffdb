"""Confidences and what came of them to the threshold that keeps a promised risk; knows no answerer.

The risk is the share of wrong answers among those given. Learn then Test (Angelopoulos et al., 2021) by fixed
sequence: from a high threshold down, each is tested at level `delta` until one fails, and the last that passed is
taken, so that no correction for many tests is needed. The test is on sums by group (questions on one passage
fail together): the mean over groups of (wrong - risk) over the answered ones must lie below 0. Bates et al. (2021)
call what is controlled here a risk-controlling prediction set.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lyceum.core.errors import InvalidInput
from lyceum.core.types import Example
from lyceum.evals.records import Outcome

STEPS = 100  # thresholds that are tested at most
LEAST = (
    0.3  # the first threshold that is tested answers at least this share: a test of few answers shows nothing
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A threshold with the share of questions it answers and the share of wrong ones among those, as seen."""

    value: float
    coverage: float
    risk: float


def threshold(
    confidences: Sequence[float], wrong: Sequence[bool], groups: Sequence[Hashable] | None = None,
    risk: float = 0.1, delta: float = 0.05, ahead: int = 0, least: float = LEAST,
) -> Threshold | None:  # fmt: skip
    """Return the lowest threshold whose risk stays below `risk` with probability 1 - `delta`; None when none does.

    The promise is about the expected risk; with `ahead` it is about the risk seen on so many further groups, which
    scatters too. One that answers less than `least` of the questions is not looked for: choose it beforehand.
    """
    assert 0 < risk < 1, risk
    assert 0 < delta < 1, delta
    sure, bad = np.asarray(confidences, float), np.asarray(wrong, float)
    _, place = np.unique([str(one) for one in groups or range(len(sure))], return_inverse=True)
    count = int(place.max()) + 1 if len(sure) else 0
    fewest = math.ceil(math.log(delta) / math.log(1 - risk))  # a run of them without a mistake is just enough
    found = None
    for value in _steps(sure):
        answered = sure >= value
        sums = np.bincount(place, (bad - risk) * answered, count)
        if answered.mean() < least or len(set(place[answered].tolist())) < fewest:
            continue  # nothing was tested yet
        # What is seen ahead is no fixed truth that a sequence of tests protects: half of delta pays for that.
        if _p(sums, risk, ahead) > (delta / 2 if ahead else delta):
            break
        found = Threshold(value=value, coverage=float(answered.mean()), risk=float(bad[answered].mean()))
    return found


def _steps(sure: np.ndarray) -> list[float]:
    """Return thresholds from the highest down: quantiles, chosen before it is looked at what was wrong."""
    sure = sure[sure >= 0]  # what was refused has no other answer to give
    if not len(sure):
        return []
    return [
        float(one) for one in np.unique(np.quantile(sure, np.linspace(0, 1, STEPS), method="higher"))[::-1]
    ]


def _p(sums: np.ndarray, risk: float, ahead: int) -> float:
    """Return the chance of sums as low as these were their true mean 0 (a z test).

    One more wrong answer is counted: where none was wrong, sums have no spread that could be trusted.
    """
    data = np.append(sums, max(1 - risk, float(sums.max())))
    deviation = float(data.std(ddof=1))
    spread = deviation * math.sqrt(1 / len(sums) + (1 / ahead if ahead else 0.0))
    return NormalDist().cdf(float(data.mean()) / spread) if spread > 0 else float(data.mean() >= 0)


def curve(confidences: Sequence[float], wrong: Sequence[bool]) -> list[tuple[float, float]]:
    """Return (coverage, risk) from the most confident answer to all of them (El-Yaniv and Wiener, 2010)."""
    order = np.argsort(-np.asarray(confidences, float), kind="stable")
    bad = np.cumsum(np.asarray(wrong, float)[order])
    counts = np.arange(1, len(bad) + 1)
    return list(zip((counts / max(len(bad), 1)).tolist(), (bad / counts).tolist(), strict=True))


def area(confidences: Sequence[float], wrong: Sequence[bool]) -> float:
    """Return the area under the risk-coverage curve, lower being better (Geifman et al., 2019)."""
    return float(np.mean([risk for _, risk in curve(confidences, wrong)])) if len(confidences) else 0.0


def of_outcomes(
    outcomes: Sequence[Outcome], risk: float, delta: float, ahead: int = 0, least: float = LEAST
) -> Threshold | None:
    """Return the threshold by a run's `correct`; what the run refused stays refused, whatever it would have said."""
    judged = [one for one in outcomes if one.answer is not None]
    if not judged or not all("correct" in one.scores for one in judged):
        raise InvalidInput(
            "The run has no metric 'correct'.", hint="Measure it: --metrics correct", code="metric"
        )
    given = [not one.answer.abstained for one in judged if one.answer]
    sure = [one.answer.confidence if one.answer and not one.answer.abstained else -1.0 for one in judged]
    wrong = [g and (one.scores["correct"].value or 0.0) < 1 for g, one in zip(given, judged, strict=True)]
    return threshold(sure, wrong, [group(one.example) for one in judged], risk, delta, ahead, least)


def group(example: Example) -> str:
    """Return what questions share that fail together: their passage, or their conversation."""
    if example.history:
        return example.id.rpartition("_")[0] or example.id
    return example.gold[0].document if example.gold else str(example.meta.get("context_id") or example.id)
