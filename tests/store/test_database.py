"""A database that is missing, silent or strange: an error that says what to do, and a question that goes on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.errors import ConfigError, StoreError
from lyceum.core.trace import tracing
from lyceum.core.types import Query, Span
from lyceum.store.chroma import Chroma
from lyceum.store.database import Database, InDatabase
from lyceum.store.milvus import Milvus
from lyceum.store.pgvector import Pgvector
from lyceum.store.qdrant import Qdrant
from lyceum.store.qdrant_edge import QdrantEdge
from lyceum.wire import make, makers
from tests import databases
from tests.databases import run
from tests.toys import ALL, Home, document

NEEDS = {"pgvector": "asyncpg", "milvus": "pymilvus", "chroma": "chromadb", "qdrant_edge": "qdrant_edge"}


@pytest.mark.parametrize("name", NEEDS)
def test_missing_package_says_what_to_install(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[name], None)
    table = {"kind": f"store.{name}", **({"dsn": "x"} if name == "pgvector" else {})}
    with pytest.raises(ConfigError) as caught:
        make("dense", table, {"folder": tmp_path})
    extra = name.replace("_", "-")
    assert caught.value.hint == f"Run: pip install 'lyceum[{extra}]'"


def test_every_store_can_be_named() -> None:
    kinds = {kind for kind in makers() if kind.startswith("store.")}
    assert kinds == {"store.vectors", *(f"store.{name}" for name in databases.NAMES)}


def test_without_an_address_it_says_where_to_give_it() -> None:
    pytest.importorskip("asyncpg")
    with pytest.raises(ConfigError, match="LYCEUM_DENSE_DSN"):
        Pgvector()


@pytest.mark.parametrize("name", ["pgvector", "qdrant"])
def test_silent_database_leaves_the_question_to_the_others(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "pump pressure")])
        database: Any = Qdrant("http://127.0.0.1:9")
        if name == "pgvector":
            pytest.importorskip("asyncpg")
            database = Pgvector("postgresql://nobody@127.0.0.1:9/none")
        view = home.hybrid.dense = InDatabase(
            database, tmp_path, home.encoder, home.ledger, home.store.keep_vectors
        )
        spans: list[Span] = []
        with tracing(spans.append):
            assert await home.texts("pump") == ["pump pressure"]
        warned = [one.facts["warning"] for one in spans if one.name == "store.find"]
        assert len(warned) >= 1
        assert f"{name} refused" in warned[0]
        with pytest.raises(StoreError) as caught:
            await view.position()
        assert (caught.value.code, caught.value.retryable) == ("database", True)

    run(check())


def test_each_home_and_encoder_has_its_own_collection(tmp_path: Path) -> None:
    one, two = Home(tmp_path / "one"), Home(tmp_path / "two")
    named = [databases.view("qdrant", home).database.collection for home in (one, two)]
    two.encoder.name = "other"  # type: ignore[misc]
    named.append(databases.view("qdrant", two).database.collection)
    assert len(set(named)) == 3
    assert all(name.startswith("lyceum_") for name in named)


@pytest.mark.parametrize("name", databases.NAMES)
def test_another_ledger_starts_again_and_drop_leaves_nothing(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "pump pressure")])
        view = databases.view(name, home)
        assert await view.check() == (0, [])
        home.store.views.append(view)
        await home.store.catch_up()
        assert await view.position() == 1
        view.ledger = "another"
        assert await view.position() == 0
        await home.store.catch_up()
        assert await view.check() == (1, [])
        await view.drop()
        assert dict(await home_mark(view)) == {}
        assert await view.find(Query(text="pump", readers=ALL), 5) == []

    run(check())


async def home_mark(view: InDatabase) -> Any:
    return await view._ask(view.database.mark)


def test_the_adapters_are_databases() -> None:
    for adapter in (Pgvector, Qdrant, Milvus, Chroma, QdrantEdge):
        promised = {name for name in vars(Database) if not name.startswith("_")}
        assert promised <= set(dir(adapter)) | {"collection", "width", "failures"}, adapter
