"""The commands, one function each: parsed arguments to an exit code; what they share with HTTP is `session`."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform as machine
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyceum import __version__
from lyceum.app import shapes, show
from lyceum.app.session import ask, documents, opened, search
from lyceum.app.settings import PROOFS, Settings, masked
from lyceum.core.errors import InvalidInput, NotFound
from lyceum.core.text import names
from lyceum.core.types import EVERYONE, Message, Query
from lyceum.ingest import pipeline
from lyceum.ingest.pipeline import Job, Outcome
from lyceum.store.facets import wanted

if TYPE_CHECKING:
    from lyceum.wire import Platform

OK, REFUSED, PARTLY = 0, 3, 4
STATUSES = ("added", "updated", "unchanged", "readers", "tags", "failed")
HERE = Path(__file__).parent


def readers_of(arguments: argparse.Namespace) -> frozenset[str]:
    """Return whose documents may be seen: those named with --as, and everyone's."""
    return names(arguments.readers or "") | {EVERYONE}


def query_of(arguments: argparse.Namespace) -> Query:
    """Return the query that `ask` and `search` were given."""
    given = [(name, value) for name in ("source", "type") if (value := getattr(arguments, name))]
    filters = filters_of([*given, *(one.partition("=")[::2] for one in arguments.filter)])
    return Query(
        text=" ".join(arguments.question), top_k=arguments.top_k, readers=readers_of(arguments), filters=filters,
        history=_turns(Path(arguments.history)) if arguments.history else (),
    )  # fmt: skip


def _turns(file: Path) -> tuple[Message, ...]:
    """Return the turns that a file lists as chat completions do; other roles are left out."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return tuple(
            Message(role=one["role"], content=str(one["content"]))
            for one in told
            if one["role"] in ("user", "assistant")
        )
    except (ValueError, KeyError, TypeError) as problem:
        hint = 'A history is a list of {"role": "user" or "assistant", "content": …}.'
        raise InvalidInput(f"{file} holds no history.", hint=hint, code="history") from problem


def filters_of(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return filters by name; of what is given several times any may hold, where that can be said."""
    found: dict[str, str] = {}
    for name, value in given:
        if name in found and name not in ("type", "tag"):
            raise InvalidInput(f"The filter {name} is given twice.", hint="Give it once.", code="filter")
        found[name] = f"{found[name]},{value}" if name in found else value
    wanted(found)
    return found


async def run_init(arguments: argparse.Namespace, settings: Settings) -> int:
    """Make a home with a commented lyceum.toml."""
    settings.home.mkdir(parents=True, exist_ok=True)
    file = settings.home / "lyceum.toml"
    if file.exists():
        raise InvalidInput(f"{file} exists already.", hint="Edit it, or remove it first.")
    file.write_text((HERE / "lyceum.toml").read_text(encoding="utf-8"), encoding="utf-8")
    show.result(arguments, {"home": str(settings.home)}, f"{file} written. Next: lyceum ingest PATH")
    return OK


async def ingested(platform: Platform, todo: Sequence[Job], *, quiet: bool) -> list[Outcome]:
    """Ingest with progress on standard error."""
    with show.Watch(len(todo), quiet=quiet) as watch:
        outcomes = await platform.ingest(todo, watch, watch.page)
    await platform.store.catch_up()
    return outcomes


async def run_ingest(arguments: argparse.Namespace, settings: Settings) -> int:
    """Read files and folders into the home; with --watch go on with what changes there."""
    if arguments.delete and not arguments.watch:
        raise InvalidInput("--delete follows what is removed.", hint="Add --watch.")
    readers = names(arguments.readers) or frozenset({EVERYONE}) if arguments.readers else None
    paths = [Path(path) for path in arguments.paths]
    tags = names(",".join(arguments.tag)) or None
    found = pipeline.jobs(paths, readers, again=arguments.again)
    todo = [replace(one, passwords=tuple(arguments.password)) for one in found]
    async with opened(settings) as platform:

        async def ingest(todo: Sequence[Job]) -> list[Outcome]:
            tagged = [replace(one, tags=tags) for one in todo]
            return await ingested(platform, tagged, quiet=arguments.json)

        if arguments.watch:
            return await _watch(arguments, platform, paths, readers, ingest)
        outcomes = await ingest(todo)
        notes = platform.notes
    if arguments.json:
        show.as_json([_outcome(outcome) for outcome in outcomes])
    else:
        _summary(outcomes, notes)
    return PARTLY if any(one.status == "failed" for one in outcomes) else OK


async def _watch(
    arguments: argparse.Namespace, platform: Platform, paths: Sequence[Path],
    readers: frozenset[str] | None, ingest: Callable[[Sequence[Job]], Awaitable[list[Outcome]]],
) -> int:  # fmt: skip
    """Ingest once and follow the paths until ctrl-C, which is how it ends well."""
    from lyceum.app.watch import Folders, follow

    def told(outcome: Outcome) -> None:
        if arguments.json:
            show.as_json(_outcome(outcome), indent=None)
        else:
            show.change(show.screen(), outcome)

    try:
        listed = await documents(platform)
        folders = Folders(paths, readers, [one.source for one in listed])
        outcomes = await ingest(folders.look(settle=0)[0])
        for outcome in outcomes:
            folders.done(outcome.source)
            if arguments.json:
                told(outcome)
        if not arguments.json:
            _summary(outcomes, platform.notes)
            show.screen().print("Watching; ctrl-C ends.")
        await follow(folders, platform.store, ingest, told, delete=arguments.delete)
    except asyncio.CancelledError:
        show.screen(error=True).print("stopped; everything confirmed is kept")
    return OK


def _summary(outcomes: Sequence[Outcome], notes: Sequence[str]) -> None:
    counts = {status: sum(one.status == status for one in outcomes) for status in STATUSES}
    said = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    chunks = sum(one.chunks for one in outcomes)
    show.screen().print(f"{len(outcomes)} files: {said or 'nothing to do'}; {chunks} chunks.")
    show.notes(notes)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    names = ("source", "status", "document_id", "pages", "chunks", "seconds", "code", "message", "hint")
    return {**{name: getattr(outcome, name) for name in names}, "warnings": list(outcome.warnings)}


async def run_status(arguments: argparse.Namespace, settings: Settings) -> int:
    """Say what the home holds and whether its views have followed."""
    async with opened(settings) as platform:
        counts = await platform.store.ledger.counts(readers_of(arguments))
        found = {
            "version": __version__,
            "python": machine.python_version(),
            "home": str(settings.home),
            **counts,
            "sequence": await platform.store.ledger.sequence(),
            "behind": await platform.store.behind(),
            "views": [view.name for view in platform.store.views],
            "encoder": platform.embedder.name if platform.embedder else None,
            "notes": platform.notes,
        }
    show.result(arguments, found, "\n".join(f"{key:10} {value}" for key, value in found.items()))
    return OK


async def run_backup(arguments: argparse.Namespace, settings: Settings) -> int:
    """Write the ledger into one file."""
    from lyceum.store import backup

    found = await asyncio.to_thread(backup.backup, settings.home, Path(arguments.file))
    said = f"{arguments.file} holds {found['documents']} documents, {found['chunks']} chunks; checked."
    show.result(arguments, {"file": arguments.file, **found}, said)
    return OK


async def run_restore(arguments: argparse.Namespace, settings: Settings) -> int:
    """Put a backup in the ledger's place and bring the views up to it."""
    from lyceum.store import backup

    found = await asyncio.to_thread(backup.restore, settings.home, Path(arguments.file))
    async with opened(settings) as platform:
        behind = await platform.store.behind()
    said = f"{settings.home} holds {found['documents']} documents, {found['chunks']} chunks."
    show.result(arguments, {"home": str(settings.home), **found, "behind": behind}, said)
    return OK


async def run_docs(arguments: argparse.Namespace, settings: Settings) -> int:
    """List documents, or show one with its chunks."""
    readers = readers_of(arguments)
    async with opened(settings) as platform:
        ledger = platform.store.ledger
        if not arguments.id:
            listed = await ledger.documents(readers)
            if arguments.json:
                show.as_json([shapes.document(one) for one in listed])
            else:
                show.documents(show.screen(), listed)
            return OK
        found = await ledger.document(readers, arguments.id)
        chunks = await ledger.chunks(arguments.id)
    report = found.meta.get("report", {})
    if arguments.json:
        texts = [{"path": list(one.path), "text": one.text, "kind": one.kind} for one in chunks]
        show.as_json({**shapes.document(found), "report": report, "chunks": texts})
        return OK
    show.documents(show.screen(), [found])
    if report:
        show.report(show.screen(), report)
    for chunk in chunks:
        show.screen().print(f"\n{' > '.join(chunk.path)}\n{chunk.text}", markup=False)
    return OK


async def run_page(arguments: argparse.Namespace, settings: Settings) -> int:
    """Draw a page with words marked into a file."""
    from lyceum.app.pages import places

    if not 36 <= arguments.dpi <= 300:
        raise InvalidInput(f"{arguments.dpi} dots per inch.", hint="Give 36 to 300.")
    async with opened(settings) as platform:
        found = await platform.store.ledger.document(readers_of(arguments), arguments.id)
        boxes = await places(platform, found, arguments.number, arguments.quote, arguments.chunk)
        png = await platform.draw(found, arguments.number, boxes, arguments.dpi)
    try:
        await asyncio.to_thread(Path(arguments.out).write_bytes, png)
    except OSError as problem:
        said = f"{arguments.out} cannot be written: {problem.strerror}."
        raise InvalidInput(said, hint="Name another file.") from problem
    told = {"file": arguments.out, "bytes": len(png), "boxes": boxes}
    show.result(arguments, told, f"{arguments.out} written, {len(boxes)} lines marked.")
    return OK


async def run_remove(arguments: argparse.Namespace, settings: Settings) -> int:
    """Delete a document everywhere."""
    async with opened(settings) as platform:
        await platform.store.remove(arguments.id, readers_of(arguments))
    show.result(arguments, {"removed": arguments.id}, f"{arguments.id} removed.")
    return OK


async def run_search(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print hits."""
    async with opened(settings) as platform:
        found = await search(platform, query_of(arguments))
        notes = platform.notes
    if arguments.json:
        show.as_json([shapes.hit(one) for one in found])
    else:
        show.hits(show.screen(), found)
        show.notes(notes)
    return OK


async def run_ask(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print an answer with citations; `--explain` adds its stages and hits."""
    query = query_of(arguments)
    async with opened(settings) as platform:
        found = await ask(platform, query)
        spans = platform.spans.trace(found.trace_id, query.readers) if arguments.explain else []
        notes = platform.notes
    if arguments.json:
        told = shapes.answer(found)
        if arguments.explain:
            told["trace"] = [shapes.span(one) for one in spans]
            told["hits"] = [shapes.hit(one) for one in found.hits]
        show.as_json(told)
    else:
        out = show.screen()
        show.answer(out, found)
        if arguments.explain:
            show.trace(out, spans)
            out.print()
            show.hits(out, found.hits)
        show.notes(notes)
    return REFUSED if found.abstained else OK


def examples(chosen: str | None = None) -> Path:
    """Return the folder of the examples: the chosen one, the installed copy, or the checkout's."""
    for folder in (Path(chosen),) if chosen else (HERE / "examples", HERE.parents[2] / "examples"):
        if (folder / "demo.jsonl").is_file():
            return folder
    raise NotFound("The examples are not here.", hint="Give their folder: lyceum demo --examples DIR")


def _home() -> Path:
    return Path(".lyceum-demo").absolute()


async def run_demo(arguments: argparse.Namespace, settings: Settings) -> int:
    """Ingest the examples, ask the questions of demo.jsonl, print answers and where to go on."""
    folder = examples(arguments.examples)
    settings = settings if arguments.home else replace(settings, home=_home())
    rows = [json.loads(line) for line in (folder / "demo.jsonl").read_text(encoding="utf-8").splitlines()]
    out = show.screen()
    started = time.perf_counter()
    answers: list[dict[str, Any]] = []
    async with opened(settings) as platform:
        outcomes = await ingested(platform, pipeline.jobs([folder / "documents"]), quiet=arguments.json)
        if not arguments.json:
            chunks = (await platform.store.ledger.counts(frozenset({"*"})))["chunks"]
            seconds = time.perf_counter() - started
            out.print(f"{len(outcomes)} documents, {chunks} chunks, ready after {seconds:.1f} s.\n")
        for row in rows:
            found = await ask(platform, Query(text=row["question"]))
            if arguments.json:
                answers.append({"question": row["question"], **shapes.answer(found)})
            else:
                show.answer(out, found, row["question"])
        notes = platform.notes
    if arguments.json:
        show.as_json(answers)
    else:
        show.notes(notes)
        at = settings.home
        out.print(f'Ask your own: lyceum ask --home {at} "…"', markup=False, soft_wrap=True)
        out.print(f"In a browser: lyceum serve --home {at}", markup=False, soft_wrap=True)
        out.print("Your documents: lyceum serve (or make serve), and add them in the browser", markup=False)
    # Two of the examples are pictures: without OCR they hold no text, which was said with the way to get it.
    return PARTLY if any(one.status == "failed" and one.code != "empty" for one in outcomes) else OK


async def run_config(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print each effective value and where it came from; secrets are not shown."""
    rows = effective(settings)
    width = max(map(len, rows))
    lines = [f"{name:{width}}  {row['value']!r}  ({row['from']})" for name, row in rows.items()]
    show.result(arguments, rows, "\n".join(lines))
    return OK


def effective(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return each value by "table.key" and where it came from, without secrets."""
    return {
        f"{name}.{key}": {
            "value": masked(hidden(key, value)), "from": settings.origin.get(f"{name}.{key}", "default"),
        }
        for name, table in sorted(settings.tables.items()) for key, value in table.items()
    }  # fmt: skip


def hidden(key: str, value: Any) -> Any:
    """Return a value without the secrets that it may hold at any depth."""
    if isinstance(value, dict):
        return {name: hidden(name, one) for name, one in value.items()}
    return "***" if key in PROOFS and value else value


async def run_models(arguments: argparse.Namespace, settings: Settings) -> int:
    """List, add or check local models."""
    from lyceum.models import weights
    from lyceum.wire import models_folder

    home = models_folder(settings.models)
    if arguments.action == "add":
        folder = weights.add(home, arguments.name or "minilm", arguments.source or "")
        show.result(arguments, {"added": str(folder)}, f"{folder} is ready.")
    elif arguments.action == "check":
        report = weights.check(home, arguments.name or "minilm")
        show.result(arguments, report, "\n".join(f"{key:12} {value}" for key, value in report.items()))
    else:
        found = weights.listed(home)
        lines = [f"{one['name']}  {one.get('dimension', '')} dimensions" for one in found]
        show.result(arguments, found, "\n".join(lines) or "No models: `lyceum models add minilm`.")
    return OK


async def run_serve(arguments: argparse.Namespace, settings: Settings) -> int:
    """Answer over HTTP until interrupted."""
    from lyceum.app.server import serve
    from lyceum.app.workers import Place

    place = Place.read(arguments.worker) if arguments.worker else None
    await serve(settings, arguments.host, arguments.port, arguments.workers, place)
    return OK
