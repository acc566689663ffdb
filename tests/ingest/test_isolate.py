"""The parsing process: how it dies, what its file is told, and that the next file is read all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
from reportlab.pdfgen import canvas

from lyceum.core.errors import LyceumError, ParseError
from lyceum.core.types import Document
from lyceum.ingest.isolate import Isolated, Parsed
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
                assert reader._worker is not None
                os.kill(reader._worker.pid, signal.SIGKILL)
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
            worker = reader._worker
            assert worker is not None
            os.kill(worker.pid, signal.SIGKILL)
            await worker.wait()
            assert (await read(reader, good)).elements[0].text == GOOD
            assert reader._worker is not worker
        finally:
            await reader.close()

    run(asyncio.wait_for(work(), PATIENCE))


def test_a_reader_that_was_closed_in_the_middle_leaves_no_process(slow: Path) -> None:
    async def work() -> int:
        reader = Isolated()
        reading = asyncio.create_task(read(reader, slow))
        await asyncio.wait({reading}, timeout=0.3)
        assert reader._worker is not None
        pid = reader._worker.pid
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert reader._worker is None
        return pid

    pid = run(asyncio.wait_for(work(), PATIENCE))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
