"""Scores as shares: both curves against known answers, thresholds, files that hold none."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from lyceum.core.errors import ConfigError
from lyceum.core.trace import tracing
from lyceum.core.types import Hit, Query, Span
from lyceum.search.calibrated import Calibrated, Curve, applied
from tests.search.hits_made import hit, made, numbers
from tests.toys import run

sys.path.append(str(Path(__file__).parents[2] / "bench"))

import fitting


def test_pooled_violators() -> None:
    """Ayer et al. 1955: 1 3 2 4 3.5 5 becomes 1 2.5 2.5 3.75 3.75 5, the rising values nearest by squares."""
    values = [1, 3, 2, 4, 3.5, 5]
    assert applied(fitting.isotonic(range(6), values), range(6)) == [1, 2.5, 2.5, 3.75, 3.75, 5]
    assert applied(fitting.isotonic([0, 1, 2], [3, 2, 1]), [0, 1, 2]) == [2, 2, 2]
    assert applied(fitting.isotonic([1, 1, 2, 2], [0, 1, 1, 1]), [1, 1.5, 2, 9, -9]) == [0.5, 0.75, 1, 1, 0.5]


def test_a_sigmoid_by_its_closed_form() -> None:
    """Platt 1999: with two scores the sigmoid meets the mean of the corrected targets at each."""
    right = [1] * 2 + [0] * 8 + [1] * 6 + [0] * 4
    curve = fitting.platt([0.0] * 10 + [1.0] * 10, right)
    yes, no = 9 / 10, 1 / 14
    assert applied(curve, [0, 1]) == pytest.approx(
        [(2 * yes + 8 * no) / 10, (6 * yes + 4 * no) / 10], abs=1e-6
    )


@pytest.mark.parametrize("fit", [fitting.isotonic, fitting.platt])
def test_shares_are_what_they_say(fit: object) -> None:
    """On scores whose chance is known; a curve of other scores, the control, is far off."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=4000)
    chance = 1 / (1 + np.exp(-(2 * scores - 1)))
    right = rng.random(4000) < chance
    shares = np.array(applied(fit(scores, right), scores.tolist()))  # type: ignore[operator]
    assert np.abs(shares - chance).mean() < 0.03
    other = np.array(applied(fit(scores + 2, right), scores.tolist()))  # type: ignore[operator]
    assert np.abs(other - chance).mean() > 0.1


def test_one_class_alone_is_no_certainty_with_a_sigmoid() -> None:
    shares = fitting.platt([1.0, 2.0, 3.0], [1, 1, 1])["shares"]
    assert all(math.isfinite(one) and 0.5 < one < 1 for one in shares)


CURVE: Curve = {"scores": [0.0, 1.0, 2.0], "shares": [0.1, 0.5, 0.9]}


def calibrated(folder: Path, hits: list[Hit], threshold: float = 0.0, curve: object = CURVE) -> list[Hit]:
    (folder / "curve.json").write_text(json.dumps(curve))

    async def retriever(query: Query) -> list[Hit]:
        return hits

    return run(Calibrated(retriever, folder / "curve.json", threshold)(Query(text="x")))


def test_the_order_stays_and_a_threshold_cuts(tmp_path: Path) -> None:
    hits = made("a", "b", "c")
    found = calibrated(tmp_path, hits)
    assert (numbers(found), [one.score for one in found]) == ([1, 2, 3], [0.9, 0.5, 0.1])
    assert numbers(calibrated(tmp_path, hits, 0.5)) == [1, 2]
    assert calibrated(tmp_path, hits, 0.95) == []


def test_a_score_that_is_no_number_changes_nothing(tmp_path: Path) -> None:
    hits = [hit(1, "a", 2.0), hit(2, "b", math.nan)]
    spans: list[Span] = []
    with tracing(spans.append):
        assert calibrated(tmp_path, hits, 0.95) == hits
    assert "no number" in spans[-1].facts["warning"]


@pytest.mark.parametrize(
    "curve",
    [
        {}, [], {"scores": [], "shares": []}, {"scores": [1, 0], "shares": [0, 1]},
        {"scores": [0, 1], "shares": [1, 0]},
        {"scores": [0], "shares": [2]}, {"scores": [0, 1], "shares": [0]}, {"scores": ["a"], "shares": [0]},
        {"scores": [math.nan], "shares": [math.nan]},
    ],
)  # fmt: skip
def test_a_file_without_a_curve_stops_the_start(tmp_path: Path, curve: object) -> None:
    with pytest.raises(ConfigError, match="holds no curve"):
        calibrated(tmp_path, [], curve=curve)
