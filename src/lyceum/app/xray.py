"""One question watched on its way through a pipeline, and the same pipeline with other settings tried beside it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lyceum import wire
from lyceum.answer.current import current
from lyceum.app import settings as reading
from lyceum.app.eval_identity import toml
from lyceum.app.examined import Examined
from lyceum.app.session import question
from lyceum.app.settings import PROOFS, Settings
from lyceum.core.errors import InvalidInput
from lyceum.core.protocols import Retriever
from lyceum.core.types import Answer, Chunk, Document, Hit, Query, Span
from lyceum.evals.stages import PLACES, Seen, Wrapper, watched
from lyceum.evals.why import Why, why
from lyceum.wire import Platform

TABLES = ("retriever", "evidence", "answerer", "computed")  # whose numbers may be tried on open documents
SHARED = ("reader", "splitter", "chat", "support", "synonyms", "evidence")
MOST = 25  # candidates that are told
KEPT = 4  # pipelines that are kept built
_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen: the answer, each candidate's ranks and scores, what the search was asked, and the trace."""

    answer: Answer
    seen: Seen
    asked: Sequence[Query]
    candidates: Mapping[int, tuple[Chunk, Document]]  # the best placed first
    spans: Sequence[Span]


class _Heard(Wrapper):
    """A retriever that keeps what it was asked."""

    def __init__(self, part: Retriever, asked: list[Query]) -> None:
        super().__init__(part)
        self.asked = asked

    async def __call__(self, query: Query) -> list[Hit]:
        self.asked.append(query)
        found: list[Hit] = await self.part(query)
        return found


async def look(platform: Platform, query: Query) -> Look:
    """Answer a question as `ask` does, and see what goes through each stage."""
    subject, asked = Examined(platform), list[Query]()
    wraps = [{"engine": partial(_Heard, asked=asked)}] if "engine" in subject.parts else []
    try:
        with question(platform, "ask", query):
            answer, seen = await watched(subject, query, wraps)
    finally:
        await subject.close()
    there = await platform.store.ledger.get(best := _best(seen), query.readers)
    return Look(
        answer=answer, seen=seen, asked=asked, candidates={one: there[one] for one in best if one in there},
        spans=await asyncio.to_thread(platform.spans.trace, answer.trace_id, query.readers),
    )  # fmt: skip


async def reason(platform: Platform, query: Query, name: str) -> Why:
    """Return why a document was lost; one that gave way to another edition was not short of room."""
    subject = Examined(platform)
    try:
        found = await why(subject, query, name)
        if found.lost == "pack":
            hits = (await subject.exchanged({})(query)).hits
            there, left = ({hit.document.id for hit in some} for some in (hits, current(query.text, hits)))
            if found.document.id in there - left:
                return replace(found, lost="edition")
        return found
    finally:
        await subject.close()


def _best(seen: Seen) -> list[int]:
    """Return the candidates that came furthest, by their rank there."""
    order: dict[int, None] = {}
    for place in reversed(PLACES):
        order.update(dict.fromkeys(sorted(seen.ranks[place], key=seen.ranks[place].__getitem__)))
    return list(order)[:MOST]


def numbers(settings: Settings) -> dict[str, bool | int | float]:
    """Return what may be tried otherwise, by dotted path, as it is now."""
    found = [wire.numbers(name, settings.tables.get(name, {})) for name in TABLES]
    return {path: value for one in found for path, value in one.items()}


def changed(settings: Settings, given: Mapping[str, str]) -> Settings:
    """Return settings with numbers laid over them; a path that they do not have is left out."""
    known, over = numbers(settings), dict[str, Any]()
    for path, text in given.items():
        if path in known and (value := _typed(path, text, known[path])) != known[path]:
            *tables, name = path.split(".")
            node, under = over, settings.tables
            for table in tables:
                node, under = node.setdefault(table, {}), under[table]
                node["kind"] = under["kind"]
            node[name] = value
    return reading.overlaid(settings, over, "tried") if over else settings


def _typed(path: str, text: str, now: bool | int | float) -> bool | int | float:
    try:
        return text == "true" if isinstance(now, bool) else type(now)(text)
    except ValueError as problem:
        raise InvalidInput(f"{path}: {text!r} is no number.", hint=f"It is {now} now.") from problem


def difference(settings: Settings, other: Settings) -> dict[str, Any]:
    """Return the tables in which settings differ, as a pipeline's file holds them: without secrets."""
    found = {name: table for name, table in other.tables.items() if table != settings.tables.get(name)}
    return {name: _open(table) for name, table in found.items()}


def _open(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _open(value) if isinstance(value, Mapping) else value
        for key, value in table.items() if key not in PROOFS
    }  # fmt: skip


def save(home: Path, name: str, tables: Mapping[str, Any]) -> Path:
    """Write a pipeline into HOME/pipelines, where `--pipeline NAME` finds it; none is written over."""
    if not _name.fullmatch(name):
        raise InvalidInput(f"{name!r} is no name of a pipeline.", hint="Use letters, digits, - and _.")
    if not tables:
        raise InvalidInput("Nothing differs from the configuration.", hint="Change a setting first.")
    file = home / "pipelines" / f"{name}.toml"
    file.parent.mkdir(exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(toml(tables))
    except FileExistsError as problem:
        raise InvalidInput(f"There is a pipeline {name} already.", hint="Choose another name.") from problem
    return file


class Tried:
    """Pipelines over one platform's documents, built when they are asked for; a few are kept."""

    def __init__(self, platform: Platform, settings: Settings) -> None:
        self.platform, self.settings = platform, settings
        self._built: dict[str, Platform] = {}

    def __call__(self, other: Settings) -> Platform:
        """Return the platform with other settings; it shares documents, views and traces."""
        if not (over := difference(self.settings, other)):
            return self.platform
        key = json.dumps(over, sort_keys=True)
        if key not in self._built:
            same = [name for name in SHARED if name not in over]
            shared = {name: self.platform.parts[name] for name in same if name in self.platform.parts}
            made = wire.builder(self.platform)(other.tables, shared)
            self._built = {**dict(list(self._built.items())[1 - KEPT :]), key: made}  # type: ignore[dict-item]
        return self._built[key]
