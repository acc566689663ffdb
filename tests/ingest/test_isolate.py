"""The parsing process: how it dies, what its file is told, and that the next file is read all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
from reportlab.pdfgen import canvas

from lyceum.app.session import opened
from lyceum.app.settings import load
from lyceum.core.errors import LyceumError, ParseError
from lyceum.core.types import Document
from lyceum.ingest import process
from lyceum.ingest.isolate import Isolated, Parsed
from lyceum.ingest.pipeline import Job
from tests.toys import run

PATIENCE = 60.0
GOOD = "The anchor weighs 40 kg."


async def read(reader: Isolated, path: Path) -> Parsed:
    return await reader(path, path.name, Document(id="d", source=path.name, version="1"))


def failed_then_good(reader: Isolated, path: Path, *, kill: bool = False) -> LyceumError:
    """Return how a file failed, after a look whether the same reader reads the next one."""
    good = path.with_name("good.txt")
    good.write_text(GOOD)

    async def work() -> LyceumError:
        try:
            reading = asyncio.create_task(read(reader, path))
            if kill:
                done, _ = await asyncio.wait({reading}, timeout=0.3)
                assert not done
                assert reader._all[-1]._process is not None
                os.kill(reader._all[-1]._process.pid, signal.SIGKILL)
            with pytest.raises(ParseError) as problem:
                await reading
            assert (await read(reader, good)).elements[0].text == GOOD
            return problem.value
        finally:
            await reader.close()

    return run(asyncio.wait_for(work(), PATIENCE))


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose parsing takes many seconds."""
    path = tmp_path_factory.mktemp("slow") / "slow.md"
    path.write_text("# Title\n\nSome *words* here.\n\n" * 100_000)
    return path


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    made = BytesIO()
    page = canvas.Canvas(made)
    page.drawString(72, 700, GOOD)
    page.save()
    (tmp_path / "report.txt").write_bytes(made.getvalue())

    async def work() -> Parsed:
        reader = Isolated()
        try:
            return await read(reader, tmp_path / "report.txt")
        finally:
            await reader.close()

    found = run(work())
    assert (found.media, found.pages, found.elements[0].place.page) == ("pdf", 1, 1)
    assert [element.text for element in found.elements] == [GOOD]


def test_a_killed_worker_is_a_crash(slow: Path) -> None:
    problem = failed_then_good(Isolated(), slow, kill=True)
    assert problem.code == "crash"
    assert "slow.md" in problem.message
    assert problem.hint


@pytest.mark.parametrize(("key", "value"), [("wall_seconds", 0.5), ("cpu_seconds", 1)])
def test_too_slow_by_the_clock_or_by_cpu(slow: Path, key: str, value: float) -> None:
    problem = failed_then_good(Isolated(**{key: value}), slow)  # type: ignore[arg-type]
    assert problem.code == "time"
    assert f"reader.{key}" in problem.hint


@pytest.mark.parametrize(
    ("name", "text", "times"),
    [("wide.txt", "word ", 6_000_000), ("wide.html", "<p>word <b>x</b></p>", 200_000)],
)
def test_too_much_memory(tmp_path: Path, name: str, text: str, times: int) -> None:
    (tmp_path / name).write_text(text * times)
    problem = failed_then_good(Isolated(memory_mb=128), tmp_path / name)
    assert problem.code == "limit", problem
    assert "reader.memory_mb" in problem.hint


@pytest.mark.parametrize("memory", [128, 144, 160, 176])
def test_a_worker_that_ran_out_of_memory_reads_no_more(tmp_path: Path, memory: int) -> None:
    """Where exactly it runs out depends on the machine; the next file is read whatever became of this one."""
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in range(20_000):
        book.active.append([f"anchor {row}", row, f"chain {row}"])
    book.save(tmp_path / "wide.xlsx")
    (tmp_path / "good.txt").write_text(GOOD)

    async def work() -> str:
        reader = Isolated(memory_mb=memory)
        try:
            with contextlib.suppress(ParseError):
                await read(reader, tmp_path / "wide.xlsx")
            return (await read(reader, tmp_path / "good.txt")).elements[0].text
        finally:
            await reader.close()

    assert run(asyncio.wait_for(work(), PATIENCE)) == GOOD


def test_a_file_over_the_size_limit(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_text("word " * 400_000)
    problem = failed_then_good(Isolated(max_mb=1), tmp_path / "large.txt")
    assert problem.code == "limit"
    assert "reader.max_mb" in problem.hint


def test_a_worker_that_died_between_two_files_is_replaced(tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text(GOOD)

    async def work() -> None:
        reader = Isolated()
        try:
            await read(reader, good)
            worker = reader._all[-1]._process
            assert worker is not None
            os.kill(worker.pid, signal.SIGKILL)
            await worker.wait()
            assert (await read(reader, good)).elements[0].text == GOOD
            assert reader._all[-1]._process is not worker
        finally:
            await reader.close()

    run(asyncio.wait_for(work(), PATIENCE))


def test_a_reader_that_was_closed_in_the_middle_leaves_no_process(slow: Path) -> None:
    async def work() -> int:
        reader = Isolated()
        reading = asyncio.create_task(read(reader, slow))
        await asyncio.wait({reading}, timeout=0.3)
        assert reader._all[-1]._process is not None
        pid = reader._all[-1]._process.pid
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert reader._all[-1]._process is None
        return pid

    pid = run(asyncio.wait_for(work(), PATIENCE))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose text files say how their parser misbehaves."""
    monkeypatch.setattr(process, "WORKER", "tests.ingest.strange")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def told(folder: Path, text: str, **limits: float) -> Parsed | ParseError:
    """Return what became of one file that asks for trouble."""
    (folder / "strange.txt").write_text(text)

    async def work() -> Parsed | ParseError:
        reader = Isolated(**limits)  # type: ignore[arg-type]
        try:
            return await read(reader, folder / "strange.txt")
        except ParseError as problem:
            return problem
        finally:
            await reader.close()

    return run(asyncio.wait_for(work(), PATIENCE))


LATE = {
    "sleep": ("time", {"wall_seconds": 1.0}), "spin": ("time", {"cpu_seconds": 1}), "die": ("crash", {}),
    "allocate": ("limit", {"memory_mb": 256}), "fail": ("corrupt", {}),
}  # fmt: skip


@pytest.mark.parametrize("action", LATE)
def test_a_late_failure_keeps_the_pages_before_it(tmp_path: Path, strange: None, action: str) -> None:
    code, limits = LATE[action]
    found = told(tmp_path, f"{action} 2", **limits)
    assert isinstance(found, Parsed), found
    assert ([one.text for one in found.elements], found.incomplete) == (["Page 1.", "Page 2."], True)
    assert f"2 pages ({code})" in found.warnings[0]
    failed = told(tmp_path, f"{action} 0", **limits)
    assert isinstance(failed, ParseError)
    assert failed.code == code


def test_pages_without_end_are_cut(tmp_path: Path, strange: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("PAGES", 5), ("OUTPUT", 5_000)):
        with monkeypatch.context() as patch:
            patch.setattr(process, name, most)
            found = told(tmp_path, "chatter 0")
        assert isinstance(found, Parsed)
        assert (found.incomplete, 3 < found.pages < 9) == (True, True)
        assert "(limit)" in found.warnings[0]


def test_every_page_allows_a_little_more_time(tmp_path: Path, strange: None) -> None:
    found = told(tmp_path, "work 0", cpu_seconds=1)
    assert isinstance(found, Parsed)
    assert (found.incomplete, found.pages) == (False, 10)


def test_a_worker_has_its_own_folder_few_rights_and_no_network(
    tmp_path: Path, strange: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("LANG", str(server.getsockname()[1]))  # one of the few variables it is given
        found = told(tmp_path, "look 0")
    assert isinstance(found, Parsed), found
    folder, temporary, network, *limits = found.elements[0].text.split()
    assert folder == temporary
    assert not Path(folder).exists()
    assert limits == ["64", "0", str(1 << 20)]
    allowed = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True, check=False)
    assert network == "none" or allowed.returncode != 0


def test_what_a_parser_started_ends_with_it(tmp_path: Path, strange: None) -> None:
    found = told(tmp_path, "fork 0", wall_seconds=1.0)
    assert isinstance(found, Parsed)
    state = Path(f"/proc/{found.elements[0].text}/stat")
    assert not state.exists() or state.read_text().split()[2] in "ZX"


def test_a_partly_read_file_is_tried_again_only_when_told_or_with_other_limits(
    tmp_path: Path, strange: None
) -> None:
    (tmp_path / "slow.txt").write_text("sleep 2")

    async def ingest(wall: str, *, again: bool = False) -> tuple[str, bool]:
        values = {"LYCEUM_ENCODER__KIND": "none", "LYCEUM_READER__WALL_SECONDS": wall}
        job = Job(path=tmp_path / "slow.txt", source="slow.txt", name="slow.txt", again=again)
        async with opened(load(str(tmp_path / "home"), values)) as platform:
            (outcome,) = await platform.ingest([job])
            (document,) = await platform.store.ledger.documents(frozenset({"*"}))
            assert len(await platform.store.ledger.chunks(document.id)) == 1
        return outcome.status, document.meta.get("incomplete", False)

    assert run(ingest("1.0")) == ("added", True)
    assert run(ingest("1.0")) == ("unchanged", True)
    assert run(ingest("1.0", again=True)) == ("updated", True)
    assert run(ingest("1.1")) == ("updated", True)
