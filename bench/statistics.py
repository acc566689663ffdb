"""What the statistics promise: parity with ir-measures, coverage, false alarms, power, and the time they take.

Parity: every query's metrics over BM25 rankings (100 deep) of five sets, and over made-up rankings with grades.
Coverage: how often 95 % intervals hold a known truth, in 2,000 experiments a cell, 10,000 for right or wrong. One
fixed share near 1 is printed and not judged: few counts are likely there, so that the coverage of each method swings
with n (Brown, Cai and DasGupta 2001).
False alarms: comparisons of equal pipelines in two metrics that are called better or worse.
Speed: CPU seconds of seven metrics of 20,000 queries x 100 hits from the same dictionaries, beside ir-measures and
ranx (in an environment of its own), each query's value kept; and 10,000 resamples of 5,000 scores.
"""

from __future__ import annotations

import common
import ranked
import retrieval
import simulated
from common import Figure

SETS = ("squad_en", "hotpotqa_en", "tatqa_en", "cranfield_en", "cmrc2018_zh")
SWINGING = ("right .97", "right .98", "right .99")
QUICK = ("right .8", "right .97-.995", "nDCG", "won .10 lost .04", "documents")


def parity(options):  # type: ignore[no-untyped-def]
    """Return the largest difference from ir-measures on each set."""
    folder, found = common.shared(options), {}
    for name in SETS[:2] if options.quick else SETS:
        data = common.dataset(folder, name)
        run = {query: {one: float(-rank) for rank, one in enumerate(best)}
               for query, best in retrieval.baseline(data, 100).items()}  # fmt: skip
        gold = {query["_id"]: data.gold[query["_id"]] for query in data.queries}
        found[name] = ranked.parity(gold, run)
        print(
            f"{name:16} {len(gold):5} queries x {len(ranked.NAMES)} metrics: at most {found[name]:.1e} apart",
            flush=True,
        )
    found["made up, grades 1-3"] = ranked.parity(*ranked.made_up(500, 50, grades=3))
    print(f"made up, with grades: at most {found['made up, grades 1-3']:.1e} apart")
    return found


def covered(options):  # type: ignore[no-untyped-def]
    """Return the coverage of each distribution and size, and the lowest and highest that is judged."""
    sizes, experiments = ((200,), 1000) if options.quick else ((200, 500, 1000), 2000)
    found = simulated.table(sizes, experiments, QUICK if options.quick else ())
    apart = (*SWINGING, *simulated.BEYOND)
    judged = [one["ours"] for name, row in found.items() if name not in apart for one in row.values()]
    print(f"{len(judged)} cells judged; not judged: {', '.join(apart)}")
    return found, min(judged), max(judged)


def decided(options):  # type: ignore[no-untyped-def]
    """Return shares of better or worse: equal pipelines (two, three), and a true effect that should be found."""
    rounds = 200 if options.quick else 2000
    found = {"two equal, n = 200": simulated.verdicts(200, 2, rounds)}
    if not options.quick:
        found["two equal, n = 60"] = simulated.verdicts(60, 2, rounds)
        found["three equal, n = 200"] = simulated.verdicts(200, 3, rounds // 4)
        for effect in (0.03, 0.06, 0.1):
            found[f"{effect:g} better, n = 400, correct"] = simulated.verdicts(
                400, 2, 400, effect, ("correct",)
            )
    for name, (told, same) in found.items():
        print(f"{name:34} better or worse {told:.3f}, no difference {same:.3f}", flush=True)
    return found


async def main() -> None:
    options = common.arguments(__doc__)
    apart = parity(options)
    times = ranked.seconds(*ranked.made_up(2000 if options.quick else 20_000, 100), cold=not options.quick)
    print("  ".join(f"{name} {value:.2f} s" for name, value in times.items()))
    faster = min(value for name, value in times.items() if name in ("ir-measures", "ranx warm"))
    resampled = min(simulated.resampling_seconds() for _ in range(3))
    table, low, high = covered(options)
    shares = decided(options)
    alarms = max(told for name, (told, _) in shares.items() if "equal" in name)
    figures = [
        Figure("parity", max(apart.values()), "<= 1e-9", max(apart.values()) <= 1e-9),
        Figure("coverage_lowest", low, ">= .935", low >= 0.935),
        Figure("coverage_highest", high, "<= .965", high <= 0.965),
        Figure("false_alarms", alarms, "<= .06", alarms <= 0.06),
        Figure("metrics_seconds", times["lyceum"], f"<= {faster:.2f}", times["lyceum"] <= faster),
        Figure("resampling_seconds", resampled, "<= 2", resampled <= 2),
    ]
    common.finish(
        "statistics", figures, options, parity=apart, seconds=times, coverage=table, verdicts=shares
    )


if __name__ == "__main__":
    common.run(main)
