"""Full, read-only and failing disks, locks, damage, killed processes: said clearly, nothing lost, usable afterwards.

Disks are small tmpfs mounts in a mount namespace of their own, entered by a child process (`unshare -m`).
"""

from __future__ import annotations

import asyncio
import errno
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from lyceum.core.disk import on_disk
from lyceum.core.errors import Busy, LyceumError, StoreError
from lyceum.core.types import Query
from lyceum.store import health
from lyceum.store.ledger import Ledger
from tests.toys import ALL, Home, document, run

ROOT = Path(__file__).parents[2]
TRIED = subprocess.run(
    ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True
) if shutil.which("unshare") else None  # fmt: skip
mounts = pytest.mark.skipif(
    TRIED is None or TRIED.returncode != 0, reason="no mount namespace: needs root and `unshare -m`"
)


def on_tmpfs(tmp_path: Path, body: str, size: str = "64m") -> str:
    """Run code with `folder` on a tmpfs of a size; return what it printed. `remount(options)` changes it."""
    script = tmp_path / "inside.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import asyncio, os, subprocess, sys
            sys.path[:0] = [{str(ROOT)!r}]
            from pathlib import Path
            from lyceum.core.errors import StoreError, LyceumError
            from lyceum.core.types import Query
            from tests.toys import ALL, Home, document, run

            folder = Path({str(tmp_path)!r}) / "disk"
            folder.mkdir(exist_ok=True)

            def remount(options):
                subprocess.run(["mount", "-o", "remount," + options, str(folder)], check=True)

            subprocess.run(["mount", "-t", "tmpfs", "-o", "size={size}", "tmpfs", str(folder)], check=True)
            """
        )
        + textwrap.dedent(body)
    )
    done = subprocess.run(
        ["unshare", "-m", sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


# --- disks --------------------------------------------------------------------------------------------------

FULL = """
async def check():
    home = Home(folder / "home")
    await home.store.put([document("a.md", "first words")])
    confirmed, refusals = ["first words"], []
    ballast = folder / "ballast"
    for step in range(90):
        free = os.statvfs(folder)
        left = free.f_bavail * free.f_frsize - step * 4096
        with ballast.open("wb") as file:
            try:
                file.write(bytes(max(left, 0)))
            except OSError:
                pass
        try:
            await home.store.put([document(f"b{step}.md", f"word{step} " + "filler " * 900)])
            confirmed.append(f"word{step}")
            if len(confirmed) > 3:
                break
        except StoreError as problem:
            refusals.append(problem.code)
        finally:
            ballast.unlink()
    assert len(refusals) >= 5 and set(refusals) == {"disk_full"}, refusals
    home = Home(folder / "home")
    await home.store.catch_up()
    shown = await home.ledger.documents(ALL)
    assert len(shown) == len(confirmed), (len(shown), confirmed)
    for word in confirmed:
        found = await home.texts(word)
        assert any(word in text for text in found), word
    await home.store.put([document("after.md", "afterwards fine")])
    assert "afterwards fine" in await home.texts("afterwards")
    print(len(refusals))

run(check())
"""


@mounts
def test_full_disk_at_any_write(tmp_path: Path) -> None:
    assert int(on_tmpfs(tmp_path, FULL, "16m")) >= 5


@mounts
def test_full_disk_control(tmp_path: Path) -> None:
    """A store that swallows the refusal and calls the document confirmed is caught by the same check."""
    swallowing = """
    import tests.toys
    class Careless(tests.toys.Home):
        def __init__(self, folder):
            super().__init__(folder)
            put = self.store.put
            async def swallow(batch):
                try:
                    await put(batch)
                except StoreError:
                    pass
            self.store.put = swallow
    Home = Careless
    """
    with pytest.raises(AssertionError):
        on_tmpfs(tmp_path, textwrap.dedent(swallowing) + FULL, "16m")


@mounts
def test_full_disk_answers_and_keeps_quiet_about_traces(tmp_path: Path) -> None:
    body = """
    from lyceum.observe.spans import Spans
    from lyceum.core.types import Span
    async def check():
        home = Home(folder / "home")
        await home.store.put([document("a.md", "first words")])
        spans = Spans(folder / "home")
        try:
            (folder / "ballast").write_bytes(bytes(64 << 20))
        except OSError:
            pass
        spans(Span(name="ask", id="1", trace_id="1", parent=None, start=0.0, seconds=0.0, facts={}))
        home = Home(folder / "home")
        await home.store.catch_up()
        assert await home.texts("words") == ["first words"]
        import io
        from lyceum.app.jobs import _spool
        try:
            _spool(io.BytesIO(b"x" * 1000000), folder / "home" / "spool" / "one" / "upload")
            print("no refusal")
        except StoreError as problem:
            print(problem.code)
    run(check())
    """
    assert on_tmpfs(tmp_path, body).split() == ["disk_full"]


READ_ONLY = """
async def killed():
    home = Home(folder / "home")
    await home.store.put([document("a.md", "first words")])
    if WAL:
        await home.ledger.sequence()  # a reader keeps the log from being folded in
        await home.store.put([document("b.md", "second words")])
        assert (folder / "home" / "ledger.db-wal").stat().st_size
    else:
        await home.ledger.close()

if os.fork() == 0:
    run(killed())
    os._exit(0)
os.wait()

async def check():
    remount("ro")
    again = Home(folder / "home")
    await again.store.catch_up()
    found = await again.texts("words")
    assert len(found) == len(await again.lexical.find(Query(text="words", readers=ALL), 5))
    codes = []
    for work in (again.store.put([document("c.md", "x")]), again.store.versions()):
        try:
            await work
        except StoreError as problem:
            codes.append(problem.code)
    print(len(found), *codes)
run(check())
"""


@mounts
@pytest.mark.parametrize("log", [False, True], ids=["settled", "with-log"])
def test_read_only_home_answers_and_says_why_it_takes_nothing(tmp_path: Path, log: bool) -> None:
    said = on_tmpfs(tmp_path, f"WAL = {log}\n" + READ_ONLY)
    assert said.split() == ["2" if log else "1", "read_only", "read_only"]


@mounts
def test_read_only_home_from_the_command_line(tmp_path: Path) -> None:
    body = """
    from lyceum.app.cli import main
    os.environ["LYCEUM_MODELS"] = str(folder / "none")
    (folder / "file.md").write_text("# Pumps\\n\\nThe pump P1 costs 100 EUR.")
    home = ["--home", str(folder / "home")]
    assert main(["ingest", str(folder / "file.md"), *home]) == 0
    remount("ro")
    print(main(["search", "pump", *home]), main(["ingest", str(folder / "file.md"), *home]), main(["doctor", *home]))
    """
    said = on_tmpfs(tmp_path, body)
    assert "P1 costs 100 EUR" in said
    assert "is read-only: asking works" in said
    assert said.split("\n")[-2] == "0 1 0"


def test_what_the_system_refuses_has_a_code() -> None:
    for number, code in (
        (errno.ENOSPC, "disk_full"), (errno.EROFS, "read_only"), (errno.EACCES, "read_only"), (errno.EIO, "disk_io"),
    ):  # fmt: skip
        with pytest.raises(StoreError) as refusal, on_disk("here"):
            raise OSError(number, os.strerror(number))
        assert refusal.value.code == code
        assert refusal.value.hint


# --- locks --------------------------------------------------------------------------------------------------


def test_ledger_held_by_another_program(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "words")])
        home.ledger.wait_seconds = 0.1
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="Another program holds"):
            await home.store.put([document("b.md", "more words")])
        assert await home.texts("words") == ["words"], "reading goes on"
        other.execute("ROLLBACK")
        other.close()
        await home.store.put([document("b.md", "more words")])
        assert len(await home.texts("words")) == 2

    run(check())


def test_two_processes_take_turns_and_both_answer(tmp_path: Path) -> None:
    """Two servers on one home: every write arrives once, and each sees the other's."""

    async def check() -> None:
        names = ("x", "y")
        others = [
            multiprocessing.get_context("spawn").Process(target=_writer, args=(tmp_path, n)) for n in names
        ]
        for other in others:
            other.start()
        home, failures = Home(tmp_path), 0
        while any(other.is_alive() for other in others):
            for text in await home.texts("shared"):
                failures += "shared" not in text
            await asyncio.sleep(0.02)
        assert [other.exitcode for other in others] == [0, 0]
        assert failures == 0
        assert len(await home.ledger.documents(ALL)) == 8
        assert len(await home.texts("shared", top_k=50)) == 8
        assert await home.store.behind() == {}

    run(check())


def _writer(folder: Path, name: str) -> None:
    async def work() -> None:
        home = Home(folder)
        for n in range(4):
            await home.store.put([document(f"{name}{n}.md", f"shared {name}{n}")])

    asyncio.run(work())


def test_write_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from filelock import FileLock; "
        f"lock = FileLock({str(tmp_path / 'write.lock')!r}); lock.acquire(); "
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        home = Home(tmp_path)
        home.store.wait_seconds = 0.1
        with pytest.raises(Busy):
            run(home.store.put([document("a.md", "words")]))
        holder.send_signal(signal.SIGKILL)
    run(home.store.put([document("a.md", "words")]))
    assert run(home.texts("words")) == ["words"]


# --- damage -------------------------------------------------------------------------------------------------


async def filled(folder: Path) -> Home:
    home = Home(folder)
    await home.store.put(
        [document(f"d{n}.md", *[f"word{n} part{m} pump" for m in range(30)]) for n in range(12)]
    )
    await home.ledger.close()
    db = sqlite3.connect(folder / "ledger.db")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return home


def flipped(file: Path, start: int, length: int) -> None:
    content = bytearray(file.read_bytes())
    content[start : start + length] = bytes(byte ^ 0xFF for byte in content[start : start + length])
    file.write_bytes(content)


def test_every_flipped_page_of_the_ledger_is_found(tmp_path: Path) -> None:
    run(filled(tmp_path / "home"))
    whole = (tmp_path / "home" / "ledger.db").read_bytes()
    assert health.faults(tmp_path / "home" / "ledger.db") == []
    unseen = 0
    for page in range(0, len(whole), 4096):
        if page and whole[page] in (10, 13) and whole[page + 3 : page + 5] == b"\0\0":
            continue  # the leaf of an empty table holds nothing that could be lost
        copy = tmp_path / "copy.db"
        copy.write_bytes(whole)
        flipped(copy, page + 8, 4080)
        try:
            found = health.faults(copy)
        except StoreError as problem:
            found = [problem.code]
        unseen += not found
    assert unseen == 0


@pytest.mark.parametrize("what", ["word", "elements"])
def test_a_flip_that_sqlite_cannot_see_is_found(tmp_path: Path, what: str) -> None:
    run(filled(tmp_path))
    db = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    if what == "word":
        db.execute("UPDATE chunks SET text = 'worb3 part1 pump' WHERE text = 'word3 part1 pump'")
    else:
        db.execute("UPDATE versions SET elements = x'00' || substr(elements, 2) WHERE key = 3")
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    db.close()
    assert len(health.faults(tmp_path / "ledger.db")) == 1
    if what == "elements":
        with pytest.raises(StoreError) as damaged:
            run(Ledger(tmp_path).elements(run(_third(tmp_path))))
        assert damaged.value.code == "damaged"


async def _third(folder: Path) -> str:
    ledger = Ledger(folder)
    rows = ledger._rows(
        "SELECT d.id FROM versions v JOIN documents d ON d.key = v.document WHERE v.key = 3", []
    )
    await ledger.close()
    return str(rows[0][0])


VIEW_DAMAGE: dict[str, Callable[[Path], object]] = {
    "deleted": lambda file: file.unlink(),
    "flipped": lambda file: flipped(file, file.stat().st_size // 2, 1),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-3]),
}


@pytest.mark.parametrize("damage", VIEW_DAMAGE)
@pytest.mark.parametrize("name", ["lexical", "dense"])
def test_every_damaged_file_of_a_view_is_rebuilt_on_open(tmp_path: Path, name: str, damage: str) -> None:
    async def check() -> None:
        home = await filled(tmp_path / "home")
        before = await getattr(home, name).find(Query(text="word3 part1"), 5)
        folder = getattr(home, name).folder.relative_to(tmp_path / "home")
        files = [file.name for file in (tmp_path / "home" / folder).iterdir() if file.stat().st_size]
        assert len(files) >= 3
        for file in files:
            copy = tmp_path / file
            shutil.copytree(tmp_path / "home", copy)
            VIEW_DAMAGE[damage](copy / folder / file)
            again = Home(copy)
            if file == "state.json":
                assert await again.store.position(getattr(again, name)) in (0, 360)
            else:
                assert await again.store.position(getattr(again, name)) == 0, file
            await again.store.catch_up()
            found = await getattr(again, name).find(Query(text="word3 part1"), 5)
            assert [number for number, _ in found] == [number for number, _ in before], file
            assert await again.store.behind() == {}

    run(check())


def test_copied_views_are_believed(tmp_path: Path) -> None:
    """The control: other times of files alone are no damage."""

    async def check() -> None:
        home = await filled(tmp_path / "home")
        _dated(home.folder, 1)
        again = Home(home.folder)
        assert await again.store.behind() == {}

    run(check())


def test_bytes_that_rot_silently_are_found_when_hit(tmp_path: Path) -> None:
    """Equal size and time: believed on open, found by `check`, and rebuilt once a question has met it."""

    async def check() -> None:
        home = await filled(tmp_path)
        file = next(home.dense.folder.glob("*.rows"))
        looks = file.stat()
        file.write_bytes(b"\xff" * looks.st_size)
        os.utime(file, ns=(looks.st_atime_ns, looks.st_mtime_ns))
        again = Home(tmp_path)
        assert await again.store.behind() == {}
        assert (await again.dense.check())[1] == [file.name]
        assert await again.dense.find(Query(text="word3"), 5) == []
        await again.store.catch_up()
        assert len(await again.dense.find(Query(text="word3"), 5)) == 5

    run(check())


# --- processes and clocks -----------------------------------------------------------------------------------


def test_failed_sync_is_not_tried_again_on_the_same_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every transaction has a connection of its own, and after a failure the log is written anew first."""

    async def check() -> None:
        home = Home(tmp_path)
        opened: list[sqlite3.Connection] = []
        connect = home.ledger._connect
        monkeypatch.setattr(
            home.ledger, "_connect", lambda *, writing: opened.append(db := connect(writing=writing)) or db
        )
        await home.store.put([document("a.md", "words")])
        await home.ledger.sequence()
        with pytest.raises(StoreError) as failure:
            await home.ledger.write(_fails)
        assert failure.value.code == "disk_io"
        log = tmp_path / "ledger.db-wal"
        before = log.stat().st_mtime_ns
        synced: list[int] = []
        fsync = os.fsync
        monkeypatch.setattr(
            os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino) or fsync(handle)
        )
        await home.store.put([document("b.md", "more words")])
        assert log.stat().st_ino in synced
        assert log.stat().st_mtime_ns > before
        assert len({id(db) for db in opened}) == len(opened)
        for db in opened[:-1]:
            with pytest.raises(sqlite3.ProgrammingError):
                db.execute("SELECT 1")
            break
        assert len(await home.texts("words")) == 2

    run(check())


def _fails(db: sqlite3.Connection) -> None:
    raise OSError(errno.EIO, "Input/output error")


def _dated(folder: Path, seconds: int) -> None:
    for file in folder.rglob("*"):
        os.utime(file, (seconds, seconds))


class LyingClock:
    """A clock that runs backwards an hour a call."""

    def __init__(self) -> None:
        self.now = 2e9

    def __call__(self) -> float:
        self.now -= 3600
        return self.now


def test_clock_set_back_changes_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "old words")])
        monkeypatch.setattr(time, "time", LyingClock())
        for version in range(2, 5):
            await home.store.put([document("a.md", f"words {version}", version=str(version))])
            _dated(tmp_path, 10_000_000 - version)
            assert await home.texts("words") == [f"words {version}"]
            assert await Home(tmp_path).texts("words") == [f"words {version}"]
        changes = await home.ledger.changes(0, 100)
        assert [change.sequence for change in changes] == sorted(change.sequence for change in changes)

    run(check())


def test_killed_encoder_process_leaves_a_usable_home(tmp_path: Path) -> None:
    """The process dies while it encodes: the document was not confirmed, and comes with the next attempt."""
    code = textwrap.dedent(
        f"""
        import os, sys
        sys.path[:0] = [{str(ROOT)!r}]
        from tests.toys import Home, ToyEncoder, document, run
        class Dying(ToyEncoder):
            async def __call__(self, texts):
                os.kill(os.getpid(), 9)
        run(Home(__import__("pathlib").Path({str(tmp_path)!r}), Dying()).store.put([document("a.md", "words")]))
        """
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    home = Home(tmp_path)
    run(home.store.catch_up())
    assert run(home.texts("words")) == []
    run(home.store.put([document("a.md", "words")]))
    assert run(home.texts("words")) == ["words"]
    assert run(home.ledger.counts(ALL)) == {"documents": 1, "chunks": 1}


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_encoder_file_missing_or_damaged(tmp_path: Path, damage: str) -> None:
    from lyceum.models.minilm import FOLDER, MiniLM

    folder = tmp_path / FOLDER
    folder.mkdir()
    if damage == "damaged":
        (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
        (folder / "model.onnx").write_bytes(b"\x00" * 100)
        (folder / "card.json").write_text(json.dumps({"files": {"model.onnx": "0", "tokenizer.json": "0"}}))
    with pytest.raises(LyceumError) as problem:
        MiniLM(folder).encode(["words"])
    assert problem.value.code == "model"
    assert "lyceum models add minilm" in problem.value.hint


def test_lock_is_taken_before_anything_is_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    run(home.store.put([document("a.md", "words")]))
    home.store.wait_seconds = 0.1
    with FileLock(tmp_path / "write.lock"), pytest.raises(Busy):
        run(home.store.versions())


def test_ledger_killed_before_it_was_in_wal_mode_is_read(tmp_path: Path) -> None:
    young = tmp_path / "young" / "ledger.db"
    young.parent.mkdir()
    db = sqlite3.connect(young, isolation_level=None)
    db.execute("CREATE TABLE filler (x)")
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO filler VALUES (?)", [("x" * 3000,)] * 200)  # the cache is full: it is on disk
    home = tmp_path / "home"
    shutil.copytree(young.parent, home)  # as a kill would leave it, with a journal to be rolled back
    db.close()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):  # the control: who only reads cannot
        sqlite3.connect(f"file:{home}/ledger.db?mode=ro", uri=True).execute("SELECT * FROM filler")
    assert run(Ledger(home).documents(ALL)) == []
    run(Home(home).store.put([document("a")]))
    assert [one.source for one in run(Ledger(home).documents(ALL))] == ["a"]
