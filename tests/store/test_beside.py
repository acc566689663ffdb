"""The encoder changes while questions go on: none fails, none finds less, and the way back is open."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lyceum.core.errors import LyceumError
from lyceum.core.types import Query
from lyceum.search.hybrid import Hybrid
from lyceum.store import beside
from lyceum.store.beside import Beside, Sides
from lyceum.store.vectors import Vectors
from tests import databases
from tests.databases import run
from tests.toys import Home, ToyEncoder, document

OLD, NEW = {"encoder": {"kind": "toy"}}, {"encoder": {"kind": "wider"}}


class Wider(ToyEncoder):
    """Another stand-in encoder: other vectors, and more of them."""

    name = "toy-wide"
    dimension = 96

    async def __call__(self, texts: Any) -> Any:
        await asyncio.sleep(0)
        return await super().__call__([text.upper() for text in texts])


class Changing(Home):
    """A home whose dense view may change its encoder; each side is in a database when one is named."""

    def __init__(self, folder: Path, database: str = "", tables: Mapping[str, Any] = OLD) -> None:
        super().__init__(folder)
        self.database, self.wider = database, Wider()
        self.beside = Beside(folder, self.made(tables), tables, self.made)
        self.store.views[:] = [self.lexical, self.beside]
        self.hybrid = Hybrid(self.ledger, self.lexical, self.beside)

    def made(self, tables: Mapping[str, Any]) -> Any:
        if tables["encoder"]["kind"] == "missing":
            raise LyceumError("no such encoder")
        self.encoder = self.wider if tables == NEW else ToyEncoder()
        if self.database:
            return databases.view(self.database, self)
        return Vectors(self.folder, self.encoder, self.ledger, self.store.keep_vectors)

    async def build(self) -> None:
        """What `lyceum store encoder build` does: follow in small steps, each under the write lock."""
        other = self.beside.other()
        assert other is not None
        while True:
            async with self.store.writing():
                since = await other.position()
                changes = await self.ledger.changes(since, 10)
                if not changes:
                    return
                await other.apply(changes)


@pytest.mark.parametrize("database", ["", "pgvector", "qdrant_edge"])
def test_encoder_changes_under_a_load_of_questions(tmp_path: Path, database: str) -> None:
    async def check() -> None:
        home = Changing(tmp_path, database)
        await home.store.put(
            [document(f"d{n}.md", f"pump number{n} valve", f"motor number{n}") for n in range(40)]
        )
        asked, failed, done = 0, [], asyncio.Event()

        async def load(worker: int) -> None:
            nonlocal asked
            while not done.is_set():
                n = (asked * 7 + worker) % 40
                hits = await home.hybrid(Query(text=f"pump number{n}", top_k=5))
                asked += 1
                dense = await home.beside.find(Query(text=f"pump number{n}"), 5)
                if len(dense) < 5 or not hits or hits[0].chunk.text != f"pump number{n} valve":
                    failed.append((home.beside.name, n, [hit.chunk.text for hit in hits]))
                await asyncio.sleep(0)

        workers = [asyncio.create_task(load(n)) for n in range(4)]
        beside.write(tmp_path, Sides(tables=(OLD, NEW)))
        await home.build()
        await home.store.put([document("late.md", "pump late")])  # both follow what comes in meanwhile
        for active in (1, 0, 1):  # there, back and there again
            beside.write(tmp_path, Sides(tables=(OLD, NEW), active=active))
            before = asked
            while asked < before + 60:  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert home.beside.name.endswith("toy-wide" if active else "toy-1")
            assert (await home.hybrid(Query(text="pump late")))[0].chunk.text == "pump late"
            assert await home.beside.position() == await home.ledger.sequence()
        done.set()
        await asyncio.gather(*workers)
        assert failed == []
        assert asked >= 180

    run(check())


def test_a_side_that_is_being_built_does_not_hold_up_what_comes_in(tmp_path: Path) -> None:
    async def check() -> None:
        home = Changing(tmp_path)
        await home.store.put([document("a.md", "pump one")])
        beside.write(tmp_path, Sides(tables=(OLD, NEW)))
        await home.store.put([document("b.md", "pump two")])
        assert await home.beside.other().position() == 0, "left to who builds it"
        assert await home.store.behind() == {}
        await home.build()
        assert await home.beside.other().position() == await home.ledger.sequence()

    run(check())


def test_a_trial_keeps_to_its_own_side_and_others_switch_without_a_restart(tmp_path: Path) -> None:
    async def check() -> None:
        home = Changing(tmp_path)
        await home.store.put([document("a.md", "pump one")])
        beside.write(tmp_path, Sides(tables=(OLD, NEW)))
        trial = Changing(tmp_path, tables=NEW)
        await trial.store.catch_up()
        assert (home.beside.name, trial.beside.name) == ("vectors-toy-1", "vectors-toy-wide")
        beside.write(tmp_path, Sides(tables=(OLD, NEW), active=1))
        assert home.beside.name == "vectors-toy-wide"
        beside.write(tmp_path, Sides(tables=(NEW,)))  # the old one is dropped, and then the file
        assert (home.beside.name, home.beside.other()) == ("vectors-toy-wide", None)
        (tmp_path / beside.FILE).unlink()
        assert (home.beside.name, home.beside.other()) == ("vectors-toy-wide", None)
        assert (trial.beside.name, trial.beside.other()) == ("vectors-toy-wide", None)

    run(check())


def test_what_cannot_be_made_or_read_leaves_the_side_before(tmp_path: Path) -> None:
    async def check() -> None:
        home = Changing(tmp_path)
        await home.store.put([document("a.md", "pump one")])
        beside.write(tmp_path, Sides(tables=(OLD, {"encoder": {"kind": "missing"}}), active=1))
        assert len(await home.beside.find(Query(text="pump"), 5)) == 1
        (tmp_path / beside.FILE).write_text("{broken")
        assert beside.read(tmp_path) == Sides()
        assert len(await home.beside.find(Query(text="pump"), 5)) == 1

    run(check())


def test_a_vector_made_by_the_encoder_before_is_not_compared_with_the_new_one(tmp_path: Path) -> None:
    async def check() -> None:
        home = Changing(tmp_path)
        await home.store.put([document("a.md", "pump one")])
        beside.write(tmp_path, Sides(tables=(OLD, NEW)))
        await home.build()
        beside.write(tmp_path, Sides(tables=(OLD, NEW), active=1))
        vector = tuple(np.ones(ToyEncoder.dimension) / 8)
        ((number, score),) = await home.beside.find(Query(text="pump one", vector=vector), 5)
        assert number == 1
        assert score > 0.5

    run(check())
