"""What every View promises, run over all of them: position, idempotence, readers, filters, rebuilding."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.types import Query
from lyceum.search.analyzer import Standard
from lyceum.store.postings import Postings
from lyceum.store.vectors import Vectors
from tests import databases
from tests.databases import run
from tests.toys import ALL, Home, ToyEncoder, document

FILES = ("lexical", "dense")
VIEWS = (*FILES, *databases.NAMES)


async def followed(home: Home, name: str) -> Any:
    """Return a view by its name; one in a database is opened and follows from now on."""
    if name not in FILES:
        view = databases.view(name, home)
        home.store.views.append(view)
        await home.store.catch_up()
        return view
    return getattr(home, name)


async def filled(folder: Path) -> Home:
    home = Home(folder)
    await home.store.put(
        [
            document("open.md", "pump pressure is forty bar", "valve colour red"),
            document("secret.pdf", "pump price twelve", readers=frozenset({"boss"})),
            document("nobody.md", "pump nobody", readers=frozenset()),
        ]
    )
    return home


@pytest.mark.parametrize("name", VIEWS)
def test_follows_and_says_how_far(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        view = await followed(home, name)
        assert await view.position() == await home.ledger.sequence() == 4
        assert len(await view.find(Query(text="pump"), 10)) >= 1

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_readers_are_a_filter_inside(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        view = await followed(home, name)

        async def numbers(*readers: str) -> set[int]:
            return {
                number for number, _ in await view.find(Query(text="pump", readers=frozenset(readers)), 10)
            }

        assert 3 not in await numbers("*")
        assert 3 in await numbers("boss")
        assert 4 not in await numbers("*", "boss")
        assert await numbers() == set()
        among = await view.find(Query(text="pump", readers=ALL), 10, [1, 3, 4])
        assert {number for number, _ in among} == {1}

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_filters(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        view = await followed(await filled(tmp_path), name)
        both = frozenset({"*", "boss"})

        async def numbers(**filters: str) -> set[int]:
            found = await view.find(Query(text="pump", readers=both, filters=filters), 10)
            return {number for number, _ in found}

        assert await numbers(source="secret.pdf") == {3}
        assert await numbers(type="pdf") == {3}
        assert 3 not in await numbers(type="md")
        assert await numbers(source="absent") == set()

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_applying_twice_changes_nothing(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        view = await followed(home, name)
        before = await view.find(Query(text="pump red", readers=ALL), 10)
        await view.apply(await home.ledger.changes(0, 100))
        after = await view.find(Query(text="pump red", readers=ALL), 10)
        assert [number for number, _ in after] == [number for number, _ in before]
        assert dict(after) == pytest.approx(dict(before), rel=0.5)  # deleted copies count in idf until merged

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_removed_and_replaced_chunks_go(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        view = await followed(home, name)
        await home.store.put([document("open.md", "pump pressure is sixty bar", version="2")])
        await home.store.catch_up()
        found = await view.find(Query(text="pump", readers=ALL), 10)
        assert [number for number, _ in found] == [5]

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_readers_change(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        view = await followed(home, name)
        (secret,) = [one for one in await home.ledger.documents(frozenset({"boss"}))]
        await home.store.set_readers(secret.id, ALL)
        found = await view.find(Query(text="price", readers=ALL), 10)
        assert 3 in {number for number, _ in found}

    run(check())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["deleted", "state", "emptied", "garbage"])
def test_damaged_views_are_rebuilt(tmp_path: Path, name: str, damage: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        before = await home.texts("pump red")
        folder = getattr(home, name).folder
        if damage == "deleted":
            shutil.rmtree(folder)
        for file in folder.glob("*") if damage != "deleted" else ():
            if damage == "state" and file.name == "state.json":
                file.write_text("{broken")
            elif damage in ("emptied", "garbage") and file.name not in ("state.json", ".tantivy-meta.lock"):
                file.write_bytes(b"" if damage == "emptied" else b"\x00garbage")
        again = Home(tmp_path, home.encoder)
        assert await again.store.position(getattr(again, name)) == 0
        encoded = home.encoder.encoded
        await again.store.catch_up()
        assert await again.texts("pump red") == before
        # The vectors came back from the ledger: only the two questions were encoded.
        assert home.encoder.encoded - encoded <= 2

    run(check())


@pytest.mark.parametrize("name", FILES)
def test_state_that_vanishes_while_it_is_written_loses_nothing(tmp_path: Path, name: str) -> None:
    """Between the question how far a view is and the next changes its state could not be read: it starts again."""

    async def check() -> None:
        home = await filled(tmp_path)
        view = getattr(home, name)
        position, apply = view.position, view.apply

        async def forgetful(changes):  # type: ignore[no-untyped-def]
            view.apply = apply
            (view.folder / "state.json").unlink()
            await apply(changes)

        view.apply = forgetful
        await home.store.put([document("more.md", "pump five")])
        assert view.apply == apply
        assert await position() == await home.ledger.sequence()
        assert (await view.check())[0] == 5

    run(check())


def test_another_recipe_rebuilds(tmp_path: Path) -> None:
    class Other(Standard):
        name = "other"

    class OtherEncoder(ToyEncoder):
        name = "toy-2"

    async def check() -> None:
        home = await filled(tmp_path)
        assert await home.store.position(Postings(tmp_path, Other())) == 0
        other = Vectors(tmp_path, OtherEncoder(), home.ledger, home.store.keep_vectors)
        assert await home.store.position(other) == 0
        assert await home.dense.position() == 4, "the old view stays beside the new one"

    run(check())


def test_dead_rows_are_compacted(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        texts = [f"word{n} pump" for n in range(1200)]
        await home.store.put([document("big.md", *texts), document("small.md", "valve")])
        await home.store.remove(document("big.md")[0].id, ALL)
        assert home.dense._state()["rows"] == 1
        assert await home.texts("valve") == ["valve"]
        assert home.dense._files(2)[0].stat().st_size == ToyEncoder.dimension

    run(check())
