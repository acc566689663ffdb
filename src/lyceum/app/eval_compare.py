"""`lyceum eval compare`, `power`, `gate`, `leaderboard`: the runs of a home to verdicts in words and exit codes."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from lyceum.app import show
from lyceum.app.eval_report import folder
from lyceum.app.settings import Settings
from lyceum.core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from lyceum.evals.compare import Difference, Duel
    from lyceum.evals.records import Run

OK, REGRESSION = 0, 5
CHANGED = (0.05, 0.1, 0.2, 0.4)  # shares of questions that two pipelines score apart, where no run says which
COLUMNS = "metric,run,against,means,difference,p (Holm),verdict"


def arguments_compare(command: argparse.ArgumentParser) -> None:
    """Add what `compare` takes."""
    command.add_argument(
        "runs", nargs="+", metavar="RUN", help="ids, their beginnings, or folders; first the base"
    )
    _options(command, "correct, recall@10 and ndcg@10, where measured", "the difference that does not matter")
    command.add_argument(
        "--common", action="store_true", help="compare only the examples that the runs share"
    )
    command.add_argument(
        "--show", type=int, default=10, metavar="N", help="questions won and lost to show (10)"
    )


def arguments_power(command: argparse.ArgumentParser) -> None:
    """Add what `power` takes."""
    command.add_argument("run", nargs="?", metavar="RUN", help="a run that says how much scores vary")
    command.add_argument(
        "--effect", type=_share, default=0.03, metavar="X", help="the difference to find (0.03)"
    )
    command.add_argument("--metric", default="correct", metavar="A,B", help="metrics by name (correct)")


def arguments_gate(command: argparse.ArgumentParser) -> None:
    """Add what `gate` takes."""
    command.add_argument("candidate", metavar="CANDIDATE", help="the run that must not be worse")
    command.add_argument("baseline", metavar="BASELINE", help="the run that it is measured against")
    _options(command, "correct", "how much worse it may be")


def arguments_leaderboard(command: argparse.ArgumentParser) -> None:
    """Add what `leaderboard` takes."""
    command.add_argument("dataset", nargs="?", metavar="DATASET", help="only the runs of this data set")
    command.add_argument(
        "--metric", default="", metavar="NAME", help="what ranks them (correct, where measured)"
    )


def _options(command: argparse.ArgumentParser, metrics: str, margin: str) -> None:
    command.add_argument("--metric", default="", metavar="A,B", help=f"metrics by name ({metrics})")
    command.add_argument("--margin", type=_share, default=0.02, metavar="X", help=f"{margin} (0.02)")
    text = "weigh documents, not questions: for sets that ask often about one document"
    command.add_argument("--by-document", action="store_true", help=text)


def _share(text: str) -> float:
    if not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return float(text)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _runs(settings: Settings, *names: str) -> list[Run]:
    from lyceum.evals.records import read_run

    found = [read_run(folder(settings.home, name)) for name in names]
    if len({run.folder.resolve() for run in found}) < len(found):
        raise InvalidInput("A run was named twice.", hint="Name different runs: `lyceum eval leaderboard`.")
    return found


async def run_compare(arguments: argparse.Namespace, settings: Settings) -> int:
    """Compare runs of one data set, question by question: better, worse, no difference, or not proven."""
    from lyceum.evals import compare

    runs = _runs(settings, *arguments.runs)
    if len(runs) < 2:
        raise InvalidInput("One run compares with nothing.", hint="Name two: lyceum eval compare A B")
    chosen, common = _names(arguments.metric), arguments.common
    found = compare.compare(
        runs, chosen, margin=arguments.margin, common=common, grouped=arguments.by_document
    )
    sentences = [compare.sentence(one, len(found)) for one in found]
    duels = {compare.label(run): compare.duels(runs[0], run, found[0].metric, common) for run in runs[1:]}
    if arguments.json:
        told = [{**asdict(one), "sentence": said} for one, said in zip(found, sentences, strict=True)]
        fought = {name: [asdict(one) for one in some] for name, some in duels.items()}
        show.as_json({"rule": compare.RULE, "differences": told, "duels": fought})
        return OK
    out = show.screen()
    show.table(out, COLUMNS, map(_row, found))
    for said in ("", *sentences, *filter(None, map(_left_out, found)), compare.RULE):
        out.print(said, markup=False)
    for name, some in duels.items():
        _duels(name, found[0], some, arguments.show)
    return OK


def _row(one: Difference) -> Sequence[str]:
    color = {"better": "green", "worse": "red", "not proven": "yellow"}.get(one.verdict, "cyan")
    figures = f"{one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
    means = f"{one.means[1]:.3f} - {one.means[0]:.3f}"
    cells = map(escape, (one.metric, one.b, one.a, means, figures, f"{one.adjusted:.2g}"))
    return *cells, f"[{color}]{one.verdict}[/{color}]"


def _left_out(one: Difference) -> str:
    """Say which examples a difference does not count, and how many failed and count as 0."""
    said = [f"{count} left out: {reason}" for reason, count in one.left_out.items()]
    failed = zip((one.a, one.b), one.failed, strict=True)
    said += [f"{count} failed in {run}, each scored 0" for run, count in failed if count]
    return f"{one.metric}, {one.b} against {one.a}: {'; '.join(said)}." if said else ""


def _duels(name: str, first: Difference, some: Sequence[Duel], limit: int) -> None:
    """Print the questions won and lost against the first run, and at which stage they part."""
    for won, word in ((True, "won"), (False, "lost")):
        these = [one for one in some if one.won == won]
        stages = Counter(one.stage for one in these).most_common()
        parted = (
            "; they part at: " + ", ".join(f"{stage} {count}" for stage, count in stages) if these else ""
        )
        said = f"\n{name} {word} {len(these)} of {first.n} against {first.a} in {first.metric}{parted}"
        show.screen().print(said, markup=False)
        shown = [(one.id, one.question, *one.answers, one.stage, one.parting) for one in these[:limit]]
        rows = [[escape(text if len(text) < 90 else text[:89] + "…") for text in row] for row in shown]
        if rows:
            show.table(show.screen(), f"id,question,the first,{word},stage,where they part", rows)


async def run_power(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say how many questions find an effect, and which effect a run's questions can find."""
    runs = _runs(settings, arguments.run) if arguments.run else []
    said = f"To find a true difference of {arguments.effect:g} 8 times in 10, tested at 5 %:"
    _rows(arguments, said, list(_powers(runs, _names(arguments.metric), arguments.effect)))
    return OK


def _powers(runs: Sequence[Run], metrics: Sequence[str], effect: float) -> Iterator[dict[str, Any]]:
    """Yield what is assumed and what follows; two pipelines that correlate by .5 differ as much as each varies."""
    from lyceum.evals import compare, statistics

    for run in runs:
        for metric in metrics:
            n = len(scores := compare.values(run, metric))
            error = statistics.estimate(scores).error
            what = f"{metric} of {compare.label(run)}, if two pipelines correlate by .5"
            needed = statistics.needed(effect, error * n**0.5)
            yield {"scores": what, "needed": needed, "there": n, "finds": statistics.detectable(error)}
    for share in () if runs else CHANGED:
        if share > effect:
            needed = statistics.needed(effect, (share - effect**2) ** 0.5)
            yield {"scores": f"right or wrong, {share:.0%} of the questions change", "needed": needed}


def _rows(arguments: argparse.Namespace, said: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as JSON, or as a table below a sentence."""
    if arguments.json:
        return show.as_json(rows)
    show.screen().print(f"\n{said}", markup=False)
    cells = [
        [f"{one:.3f}" if isinstance(one, float) else escape(str(one)) for one in row.values()] for row in rows
    ]
    return show.table(show.screen(), ",".join(rows[0]), cells)


async def run_gate(arguments: argparse.Namespace, settings: Settings) -> int:
    """Exit with 5 unless a run is shown to be no worse than another by more than a margin."""
    from lyceum.evals import compare

    runs = _runs(settings, arguments.baseline, arguments.candidate)
    metrics = _names(arguments.metric) or ["correct"]
    found = compare.compare(runs, metrics, margin=arguments.margin, grouped=arguments.by_document)
    passed = all(map(compare.passes, found))
    said = [text for one in found for text in (compare.gated(one), _left_out(one)) if text]
    told = {"passed": passed, "said": said, "differences": [asdict(one) for one in found]}
    show.result(arguments, told, "\n".join(said))
    return OK if passed else REGRESSION


async def run_leaderboard(arguments: argparse.Namespace, settings: Settings) -> int:
    """Rank the finished runs of each data set, and say which are not told apart from the best."""
    from lyceum.evals import compare

    found, unfinished = boards(settings.home, arguments.dataset)
    if not found:
        raise NotFound("There is no finished run to rank.", hint="lyceum eval run DATASET", code="no_run")
    ranked = {board: compare.ranked(runs, arguments.metric) for board, runs in found.items()}
    if arguments.json:
        show.as_json(ranked)
        return OK
    for board, rows in ranked.items():
        _rows(arguments, board, rows)
    if unfinished:
        show.screen().print(f"{unfinished} runs did not end and are not ranked.")
    return OK


def boards(
    home: Path, dataset: str | None = None, read: Callable[[Path], Run] | None = None
) -> tuple[dict[str, list[Run]], int]:
    """Return the finished runs of each data set without their answers, and the number of those that did not end."""
    from lyceum.evals.records import read_run

    read = read or partial(read_run, answers=False)
    folders = sorted(home.glob("runs/*/"))
    finished = [one for one in folders if (one / "summary.json").is_file()]
    found: dict[str, list[Run]] = {}
    for run in map(read, finished):
        if dataset in (None, run.summary.dataset):
            found.setdefault(f"{run.summary.dataset} ({run.summary.data[:8]})", []).append(run)
    return found, len(folders) - len(finished)
