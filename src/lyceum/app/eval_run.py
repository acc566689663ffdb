"""`lyceum eval run`: a set of questions and pipelines to runs, a folder each, and a table of what they measured."""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyceum.app import show
from lyceum.app.settings import Settings
from lyceum.app.show import Bar
from lyceum.core.errors import ConfigError, InvalidInput, NotFound

if TYPE_CHECKING:
    from lyceum.core.protocols import Chat, Embedder, Judge, Metric
    from lyceum.core.types import Document, Example
    from lyceum.evals.records import Aggregate, Run

# Pipelines that need no file: what each lays over lyceum.toml.
PIPELINES: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "bm25": {"retriever": {"kind": "search.lexical"}},
    "dense": {"retriever": {"kind": "search.dense"}},
    "hybrid": {"retriever": {"kind": "search.hybrid"}},
}


def arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument(
        "dataset", metavar="DATASET", type=Path,
        help="a folder with corpus.jsonl, queries.jsonl and qrels.tsv, or a file of questions about this home",
    )  # fmt: skip
    command.add_argument(
        "--pipeline", action="append", metavar="NAME|FILE",
        help=f"a TOML file laid over lyceum.toml, or HOME/pipelines/NAME.toml, or one of {', '.join(PIPELINES)};"
        " may be given again",
    )  # fmt: skip
    command.add_argument("--half", choices=("dev", "test", "all"), default="all", help="which half (all)")
    command.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    command.add_argument(
        "--metrics", metavar="A,B", help="these (docs/metrics.md) instead of the usual ones, or all"
    )
    command.add_argument("--jobs", type=int, default=2, metavar="N", help="questions asked at a time (2)")
    command.add_argument(
        "--prices", metavar="IN,OUT", default="0,0", help="money for a million tokens read and written"
    )


async def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Ask every question of a set and measure the answers; a run that was killed goes on."""
    from lyceum.app.commands import OK, PARTLY

    runs = await measured(arguments, settings)
    if arguments.json:
        show.as_json([_told(one) for one in runs])
    else:
        _print(runs)
    return PARTLY if any(one.summary.failed for one in runs) else OK


async def measured(
    arguments: argparse.Namespace, settings: Settings, watch: Callable[..., Bar] = show.Bar
) -> list[Run]:
    """Return a run for each pipeline that was named; `watch` takes how far they are."""
    from lyceum.evals import examples

    asked = _questions(arguments)
    show.notes(examples.remarks(asked))
    names = _measures(arguments.metrics)
    chosen = [(Path(name).stem, pipeline(name, settings)) for name in arguments.pipeline or ["default"]]
    runs = []
    for name, configured in chosen:
        with watch(f"{arguments.dataset.name} {name}", quiet=arguments.json) as bar:
            runs.append(await _run(arguments, settings, name, configured, asked, names, bar))
    return runs


def pipeline(name: str, settings: Settings) -> Settings:
    """Return the settings with a pipeline laid over them: a file, a name in HOME/pipelines, or one of PIPELINES."""
    from lyceum.app import settings as reading

    for file in (Path(name), settings.home / "pipelines" / f"{name}.toml"):
        if file.is_file():
            return reading.overlaid(settings, reading.read(file), str(file))
    if name not in PIPELINES:
        known = ", ".join(pipelines(settings.home))
        raise NotFound(f"There is no pipeline {name!r}.", hint=f"Name a TOML file, or one of {known}.")
    return reading.overlaid(settings, PIPELINES[name], f"pipeline {name}")


def pipelines(home: Path) -> list[str]:
    """Return the names of all pipelines of a home."""
    saved = sorted(file.stem for file in home.glob("pipelines/*.toml"))
    return [*PIPELINES, *(name for name in saved if name not in PIPELINES)]


def _questions(arguments: argparse.Namespace) -> list[Example]:
    from lyceum.app.commands import readers_of
    from lyceum.evals import examples

    arguments.dataset = arguments.dataset.resolve()
    if not arguments.dataset.exists():
        raise NotFound(f"There is no {arguments.dataset}.", hint="Name a folder or a file of questions.")
    if arguments.jobs < 1:
        raise InvalidInput(f"{arguments.jobs} questions at a time.", hint="Give --jobs 1 or more.")
    found = [one for one in examples.read(arguments.dataset) if arguments.half in ("all", one.half)]
    asked = [replace(one, readers=one.readers | readers_of(arguments)) for one in found[: arguments.limit]]
    if not asked:
        hint = f"It has {len(found)} of half {arguments.half}; look at --half and --limit."
        raise InvalidInput(f"{arguments.dataset} gives no question to ask.", hint=hint)
    return asked


def _measures(chosen: str | None) -> list[str]:
    from lyceum.evals.adapters import DEEPEVAL, RAGAS
    from lyceum.evals.judge import JUDGES
    from lyceum.evals.metrics import DEFAULT, METRICS
    from lyceum.evals.support import SUPPORT

    known = [*METRICS, *SUPPORT, *JUDGES, *RAGAS, *DEEPEVAL]
    wanted = [name.strip() for name in chosen.split(",")] if chosen else list(DEFAULT)
    wanted = list(METRICS) if wanted == ["all"] else wanted
    if unknown := [name for name in wanted if name not in known]:
        raise InvalidInput(f"There is no metric {unknown[0]!r}.", hint=f"Choose of {', '.join(known)}.")
    return wanted


def measure(name: str, embedder: Embedder | None, chat: Chat | None) -> Metric | Judge:
    """Return a metric by its name, with the encoder or model that it asks."""
    from lyceum.evals import adapters
    from lyceum.evals.judge import JUDGES
    from lyceum.evals.metrics import METRICS
    from lyceum.evals.support import SUPPORT

    if name in METRICS:
        return METRICS[name]
    if name in SUPPORT:
        return SUPPORT[name](embedder)
    if chat is None:
        raise ConfigError(f"{name} asks a language model.", hint="Fill in [chat] in lyceum.toml.")
    if name in JUDGES:
        return JUDGES[name](chat)
    return (adapters.ragas if name in adapters.RAGAS else adapters.deepeval)(name, chat, embedder)


def _prices(text: str) -> tuple[float, float]:
    try:
        read, written = map(float, text.split(","))
    except ValueError as problem:
        raise InvalidInput(
            f"--prices {text} are not two numbers.", hint="Give --prices 0.15,0.6"
        ) from problem
    return read, written


async def _run(
    arguments: argparse.Namespace, settings: Settings, name: str, configured: Settings,
    asked: Sequence[Example], names: Sequence[str], bar: Bar,
) -> Run:  # fmt: skip
    """Ask one pipeline."""
    from lyceum.app import corpora, eval_identity
    from lyceum.app.session import ask, documents, opened
    from lyceum.evals import report
    from lyceum.evals.run import Evaluation

    if arguments.dataset.is_dir():
        configured = await corpora.home_of(
            arguments.dataset, configured, lambda done, total: bar(done, total, "documents")
        )
    elif other := [one for one in corpora.INGEST if configured.tables[one] != settings.tables[one]]:
        hint = "Ingest into another home with that lyceum.toml and name it with --home."
        raise InvalidInput(
            f"The documents of {settings.home} were read with another [{other[0]}].", hint=hint
        )
    async with opened(configured) as platform:
        held = await documents(platform)
        if not held:
            raise InvalidInput(f"{platform.home} holds no documents.", hint="First: lyceum ingest PATH")
        found = eval_identity.data(asked, held)
        head = eval_identity.head(
            arguments.dataset.stem, name, configured.tables, platform, found, list(names)
        )
        media = _media(asked, held)
        if absent := sorted({gold.document for one in asked for gold in one.gold} - media.keys()):
            show.notes([f"{len(absent)} gold documents are not there and count as not found: {absent[0]}, …"])
        measures = {one: measure(one, platform.embedder, platform.chat) for one in names}
        evaluation = Evaluation(
            answerer=partial(ask, platform), metrics=measures, media=media, jobs=arguments.jobs,
            prices=_prices(arguments.prices), tell=bar.run,
        )  # fmt: skip
        folder = settings.home / "runs" / head.id
        eval_identity.write(folder, configured.tables, configured.home)
        made = await evaluation(folder, head, asked)
        if eval_identity.data(asked, await documents(platform)) != found:
            shutil.rmtree(folder)
            raise InvalidInput(
                "The documents changed while they were asked; the run is dropped.", hint="Run it again.",
                code="data_changed",
            )  # fmt: skip
    report.write(made)
    return made


def _media(asked: Sequence[Example], documents: Sequence[Document]) -> dict[str, str]:
    """Return the type of every gold document that is there; its name may be the end of a path."""
    wanted = {gold.document for example in asked for gold in example.gold}
    media: dict[str, str] = {}
    for document in documents:
        parts = document.source.split("/")
        for start in range(len(parts)):
            if (name := "/".join(parts[start:])) in wanted:
                media[name] = document.media
    return media


def _told(made: Run) -> dict[str, Any]:
    return {**asdict(made.summary), "folder": str(made.folder)}


def _print(runs: Sequence[Run]) -> None:
    """Print a line a metric and a column a run; an interval holds the mean in 95 of 100 such samples."""
    out = show.screen()
    for one in runs:
        what = one.summary
        tokens = f", {what.tokens:,} tokens, cost {what.cost:.4f}" if what.tokens else ""
        out.print(
            f"{what.dataset} · {what.pipeline} · run {what.id}: {what.n} questions, {what.failed} failed; "
            f"p50 {what.seconds['p50'] * 1000:.0f} ms, p95 {what.seconds['p95'] * 1000:.0f} ms{tokens}"
        )
    names = dict.fromkeys(name for one in runs for name in one.summary.metrics)
    rows = [[name, *(_cell(one.summary.metrics.get(name)) for one in runs)] for name in names]
    show.table(out, ",".join(["metric", *(one.summary.pipeline for one in runs)]), rows)
    for one in runs:
        errors = Counter(outcome.error for outcome in one.outcomes if outcome.error)
        for error, number in errors.most_common(3):
            out.print(f"{one.summary.pipeline}: {number} failed with {error}", markup=False)
        out.print(f"{one.folder}", markup=False)


def _cell(found: Aggregate | None) -> str:
    if found is None:
        return "–"
    failed = f" ({found.failed} not judged)" if found.failed else ""
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}] n={found.n}{failed}"
