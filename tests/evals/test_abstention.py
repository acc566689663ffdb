"""Risk and coverage by hand (El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2019)."""

from __future__ import annotations

import pytest

from lyceum.evals.abstention import area, curve

ANSWERS = [(0.3, True), (0.9, False), (0.8, True), (0.8, False), (0.7, False)]


def test_the_curve_and_its_area() -> None:
    points = curve(ANSWERS, total=10)
    assert points == [(0.1, 0.0), (0.3, pytest.approx(1 / 3)), (0.4, 0.25), (0.5, 0.4)]
    assert area(points) == pytest.approx((0.1 * 0 + 0.2 / 3 + 0.1 * 0.25 + 0.1 * 0.4) / 0.5)


def test_without_ties_the_area_is_the_mean_of_the_risks() -> None:
    answers = [(1 - n / 10, n in (2, 5)) for n in range(8)]
    mistakes = [sum(wrong for _, wrong in answers[: n + 1]) / (n + 1) for n in range(8)]
    assert area(curve(answers, 8)) == pytest.approx(sum(mistakes) / 8)
    best = sorted(answers, key=lambda one: one[1])
    sure = [(1 - n / 10, wrong) for n, (_, wrong) in enumerate(best)]
    assert area(curve(sure, 8)) < area(curve(answers, 8)), "an order by truth has the least risk"
