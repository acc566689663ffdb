"""Experiments with a known truth: how often intervals hold it, and how often a comparison errs or finds it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lyceum.evals import statistics
from lyceum.evals.compare import compare
from tests.evals.runs import scores

Draw = Callable[
    [np.random.Generator, int], tuple[float, Any, Any]
]  # -> the true mean, values, groups or None
MANY = 50  # different values from which on 1,000 resamples do here; the package always takes 10,000


def share(low: float, high: float | None = None) -> Draw:
    """Return right or wrong, at one share or at one that is drawn for each experiment."""

    def draw(random: np.random.Generator, n: int) -> tuple[float, Any, Any]:
        truth = random.uniform(low, high) if high else low
        return truth, (random.random(n) < truth).astype(float), None

    return draw


def mixed(values: list[float], chances: list[float]) -> Draw:
    """Return values drawn with chances; what is missing to 1 is the first's."""
    weights = np.array([1 - sum(chances[1:]), *chances[1:]])
    truth = float(weights @ np.array(values))

    def draw(random: np.random.Generator, n: int) -> tuple[float, Any, Any]:
        return truth, random.choice(values, n, p=weights), None

    return draw


def f1(random: np.random.Generator, n: int) -> tuple[float, Any, Any]:
    """Return token F1: a third right, a fifth wrong, the rest anything in between."""
    kind = random.random(n)
    return (
        1 / 3 + (1 - 1 / 3 - 0.2) * 0.5,
        np.where(kind < 1 / 3, 1.0, np.where(kind < 8 / 15, 0.0, random.random(n))),
        None,
    )


def narrow(random: np.random.Generator, n: int) -> tuple[float, Any, Any]:
    return 0.9, random.normal(0.9, 0.02, n), None


def skewed(random: np.random.Generator, n: int) -> tuple[float, Any, Any]:
    """Return seconds: log-normal, a few far out."""
    return float(np.exp(0.5)), random.lognormal(0, 1, n), None


def documents(random: np.random.Generator, n: int) -> tuple[float, Any, Any]:
    """Return right or wrong in documents of one to nine questions that share their ease; n counts documents."""
    sizes = random.integers(1, 10, n)
    ease = random.beta(3.2, 0.8, n)
    groups = np.repeat(np.arange(n), sizes)
    return 0.8, (random.random(len(groups)) < np.repeat(ease, sizes)).astype(float), groups


def small_changes(random: np.random.Generator, n: int) -> tuple[float, Any, Any]:
    return 0.01, random.normal(0.01, 0.05, n), None


GAINS = [0.0, 1.0, 0.63, 0.5, 0.43, 0.39, 0.36, 0.33, 0.32, 0.3]  # nDCG of one gold document at ranks 1 to 9
MEANS: dict[str, Draw] = {
    "right .5": share(0.5), "right .8": share(0.8), "right .9": share(0.9), "right .95": share(0.95),
    "right .97": share(0.97), "right .98": share(0.98), "right .99": share(0.99),
    "right .6-.9": share(0.6, 0.9), "right .9-.97": share(0.9, 0.97), "right .97-.995": share(0.97, 0.995),
    "half .95": mixed([1.0, 0.5, 0.0], [0.95, 0.03, 0.02]), "half .98": mixed([1.0, 0.5, 0.0], [0.98, 0.012, 0.008]),
    "nDCG": mixed(GAINS, [0.1, 0.7, 0.09, 0.04, 0.02, 0.015, 0.01, 0.01, 0.01, 0.005]),
    "F1": f1, "narrow": narrow, "documents": documents,
}  # fmt: skip
DIFFERENCES: dict[str, Draw] = {
    "won .05 lost .05": mixed([0.0, 1.0, -1.0], [0.9, 0.05, 0.05]),
    "won .10 lost .04": mixed([0.0, 1.0, -1.0], [0.86, 0.1, 0.04]),
    "won .03 lost .01": mixed([0.0, 1.0, -1.0], [0.96, 0.03, 0.01]),
    "won .04 lost 0": mixed([0.0, 1.0], [0.96, 0.04]),
    "ranks": mixed([0.0, 1.0, 0.37, 0.5, 0.13, -0.13, -0.37, -0.5, -1.0], [0.88, *[0.02] * 4, *[0.01] * 4]),
    "small changes": small_changes,
}
BEYOND: dict[str, Draw] = {
    "seconds": skewed,
    "won .010 lost .005": mixed([0.0, 1.0, -1.0], [0.985, 0.01, 0.005]),
}


def coverage(draw: Draw, n: int, experiments: int, *, paired: bool) -> dict[str, float]:
    """Return the share of experiments in which our interval, and the percentile form, hold the truth."""
    random = np.random.default_rng(n)
    estimate = statistics.estimate_difference if paired else statistics.estimate
    known: dict[bytes, Any] = {}  # the interval depends on how often each value came, and on nothing else
    held = {"ours": 0, "percentile": 0}
    for seed in range(experiments):
        truth, values, groups = draw(random, n)
        different, counts = np.unique(values, return_counts=True)
        key = different.tobytes() + counts.tobytes()
        if key not in known or groups is not None:
            resamples = 10_000 if len(different) < MANY and groups is None else 1000
            names = None if groups is None else groups.tolist()
            found = estimate(values.tolist(), names, resamples, seed)
            known[key] = (found.low, found.high), _percentile(random, values, different, counts)
        for name, (low, high) in zip(held, known[key], strict=True):
            held[name] += low <= truth <= high
    return {name: count / experiments for name, count in held.items()}


def _percentile(random: np.random.Generator, values: Any, different: Any, counts: Any) -> Any:
    """Return the plain bootstrap's interval, groups or not: counts of values, or values, drawn anew."""
    n = len(values)
    if len(different) < MANY:
        means = random.multinomial(n, counts / n, 10_000) @ different / n
    else:
        means = values[random.integers(0, n, (500, n))].mean(axis=1)
    return np.quantile(means, (0.025, 0.975))


def table(sizes: tuple[int, ...], experiments: int, names: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """Return and print the coverage of each distribution at each size."""
    found: dict[str, dict[str, Any]] = {}
    every = [(name, draw, False) for name, draw in MEANS.items()]
    every += [(name, draw, True) for name, draw in DIFFERENCES.items()]
    every += [(name, draw, name != "seconds") for name, draw in BEYOND.items()]
    print(f"{'coverage of 95 % intervals (percentile form)':46} " + "  ".join(f"n = {n:<12}" for n in sizes))
    for name, draw, paired in every:
        if not names or name in names:
            rounds = experiments * 5 if name.startswith("right") else experiments
            found[name] = {str(n): coverage(draw, n, rounds, paired=paired) for n in sizes}
            cells = "  ".join(
                f"{one['ours']:.3f}  ({one['percentile']:.3f})  " for one in found[name].values()
            )
            print(f"  {'difference, ' if paired else ''}{name:{32 if paired else 44}} {cells}", flush=True)
    return found


def pipelines(random: np.random.Generator, n: int, runs: int, effect: float = 0.0) -> list[Any]:
    """Return runs over questions of their own ease: the first, and others that are `effect` better."""
    ease = random.beta(3, 1.5, n)
    made = []
    for number in range(runs):
        good = np.clip(ease + (effect if number else 0.0), 0, 1)
        right = random.random(n) < good
        rank = random.geometric(np.clip(good, 0.05, 1))
        gain = np.where(rank <= 10, 1 / np.log2(rank + 1), 0.0)
        made.append(scores(f"p{number}", {"correct": right.tolist(), "ndcg@10": gain.tolist()}))
    return made


def verdicts(
    n: int, runs: int, rounds: int, effect: float = 0.0, metrics: tuple[str, ...] = ()
) -> tuple[float, float]:
    """Return the shares of rounds with any "better" or "worse", and with any "no difference"."""
    random = np.random.default_rng(n + runs)
    told = same = 0
    for _ in range(rounds):
        found = {one.verdict for one in compare(pipelines(random, n, runs, effect), metrics)}
        told += bool(found & {"better", "worse"})
        same += "no difference" in found
    return told / rounds, same / rounds


def resampling_seconds() -> float:
    """Return the CPU seconds of an interval over 5,000 different scores with 10,000 resamples."""
    values = np.random.default_rng(5).random(5000).tolist()
    started = time.process_time()
    statistics.interval(values)
    return time.process_time() - started
