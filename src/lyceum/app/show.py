"""What a person sees in a terminal: answers, hits, traces and progress; knows nothing of how they were made."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lyceum.core.types import Answer, Document, Hit, Place, Span
from lyceum.ingest.pipeline import Outcome
from lyceum.ingest.report import REASONS

if TYPE_CHECKING:
    from lyceum.evals.run import Progress as Asked

SHORT = 160
PIPED = 240  # columns of a table that another program reads


def screen(*, error: bool = False) -> Console:
    """Return a console that does not wrap or colour what is piped into another program."""
    piped = not sys.stdout.isatty()
    return Console(stderr=error, highlight=False, soft_wrap=piped, width=PIPED if piped else None)


def as_json(value: Any, indent: int | None = 2) -> None:
    """Print one JSON value to standard output, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")
    sys.stdout.flush()


def result(arguments: argparse.Namespace, value: Any, text: str) -> None:
    """Print a value as JSON, or what it means in words."""
    if arguments.json:
        as_json(value)
    else:
        screen().print(text, markup=False)


def notes(found: Iterable[str]) -> None:
    """Print what a platform lacks on standard error."""
    for note in found:
        screen(error=True).print(f"[yellow]{note}[/yellow]")


def table(out: Console, columns: str, rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print rows under the names of their columns."""
    made = Table(box=None, pad_edge=False, show_edge=False, title=title, title_justify="left")
    for name in columns.split(","):
        made.add_column(name, overflow="fold", justify="right" if name == "ms" else "left")
    for row in rows:
        made.add_row(*row)
    out.print(made)


def change(out: Console, outcome: Outcome) -> None:
    """Print what became of one file that is followed; failed files have been named already."""
    counted = f": {outcome.pages} pages, {outcome.chunks} chunks" if outcome.pages else ""
    if outcome.status == "gone":
        counted = " (kept; --delete removes it)"
    if outcome.status != "failed":
        out.print(f"{outcome.status} {outcome.source}{counted}", markup=False)
    elif not outcome.source:
        out.print(f"{outcome.code} {outcome.message} {outcome.hint}", markup=False)


def where(place: Place) -> str:
    """Return a place in words: p. 3, sheet Prices row 7, line 12."""
    said = {"part": "", "page": "p. ", "sheet": "sheet ", "row": "row ", "line": "line "}
    known = {name: getattr(place, name) for name in said}
    return ", ".join(f"{said[name]}{value}" for name, value in known.items() if value is not None)


def answer(out: Console, found: Answer, question: str = "") -> None:
    """Print an answer with its citations below, or the refusal."""
    if question:
        out.print(f"[bold]? {escape(question)}[/bold]")
    if found.abstained:
        out.print(f"[yellow]- {escape(found.reason)}[/yellow]")
    else:
        out.print(Text(found.text))
    for told in found.unsupported:
        out.print(f"  [yellow]not borne out by its source: {escape(told)}[/yellow]")
    for cited in found.citations:
        place = ", ".join(filter(None, (cited.source.rsplit("/", 1)[-1], where(cited.place))))
        out.print(Text(f"  [{cited.number}] {place}", style="cyan"))
    out.print(
        f"[dim]  {found.seconds * 1000:.0f} ms · confidence {found.confidence:.2f} · trace {found.trace_id}[/dim]\n"
    )


def hits(out: Console, found: Sequence[Hit]) -> None:
    """Print ranked hits as a table: score, the parts that found each, place and opening words."""
    rows = []
    for rank, hit in enumerate(found, 1):
        by = " ".join(f"{one.part}{f'#{one.rank}' if one.rank else ''}:{one.score:.2f}" for one in hit.by)
        place = where(hit.chunk.pieces[0].place) if hit.chunk.pieces else ""
        name = hit.document.source.rsplit("/", 1)[-1]
        text = " ".join(hit.chunk.text.split())[:SHORT]
        rows.append((str(rank), f"{hit.score:.3f}", by, escape(f"{name} {place}"), escape(text)))
    table(out, "#,score,found by,document,text", rows)


def trace(out: Console, spans: Sequence[Span]) -> None:
    """Print a trace as an indented table: step, milliseconds, facts."""

    def rows(parent: str, indent: str) -> Iterator[tuple[str, str, str]]:
        for span in spans:
            if span.parent == parent:
                facts = escape(" ".join(f"{key}={value}" for key, value in span.facts.items()))
                problem = f" [red]{escape(span.error)}[/red]" if span.error else ""
                yield indent + span.name, f"{span.seconds * 1000:.1f}", facts + problem
                yield from rows(span.id, indent + "  ")

    table(out, "step,ms,facts", rows("", ""), "stages")


def documents(out: Console, found: Sequence[Document]) -> None:
    """Print documents as a table."""
    rows = []
    for one in found:
        readers = ",".join(sorted(one.readers)) or "nobody"
        rows.append((one.id, one.media, one.language, readers, escape(one.title), escape(one.source)))
    table(out, "id,type,language,readers,title,source", rows)


def report(out: Console, found: Mapping[str, Any]) -> None:
    """Print how a document was read: a line of counts, then the pages that are doubtful or were recognised."""
    names = ("pages", "characters", "tables", "ocr_pages")
    counts = ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in names)
    out.print(f"\nread: {counts}; score {found['score']:.2f}", markup=False)
    rows = []
    for row in found["listed"]:
        why = "; ".join(REASONS[reason][1] for reason in row.get("reasons", ()))
        how = "recognised" if row.get("ocr") else "read"
        name = " ".join(str(row[key]) for key in ("part", "sheet", "page") if key in row)
        rows.append((escape(name), f"{row['score']:.2f}", str(row.get("characters", 0)), how, why))
    if rows:
        table(out, "page,score,characters,how,why", rows)
    more = found["more_listed"]
    for warning in [*found["warnings"], *([f"{more} more pages are not listed."] if more else [])]:
        out.print(f"[yellow]{escape(warning)}[/yellow]")


class Watch:
    """Progress of an ingest on standard error: documents, pages, rate and time left."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.pages = 0
        self.out = screen(error=True)
        self.quiet = quiet
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} documents"),
            TextColumn("{task.fields[pages]} pages, {task.fields[rate]:.1f}/s"), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), console=self.out,
            disable=quiet or not self.out.is_terminal, transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task("ingest", total=total, pages=0, rate=0.0)

    def __enter__(self) -> Watch:
        self.bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.bar.stop()

    def page(self, pages: int, total: int) -> None:
        """Take one page that was read, of whichever document."""
        self.pages += 1
        elapsed = self.bar.tasks[0].elapsed or 0.0
        self.bar.update(self.task, pages=self.pages, rate=self.pages / max(elapsed, 0.01))

    def __call__(self, outcome: Outcome) -> None:
        """Take the outcome of one document."""
        self.bar.update(self.task, advance=1)
        if outcome.status == "failed":
            said = escape(f"{outcome.source}: {outcome.message} {outcome.hint}")
            self.out.print(f"[red]{escape(outcome.code)}[/red] {said}")
        elif not self.quiet:
            for warning in outcome.warnings:
                self.out.print(f"[yellow]warning[/yellow] {escape(outcome.source)}: {escape(warning)}")


class Bar:
    """Progress of an evaluation on standard error; without a terminal a line every half minute."""

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self.what, self.quiet = what, quiet
        self.out = screen(error=True)
        self.shown = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[said]}"), console=self.out, transient=True,
            disable=quiet or not self.out.is_terminal,
        )  # fmt: skip
        self.task = self.bar.add_task(what, total=None, said="")

    def __enter__(self) -> Bar:
        self.bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.bar.stop()

    def __call__(self, done: int, total: int, said: str) -> None:
        """Take how much of what is done."""
        self.bar.update(self.task, completed=done, total=total, said=said)
        if self.bar.disable and not self.quiet and time.monotonic() - self.shown > 30:
            self.shown = time.monotonic()
            self.out.print(f"{self.what} {done}/{total} {said}", markup=False)

    def run(self, found: Asked) -> None:
        """Take how far a run is."""
        failed = f", {found.failed} failed" if found.failed else ""
        cost = f", cost {found.cost:.4f}" if found.cost else ""
        self(found.done, found.total, f"{found.rate:.1f}/s, {found.left:.0f} s left{failed}{cost}")
