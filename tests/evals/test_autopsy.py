"""An autopsy names the stage that was broken, for a fault of every stage, and nothing where nothing was."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lyceum import wire
from lyceum.answer.evidence import Evidence
from lyceum.app.examined import Examined
from lyceum.core.errors import NotFound
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
    Place,
    Query,
    Table,
)  # fmt: skip
from lyceum.evals import words
from lyceum.evals.autopsy import EXTRA, Cause, examine, waterfall
from lyceum.evals.gold import cells, ideal, joined, mended, parsed, stands
from lyceum.evals.records import Outcome, Run, Summary
from lyceum.evals.stages import STAGES, Wrapper
from lyceum.evals.why import parted, why
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


class Forgetful(Wrapper):
    """A reader that loses the paragraph with the gold."""

    async def __call__(self, *given: Any) -> Any:
        found = await self.part(*given)
        return replace(found, elements=tuple(one for one in found.elements if GOLD not in one.text))


class Cutting(Wrapper):
    """A splitter that cuts the answer in two."""

    name = "cutting"

    def __call__(self, document: Document, elements: Sequence[Element]) -> list[Chunk]:
        made = []
        for chunk in self.part(document, elements):
            at = chunk.text.find("1872 with") + 2 if "1872 with" in chunk.text else len(chunk.text)
            for number, text in enumerate(filter(None, (chunk.text[:at], chunk.text[at:]))):
                made.append(replace(chunk, id=digest(chunk.id, str(number)), text=text, pieces=()))
        return made


class CuttingFiles(Cutting):
    """A splitter that cuts the answer in two in what was read from a file, and in nothing else."""

    name = "cutting-files"

    def __call__(self, document: Document, elements: Sequence[Element]) -> list[Chunk]:
        read = any(one.place != Place() for one in elements)
        return super().__call__(document, elements) if read else list(self.part(document, elements))


class Inverted(Wrapper):
    """A reranker that puts the best last."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        found = await self.part(query, hits)
        return [replace(hit, score=other.score) for hit, other in zip(reversed(found), found, strict=True)]


class Losing(Wrapper):
    """Something between search and reader that loses the first half of the hits."""

    async def __call__(self, query: Query) -> list[Hit]:
        hits = await self.part(query)
        return list(hits[len(hits) // 2 :])


class Blind(Wrapper):
    """Evidence that mixes up the statements."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> Any:
        judged = await self.part(query, hits)
        moved = judged[len(judged) // 2 :] + judged[: len(judged) // 2]
        return [replace(good, statement=other.statement) for good, other in zip(judged, moved, strict=True)]


class Miscited(Wrapper):
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


async def hide_and_blind(platform: Any) -> None:
    await hide(platform)
    await blind(platform)


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
    "visible + read": ({}, {}, hide_and_blind),
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
    settings = {"retriever": {"kind": "search.hybrid", "weight": 0.1}, "computed": {"kind": "none"}, **tables}
    settings.setdefault("answerer", {"kind": "answer.extractive", "threshold": 0.0})
    return wire.build(settings, home, replace=given)


async def fill(home: Path, sources: Path, parts: Mapping[str, Part]) -> None:
    home.mkdir()  # noqa: ASYNC240
    platform = platform_of(home, {}, parts)
    outcomes = await platform.ingest(jobs([sources], base=sources))
    assert sum(one.status == "added" for one in outcomes) >= 59
    await platform.close()


@asynccontextmanager
async def examined(stage: str, whole: Path, sources: Path, folder: Path) -> AsyncIterator[Examined]:
    tables, parts, after = FAULTS[stage]
    home = folder / stage
    if parts:
        await fill(home, sources, parts)
    else:
        shutil.copytree(whole, home)
    platform = platform_of(home, tables, parts)
    await after(platform)
    subject = Examined(platform, sources)
    yield subject
    await subject.close()
    await platform.close()


@pytest.mark.parametrize("stage", FAULTS)
def test_the_broken_stage_is_named(stage: str, whole: Path, sources: Path, tmp_path: Path) -> None:
    async def check() -> tuple[Cause, Cause, Answer]:
        async with examined(stage, whole, sources, tmp_path) as subject:
            first = await examine(subject, EXAMPLE)
            again = await examine(subject, EXAMPLE)  # the first has left nothing behind
            return first, again, await subject.platform.answerer(Query(text=EXAMPLE.question))

    first, again, answer = run(check())
    assert mended(EXAMPLE, answer) == (stage == "sound")
    assert " + ".join((first.stage, *first.pair)) == stage, first
    assert again == first
    assert first.facts
    assert bool(first.fix) == (stage != "sound")


def test_what_was_parsed_right_is_not_parsed_again(sources: Path, tmp_path: Path) -> None:
    """A repair of parsing would mend this too, for the splitter is kind to it; but the words had been parsed."""

    async def check() -> Cause:
        await fill(tmp_path / "home", sources, {"splitter": CuttingFiles})
        platform = platform_of(tmp_path / "home", {}, {"splitter": CuttingFiles})
        subject = Examined(platform, sources)
        cause = await examine(subject, EXAMPLE)
        await subject.close()
        await platform.close()
        return cause

    assert run(check()).stage == "split"


def test_a_repair_leaves_nothing_in_the_views_of_the_next_question(
    whole: Path, sources: Path, tmp_path: Path
) -> None:
    async def check() -> list[int]:
        async with examined("parse", whole, sources, tmp_path) as subject:
            assert (await examine(subject, EXAMPLE)).stage == "parse"
            view = await subject.fresh("lexical")
            return [number for number, _ in await view.find(Query(text=EXAMPLE.question), 100)]

    found = run(check())
    assert found
    assert max(found) < EXTRA


class Knowing(Wrapper):
    """Evidence that knows the gold when it reads it."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> Any:
        judged = await self.part(query, hits)
        return sorted(judged, key=lambda one: one.statement.quote != GOLD)


@pytest.mark.parametrize("part", ["lexical", "dense"])
def test_a_part_that_finds_gold_too_late_is_named(part: str, whole: Path, sources: Path) -> None:
    """Other documents share more words with the question, or the encoder sees no likeness: no index is at fault."""
    asked = replace(EXAMPLE, question="Which ship left Riga or Cadiz with barrels?")
    tables = {"retriever": {"kind": f"search.{part}"}}

    async def check() -> Cause:
        platform = platform_of(whole, tables, {"evidence": Knowing})
        subject = Examined(platform, sources)
        cause = await examine(subject, asked)
        await subject.close()
        await platform.close()
        return cause

    cause = run(check())
    assert cause.stage == part, cause


def test_a_question_that_should_be_refused_is_the_readers(whole: Path, sources: Path, tmp_path: Path) -> None:
    async def check() -> Cause:
        async with examined("sound", whole, sources, tmp_path) as subject:
            return await examine(
                subject, Example(id="u", question="Who built the ship Ceres?", answerable=False)
            )

    cause = run(check())
    assert (cause.stage, cause.lost) == ("read", "read")


def test_a_document_that_was_never_read_in_is_lost_by_parsing(
    whole: Path, sources: Path, tmp_path: Path
) -> None:
    (sources / "late.txt").write_text("The ship Zephyr left Narvik in 1911 with ore.\n")
    gold = Gold(document="late.txt", text="The ship Zephyr left Narvik in 1911 with ore.")
    example = Example(
        id="z", question="When did the ship Zephyr leave Narvik?", answers=(("1911",),), gold=(gold,)
    )

    async def check() -> Cause:
        async with examined("sound", whole, sources, tmp_path) as subject:
            return await examine(subject, example)

    cause = run(check())
    assert (cause.stage, cause.lost) == ("parse", "parse")


def test_the_facts_speak_the_language_of_the_question() -> None:
    measured = {"lexical": 3, "dense": None, "fused": 21, "wanted": 15, "document": "a.md"}
    blank = dict.fromkeys(
        ("elements", "chunks", "owners", "readers", "offered", "asked", "hits", "read", "said", "cited")
    )
    expected = {"When?": "number 3 by words and not there by meaning", "什么时候？": "按词语为第 3 名"}
    for question, said in expected.items():
        facts, fix = words.facts(question, ("fuse",), {**blank, **measured, "weight": 0.2})
        assert said in facts
        assert "0.2" in fix
        assert "weight to" in words.facts(question, ("fuse",), {**blank, **measured, "weight": 0.2}, "en")[1]
    assert all(words.FACTS["en"].keys() == table.keys() for table in words.FACTS.values())
    assert all({*STAGES, "kept", "none", "sound"} == table.keys() for table in words.FIX.values())


def test_the_waterfall_counts_what_is_left() -> None:
    fallen = waterfall(["parse", "parse", "fuse", "cite"], 8)
    assert [round(share * 8) for _, share, _ in fallen] == [6, 6, 6, 6, 6, 5, 5, 5, 5, 4]
    assert {n for _, _, n in fallen} == {8}


def table(*rows: tuple[str, ...]) -> Element:
    return Element(doc_id="d", kind="table", text="", table=Table(rows=rows))


def test_a_row_is_parsed_when_it_stands_in_one_row_with_its_cells_apart() -> None:
    head, gold = ("Ship", "Year", "Barrels"), "Ceres | 1872 | 212"
    assert parsed(gold, [table(head, ("Ceres", "1872", "212"))], ["1872"])
    assert not parsed(gold, [table(head, ("Bonita", "1872", "212"), ("Ceres", "1870", "9"))], ["1872"])
    assert not parsed(gold, [table(head[:2], ("Ceres", "1872212"))], ["1872"])
    assert parsed(gold, [Element(doc_id="d", kind="text", text="Ceres 1872 212")], ["1872"])
    assert stands("The year was 1872.", ["… the  year\nwas 1872 …"])


def test_an_ideal_table_comes_from_the_source_with_all_rows_of_its_header() -> None:
    text = "# Ships\nYears Ended\n2019 | 2018\nCeres | 1 | 2\nIris | 3 | 4\n# Towns\nTown | Size | Age\nGenoa | 5 | 6"
    document = Document(id="d", source="s", version="1")
    heading, made = ideal(document, "Iris | 3 | 4", [(1, text)], Place(page=1))
    assert heading.text == "Ships"
    assert made.table is not None
    assert made.table.header == 2
    assert made.table.rows[:2] == (("", "Years Ended", "Years Ended"), ("", "2019", "2018"))
    assert made.table.rows[2:] == (("Ceres", "1", "2"), ("Iris", "3", "4"))
    assert cells("| a |  | b |") == ("a", "", "b")
    assert cells("a |  | ") == ("a", "", "")


def test_what_a_splitter_cut_apart_is_joined_with_what_fits() -> None:
    texts = ["It left in 18", "72 with herring.", "Later it came back."]
    chunks = [Chunk(id=str(n), doc_id="d", text=text, number=n) for n, text in enumerate(texts)]
    source = Element(doc_id="d", kind="text", text="It left in 1872 with herring.\nLater it came back.")
    whole, some = joined("It left in 1872 with herring.", chunks, [source])
    assert whole is not None
    assert whole.text == source.text
    assert [one.number for one in some] == [0, 1, 2]
    assert joined("nowhere to be found", chunks, [source]) == (None, [])


def test_where_a_document_stood_and_what_brings_it_in(whole: Path, sources: Path, tmp_path: Path) -> None:
    async def check() -> None:
        async with examined("sound", whole, sources, tmp_path) as subject:
            found = await why(subject, Query(text=EXAMPLE.question), "ceres-genoa.md")
            assert found.places[0][:2] == ("lexical", 1)
            assert found.places[-1][1] == 1
            assert not found.change
            far = await why(subject, Query(text="ship of Ceres"), "juno-cadiz.md")
            assert far.places[-1][1] is None
            assert far.change
            with pytest.raises(NotFound):
                await why(subject, Query(text="ship"), "nowhere.md")
        async with examined("visible", whole, sources, tmp_path) as subject:
            hidden = await why(subject, Query(text=EXAMPLE.question), "ceres-genoa.md")
            assert not hidden.visible
            assert hidden.change == {"readers": ["board"]}

    run(check())


def test_two_pipelines_part_where_gold_is_lost_in_one(whole: Path, sources: Path, tmp_path: Path) -> None:
    outcomes = (Outcome(example=EXAMPLE),)
    blank = Summary(id="a", dataset="d", data="d", pipeline="p", configuration="c", code="v", models={}, date="", n=1,
                    failed=0, metrics={})  # fmt: skip
    both = Run(folder=tmp_path, summary=blank, outcomes=outcomes)

    async def check() -> str:
        async with (
            examined("pack", whole, sources, tmp_path) as a,
            examined("sound", whole, sources, tmp_path) as b,
        ):
            return await parted(both, both, "q", a, b)

    said = run(check())
    assert "In A" not in said
    assert "the answer is wrong" in said
    assert "the answer is right" in said


def test_a_missing_document_without_gold_words_is_found_by_its_answer(
    whole: Path, sources: Path, tmp_path: Path
) -> None:
    (sources / "later.txt").write_text("The ship Yara left Vigo in 1913 with salt.\n")
    example = Example(
        id="y", question="When did the ship Yara leave Vigo?", answers=(("1913",),),
        gold=(Gold(document="later.txt"),),
    )  # fmt: skip

    async def check() -> Cause:
        async with examined("sound", whole, sources, tmp_path) as subject:
            return await examine(subject, example)

    assert run(check()).stage == "parse"
