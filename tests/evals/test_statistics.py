"""Known answers of every formula, derived by hand or a second way, and the figures that intervals promise."""

from __future__ import annotations

import itertools
import math
import time
from statistics import NormalDist

import numpy as np
import pytest

from lyceum.evals import statistics
from lyceum.evals.statistics import estimate, estimate_difference, interval, sign_flip


def beta_quantile(a: float, b: float, share: float) -> float:
    """Return a quantile of the beta distribution by summing its density: a second way to Jeffreys' interval."""
    x = (np.arange(2_000_000) + 0.5) / 2_000_000
    log = (a - 1) * np.log(x) + (b - 1) * np.log(1 - x)
    density = np.cumsum(np.exp(log - log.max()))
    return float(x[np.searchsorted(density, share * density[-1])])


@pytest.mark.parametrize(("right", "n"), [(190, 200), (20, 40), (3, 50), (199, 200)])
def test_scores_of_zero_and_one_have_jeffreys_interval(right: int, n: int) -> None:
    low, high = interval([1.0] * right + [0.0] * (n - right))
    for found, share in ((low, 0.025), (high, 0.975)):
        wanted = beta_quantile(right + 0.5, n - right + 0.5, share)
        assert found == pytest.approx(
            wanted, abs=0.05 / math.sqrt(n) * math.sqrt(wanted * (1 - wanted)) + 2e-4
        )


def test_nothing_wrong_in_a_few_does_not_mean_certain() -> None:
    low, high = interval([1.0] * 60)
    assert high == 1.0
    assert low == pytest.approx(beta_quantile(60.5, 0.5, 0.025), abs=2e-3)  # .9592
    assert interval([0.0] * 60) == pytest.approx((0.0, 1 - low), abs=2e-3)
    found = estimate_difference([0.0] * 60)
    assert found.mean == 0.0
    assert found.high == pytest.approx(-found.low, rel=0.1)
    assert 0.02 < found.high < 0.05


def test_an_interval_of_many_is_the_normal_one() -> None:
    values = np.random.default_rng(4).normal(3.0, 2.0, 2000)
    found = estimate(values.tolist())
    error = values.std() / math.sqrt(2000)
    assert found.mean == pytest.approx(values.mean())
    assert found.error == pytest.approx(error, rel=0.03)
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.1 * error
    )
    assert interval(values.tolist()) == (found.low, found.high), "the same seed gives the same interval"


def test_groups_that_fall_together_widen_the_interval() -> None:
    """Ten questions a document, all right or all wrong: as many values as documents, so wider by the root of ten."""
    documents = np.random.default_rng(1).integers(0, 2, 50).astype(float)
    values, groups = np.repeat(documents, 10).tolist(), [f"d{n}" for n in range(50) for _ in range(10)]
    alone, grouped = estimate(values), estimate(values, groups)
    assert grouped.error / alone.error == pytest.approx(math.sqrt(10), rel=0.05)
    assert estimate(values, list(range(500))) == alone, "a group each changes nothing"


def test_groups_of_unequal_size_weigh_by_their_size() -> None:
    """The ratio's error by the delta method: root of the sum of squared (sum - mean * size), by the total size."""
    random = np.random.default_rng(8)
    sizes = random.integers(1, 9, 300)
    groups = np.repeat(np.arange(300), sizes)
    values = np.repeat(random.random(300), sizes)
    mean = values.mean()
    parts = np.bincount(groups, values) - mean * sizes
    found = estimate(values.tolist(), groups.tolist())
    assert found.mean == pytest.approx(mean)
    assert found.error == pytest.approx(math.sqrt((parts**2).sum()) / sizes.sum(), rel=0.05)


@pytest.mark.parametrize(("won", "lost"), [(10, 3), (5, 0), (1, 0), (30, 30), (400, 340)])
def test_wins_and_losses_have_mcnemars_exact_p(won: int, lost: int) -> None:
    n = won + lost
    tail = sum(math.comb(n, k) for k in range(max(won, lost), n + 1)) / 2**n
    wanted = min(1.0, 2 * tail) if won != lost else 1.0
    assert sign_flip([1.0] * won + [-1.0] * lost + [0.0] * 100) == pytest.approx(wanted, rel=1e-9)


def test_a_few_differences_are_flipped_in_every_way() -> None:
    values = [0.3, -0.1, 0.25, 0.05, 0.4, -0.02, 0.11]
    sums = [abs(sum(sign * value for sign, value in zip(signs, values, strict=True)))
            for signs in itertools.product((1, -1), repeat=7)]  # fmt: skip
    wanted = sum(one >= abs(sum(values)) - 1e-9 for one in sums) / 2**7
    assert sign_flip(values) == pytest.approx(wanted, abs=1e-12)
    assert sign_flip([]) == sign_flip([0.0] * 9) == 1.0


def test_many_differences_are_flipped_at_random_and_p_is_never_zero() -> None:
    values = np.random.default_rng(2).normal(0.03, 0.2, 300)
    z = abs(values.sum()) / math.sqrt((values**2).sum())
    assert sign_flip(values.tolist()) == pytest.approx(2 * (1 - NormalDist().cdf(z)), abs=0.006)
    assert sign_flip((values + 1).tolist()) == 1 / 10_001


def test_whole_groups_are_flipped() -> None:
    values, groups = [0.1] * 40, [n // 10 for n in range(40)]
    assert sign_flip(values, groups) == pytest.approx(2 / 2**4), "four groups, all of one sign"
    assert sign_flip(values) == pytest.approx(2 / 2**40)


def test_holm_by_hand() -> None:
    """Four p: .005 x 4, .01 x 3, .03 x 2, and .04 x 1 raised to the one before."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_effect_size_by_hand() -> None:
    """Mean 2, deviations -1 0 1, so a standard deviation of 1."""
    assert statistics.effect_size([1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert statistics.effect_size([0.5, 0.5]) is None
    assert statistics.effect_size([0.5]) is None


def test_sample_size_by_the_textbook() -> None:
    """d = .5 needs (1.960 + .842)² / .25 = 31.4 pairs, d = .2 needs 196.2 (Cohen 1988 has 34 and 199 with t)."""
    assert statistics.needed(0.5, 1.0) == 32
    assert statistics.needed(0.2, 1.0) == 197
    assert statistics.needed(0.5, 1.0, power=0.9) == 43  # (1.960 + 1.282)² / .25 = 42.03
    assert statistics.detectable(0.01) == pytest.approx(0.028016, abs=1e-5)


def test_the_stated_power_is_the_power() -> None:
    """Half-normal: with `needed` pairs four of five experiments with the true effect find it."""
    random = np.random.default_rng(3)
    n = statistics.needed(0.1, 0.4)
    found = sum(
        sign_flip(random.normal(0.1, 0.4, n).tolist(), flips=500, seed=trial) <= 0.05 for trial in range(400)
    )
    assert found / 400 == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("share", [0.8, 0.95, 0.985])
def test_intervals_cover_what_they_promise_and_percentiles_do_not(share: float) -> None:
    """300 experiments of 200 answers; the true share varies a little, so that no lucky number decides."""
    random, n = np.random.default_rng(6), 200
    ours = plain = 0
    for trial in range(300):
        truth = random.uniform(share - 0.01, share + 0.01)
        right = int(random.binomial(n, truth))
        found = estimate([1.0] * right + [0.0] * (n - right), resamples=2000, seed=trial)
        ours += found.low <= truth <= found.high
        low, high = np.quantile(random.binomial(n, right / n, 2000) / n, (0.025, 0.975))
        plain += low <= truth <= high
    assert 0.92 <= ours / 300 <= 0.98
    if share == 0.985:
        assert plain / 300 < 0.92, "the control: the percentile form covers too little here"


def test_ten_thousand_resamples_of_five_thousand_questions() -> None:
    values = np.random.default_rng(5).random(5000).tolist()
    started = time.process_time()
    interval(values)
    assert time.process_time() - started < 6.0, "two seconds on a calm machine: bench/statistics.py"
