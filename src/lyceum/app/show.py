"""What a person sees in a terminal: answers, hits, traces and progress; knows nothing of how they were made."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lyceum.core.types import Answer, Citation, Document, Hit, Place, Span
from lyceum.ingest.pipeline import Outcome
from lyceum.ingest.report import REASONS

SHORT = 160


def screen(*, error: bool = False) -> Console:
    """Return a console that does not wrap or colour what is piped into another program."""
    return Console(stderr=error, highlight=False, soft_wrap=not sys.stdout.isatty())


def as_json(value: Any) -> None:
    """Print one JSON value to standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def as_line(value: Any) -> None:
    """Print one JSON value on a line of its own, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


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
    parts = [] if place.part is None else [place.part]
    if place.page is not None:
        parts.append(f"p. {place.page}")
    if place.sheet is not None:
        parts.append(f"sheet {place.sheet}")
    if place.row is not None:
        parts.append(f"row {place.row}")
    if place.line is not None:
        parts.append(f"line {place.line}")
    return ", ".join(parts)


def answer(out: Console, found: Answer, question: str = "") -> None:
    """Print an answer with its citations below, or the refusal."""
    if question:
        out.print(f"[bold]? {escape(question)}[/bold]")
    if found.abstained:
        out.print(f"[yellow]- {escape(found.reason)}[/yellow]")
    else:
        out.print(Text(found.text))
    for cited in found.citations:
        out.print(_citation(cited))
    out.print(
        f"[dim]  {found.seconds * 1000:.0f} ms · confidence {found.confidence:.2f} · trace {found.trace_id}[/dim]\n"
    )


def _citation(cited: Citation) -> Text:
    place = where(cited.place)
    name = cited.source.rsplit("/", 1)[-1]
    return Text(f"  [{cited.number}] {name}{', ' + place if place else ''}", style="cyan")


def hits(out: Console, found: Sequence[Hit]) -> None:
    """Print ranked hits as a table: score, the parts that found each, place and opening words."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("#", "score", "found by", "document", "text"):
        table.add_column(name, overflow="fold")
    for rank, hit in enumerate(found, 1):
        by = " ".join(f"{one.part}{f'#{one.rank}' if one.rank else ''}:{one.score:.2f}" for one in hit.by)
        place = where(hit.chunk.pieces[0].place) if hit.chunk.pieces else ""
        name = hit.document.source.rsplit("/", 1)[-1]
        text = " ".join(hit.chunk.text.split())[:SHORT]
        table.add_row(str(rank), f"{hit.score:.3f}", by, escape(f"{name} {place}"), escape(text))
    out.print(table)


def trace(out: Console, spans: Sequence[Span]) -> None:
    """Print a trace as an indented table: step, milliseconds, facts."""
    depth = {"": -1}
    table = Table(box=None, pad_edge=False, show_edge=False, title="stages", title_justify="left")
    table.add_column("step")
    table.add_column("ms", justify="right")
    table.add_column("facts", overflow="fold")
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent, []).append(span)
    waiting = list(reversed(children.get("", [])))
    while waiting:
        span = waiting.pop()
        depth[span.id] = depth.get(span.parent, -1) + 1
        facts = " ".join(f"{key}={value}" for key, value in span.facts.items())
        problem = f" [red]{escape(span.error)}[/red]" if span.error else ""
        table.add_row(
            "  " * depth[span.id] + span.name, f"{span.seconds * 1000:.1f}", escape(facts) + problem
        )
        waiting.extend(reversed(children.get(span.id, [])))
    out.print(table)


def documents(out: Console, found: Sequence[Document]) -> None:
    """Print documents as a table."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("id", "type", "language", "readers", "title", "source"):
        table.add_column(name, overflow="fold")
    for one in found:
        readers = ",".join(sorted(one.readers)) or "nobody"
        table.add_row(one.id, one.media, one.language, readers, escape(one.title), escape(one.source))
    out.print(table)


def report(out: Console, found: Mapping[str, Any]) -> None:
    """Print how a document was read: a line of counts, then the pages that are doubtful or were recognised."""
    names = ("pages", "characters", "tables", "ocr_pages")
    counts = ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in names)
    out.print(f"\nread: {counts}; score {found['score']:.2f}", markup=False)
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("page", "score", "characters", "how", "why"):
        table.add_column(name, overflow="fold")
    for row in found["listed"]:
        why = "; ".join(REASONS[reason][1] for reason in row.get("reasons", ()))
        how = "recognised" if row.get("ocr") else "read"
        name = " ".join(str(row[key]) for key in ("part", "sheet", "page") if key in row)
        table.add_row(escape(name), f"{row['score']:.2f}", str(row.get("characters", 0)), how, why)
    if found["listed"]:
        out.print(table)
    more = found["more_listed"]
    for warning in [*found["warnings"], *([f"{more} more pages are not listed."] if more else [])]:
        out.print(f"[yellow]{escape(warning)}[/yellow]")


class Watch:
    """Progress of an ingest on standard error: documents, pages, rate and time left."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.pages = self.failed = 0
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

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
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
            self.failed += 1
            self.out.print(
                f"[red]{escape(outcome.code)}[/red] {escape(outcome.source)}: {escape(outcome.message)} "
                f"{escape(outcome.hint)}"
            )
        elif not self.quiet:
            for warning in outcome.warnings:
                self.out.print(f"[yellow]warning[/yellow] {escape(outcome.source)}: {escape(warning)}")
