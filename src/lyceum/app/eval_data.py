"""`lyceum eval make`, `review` and `take`: a set of questions out of documents, read by a person, and out of use."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from lyceum.app.settings import Settings
from lyceum.core.errors import ConfigError, InvalidInput, NotFound

if TYPE_CHECKING:
    from lyceum.core.types import Document, Example
    from lyceum.evals.make import Made
    from lyceum.wire import Platform

REVIEW = ".review.jsonl"
FIELDS = ("question", "answer", "document", "page", "text", "tags", "answerable")


def arguments_make(command: argparse.ArgumentParser) -> None:
    """Add what `make` takes."""
    text = "documents to ask about, read into a home for the time being; without it those of the home"
    command.add_argument("path", nargs="?", type=Path, metavar="PATH", help=text)
    out = f"questions to review; what was reviewed there stays (questions{REVIEW})"
    command.add_argument("--out", type=Path, default=Path(f"questions{REVIEW}"), metavar="FILE", help=out)
    command.add_argument("--most", type=int, default=200, metavar="N", help="at most so many questions (200)")
    command.add_argument("--chat", action="store_true", help="have the model of [chat] write and check them")


async def run_make(arguments: argparse.Namespace, settings: Settings) -> int:
    """Make a test set out of documents: questions with gold answer, document and words, to be reviewed."""
    from lyceum.app import show
    from lyceum.app.commands import OK, PARTLY, ingested, readers_of
    from lyceum.app.session import opened
    from lyceum.evals import examples
    from lyceum.ingest import pipeline

    if arguments.most < 1:
        raise InvalidInput(f"{arguments.most} questions at most.", hint="Give --most 1 or more.")
    known = examples.read(arguments.out) if arguments.out.exists() else []
    base = arguments.path.resolve() if arguments.path else None
    with _home(settings, base, chat=arguments.chat) as home:
        async with opened(home) as platform:
            todo = pipeline.jobs([base]) if base else []
            outcomes = await ingested(platform, todo, quiet=arguments.json) if todo else []
            documents = await platform.store.ledger.documents(readers_of(arguments))
            name = partial(_name, base=base)
            made = await _made(arguments, platform, documents, name)
            shared = await _shared(platform, documents, made.examples, name)
    failed = [f"{one.source} was not read: {one.message}" for one in outcomes if one.status == "failed"]
    reviewed = {one.id: one for one in known if one.meta.get("state") != "open"}
    fresh = [one for one in made.examples if one.id not in reviewed]
    if not reviewed and not fresh:
        hint = "Tables and plain statements give some; or try --chat."
        raise InvalidInput(f"{len(documents)} documents gave no question.", hint=hint)
    examples.write(arguments.out, [*reviewed.values(), *fresh])
    told = {
        "file": str(arguments.out), "documents": len(documents), "made": len(fresh), "kept": len(reviewed),
        "tags": dict(Counter(tag for one in fresh for tag in one.tags)),
        "halves": dict(Counter(one.half for one in fresh)),
        "dropped": {why: number for why, number in made.dropped.items() if number},
        "shared": shared, "failed": failed,
    }  # fmt: skip
    show.result(arguments, told, _said(told))
    show.notes(failed)
    return PARTLY if failed else OK


@contextmanager
def _home(settings: Settings, base: Path | None, *, chat: bool) -> Iterator[Settings]:
    """Give the settings of the home, or for a path of one that is removed afterwards."""
    if base is None:
        yield settings
        return
    # Meaning is only needed where a question is looked for, which a model's questions are.
    tables = settings.tables if chat else {**settings.tables, "encoder": {"kind": "none"}}
    with TemporaryDirectory(prefix="lyceum-") as folder:
        yield replace(settings, home=Path(folder), tables=tables)


def _name(document: Document, base: Path | None) -> str:
    """Return how gold names a document: its path below what was read, in a home its source."""
    source = Path(document.source)
    if base is None:
        return document.source
    return source.relative_to(base).as_posix() if base.is_dir() else source.name


async def _made(
    arguments: argparse.Namespace, platform: Platform, documents: Sequence[Document],
    name: Callable[[Document], str],
) -> Made:  # fmt: skip
    from lyceum.app.commands import readers_of
    from lyceum.app.session import search
    from lyceum.core.types import Query
    from lyceum.evals import make, make_chat

    ledger = platform.store.ledger

    async def find(question: str) -> list[Document]:
        hits = await search(platform, Query(text=question, readers=readers_of(arguments)))
        return [hit.document for hit in hits]

    if not arguments.chat:
        pages = [(one, await ledger.elements(one.id)) for one in documents]
        return await asyncio.to_thread(make.make, pages, name, arguments.most)
    if platform.chat is None:
        raise ConfigError("No model is configured.", hint='Set [chat] kind = "models.openai" in lyceum.toml.')
    passages = [(one, chunk) for one in documents for chunk in await ledger.chunks(one.id)]
    return await make_chat.make(platform.chat, passages, find, name, arguments.most)


async def _shared(
    platform: Platform, documents: Sequence[Document], made: Sequence[Example],
    name: Callable[[Document], str],
) -> float:  # fmt: skip
    """Return the mean share of a question's content words that its document holds: how easy search has it."""
    from lyceum.answer.evidence import ASKING
    from lyceum.search.analyzer import Standard

    analyze, terms = Standard(), dict[str, set[str]]()
    for document in documents:
        elements = await platform.store.ledger.elements(document.id)
        terms[name(document)] = set(analyze(" ".join([document.title, *(one.text for one in elements)])))
    asking = {term for word in ASKING for term in analyze(word)}
    shares = [
        len(asked & terms[one.gold[0].document]) / len(asked)
        for one in made
        if one.gold and (asked := set(analyze(one.question)) - asking)
    ]
    return round(sum(shares) / max(len(shares), 1), 3)


def _said(told: dict[str, Any]) -> str:
    tags, halves, dropped = (
        ", ".join(f"{number} {what}" for what, number in told[name].items())
        for name in ("tags", "halves", "dropped")
    )
    return (
        f"{told['made']} questions about {told['documents']} documents ({tags}; {halves}); "
        f"{told['kept']} reviewed ones kept.\nDropped: {dropped or 'none'}.\n"
        f"{told['shared']:.0%} of a question's content words stand in its document: search by words has it easy.\n"
        f"Next: lyceum eval review {told['file']}"
    )


def arguments_review(command: argparse.ArgumentParser) -> None:
    """Add what `review` takes."""
    text = "what `make` or `take` wrote; it may be edited, too"
    command.add_argument("file", type=Path, metavar="FILE", help=text)
    text = "take them into the set; all: every open one"
    command.add_argument("--accept", metavar="ID,…|all", default="", help=text)
    command.add_argument("--drop", metavar="ID,…", default="", help="leave them out")
    command.add_argument(
        "--set", nargs=2, action="append", default=[], metavar=("ID", "FIELD=VALUE"),
        help=f"mend one of {', '.join(FIELDS)}; spellings of an answer with | between",
    )  # fmt: skip
    command.add_argument("--out", type=Path, metavar="FILE", help="the set (FILE without .review)")


async def run_review(arguments: argparse.Namespace, settings: Settings) -> int:
    """Show made questions; accept, mend or drop them; write the accepted ones as a set."""
    from lyceum.app import show
    from lyceum.app.commands import OK
    from lyceum.evals import examples

    if not arguments.file.is_file():
        raise NotFound(f"There is no file {arguments.file}.", hint="First: lyceum eval make PATH")
    found = {one.id: one for one in examples.read(arguments.file)}
    for name, change in arguments.set:
        one = _picked(found, name)[0]
        found[one] = _mended(found[one], change)
    everything = [name for name, one in found.items() if one.meta.get("state", "open") == "open"]
    accepted = everything if arguments.accept == "all" else _picked(found, arguments.accept)
    for state, names in (("accepted", accepted), ("dropped", _picked(found, arguments.drop))):
        for name in names:
            found[name] = replace(found[name], meta={**found[name].meta, "state": state})
    states = Counter(one.meta.get("state", "open") for one in found.values())
    target = arguments.out or arguments.file.with_name(arguments.file.name.replace(".review", ""))
    chosen = [one for one in found.values() if one.meta.get("state") == "accepted"]
    if arguments.accept or arguments.drop or arguments.set:
        examples.write(arguments.file, found.values())
    if target != arguments.file and chosen:
        examples.write(target, chosen)
    rows = [json.loads(examples.line(one)) for one in found.values()]
    counted = ", ".join(f"{number} {state}" for state, number in states.items())
    wrote = f" {len(chosen)} are in {target}." if target != arguments.file and chosen else ""
    shown = "\n".join(map(_shown, found.values()))
    show.result(arguments, {"states": dict(states), "examples": rows}, f"{shown}\n{counted}.{wrote}")
    return OK


def _picked(found: dict[str, Example], names: str) -> list[str]:
    """Return the ids that are meant, each given whole or by its beginning."""
    picked = []
    for name in filter(None, (one.strip() for one in names.split(","))):
        meant = [name] if name in found else [one for one in found if one.startswith(name)]
        if len(meant) != 1:
            said = f"{len(meant)} questions have the id {name!r}."
            raise NotFound(said, hint="`lyceum eval review FILE` lists them.")
        picked += meant
    return picked


def _mended(one: Example, change: str) -> Example:
    from lyceum.evals import examples

    name, equals, value = change.partition("=")
    if not equals or name not in FIELDS:
        hint = f"Write FIELD=VALUE with one of {', '.join(FIELDS)}."
        raise InvalidInput(f"{change!r} mends nothing.", hint=hint)
    row = json.loads(examples.line(one))
    if name in ("document", "page", "text"):
        row["gold"] = [{**(row.get("gold") or [{}])[0], name: value}, *row.get("gold", [])[1:]]
    else:
        row["answers" if name == "answer" else name] = value
    return examples.example(f"--set {one.id} {change}", row)


def _shown(one: Example) -> str:
    missing = "no answer known" if one.answerable else "(to be refused)"
    answer = " + ".join(" | ".join(part) for part in one.answers) or missing
    pages = [f" p. {gold.page}" if gold.page else "" for gold in one.gold]
    places = [f"{gold.document}{page}: {gold.text[:160]}" for gold, page in zip(one.gold, pages, strict=True)]
    asked = f"{one.meta.get('state', 'open'):8} {one.id}  {one.question}"
    return "\n         ".join([asked, f"= {answer}  [{', '.join(one.tags)}; {one.half}]", *places])


def arguments_take(command: argparse.ArgumentParser) -> None:
    """Add what `take` takes."""
    text = "which answer, where FILE holds several"
    command.add_argument("trace", nargs="?", metavar="TRACE_ID", help=text)
    text = "answers as `lyceum ask --json` or the API gave them, one after the other (standard input)"
    command.add_argument("--from", dest="source", type=Path, metavar="FILE", help=text)
    text = "what was asked, where the answer does not say it"
    command.add_argument("--question", metavar="TEXT", default="", help=text)
    verdict = command.add_mutually_exclusive_group()
    verdict.add_argument("--good", action="store_true", help="answer, or refusal, and citations are right")
    verdict.add_argument("--bad", action="store_true", help="the answer is wrong")
    command.add_argument("--answer", metavar="TEXT", default="", help="the right answer")
    text = "the questions to add it to"
    command.add_argument("--into", type=Path, required=True, metavar="FILE", help=text)


async def run_take(arguments: argparse.Namespace, settings: Settings) -> int:
    """Make an example out of a production question: the answer that was given, and whether it was right."""
    from lyceum.app import show
    from lyceum.app.commands import OK, readers_of
    from lyceum.evals import examples
    from lyceum.wire import make

    if not (arguments.good or arguments.bad or arguments.answer):
        raise InvalidInput("Nobody said whether it was right.", hint="Give --good, --bad or --answer TEXT.")
    told = await asyncio.to_thread(_answer, arguments)
    told["question"] = arguments.question or told.get("question") or ""
    if not told["question"].strip():
        raise InvalidInput("The answer does not say what was asked.", hint="Give --question TEXT.")
    readers = readers_of(arguments)
    # Traces hold no words; what they know is with whose rights it was asked.
    spans = make("spans", settings.tables["spans"], {"folder": settings.home})
    traced = spans.trace(told.get("trace_id", ""), readers) if spans else []
    asked = frozenset(name for span in traced for name in span.facts.get("readers", ()))
    one = examples.judged(told, good=arguments.good, answer=arguments.answer, readers=asked or readers)
    known = examples.read(arguments.into) if arguments.into.exists() else []
    examples.write(arguments.into, [*(other for other in known if other.id != one.id), one])
    missing = f"This home has no trace {told.get('trace_id')!r} that you may see: readers are those of --as."
    show.notes([] if traced else [missing])
    show.result(arguments, json.loads(examples.line(one)), f"{_shown(one)}\nis in {arguments.into}.")
    return OK


def _answer(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the answer that is meant out of a file of JSON objects or lines of them."""
    text = arguments.source.read_text(encoding="utf-8") if arguments.source else sys.stdin.read()
    try:
        # An object, or one after the other.
        rows = json.loads("[" + text.strip().replace("\n{", ",\n{") + "]")
    except ValueError as problem:
        hint = "lyceum ask --json … | lyceum eval take …"
        raise InvalidInput(f"That is no answer: {problem}.", hint=hint) from problem
    answers = [row for row in rows if isinstance(row, dict) and "citations" in row]
    wanted = [row for row in answers if arguments.trace in (None, row.get("trace_id"))]
    if len(wanted) != 1:
        said = f"{len(wanted)} of {len(answers)} answers are meant."
        raise NotFound(said, hint="Give one answer, or the TRACE_ID of one of several.")
    return dict(wanted[0])
