"""Runs over the same examples to differences with a verdict, and to the questions on which two of them part.

A failed example scores 0; what does not apply or could not be judged is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from lyceum.core.errors import InvalidInput
from lyceum.core.types import Example
from lyceum.evals import statistics
from lyceum.evals.metrics import found_in
from lyceum.evals.records import Outcome, Run
from lyceum.evals.statistics import ALPHA

RULE = (
    "Better or worse: the 95 % interval of the paired difference excludes 0, and the sign-flip p, adjusted by Holm "
    "over all metrics and pairs, is at most .05. No difference: else, where the interval lies within the margin. "
    "Not proven: the rest. A failed example scores 0."
)
MARGIN = 0.02
FIRST = ("correct", "recall@10", "ndcg@10")  # compared unless metrics are named: each more costs power


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What run `b` scores above `a` over the `n` examples that both were measured on; `left_out` counts others."""

    metric: str
    a: str
    b: str
    n: int
    left_out: Mapping[str, int]
    failed: tuple[int, int]
    means: tuple[float, float]
    difference: float
    low: float
    high: float
    error: float
    p: float
    adjusted: float
    effect: float | None
    won: int
    lost: int
    detectable: float
    margin: float
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """A question on which run `b` won or lost, both answers, and where the runs part."""

    id: str
    question: str
    won: bool
    answers: tuple[str, str]
    scores: tuple[float, float]
    stage: str
    parting: str


def compare(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, margin: float = MARGIN, common: bool = False,
    grouped: bool = False, to_first: bool = False,
) -> list[Difference]:  # fmt: skip
    """Return the differences of every two runs (or of each `to_first`), the later less the earlier, for each metric.

    Raises InvalidInput for runs over different examples, unless those they share are asked for (`common`).
    `grouped` weighs documents instead of examples: questions about one document tend to fall together.
    """
    metrics = metrics or chosen(runs)
    every = [(runs[0], run) for run in runs[1:]] if to_first else combinations(runs, 2)
    found = [_difference(a, b, metric, margin, common, grouped) for a, b in every for metric in metrics]
    adjusted = statistics.holm([one.p for one in found])
    return [_judged(replace(one, adjusted=p)) for one, p in zip(found, adjusted, strict=True)]


def chosen(runs: Sequence[Run]) -> list[str]:
    """Return the metrics that are compared unless some are named."""
    shared = [name for name in runs[0].summary.metrics if all(name in run.summary.metrics for run in runs)]
    if not shared:
        raise InvalidInput(
            "The runs share no metric.", hint="Measure them alike and run again.", code="metric"
        )
    return [name for name in FIRST if name in shared] or shared


def pairs(a: Run, b: Run, common: bool = False) -> tuple[list[tuple[Outcome, Outcome]], Counter[str]]:
    """Return the outcomes of two runs by example, and how many were left out for which reason."""
    first, second = _by_id(a), _by_id(b)
    same = [name for name in first if name in second and _asked(first[name]) == _asked(second[name])]
    left_out = Counter({
        f"only in {label(a)}": len(first.keys() - second.keys()),
        f"only in {label(b)}": len(second.keys() - first.keys()),
        "asked otherwise": len(first.keys() & second.keys()) - len(same),
    })  # fmt: skip
    if left_out.total() and not common:
        said = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
        raise InvalidInput(
            f"The runs are over different examples: {len(same)} are common, {said}.",
            hint="Run both over the same data, or compare what they share: --common", code="mixed",
        )  # fmt: skip
    if not same:
        raise InvalidInput("The runs share no example.", hint="Name runs of one data set.", code="mixed")
    return [(first[name], second[name]) for name in same], +left_out


def _by_id(run: Run) -> dict[str, Outcome]:
    found = {one.example.id: one for one in run.outcomes}
    if len(found) < len(run.outcomes):
        twice = next(name for name, count in Counter(o.example.id for o in run.outcomes).items() if count > 1)
        raise InvalidInput(
            f"{run.folder} holds example {twice!r} twice.", hint="Make ids unique and run again."
        )
    return found


def _asked(outcome: Outcome) -> tuple[object, ...]:
    example = outcome.example
    return example.question, example.history, example.answers, example.gold, example.answerable


def label(run: Run) -> str:
    """Return a run's name in tables: its pipeline and the beginning of its id."""
    return f"{run.summary.pipeline}@{run.summary.id[:6]}"


def scored(metric: str, *outcomes: Outcome) -> list[float] | str:
    """Return each run's score of one example, or why it cannot be compared. A failed answer scores 0."""
    scores = [one.scores.get(metric) for one in outcomes]
    values = [
        0.0 if one.error else score.value if score else None
        for one, score in zip(outcomes, scores, strict=True)
    ]
    if any(score and score.value is None and not score.failed for score in scores):
        return "does not apply"
    if any(value is None for value in values):
        return "could not be judged"
    return [value for value in values if value is not None]


def values(run: Run, metric: str) -> list[float]:
    """Return the scores of a run's examples; where a metric does not apply or could not be judged there is none."""
    told = [scored(metric, one) for one in run.outcomes]
    return [one[0] for one in told if not isinstance(one, str)]


def _difference(a: Run, b: Run, metric: str, margin: float, common: bool, grouped: bool) -> Difference:
    for run in (a, b):
        if metric not in run.summary.metrics:
            known = ", ".join(sorted(run.summary.metrics))
            raise InvalidInput(
                f"{label(run)} has no metric {metric!r}.", hint=f"It has {known}.", code="metric"
            )
    both, left_out = pairs(a, b, common)
    told = [(pair, scored(metric, *pair)) for pair in both]
    left_out += Counter(one for _, one in told if isinstance(one, str))
    kept = [(pair, values) for pair, values in told if not isinstance(values, str)]
    if not kept:
        raise InvalidInput(f"{metric} was measured on no example of both.", hint="Name another metric.")
    values = [after - before for _, (before, after) in kept]
    groups = [_document(pair[0].example) for pair, _ in kept] if grouped else None
    found = statistics.estimate_difference(values, groups)
    return Difference(
        metric=metric, a=label(a), b=label(b), n=len(kept), left_out=dict(left_out),
        failed=(sum(bool(x.error) for (x, _), _ in kept), sum(bool(y.error) for (_, y), _ in kept)),
        means=(sum(x for _, (x, _) in kept) / len(kept), sum(y for _, (_, y) in kept) / len(kept)),
        difference=found.mean, low=found.low, high=found.high, error=found.error,
        p=statistics.sign_flip(values, groups), adjusted=1.0, effect=statistics.effect_size(values),
        won=sum(value > 0 for value in values), lost=sum(value < 0 for value in values),
        detectable=statistics.detectable(found.error), margin=margin,
    )  # fmt: skip


def _document(example: Example) -> str:
    """Return what groups an example: its first gold document, else itself."""
    return min((gold.document for gold in example.gold), default=example.id)


def _judged(one: Difference) -> Difference:
    proven = one.adjusted <= ALPHA and (one.low > 0 or one.high < 0)
    verdict = "better" if one.difference > 0 else "worse"
    if not proven:
        within = -one.margin < one.low and one.high < one.margin  # two one-sided tests (Schuirmann 1987)
        verdict = "no difference" if within else "not proven"
    return replace(one, verdict=verdict)


def sentence(one: Difference, tests: int = 1) -> str:
    """Return the verdict in words with the figures behind it."""
    said = {
        "better": f"{one.b} is better than {one.a} in {one.metric}",
        "worse": f"{one.b} is worse than {one.a} in {one.metric}",
        "no difference": f"{one.b} and {one.a} show no difference larger than {one.margin:g} in {one.metric}",
        "not proven": f"Not proven that {one.b} and {one.a} differ in {one.metric}",
    }[one.verdict]
    holm = f" (Holm over {tests})" if tests > 1 else ""
    figures = f"{one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}], p = {one.adjusted:.2g}{holm}"
    figures += "" if one.effect is None else f", d = {one.effect:+.2f}"
    counts = f"n = {one.n}: {one.won} won, {one.lost} lost, {one.n - one.won - one.lost} tied"
    if one.verdict != "not proven":
        return f"{said}: {figures}; {counts}."
    missed = f"nor that they differ by less than {one.margin:g}"
    return f"{said}, {missed}: {figures}; {counts}; this n finds differences from {one.detectable:.3f} on (power .8)."


def passes(one: Difference) -> bool:
    """Say whether run `b` is shown to be no worse than `a` by more than the margin; no change of any score passes.

    One-sided, at 2.5 % (Piaggio et al. 2012).
    """
    return one.low > -one.margin or not (one.won or one.lost)


def gated(one: Difference) -> str:
    """Return what a gate says of a difference."""
    figures = f"{one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}], n = {one.n}, {one.won} won, {one.lost} lost"
    if passes(one):
        return f"passed: {one.b} is not worse than {one.a} in {one.metric} by more than {one.margin:g}: {figures}."
    if one.high < 0:
        return f"regression: {one.b} is worse than {one.a} in {one.metric}: {figures}."
    enough = statistics.needed(one.margin, one.error * one.n**0.5)
    return (
        f"not shown: {one.b} may be worse than {one.a} in {one.metric} by more than {one.margin:g}: {figures}. "
        f"With no true difference, {enough} questions would show it 8 times in 10."
    )


def ranked(runs: Sequence[Run], metric: str = "") -> list[dict[str, Any]]:
    """Return the runs of one data set, best first, and whether each is told apart from the best (Holm over all)."""
    metric = metric or chosen(runs)[0]
    found = [
        (statistics.estimate(scores), len(scores), run) for run in runs if (scores := values(run, metric))
    ]
    found.sort(key=lambda one: -one[0].mean)
    against = compare([run for *_, run in found], [metric], to_first=True)
    verdicts = ["", *("worse" if one.verdict == "worse" else "not told apart" for one in against)]
    return [
        {
            "rank": rank, "run": label(run), metric: one.mean, "low": one.low, "high": one.high, "n": n,
            "failed": run.summary.failed, "date": run.summary.date, "against the best": verdict,
        }
        for rank, ((one, n, run), verdict) in enumerate(zip(found, verdicts, strict=True), 1)
    ]  # fmt: skip


def duels(a: Run, b: Run, metric: str, common: bool = False) -> list[Duel]:
    """Return the questions that run `b` won or lost, largest differences first."""
    found = []
    for before, after in pairs(a, b, common)[0]:
        values = scored(metric, before, after)
        if isinstance(values, str) or values[0] == values[1]:
            continue
        won = values[1] > values[0]
        stage, words = parting(*((after, before) if won else (before, after)))
        found.append(
            Duel(
                id=before.example.id, question=before.example.question, won=won, scores=(values[0], values[1]),
                answers=(said(before), said(after)), stage=stage, parting=words,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: -abs(one.scores[1] - one.scores[0]))


def said(outcome: Outcome) -> str:
    """Return an answer in one line: its text, the refusal, or the error."""
    answer = outcome.answer
    if answer is None:
        return f"failed: {outcome.error}"
    return f"refused: {answer.reason}" if answer.abstained else " ".join(answer.text.split())


def parting(winner: Outcome, loser: Outcome) -> tuple[str, str]:
    """Return the first stage at which the loser lacks what the winner has, and both sides of it in words.

    Only what a run keeps is looked at: hits with their parts, citations, refusals. Causes are found by intervention.
    """
    mine, other = winner.answer, loser.answer
    if mine is None or other is None:
        return "failed", loser.error or winner.error
    (found, rank, here), (less, later, there) = _gold(winner), _gold(loser)
    told = f"gold {here} against {there}"
    if found > less:
        return "search", told
    if mine.abstained != other.abstained:
        return "refusal", f"{told}; {mine.reason or other.reason}"
    cited, missed = _cited(winner), _cited(loser)
    told += f"; gold cited: {'both' if cited and missed else 'one' if cited or missed else 'none'}"
    return "ranking" if later > rank and (not missed or said(winner) == said(loser)) else "reading", told


def _gold(outcome: Outcome) -> tuple[int, int, str]:
    """Return how many gold documents were found, the rank of the first, and both in words with what found it."""
    hits = outcome.answer.hits if outcome.answer else ()
    gold = {one.document: one for one in outcome.example.gold}.values()
    found = sum(any(found_in(hit, one) for hit in hits) for one in gold)
    for rank, hit in enumerate(hits, 1):
        if any(found_in(hit, one) for one in gold):
            parts = " ".join(f"{one.part} #{one.rank or '-'}" for one in hit.by)
            return found, rank, f"{found} of {len(gold)}, first at {rank}" + (f" ({parts})" if parts else "")
    return 0, 0, f"not among {len(hits)} hits" if gold else "unknown"


def _cited(outcome: Outcome) -> bool:
    """Say whether the answer cites a gold document."""
    answer = outcome.answer
    cited = {one.document_id for one in answer.citations} if answer else set()
    hits = answer.hits if answer else ()
    return any(
        hit.document.id in cited and any(found_in(hit, g) for g in outcome.example.gold) for hit in hits
    )
