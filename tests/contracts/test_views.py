"""What every View promises, run over all of them: position, idempotence, readers, filters, rebuilding."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.errors import InvalidInput
from lyceum.core.types import Query
from lyceum.search.analyzer import Standard
from lyceum.store.postings import Postings
from lyceum.store.vectors import Vectors
from tests import databases
from tests.answer.made import staged, table
from tests.databases import run
from tests.toys import ALL, Home, ToyEncoder, document

FILES = ("lexical", "dense", "links")
VIEWS = (*FILES, *databases.NAMES)
SEARCHED = tuple(
    name for name in VIEWS if name != "links"
)  # links find by titles, which these texts do not name
ASKED = "pump price in Open, Secret and Nobody"  # words of the texts, and titles as they are named


def test_rows_are_an_index_of_their_own_within_the_lexical_view(tmp_path: Path) -> None:
    """The same promises as of any view, for table rows: readers and filters inside, removal, rebuilding."""

    async def check() -> None:
        home = Home(tmp_path)
        rows = home.lexical.rows
        await home.store.put([document("open.md", "pump pressure")])
        assert await rows.find(Query(text="pump"), 10) == [], "prose has no rows"
        columns = ("Part", "Price")
        await home.store.put(
            [
                staged("list.csv", table(columns, ("pump", "40"), ("valve", "7"), ("pump valve", "50"))),
                staged("secret.csv", table(columns, ("pump", "12")), readers=frozenset({"boss"})),
            ]
        )
        assert await home.lexical.position() == await home.ledger.sequence() == 3
        assert [number for number, _ in await rows.find(Query(text="pump 40"), 10)] == [2]
        boss = frozenset({"boss", "*"})
        assert {number for number, _ in await rows.find(Query(text="pump", readers=boss), 10)} == {2, 3}
        filtered = Query(text="pump", readers=boss, filters={"source": "secret.csv"})
        assert [number for number, _ in await rows.find(filtered, 10)] == [3]
        assert [number for number, _ in await rows.find(Query(text="pump", readers=boss), 10, [3])] == [3]
        (best,) = [score for number, score in await rows.find(Query(text="pump valve"), 10) if number == 2]
        (worse,) = [score for number, score in await rows.find(Query(text="valve"), 10) if number == 2]
        assert best > worse, "the score is that of the best row"
        shutil.rmtree(rows.folder)
        again = Home(tmp_path, home.encoder)
        assert await again.store.position(again.lexical) == 0
        await again.store.catch_up()
        assert [number for number, _ in await again.lexical.rows.find(Query(text="pump 40"), 10)] == [2]
        await again.store.remove(staged("list.csv")[0].id, ALL)
        assert await again.lexical.rows.find(Query(text="pump 40"), 10) == []

    run(check())


@pytest.mark.parametrize("damage", ["emptied", "garbage"])
def test_damaged_rows_are_said_and_rebuilt(tmp_path: Path, damage: str) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([staged("list.csv", table(("Part", "Price"), ("pump", "40")))])
        for file in home.lexical.rows.folder.glob("*.term"):
            file.write_bytes(b"" if damage == "emptied" else b"garbage")
        again = Home(tmp_path, home.encoder)
        assert any(name.startswith("rows/") for name in (await again.lexical.check())[1])
        assert await again.store.position(again.lexical) == 0
        await again.store.catch_up()
        assert len(await again.lexical.rows.find(Query(text="pump"), 10)) == 1
        assert (await again.lexical.check())[1] == []

    run(check())


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
        assert len(await view.find(Query(text=ASKED), 10)) >= 1

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_readers_are_a_filter_inside(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        view = await followed(home, name)

        async def numbers(*readers: str) -> set[int]:
            return {
                number for number, _ in await view.find(Query(text=ASKED, readers=frozenset(readers)), 10)
            }

        assert 3 not in await numbers("*")
        assert 3 in await numbers("boss")
        assert 4 not in await numbers("*", "boss")
        assert await numbers() == set()
        among = await view.find(Query(text=ASKED, readers=ALL), 10, [1, 3, 4])
        assert {number for number, _ in among} == {1}

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_filters(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        view = await followed(await filled(tmp_path), name)
        both = frozenset({"*", "boss"})

        async def numbers(**filters: str) -> set[int]:
            found = await view.find(Query(text=ASKED, readers=both, filters=filters), 10)
            return {number for number, _ in found}

        assert await numbers(source="secret.pdf") == {3}
        assert await numbers(type="pdf") == {3}
        assert 3 not in await numbers(type="md")
        assert await numbers(source="absent") == set()

    run(check())


async def dated_home(folder: Path) -> Home:
    """A home whose documents differ in folder, date, tags and readers; chunk n belongs to document n."""
    home = Home(folder)
    given: list[tuple[str, dict[str, object], frozenset[str]]] = [
        ("/srv/docs/hr/leave/rules-2023-11-30.md", {"tags": ["HR", "leave"]}, ALL),
        ("/srv/docs/hr/travel.pdf", {"dated": "2024-02-29", "tags": ["HR"]}, ALL),
        ("docs/finance/report_2024-05.md", {}, ALL),
        ("docs\\finance\\secret-2024.md", {"tags": ["board"]}, frozenset({"boss"})),
        ("plain.md", {}, ALL),
    ]
    made = [(document(source, "pump", readers=readers), meta) for source, meta, readers in given]
    await home.store.put([(replace(one, meta=meta), *rest) for (one, *rest), meta in made])  # type: ignore[arg-type]
    return home


@pytest.mark.parametrize("name", SEARCHED)
@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"path": "hr/"}, {1, 2}), ({"path": "docs/hr"}, {1, 2}), ({"path": "/srv"}, {1, 2}),
        ({"path": "leave"}, {1}),
        ({"path": "docs"}, {1, 2, 3, 4}), ({"path": "/docs"}, set()), ({"path": "finance/"}, {3, 4}),
        ({"path": "travel.pdf"}, set()), ({"tag": "hr"}, {1, 2}), ({"tag": "leave,board"}, {1, 4}),
        ({"tag": "h"}, set()), ({"since": "2024"}, {2, 3, 4}), ({"since": "2024-02-29"}, {2, 3}),
        ({"since": "2024-03-01"}, {3}), ({"since": "2024-05-02"}, set()), ({"until": "2024-02-29"}, {1, 2}),
        ({"until": "2024-02-28"}, {1}), ({"until": "2024-05"}, {1, 2, 3}), ({"until": "2023-11-29"}, set()),
        ({"until": "2024-12-31"}, {1, 2, 3, 4}), ({"since": "2023-11-30", "until": "2024-04-30"}, {1, 2}),
        ({"since": "2024", "path": "finance", "type": "md"}, {3, 4}), ({"type": "pdf,md"}, {1, 2, 3, 4, 5}),
    ],
)  # fmt: skip
def test_folders_dates_and_tags(tmp_path: Path, name: str, filters: dict[str, str], wanted: set[int]) -> None:
    async def check() -> None:
        view = await followed(await dated_home(tmp_path), name)
        for readers, seen in ((frozenset({"*", "boss"}), wanted), (ALL, wanted - {4})):
            found = await view.find(Query(text="pump", readers=readers, filters=filters), 10)
            assert {number for number, _ in found} == seen

    run(check())


@pytest.mark.parametrize("name", SEARCHED)
def test_tags_change_and_outlive_a_version(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await dated_home(tmp_path)
        view = await followed(home, name)

        async def numbers(**filters: str) -> set[int]:
            return {number for number, _ in await view.find(Query(text="pump", filters=filters), 10)}

        plain = document("plain.md", "pump")[0].id
        assert await home.store.set_tags(plain, frozenset({"财务"}))
        assert not await home.store.set_tags(plain, frozenset({"财务"})), "nothing changed"
        assert await numbers(tag="财务") == {5}
        await home.store.put([document("plain.md", "pump", version="2")])
        await home.store.catch_up()
        assert await numbers(tag="财务") == {6}
        await home.store.set_tags(plain, frozenset())
        assert await numbers(tag="财务") == set()

    run(check())


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize(
    "filters",
    [{"colour": "red"}, {"since": "May"}, {"since": "2024-13"}, {"until": "2023-02-29"}, {"until": "20240501"},
     {"path": "*.pdf"}, {"path": "/"}, {"path": ""}, {"path": "a/b/c/d/e"}, {"tag": " , "}, {"type": ""}],
)  # fmt: skip
def test_filters_that_say_nothing_are_refused(tmp_path: Path, name: str, filters: dict[str, str]) -> None:
    async def check() -> None:
        view = await followed(await filled(tmp_path), name)
        with pytest.raises(InvalidInput) as refused:
            await view.find(Query(text="pump", filters=filters), 10)
        assert refused.value.code == "filter"
        assert refused.value.hint

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_applying_twice_changes_nothing(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        view = await followed(home, name)
        before = await view.find(Query(text=ASKED, readers=ALL), 10)
        await view.apply(await home.ledger.changes(0, 100))
        after = await view.find(Query(text=ASKED, readers=ALL), 10)
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
        found = await view.find(Query(text=ASKED, readers=ALL), 10)
        assert [number for number, _ in found] == [5]

    run(check())


@pytest.mark.parametrize("name", VIEWS)
def test_readers_change(tmp_path: Path, name: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path)
        view = await followed(home, name)
        (secret,) = [one for one in await home.ledger.documents(frozenset({"boss"}))]
        await home.store.set_readers(secret.id, ALL)
        found = await view.find(Query(text=ASKED, readers=ALL), 10)
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
        assert await home.texts("valve", filters={"source": "small.md"}) == ["valve"]
        assert await home.dense.find(Query(text="valve", filters={"source": "big.md"}), 10) == []
        assert home.dense._files(2)[0].stat().st_size == ToyEncoder.dimension

    run(check())


def test_no_thread_of_the_index_follows_the_folder(tmp_path: Path) -> None:
    """What such a thread maps a fault may cut short, and that ends the process: an index is read when asked to."""

    async def check() -> None:
        home = await filled(tmp_path)
        index = home.lexical.words._open()
        assert index is not None
        index.reload()
        before = index.searcher().num_docs
        await Home(tmp_path, home.encoder).store.put([document("later.md", "pump")])
        await asyncio.sleep(1.0)  # tantivy's own thread looks twice a second
        assert index.searcher().num_docs == before
        index.reload()
        assert index.searcher().num_docs == before + 1

    run(check())
