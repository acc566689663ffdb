"""`lyceum eval compare`, `power`, `gate` and `leaderboard`: the runs of a home to verdicts in words and exit codes."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from lyceum.app import show
from lyceum.app.settings import Settings
from lyceum.core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from lyceum.evals.compare import Difference, Duel
    from lyceum.evals.records import Run

OK, REGRESSION = 0, 5
CHANGED = (0.05, 0.1, 0.2, 0.4)  # shares of questions that two pipelines score apart, where no run says which
SHORT = 70


def arguments_compare(command: argparse.ArgumentParser) -> None:
    """Add what `compare` takes."""
    command.add_argument("runs", nargs="+", metavar="RUN", help="ids, their beginnings, or folders; first the base")
    _metric(command, "correct, recall@10 and ndcg@10 where measured")
    _margin(command, "the difference that would not matter")
    command.add_argument("--common", action="store_true", help="compare only the examples that all runs share")
    _grouped(command)
    command.add_argument("--show", type=int, default=10, metavar="N", help="questions won and lost to show (10)")


def arguments_power(command: argparse.ArgumentParser) -> None:
    """Add what `power` takes."""
    text = "one run, or two whose differences say how much scores vary; without one, a table"
    command.add_argument("runs", nargs="*", metavar="RUN", help=text)
    command.add_argument("--effect", type=_share, default=0.03, metavar="X", help="the difference to find (0.03)")
    _metric(command, "correct")


def arguments_gate(command: argparse.ArgumentParser) -> None:
    """Add what `gate` takes."""
    command.add_argument("candidate", metavar="CANDIDATE", help="the run that must not be worse")
    command.add_argument("baseline", metavar="BASELINE", help="the run that it is measured against")
    _metric(command, "correct")
    _margin(command, "how much worse it may be")
    _grouped(command)


def arguments_leaderboard(command: argparse.ArgumentParser) -> None:
    """Add what `leaderboard` takes."""
    command.add_argument("dataset", nargs="?", metavar="DATASET", help="only the runs of this data set")
    _metric(command, "correct, else the first that all runs have")


def _metric(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument("--metric", default="", metavar="A,B", help=f"metrics by name ({default})")


def _margin(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--margin", type=_share, default=0.02, metavar="X", help=f"{text} (0.02)")


def _grouped(command: argparse.ArgumentParser) -> None:
    text = "resample documents, not questions: for sets that ask often about one document"
    command.add_argument("--by-document", action="store_true", help=text)


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def _names(arguments: argparse.Namespace) -> list[str]:
    return [name.strip() for name in arguments.metric.split(",") if name.strip()]


def folder(home: Path, name: str) -> Path:
    """Return the folder of the one run that a name means."""
    if (Path(name) / "summary.json").is_file():
        return Path(name)
    found = sorted(one for one in home.glob("runs/*/") if one.name.startswith(name))
    if len(found) == 1:
        return found[0]
    raise NotFound(
        f"{len(found) or 'No'} runs begin with {name!r}.", hint="`lyceum eval leaderboard` lists runs.", code="no_run"
    )


def _runs(settings: Settings, names: Sequence[str]) -> list[Run]:
    from lyceum.evals.records import read_run

    found = [read_run(folder(settings.home, name)) for name in names]
    if len({run.folder.resolve() for run in found}) < len(found):
        raise InvalidInput("A run was named twice.", hint="Name different runs: `lyceum eval leaderboard`.")
    return found


async def run_compare(arguments: argparse.Namespace, settings: Settings) -> int:
    """Compare runs of one data set, question by question: better, worse, no difference, or not proven."""
    from lyceum.evals import compare

    if len(arguments.runs) < 2:
        raise InvalidInput("One run cannot be compared.", hint="Name two or more: lyceum eval compare A B")
    runs = _runs(settings, arguments.runs)
    found = compare.compare(
        runs, _names(arguments), margin=arguments.margin, common=arguments.common, grouped=arguments.by_document
    )
    duels = [
        (compare.label(run), compare.duels(runs[0], run, found[0].metric, arguments.common)) for run in runs[1:]
    ]
    sentences = [compare.sentence(one, len(found)) for one in found]
    if arguments.json:
        told = [{**asdict(one), "sentence": said} for one, said in zip(found, sentences, strict=True)]
        fought = {name: [asdict(one) for one in some] for name, some in duels}
        show.as_json({"rule": compare.RULE, "differences": told, "duels": fought})
        return OK
    out = show.screen()
    show.table(out, "metric,a,b,a is,b is,b - a,95 % interval,p (Holm),d,won,lost,n,verdict", map(_row, found))
    out.print()
    for said in sentences:
        out.print(said, markup=False)
    for one in found:
        _left_out(one)
    out.print(f"[dim]{compare.RULE}[/dim]")
    for name, some in duels:
        _duels(name, found[0], some, arguments.show)
    return OK


def _row(one: Difference) -> Sequence[str]:
    color = {"better": "green", "worse": "red", "not proven": "yellow"}.get(one.verdict, "cyan")
    return (
        one.metric, escape(one.a), escape(one.b), *(f"{mean:.3f}" for mean in one.means), f"{one.difference:+.3f}",
        f"{one.low:+.3f} to {one.high:+.3f}", f"{one.adjusted:.2g}", "-" if one.effect is None else f"{one.effect:+.2f}",
        str(one.won), str(one.lost), str(one.n), f"[{color}]{one.verdict}[/{color}]",
    )  # fmt: skip


def _left_out(one: Difference) -> None:
    """Say which examples a difference does not count, and which failed and count as 0."""
    said = [f"{count} left out: {reason}" for reason, count in one.left_out.items()]
    said += [f"{count} failed in {run}, each scored 0" for run, count in zip((one.a, one.b), one.failed) if count]
    if said:
        show.screen().print(f"{one.metric}, {one.b} against {one.a}: {'; '.join(said)}.", markup=False)


def _duels(name: str, first: Difference, some: Sequence[Duel], limit: int) -> None:
    """Print the questions won and lost against the first run, and at which stage they part."""
    out = show.screen()
    for won, word in ((True, "won"), (False, "lost")):
        these = [one for one in some if one.won == won]
        stages = ", ".join(f"{stage} {count}" for stage, count in Counter(one.stage for one in these).most_common())
        title = f"\n{name} {word} {len(these)} of {first.n} against {first.a} in {first.metric}"
        out.print(f"{title}, parted at: {stages}" if these else title, markup=False)
        rows = [
            (escape(one.id), *(escape(_short(text)) for text in (one.question, *one.answers)), one.stage, escape(one.parting))
            for one in these[:limit]
        ]  # fmt: skip
        if rows:
            show.table(out, f"id,question,{first.a},{name},stage,where they part", rows)


def _short(text: str) -> str:
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"


async def run_power(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say how many questions find an effect, and which effect a run's questions can find."""
    from lyceum.evals import statistics

    rows = [
        {
            "what": what, "n": n, "deviation": deviation, "effect": arguments.effect,
            "needed": statistics.needed(arguments.effect, deviation),
            "detectable": statistics.detectable(deviation / math.sqrt(n)) if n else None,
        }
        for what, n, deviation in _deviations(arguments, _runs(settings, arguments.runs))
    ]  # fmt: skip
    if arguments.json:
        show.as_json(rows)
        return OK
    out = show.screen()
    out.print(f"To find a true difference of {arguments.effect:g} 8 times in 10, tested at 5 %:")
    show.table(
        out, "scores,questions needed,questions there,which find",
        [
            (escape(str(row["what"])), str(row["needed"]), str(row["n"] or "-"), f"{row['detectable']:.3f}" if row["n"] else "-")
            for row in rows
        ],
    )  # fmt: skip
    return OK


def _deviations(arguments: argparse.Namespace, runs: Sequence[Run]) -> Iterator[tuple[str, int, float]]:
    """Yield what is assumed or was measured, on how many questions, and the deviation of paired differences."""
    from lyceum.evals import compare, statistics

    metrics = _names(arguments) or ["correct"]
    if len(runs) == 1:
        for metric in metrics:
            values = compare.values(runs[0], metric)
            deviation = statistics.estimate(values).error * math.sqrt(len(values))
            yield f"{metric}, as {compare.label(runs[0])} varies, if two pipelines correlate by .5", len(values), deviation
    elif runs:
        for one in compare.compare(runs, metrics):
            yield f"{one.metric}, {one.b} - {one.a}, as measured", one.n, one.error * math.sqrt(one.n)
    else:
        for share in CHANGED:
            if share >= arguments.effect:
                deviation = math.sqrt(share - arguments.effect**2)
                yield f"0 or 1, {share:.0%} of the questions change", 0, deviation


async def run_gate(arguments: argparse.Namespace, settings: Settings) -> int:
    """Exit with 5 unless a run is shown to be no worse than another by more than a margin."""
    from lyceum.evals import compare

    baseline, candidate = _runs(settings, (arguments.baseline, arguments.candidate))
    metrics = _names(arguments) or ["correct"]
    found = compare.compare([baseline, candidate], metrics, margin=arguments.margin, grouped=arguments.by_document)
    passed = [compare.passes(one) for one in found]
    if arguments.json:
        told = [{**asdict(one), "passed": good} for one, good in zip(found, passed, strict=True)]
        show.as_json({"passed": all(passed), "metrics": told})
    else:
        for one, good in zip(found, passed, strict=True):
            show.screen().print(compare.gated(one, good), markup=False)
            _left_out(one)
    return OK if all(passed) else REGRESSION


async def run_leaderboard(arguments: argparse.Namespace, settings: Settings) -> int:
    """Rank the finished runs of each data set, and say which are not told apart from the best."""
    from lyceum.evals import compare
    from lyceum.evals.records import read_run

    folders = sorted(settings.home.glob("runs/*/"))
    finished = [read_run(one) for one in folders if (one / "summary.json").is_file()]
    boards: dict[tuple[str, str], list[Run]] = {}
    for run in finished:
        if arguments.dataset in (None, run.summary.dataset):
            boards.setdefault((run.summary.dataset, run.summary.data), []).append(run)
    if not boards:
        raise NotFound("There is no finished run to rank.", hint="lyceum eval run DATASET", code="no_run")
    ranked = {key: compare.ranked(runs, _names(arguments)) for key, runs in boards.items()}
    if arguments.json:
        show.as_json([
            {"dataset": dataset, "data": data, "runs": [asdict(one) for one in rows]}
            for (dataset, data), rows in ranked.items()
        ])  # fmt: skip
        return OK
    out = show.screen()
    for (dataset, data), rows in ranked.items():
        out.print(f"\n[bold]{escape(dataset)}[/bold] (data {data[:8]}), {rows[0].metric}")
        show.table(out, "rank,run,mean,95 % interval,n,failed,date,against the best", [
            (str(rank), escape(one.run), f"{one.mean:.3f}", f"{one.low:.3f} to {one.high:.3f}", str(one.n),
             str(one.failed), one.date, one.against)
            for rank, one in enumerate(rows, 1)
        ])  # fmt: skip
    if unfinished := len(folders) - len(finished):
        out.print(f"{unfinished} runs did not end and are not ranked.")
    return OK


