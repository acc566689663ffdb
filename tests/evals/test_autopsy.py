"""An autopsy names the stage that was broken, for a fault of every stage, and nothing where nothing was."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lyceum import wire
from lyceum.answer.evidence import Evidence
from lyceum.app.examined import Examined
from lyceum.core.ids import digest, document_id
from lyceum.core.types import (
    Answer,
    Change,
    Chunk,
    Document,
    Element,
    Example,
    Gold,
    Hit,
    Query,
)
from lyceum.evals.autopsy import Cause, examine
from lyceum.evals.gold import mended
from lyceum.ingest.pipeline import jobs
from lyceum.search.analyzer import Standard
from tests.toys import run

TOWNS = ("Bergen", "Lisbon", "Genoa", "Porto", "Riga", "Cadiz")
SHIPS = ("Aurora", "Bonita", "Ceres", "Dorado", "Electra", "Fortuna", "Galatea", "Hestia", "Iris", "Juno")
GOLD = "The ship Ceres left Genoa in 1872 with 212 barrels of herring."
EXAMPLE = Example(
    id="q", question="In which year did the ship Ceres leave Genoa?", answers=(("1872",),),
    gold=(Gold(document="ceres-genoa.md", text=GOLD),),
)  # fmt: skip


class Meaningless:
    """A stand-in encoder whose vectors say nothing: a hash of the whole text."""

    name, dimension = "meaningless-1", 32
    languages: Mapping[str, float] = {"en": 1.0, "zh": 1.0}

    async def __call__(self, texts: Sequence[str]) -> Any:
        made = [np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8) for text in texts]
        vectors = np.stack(made).astype(np.float32) - 127.5
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Wrapped:
    """Whatever a wrapper does not change is what it wraps."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)


class Forgetful(Wrapped):
    """A reader that loses the paragraph with the gold."""

    async def __call__(self, *given: Any) -> Any:
        found = await self.part(*given)
        return replace(found, elements=tuple(one for one in found.elements if GOLD not in one.text))


class Cutting(Wrapped):
    """A splitter that cuts the answer in two."""

    name = "cutting"

    def __call__(self, document: Document, elements: Sequence[Element]) -> list[Chunk]:
        made = []
        for chunk in self.part(document, elements):
            at = chunk.text.find("1872 with") + 2 if "1872 with" in chunk.text else len(chunk.text)
            for number, text in enumerate(filter(None, (chunk.text[:at], chunk.text[at:]))):
                made.append(replace(chunk, id=digest(chunk.id, str(number)), text=text, pieces=()))
        return made


class Inverted(Wrapped):
    """A reranker that puts the best last."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        found = await self.part(query, hits)
        return [replace(hit, score=other.score) for hit, other in zip(reversed(found), found, strict=True)]


class Losing(Wrapped):
    """Something between search and reader that loses the first half of the hits."""

    async def __call__(self, query: Query) -> list[Hit]:
        hits = await self.part(query)
        return list(hits[len(hits) // 2 :])


class Blind(Wrapped):
    """Evidence that mixes up the statements."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> Any:
        judged = await self.part(query, hits)
        moved = judged[len(judged) // 2 :] + judged[: len(judged) // 2]
        return [replace(good, statement=other.statement) for good, other in zip(judged, moved, strict=True)]


class Miscited(Wrapped):
    """An answerer that cites another document than it quotes."""

    async def __call__(self, query: Query) -> Answer:
        found: Answer = await self.part(query)
        wrong = (replace(one, source="ship-list.md", document_id="x") for one in found.citations)
        return replace(found, citations=tuple(wrong))


async def hide(platform: Any) -> None:
    await platform.store.set_readers(document_id("ceres-genoa.md"), frozenset({"board"}))


async def stale(platform: Any) -> None:
    view = platform.store.views[0]
    at = await platform.store.position(view)
    chunks = await platform.store.ledger.chunks(document_id("ceres-genoa.md"))
    await view.apply([Change(sequence=at, kind="remove", number=one.number) for one in chunks])


async def invert(platform: Any) -> None:
    platform.retriever.reranker = Inverted(platform.retriever.reranker)


async def lose(platform: Any) -> None:
    platform.answerer.retriever = Losing(platform.answerer.retriever)


async def blind(platform: Any) -> None:
    platform.answerer.evidence = Blind(platform.answerer.evidence)


async def miscite(platform: Any) -> None:
    platform.answerer = Miscited(platform.answerer)


async def nothing(platform: Any) -> None:
    pass


LEXICAL = {"retriever": {"kind": "search.lexical"}}
RERANKED = {
    "retriever": {
        "kind": "search.reranked", "retriever": {"kind": "search.hybrid", "weight": 0.0},
        "reranker": {"kind": "answer.rerank"},
    }
}  # fmt: skip
Part = Callable[[Any], Any]
FAULTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Part], Any]] = {
    "sound": ({}, {}, nothing),
    "parse": ({}, {"reader": Forgetful}, nothing),
    "split": ({}, {"splitter": Cutting}, nothing),
    "index": (LEXICAL, {}, stale),
    "visible": ({}, {}, hide),
    "fuse": ({"retriever": {"kind": "search.hybrid", "weight": 1.0}}, {}, nothing),
    "rerank": (RERANKED, {}, invert),
    "pack": (LEXICAL, {}, lose),
    "read": (LEXICAL, {}, blind),
    "cite": (LEXICAL, {}, miscite),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for number, ship in enumerate(SHIPS):
        for town in TOWNS:
            year = 1872 if (ship, town) == ("Ceres", "Genoa") else 1800 + 7 * number + len(town)
            text = f"The ship {ship} left {town} in {year} with {200 + number * 6} barrels of herring."
            (folder / f"{ship}-{town}.md".lower()).write_text(f"# {ship}, {town}\n\n{text}\n")
    return folder


@pytest.fixture(scope="module")
def whole(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home") / "whole"
    run(fill(home, sources, {}))
    return home


def platform_of(home: Path, tables: Mapping[str, Any], parts: Mapping[str, Part]) -> wire.Platform:
    given: dict[str, Any] = {"encoder": Meaningless(), "gloss": None, "spans": None, "synonyms": None}
    given["evidence"] = Evidence(Standard())
    plain = wire.build({}, home, replace=given)
    given |= {"reader": plain.ingest.reader, "splitter": plain.splitter}
    given |= {name: wrap(given[name]) for name, wrap in parts.items()}
    settings = {"retriever": {"kind": "search.hybrid", "weight": 0.1}, **tables}
    settings.setdefault("answerer", {"kind": "answer.extractive", "threshold": 0.0})
    return wire.build(settings, home, replace=given)


async def fill(home: Path, sources: Path, parts: Mapping[str, Part]) -> None:
    home.mkdir()  # noqa: ASYNC240
    platform = platform_of(home, {}, parts)
    outcomes = await platform.ingest(jobs([sources], base=sources))
    assert sum(one.status == "added" for one in outcomes) >= 59
    await platform.close()


@pytest.mark.parametrize("stage", FAULTS)
def test_the_broken_stage_is_named(stage: str, whole: Path, sources: Path, tmp_path: Path) -> None:
    async def check() -> tuple[Cause, Cause, Answer]:
        tables, parts, after = FAULTS[stage]
        home = tmp_path / "home"
        if parts:
            await fill(home, sources, parts)
        else:
            shutil.copytree(whole, home)
        platform = platform_of(home, tables, parts)
        await after(platform)
        subject = Examined(platform, sources)
        first = await examine(subject, EXAMPLE)
        again = await examine(subject, EXAMPLE)  # the first has left nothing behind
        answer = await platform.answerer(Query(text=EXAMPLE.question))
        await subject.close()
        await platform.close()
        return first, again, answer

    first, again, answer = run(check())
    assert mended(EXAMPLE, answer) == (stage == "sound")
    assert (first.stage, first.pair) == (stage, ()), first
    assert again == first
    assert first.facts
    assert bool(first.fix) == (stage != "sound")
