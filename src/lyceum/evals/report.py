"""A run to one page that opens from disk without script or network, in both languages; it measures nothing.

What runs hold may be hostile: the template escapes everything, and the page forbids itself to load or run a thing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from lyceum.core.types import Example, Hit, Place
from lyceum.evals import charts
from lyceum.evals.abstention import area, curve
from lyceum.evals.metrics import found_in
from lyceum.evals.records import Aggregate, Outcome, Run

HEADLINE = "correct"
STATES = ("failed", "wrong", "refused", "unjudged", "right")  # the worst first: these are shown in any case
SHOWN, PARTED = 4000, 200  # questions, and questions that two runs parted on: 3,500 open in a second or two
HITS, TEXT = 5, 700  # of a question; characters of a text
_pair = Markup('<span lang="en">{}</span><span lang="zh">{}</span>')


def write(
    run: Run, others: Sequence[Run] = (), autopsy: Mapping[str, Any] | None = None,
    comparison: Mapping[str, Any] | None = None,
) -> Path:  # fmt: skip
    """Write report.html into the run's folder and return its path.

    `others` are drawn beside it. `autopsy` holds "waterfall" ([stage, share, n]) and "causes" (example, stage, with,
    facts, fix); `comparison` holds "metrics" (metric, difference, low, high, adjusted, verdict), "sentences" and
    "duels" (id, stage, parting).
    """
    worst = sorted(run.outcomes, key=lambda one: STATES.index(state(one)))[:SHOWN]
    kept, found, told = {one.example.id for one in worst}, autopsy or {}, comparison or {}
    causes, rows = found.get("causes", ()), told.get("metrics", ())
    made = _template().render(
        run=run, summary=run.summary, others=others, counts=Counter(map(state, run.outcomes)),
        shown=[one for one in run.outcomes if one.example.id in kept], losses=found.get("waterfall", ()),
        causes=_grouped(causes, lambda one: ((one["stage"], *one["with"]), one["fix"])),
        cause=_grouped(causes, lambda one: one["example"]),
        duels=_grouped(told.get("duels", ()), lambda one: one["id"]), sentences=told.get("sentences", ()), rows=rows,
        reach=_reach(abs(row[end]) for row in rows for end in ("low", "high")),
        curves=[risks(one.outcomes) for one in (run, *others)], parted=[parted(run, one) for one in others],
    )  # fmt: skip
    file = run.folder / "report.html"
    draft = file.with_suffix(".draft")
    draft.write_text(made, encoding="utf-8", errors="replace")
    draft.replace(file)
    return file


@cache
def _template() -> Template:
    room = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    room.globals.update(
        t=translated, c=charts, state=state, rank=rank, rivals=rivals, is_gold=is_gold, where=where, cut=cut,
        number=number, area=area, level=level, STATES=STATES, HEADLINE=HEADLINE, HITS=HITS, PARTED=PARTED,
    )  # fmt: skip
    room.filters.update(state=state, ends=lambda found: (found.low, found.mean, found.high))
    return room.from_string(files("lyceum.evals").joinpath("report.html.j2").read_text(encoding="utf-8"))


def translated(english: str, chinese: str, *values: object) -> Markup:
    """Return words in both languages, of which the page shows one; values fill the braces of both."""
    return _pair.format(Markup(english).format(*values), Markup(chinese).format(*values))


def state(outcome: Outcome) -> str:
    """Say what became of a question; a refusal that was right is right."""
    if outcome.answer is None:
        return "failed"
    score = outcome.scores.get(HEADLINE)
    if score is None or score.value is None:
        return "unjudged"
    if score.value >= 0.5:
        return "right"
    return "refused" if outcome.answer.abstained else "wrong"


def risks(outcomes: Sequence[Outcome]) -> list[tuple[float, float]]:
    """Return the curve of risk and coverage of a run; a failure is no answer, what was not judged is left out."""
    judged = [one for one in outcomes if state(one) != "unjudged"]
    answers = [
        (one.answer.confidence, state(one) == "wrong")
        for one in judged if one.answer and not one.answer.abstained
    ]  # fmt: skip
    return curve(answers, len(judged))


def is_gold(hit: Hit, example: Example) -> bool:
    """Say whether a hit is of a gold document."""
    return any(found_in(hit, gold) for gold in example.gold)


def rank(outcome: Outcome) -> int:
    """Return the rank of the first hit of a gold document, 0 where there is none."""
    hits = outcome.answer.hits if outcome.answer else ()
    return next((n for n, hit in enumerate(hits, 1) if is_gold(hit, outcome.example)), 0)


def rivals(others: Sequence[Run], metric: str, tag: str = "") -> list[Aggregate]:
    """Return what other runs measured of a metric, over all or in a slice; one that did not is left out."""
    places = [one.summary.slices.get(tag, {}) if tag else one.summary.metrics for one in others]
    return [place[metric] for place in places if metric in place]


def parted(run: Run, other: Run) -> list[tuple[Outcome, Outcome]]:
    """Return the questions that only one of two runs got right, with both outcomes: those first that `run` lost."""
    theirs = {one.example.id: one for one in other.outcomes if state(one) != "unjudged"}
    pairs = [(one, theirs[one.example.id]) for one in run.outcomes if one.example.id in theirs]
    changed = [
        (a, b) for a, b in pairs if (state(a) == "right") != (state(b) == "right") and state(a) != "unjudged"
    ]
    return sorted(changed, key=lambda pair: state(pair[0]) == "right")


def _grouped(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    """Return rows by their key, the most frequent key first."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def _reach(ends: Iterable[float]) -> float:
    """Return the end of a scale that holds all ends of intervals."""
    longest = max(ends, default=0.0)
    return next((step for step in (0.05, 0.1, 0.2, 0.5, 1) if step >= longest), longest)


def level(losses: Sequence[Sequence[Any]], index: int) -> tuple[float, float]:
    """Return where a loss starts and how long it is, in percent of all that was lost."""
    shares = [float(share) for _, share, _ in losses]
    whole = sum(shares) or 1
    return 100 * sum(shares[:index]) / whole, 100 * shares[index] / whole


def where(source: str, place: Place | None = None) -> str:
    """Return the end of a source's path and what is known of the place: report.pdf · 3 · B7."""
    known = (place.part, place.page, place.sheet, place.row, place.line) if place else ()
    return " · ".join([source.rsplit("/", 1)[-1], *(str(one) for one in known if one is not None)])


def cut(text: str) -> str:
    """Return as much of a text as the page shows."""
    return text if len(text) <= TEXT else text[:TEXT] + " …"


def number(value: float) -> str:
    """Return a mean with three decimals, or one where it is no share."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
