"""Confidences and mistakes to risk and coverage; knows no outcome and no example.

Coverage is the share that is answered, risk the share of these answers that is wrong (El-Yaniv and Wiener, JMLR 11,
2010); the area under their curve is AURC (Geifman and El-Yaniv, ICLR 2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Point = tuple[float, float]


def curve(answers: Iterable[tuple[float, bool]], total: int) -> list[Point]:
    """Return (coverage, risk) as ever less sure answers, each (confidence, wrong), are let through.

    Answers of equal confidence are let through together; of the `total` questions the rest is refused.
    """
    ranked = sorted(answers, key=lambda one: -one[0])
    points, mistakes = [], 0
    for count, (confidence, wrong) in enumerate(ranked, 1):
        mistakes += wrong
        if count == len(ranked) or ranked[count][0] < confidence:
            points.append((count / total, mistakes / count))
    return points


def area(points: Sequence[Point]) -> float:
    """Return the mean risk over the coverage that was reached: the area under the curve, divided by its width."""
    widths = [x - before for (x, _), before in zip(points, [0.0, *(x for x, _ in points)], strict=False)]
    return sum(w * y for w, (_, y) in zip(widths, points, strict=True)) / (sum(widths) or 1)
