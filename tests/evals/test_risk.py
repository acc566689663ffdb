"""Thresholds that keep their promise on made-up confidences whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from lyceum.evals.risk import area, curve, threshold


def world(
    random: np.random.Generator, groups: int = 300, each: int = 4
) -> tuple[list[float], list[bool], list[int]]:
    """Return confidences that say the truth on average, with groups that are easier or harder than they look."""
    sure, wrong, group = [], [], []
    for number in range(groups):
        shift = random.normal(0, 0.15)
        for value in random.uniform(0, 1, each):
            sure.append(float(value))
            wrong.append(bool(random.random() > np.clip(value + shift, 0, 1)))
            group.append(number)
    return sure, wrong, group


@pytest.mark.parametrize("ahead", [0, 300])
def test_the_promise_is_kept(ahead: int) -> None:
    random = np.random.default_rng(5)
    kept, answered = 0, []
    for _ in range(200):
        sure, wrong, group = world(random)
        found = threshold(sure, wrong, group, risk=0.25, ahead=ahead)
        if found is None:  # nothing is promised, so nothing is broken, and nothing is answered
            kept, answered = kept + 1, [*answered, 0.0]
            continue
        fresh, bad, _ = world(random, groups=300 if ahead else 3000)
        given = [b for s, b in zip(fresh, bad, strict=True) if s >= found.value]
        kept += np.mean(given) <= 0.25
        answered.append(found.coverage)
    assert kept >= 186  # 93 of 100
    assert np.mean(answered) > 0.2  # and it is no empty promise


def test_the_promise_is_broken_without_the_margin() -> None:
    """The control: the threshold whose seen risk is just the wanted one fails half of the time."""
    random = np.random.default_rng(6)
    kept = 0
    for _ in range(200):
        sure, wrong, _ = world(random)
        order = np.argsort(-np.asarray(sure))
        risks = np.cumsum(np.asarray(wrong)[order]) / np.arange(1, len(sure) + 1)
        value = np.asarray(sure)[order][np.nonzero(risks <= 0.25)[0].max()]
        fresh, bad, _ = world(random, groups=3000)
        kept += np.mean([b for s, b in zip(fresh, bad, strict=True) if s >= value]) <= 0.25
    assert kept < 150


def test_no_threshold_where_nothing_helps() -> None:
    random = np.random.default_rng(7)
    sure = random.uniform(0, 1, 500).tolist()
    wrong = (random.random(500) < 0.6).tolist()
    assert threshold(sure, wrong, risk=0.1) is None


def test_too_little_to_promise() -> None:
    assert threshold([0.9] * 5, [False] * 5) is None
    assert threshold([], []) is None


def test_no_mistakes_answer_all() -> None:
    found = threshold([n / 200 for n in range(200)], [False] * 200, risk=0.1)
    assert found is not None
    assert (found.value, found.coverage, found.risk) == (0.0, 1.0, 0.0)


def test_curve_and_area() -> None:
    assert curve([0.9, 0.1, 0.5], [False, True, False]) == [(1 / 3, 0.0), (2 / 3, 0.0), (1.0, 1 / 3)]
    assert area([0.9, 0.1, 0.5], [False, True, False]) == pytest.approx(1 / 9)
    assert area([0.1, 0.9, 0.5], [False, True, False]) > area([0.9, 0.1, 0.5], [False, True, False])


def test_fewer_groups_ahead_scatter_more() -> None:
    """A promise about what is seen on few groups costs more answers than one about many."""
    sure, wrong, group = world(np.random.default_rng(8), groups=3000)
    answered = [threshold(sure, wrong, group, risk=0.3, ahead=ahead) for ahead in (60, 3000)]
    few, many = [0.0 if one is None else one.coverage for one in answered]
    assert few < many
