"""Backup and restore: one file, whole, while others write; views follow the ledger that was put back."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lyceum.app.cli import main
from lyceum.core.errors import LyceumError, StoreError
from lyceum.store import backup, health, jobs
from lyceum.store.schema import MIGRATIONS
from tests.toys import ALL, Home, document, run

TABLES = ("documents", "versions", "chunks", "changes", "vectors", "sqlite_sequence")


def rows(file: Path) -> dict[str, list[tuple[object, ...]]]:
    db = sqlite3.connect(file)
    found = {table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}
    db.close()
    return found


def test_restored_ledger_is_identical_and_views_follow_it(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path / "home")
        await home.store.put([document("a.md", "old words"), document("b.md", "other words")])
        held = backup.backup(home.folder, tmp_path / "copy.db")
        assert held["documents"] == 2
        before = rows(home.folder / "ledger.db")
        assert rows(tmp_path / "copy.db") == before
        await home.store.put([document("a.md", "new words", version="2"), document("c.md", "third words")])
        await home.store.remove(document("b.md")[0].id, ALL)
        server = Home(tmp_path / "home")  # stays open over the restore
        assert sorted(await server.texts("words")) == ["new words", "third words"]
        backup.restore(home.folder, tmp_path / "copy.db")
        assert rows(home.folder / "ledger.db") == before
        assert await server.texts("words") == []  # its views are another ledger's until they have followed
        await server.store.catch_up()
        assert sorted(await server.texts("words")) == ["old words", "other words"]
        # Numbers that the lost future had used come again, for other words.
        await server.store.put([document("d.md", "fourth words")])
        assert sorted(await server.texts("words")) == ["fourth words", "old words", "other words"]
        assert not list(home.folder.glob("*restor*"))

    run(check())


def test_ledger_put_back_by_hand_is_noticed(tmp_path: Path) -> None:
    """A file copied over the ledger has its identity, but the views are ahead of it."""

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "old words")])
        backup.backup(home.folder, tmp_path / "copy.db")
        await home.store.put([document("b.md", "new words")])
        await home.ledger.close()
        for name in ("ledger.db-wal", "ledger.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / "copy.db").replace(tmp_path / "ledger.db")
        again = Home(tmp_path)
        assert set(await again.store.behind()) == {"postings", "vectors-toy-1", "links"}
        await again.store.catch_up()
        assert await again.texts("words") == ["old words"]

    run(check())


def test_views_that_ignore_the_identity_are_wrong(tmp_path: Path) -> None:
    """The control: without it a restored home finds the words of the future that was put away."""

    async def check() -> None:
        home = Home(tmp_path / "home")
        await home.store.put([document("a.md", "old words")])
        backup.backup(home.folder, tmp_path / "copy.db")
        await home.store.put([document("b.md", "zebra words")])
        kept = {file: file.read_bytes() for file in (home.folder / "views").rglob("*") if file.is_file()}
        backup.restore(home.folder, tmp_path / "copy.db")
        for file, content in kept.items():  # as if restore had left them, and
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        again = Home(tmp_path / "home")
        assert set(await again.store.behind()) == {"postings", "vectors-toy-1", "links"}
        again.ledger.identity = lambda: _known(kept)  # type: ignore[method-assign]
        await again.store.put([document("c.md", "quiet words")])
        assert await again.lexical.find(_query("zebra"), 5) != []

    run(check())


async def _known(kept: dict[Path, bytes]) -> str:
    return str(next(json.loads(body)["ledger"] for file, body in kept.items() if file.name == "state.json"))


def _query(text: str):  # type: ignore[no-untyped-def]
    from lyceum.core.types import Query

    return Query(text=text)


def _busy(folder: Path) -> None:
    async def work() -> None:
        home = Home(folder)
        for n in range(14):
            await home.store.put(
                [document(f"d{n % 8}.md", *[f"word{n} part{m}" for m in range(20)], version=str(n))]
            )

    asyncio.run(work())


def test_backup_under_load_is_consistent(tmp_path: Path) -> None:
    async def check() -> None:
        await Home(tmp_path / "home").store.put([document("first.md", "first words")])
        writer = multiprocessing.get_context("spawn").Process(target=_busy, args=(tmp_path / "home",))
        writer.start()
        taken: list[Path] = []
        while writer.is_alive():
            taken.append(tmp_path / f"copy{len(taken)}.db")
            await asyncio.to_thread(backup.backup, tmp_path / "home", taken[-1])
        assert writer.exitcode == 0
        assert len(taken) >= 3
        seen = set()
        for number, file in enumerate(taken[:: max(1, len(taken) // 4)]):
            seen.add(health.facts(file)["sequence"])
            backup.restore(tmp_path / f"home{number}", file)
            home = Home(tmp_path / f"home{number}")
            await home.store.catch_up()
            for one in await home.ledger.documents(ALL):
                texts = [chunk.text for chunk in await home.ledger.chunks(one.id)]
                assert len(texts) == (1 if one.source == "first.md" else 20)
                assert len({text.split()[0] for text in texts}) == 1
            assert await home.texts("first") != []
        assert len(seen) > 1, "the copies are of different moments"

    run(check())


@pytest.mark.parametrize("broken", ["cut", "flipped", "foreign", "newer", "absent"])
def test_a_backup_that_is_none_changes_nothing(tmp_path: Path, broken: str) -> None:
    async def check() -> None:
        home = Home(tmp_path / "home")
        await home.store.put([document(f"a{n}.md", f"words {n} " * 50) for n in range(20)])
        copy = tmp_path / "copy.db"
        backup.backup(home.folder, copy)
        before = rows(home.folder / "ledger.db")
        _spoilt(copy, broken)
        with pytest.raises(LyceumError) as problem:
            backup.restore(home.folder, copy)
        expected = {"foreign": "foreign", "newer": "newer", "absent": "not_found"}.get(broken, "damaged")
        assert problem.value.code == expected
        assert rows(home.folder / "ledger.db") == before
        assert len(await Home(home.folder).texts("words", top_k=50)) == 20

    run(check())


def _spoilt(copy: Path, how: str) -> None:
    if how == "cut":
        copy.write_bytes(copy.read_bytes()[:-4096])
    elif how == "flipped":
        content = bytearray(copy.read_bytes())
        content[9 * 4096 : 9 * 4096 + 40] = b"\xff" * 40
        copy.write_bytes(content)
    elif how == "absent":
        copy.unlink()
    else:
        db = sqlite3.connect(copy)
        db.execute(
            "DROP TABLE changes" if how == "foreign" else f"PRAGMA user_version = {len(MIGRATIONS) + 1}"
        )
        db.commit()
        db.close()


def test_damaged_ledger_is_explained_and_healed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line: ingest, backup, damage, a clear error, doctor, restore, the same answers."""
    monkeypatch.setenv("LYCEUM_MODELS", str(tmp_path / "none"))
    (tmp_path / "file.md").write_text(
        "# Pumps\n\n" + "\n\n".join(f"The pump P{n} costs {n}00 EUR." for n in range(60))
    )
    home = ["--home", str(tmp_path / "home")]
    assert main(["ingest", str(tmp_path / "file.md"), *home]) == 0
    assert main(["backup", str(tmp_path / "copy.db"), *home]) == 0
    assert main(["doctor", *home]) == 0
    ledger = tmp_path / "home" / "ledger.db"
    content = bytearray(ledger.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 64] = b"\xa5" * 64
    ledger.write_bytes(content)
    capsys.readouterr()
    assert main(["search", "pump", *home]) == 1
    said = capsys.readouterr().err
    assert said.startswith("lyceum: damaged: ")
    assert "lyceum restore FILE" in said
    assert main(["doctor", *home]) == 1
    assert "fail ledger" in capsys.readouterr().out
    assert main(["restore", str(tmp_path / "copy.db"), *home]) == 0
    assert main(["doctor", *home]) == 0
    capsys.readouterr()
    assert main(["search", "pump P7", "--json", *home]) == 0
    assert "The pump P7 costs 700 EUR" in capsys.readouterr().out


@pytest.mark.parametrize("call", ["link", "rename", "replace", "rmtree"])
def test_restore_that_is_killed_leaves_a_ledger(tmp_path: Path, call: str) -> None:
    """Killed at each step of the exchange: the home opens, with the old documents or with the restored ones."""

    async def check() -> None:
        home = Home(tmp_path / "home")
        await home.store.put([document("a.md", "old words")])
        backup.backup(home.folder, tmp_path / "copy.db")
        await home.store.put([document("a.md", "new words", version="2")])
        await home.ledger.sequence()
        place = {"link": "os", "rename": "Path", "replace": "Path", "rmtree": "shutil"}[call]
        code = (
            "import os, shutil, sys\nfrom pathlib import Path\nfrom lyceum.store import backup\n"
            f"def die(*a, **k): os.kill(os.getpid(), 9)\n{place}.{call} = die\n"
            f"backup.restore(Path({str(home.folder)!r}), Path({str(tmp_path / 'copy.db')!r}))"
        )
        done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=False)
        assert done.returncode in (-9, 0)
        again = Home(home.folder)
        await again.store.catch_up()
        assert await again.texts("words") == (["old words"] if done.returncode == 0 else ["new words"])
        backup.restore(home.folder, tmp_path / "copy.db")
        await again.store.catch_up()
        assert await again.texts("words") == ["old words"]

    run(check())


def test_a_ledger_that_was_killed_before_its_first_tables_is_empty(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "ledger.db").touch()
        home = Home(tmp_path)
        assert await home.store.behind() == {}
        assert await home.ledger.documents(frozenset({"*"})) == []
        await home.store.put([document("a.md", "first words")])
        assert await home.texts("words") == ["first words"]

    run(check())


def test_upgrade_from_the_first_tables(tmp_path: Path) -> None:
    """A ledger written before identities: it is read, and takes one with the first write."""

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "old words")])
        await home.ledger.close()
        db = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        db.execute("DROP TABLE identity")
        db.execute("DROP TABLE jobs")
        db.execute("PRAGMA user_version = 1")
        db.close()
        again = Home(tmp_path)
        assert await again.ledger.identity() == ""
        assert await jobs.unfinished(again.ledger) == set(), "a table of a later release holds nothing yet"
        await again.store.put([document("b.md", "new words")])
        assert len(await again.ledger.identity()) == 16
        assert sorted(await again.texts("words")) == ["new words", "old words"]

    run(check())


def test_backup_needs_a_ledger_and_another_name(tmp_path: Path) -> None:
    with pytest.raises(LyceumError, match="no ledger"):
        backup.backup(tmp_path, tmp_path / "copy.db")
    run(Home(tmp_path).store.put([document("a.md", "words")]))
    with pytest.raises(LyceumError, match="cannot be the backup"):
        backup.backup(tmp_path, tmp_path / "ledger.db")
    with pytest.raises(StoreError):
        backup.backup(tmp_path, Path("/proc/copy.db"))
