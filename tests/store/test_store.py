"""The ledger and its writer: versions flip at once, nothing is half visible, removal is complete."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from filelock import FileLock

from lyceum.core.errors import Busy, InvalidInput, NotFound, StoreError
from lyceum.core.types import Box, Element, Piece, Place, Query, Table
from lyceum.store import codec, writes
from lyceum.store.ledger import Ledger
from tests.toys import ALL, Home, document, run


def test_numbers_are_never_used_twice(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "one", "two")])
        await home.store.remove(document("a.md")[0].id, ALL)
        await home.store.put([document("a.md", "three")])
        hits = await home.hybrid(Query(text="three"))
        assert [hit.chunk.number for hit in hits] == [3]

    run(check())


def test_staged_version_is_unseen_until_the_flip(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "old words")])
        batch = [document("a.md", "new words", version="2")]
        await home.ledger.write(lambda db: writes.stage(db, batch))
        await home.store._apply()
        assert await home.texts("words") == ["old words"]
        # The writer died here: the next one drops what was never confirmed.
        async with home.store.writing():
            pass
        await home.store.catch_up()
        assert await home.texts("words") == ["old words"]
        await home.store.put(batch)
        assert await home.texts("words") == ["new words"]
        assert (await home.ledger.counts(ALL)) == {"documents": 1, "chunks": 1}

    run(check())


def test_changes_share_a_document_a_version(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "one", "two", "three")])
        batch = [document("a.md", "four", "five", version="2")]
        await home.ledger.write(lambda db: writes.stage(db, batch))
        documents = [change.document for change in await home.ledger.changes(0, 100) if change.document]
        assert [one.version for one in documents] == ["1", "1", "1", "2", "2"]
        assert len({id(one) for one in documents}) == 2  # a report makes meta large

    run(check())


def test_revocation_holds_before_any_view_follows(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "plain words")])
        doc_id = document("a.md")[0].id
        await home.ledger.write(lambda db: writes.set_readers(db, doc_id, frozenset({"boss"})))
        assert await home.texts("words") == []

    run(check())


def test_replacing_with_other_readers_reaches_the_views(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "words")])
        await home.store.put([document("a.md", "words again", version="2", readers=frozenset({"boss"}))])
        await home.store.catch_up()
        assert await home.texts("words") == []
        assert await home.texts("words", readers=frozenset({"boss"})) == ["words again"]
        assert [n for n, _ in await home.lexical.find(Query(text="words"), 10)] == []

    run(check())


def test_removal_is_complete(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "zanzibar secret"), document("b.md", "other")])
        await home.store.remove(document("a.md")[0].id, ALL)
        assert await home.texts("zanzibar secret") == ["other"]
        db = sqlite3.connect(tmp_path / "ledger.db")
        for table, expected in (("chunks", 1), ("documents", 1), ("versions", 1), ("vectors", 1)):
            assert db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] == expected, table
        db.close()
        with pytest.raises(NotFound):
            await home.store.remove(document("a.md")[0].id, ALL)

    run(check())


def test_same_bytes_at_two_sources_stay_two_documents(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put(
            [
                document("a/x.md", "shared words"),
                document("b/x.md", "shared words", readers=frozenset({"boss"})),
            ]
        )
        assert len(await home.texts("shared")) == 1
        assert len(await home.texts("shared", readers=frozenset({"*", "boss"}))) == 2
        await home.store.remove(document("a/x.md")[0].id, ALL)
        assert await home.texts("shared", readers=frozenset({"boss"})) == ["shared words"]

    run(check())


def test_only_one_writer(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        home.store.wait_seconds = 0.1
        with FileLock(tmp_path / "write.lock"), pytest.raises(Busy, match="Another process"):
            await home.store.put([document("a.md", "words")])

    run(check())


def test_another_process_sees_commits(tmp_path: Path) -> None:
    async def check() -> None:
        writer, reader = Home(tmp_path), Home(tmp_path)
        assert await reader.texts("pump") == []
        await writer.store.put([document("a.md", "pump")])
        assert await reader.texts("pump") == ["pump"]
        await writer.store.put([document("a.md", "pump two", version="2")])
        assert await reader.texts("pump") == ["pump two"]

    run(check())


def test_damaged_ledger_says_what_to_do(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "ledger.db").write_bytes(b"this is not a database at all" * 100)
        with pytest.raises(StoreError, match="lyceum restore"):
            await Ledger(tmp_path).documents(ALL)

    run(check())


def test_newer_ledger_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "x")])
        db = sqlite3.connect(tmp_path / "ledger.db")
        db.execute("PRAGMA user_version = 99")
        db.close()
        with pytest.raises(StoreError, match="newer Lyceum"):
            await Ledger(tmp_path).documents(ALL)

    run(check())


def test_unknown_filter(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "words")])
        with pytest.raises(InvalidInput, match="source, type, document"):
            await home.texts("words", filters={"colour": "red"})

    run(check())


def test_codec_returns_what_it_was_given() -> None:
    box: Box = (1.0, 2.0, 3.5, 4.0)
    place = Place(page=2, box=box)
    element = Element(
        doc_id="d", kind="table", text="| a | b |", place=place,
        pieces=(Piece(start=0, end=9, place=place), Piece(start=9, end=9, place=place)),
        table=Table(rows=(("a", "b"),), header=1, places=(place,)),
    )  # fmt: skip
    assert codec.unpack_elements("d", codec.pack_elements([element])) == [element]


def test_ledger_is_private_enough(tmp_path: Path) -> None:
    """secure_delete is on: removed words are not left in the file's free pages."""

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "zanzibarsecret " * 50)])
        await home.store.remove(document("a.md")[0].id, ALL)
        db = sqlite3.connect(tmp_path / "ledger.db")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        assert b"zanzibarsecret" not in (tmp_path / "ledger.db").read_bytes()
        assert stat.S_ISREG((tmp_path / "ledger.db").stat().st_mode)

    run(check())


def test_files_that_a_killed_writer_left_are_no_obstacle(tmp_path: Path) -> None:
    """A kill between writing a deletion file and the commit leaves one whose name the next commit wants."""

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "one word", "two words"), document("b.md", "three words")])
        folder = home.lexical.folder
        segments = {file.name.split(".")[0] for file in folder.glob("*.idx")}
        for segment in segments:
            for stamp in range(200):
                if not list(folder.glob(f"{segment}.{stamp}.del")):
                    (folder / f"{segment}.{stamp}.del").touch()
        await home.store.remove(document("a.md")[0].id, ALL)
        assert await home.texts("words") == ["three words"]
        assert await home.store.behind() == {}

    run(check())
