"""Files made to harm a parser and files damaged at random: each must end in time with a code, and leave nothing.

Two workers with small limits read the hostile set of the shared documents and `--files` mutations of real ones.
Each worker's memory, processor and wall time are watched from outside. A control runs parsers that sleep, spin,
allocate, fork and die: they must be stopped with the right code; and the watch itself is tried against limits
smaller than those in force, which it must find exceeded.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import os
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
from common import Figure

from lyceum.core.errors import ParseError
from lyceum.core.types import Document
from lyceum.ingest import process
from lyceum.ingest.isolate import Isolated
from lyceum.ingest.worker import PAGE_SECONDS
from tests.ingest.mutated import corpus, mutations

TICK = os.sysconf("SC_CLK_TCK")
HEAVY = ("big1000.pdf", "truncated.pdf", "noxref.pdf", "flatebomb.pdf")  # left to the long form
CODES = {"read", "part", "password", "corrupt", "limit", "time", "empty", "unsupported", "mismatch", "crash"}
CONTROLS = {"sleep": "time", "spin": "time", "allocate": "limit", "fork": "time", "die": "crash"}


@dataclass(frozen=True)
class Limits:
    """What a worker may use for one file."""

    memory_mb: int
    cpu_seconds: int
    wall_seconds: float


@dataclass
class Used:
    """What a worker was seen to use."""

    memory_mb: float = 0.0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    pages: int = 0

    def over(self, limits: Limits) -> str:
        """Name the limit that was exceeded by more than a tenth; the kernel counts whole seconds."""
        cpu = limits.cpu_seconds + PAGE_SECONDS * self.pages
        pairs = (("memory", self.memory_mb, limits.memory_mb), ("cpu", self.cpu_seconds, cpu + 1),
                 ("wall", self.wall_seconds, limits.wall_seconds))  # fmt: skip
        return next((name for name, used, most in pairs if used > 1.1 * most), "")


@dataclass
class Bench:
    """What happened in all files."""

    codes: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)
    most: Used = field(default_factory=Used)
    sessions: set[int] = field(default_factory=set)
    lag: float = 0.0


class Watched(process.Worker):
    """A parsing process that is watched while it works on a file; `wall_seconds` is the longest wait for a page."""

    def __init__(self, limits: Limits, sessions: set[int]) -> None:
        super().__init__(limits.memory_mb, limits.cpu_seconds, limits.wall_seconds)
        self.sessions, self.used = sessions, Used()

    async def run(self, job: dict[str, Any], pages: list[dict[str, Any]], tell: process.Tell) -> None:
        self.used = Used()
        worker = await self._ready()
        self._served -= 1  # running makes it ready once more
        self.sessions.add(worker.pid)
        watching = asyncio.create_task(self._watch(worker.pid))
        last = time.perf_counter()

        def heard(read: int, total: int) -> None:
            nonlocal last
            now = time.perf_counter()
            self.used.wall_seconds, last = max(self.used.wall_seconds, now - last), now
            tell(read, total)

        try:
            await super().run(job, pages, heard)
        finally:
            heard(len(pages), 0)
            self.used.pages = len(pages)
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, pid: int) -> None:
        before = _cpu(pid)
        while True:
            self.used.cpu_seconds = max(self.used.cpu_seconds, _cpu(pid) - before)
            self.used.memory_mb = max(self.used.memory_mb, _peak_mb(pid))
            await asyncio.sleep(0.02)


def watched(limits: Limits, sessions: set[int]) -> tuple[Isolated, Watched]:
    """Return a reader with one process, and that process."""
    reader = Isolated(limits.memory_mb, limits.cpu_seconds, limits.wall_seconds, workers=1)
    one = Watched(limits, sessions)
    reader._idle.get_nowait()
    reader._all = [one]
    reader._idle.put_nowait(one)
    return reader, one


def _cpu(pid: int) -> float:
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(parts[11]) + int(parts[12])) / TICK


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmPeak")), 0.0)


async def outcome(reader: Isolated, one: Watched, path: Path, name: str, limits: Limits) -> tuple[str, str]:
    """Return the code of one file and what was wrong about it, empty when nothing was."""
    reading = asyncio.create_task(reader(path, name, Document(id="d", source=name, version="1")))
    # A page may take wall_seconds, a document of many pages longer: on a busy machine it does.
    await asyncio.wait({reading}, timeout=process.PATIENCE * limits.wall_seconds * 1.1)
    if not reading.done():
        reading.cancel()
        return "hang", f"{name}: the parent waited for ever"
    problem = reading.exception()
    if problem is None:
        code = "part" if reading.result().incomplete else "read"
    elif isinstance(problem, ParseError):
        code = problem.code
    else:
        return "broken", f"{name}: {problem!r}"
    over = one.used.over(limits)
    if code not in CODES:
        return code, f"{name}: unknown code {code}"
    return code, f"{name}: {over} exceeded, {one.used}" if over else ""


async def work(files: list[tuple[str, bytes]], limits: Limits, folder: Path, bench: Bench) -> None:
    """Read all files with two workers."""
    waiting = iter(files)

    async def serve(number: int) -> None:
        reader, watch = watched(limits, bench.sessions)
        path = folder / f"{number}.dat"
        try:
            for name, data in waiting:
                await asyncio.to_thread(path.write_bytes, data)
                watch.used = Used()
                code, fault = await outcome(reader, watch, path, name, limits)
                bench.codes[code] += 1
                bench.faults += [fault] if fault else []
                for one in ("memory_mb", "cpu_seconds", "wall_seconds"):
                    setattr(bench.most, one, max(getattr(bench.most, one), getattr(watch.used, one)))
        finally:
            await reader.close()

    await asyncio.gather(serve(1), serve(2))


async def controls(folder: Path, bench: Bench) -> tuple[int, int]:
    """Return how many misbehaving parsers were stopped as they should be, and how often the watch saw an excess."""
    usual, process.WORKER = process.WORKER, "tests.ingest.strange"
    os.environ["PYTHONPATH"] = str(common.ROOT)
    stopped = seen = 0
    try:
        for action, expected in CONTROLS.items():
            limits = Limits(256, 1, 2.0)
            reader, watch = watched(limits, bench.sessions)
            (folder / "control").write_text(f"{action} 0")
            code, fault = await outcome(reader, watch, folder / "control", "control.txt", limits)
            await reader.close()
            good = (code in ("time", "part") if action == "fork" else code == expected) and not fault
            print(f"control {action}: {code} {fault}")
            stopped += good
        for action, judged in (
            ("sleep", Limits(256, 9, 0.5)),
            ("spin", Limits(256, 1, 9)),
            ("allocate", Limits(128, 9, 9)),
        ):
            reader, watch = watched(Limits(512, 4, 2.0 if action == "sleep" else 20.0), bench.sessions)
            (folder / "control").write_text(f"{action} 0")
            _, fault = await outcome(reader, watch, folder / "control", "control.txt", judged)
            await reader.close()
            print(f"control of the watch: {fault or 'nothing seen'}")
            seen += bool(fault)
    finally:
        process.WORKER = usual
    return stopped, seen


def left_behind(sessions: set[int], temporary: Path) -> list[str]:
    """Return processes of our workers' sessions and files in the temporary folder."""
    found = [str(path) for path in temporary.iterdir()]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parts = stat.read_text().rsplit(")", 1)[1].split()
            if int(parts[3]) in sessions and parts[0] not in "ZX":
                found.append(f"process {stat.parent.name}")
    return found


async def lagging(bench: Bench) -> None:
    """Note the longest time that the parent did nothing but one thing."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.1)
        bench.lag = max(bench.lag, time.perf_counter() - before - 0.1)


async def main() -> None:
    options = common.arguments(
        __doc__, files="mutated files (200; 60 with --quick; 2000 for hours of doubt)", seed="(5)"
    )
    count = int(options.files or (60 if options.quick else 200))
    limits = Limits(1024, 5, 10.0) if options.quick else Limits(1024, 10, 20.0)
    documents = Path(options.shared) / "documents"
    hostile = sorted((documents / "hostile").iterdir()) if (documents / "hostile").is_dir() else []
    if not hostile:
        print(f"No hostile set in {documents}: only examples are damaged.")
    real = corpus(
        common.ROOT / "examples" / "documents", *(one for one in documents.glob("*") if one.name in KINDS)
    )
    files = [(path.name, path.read_bytes()) for path in hostile if not (options.quick and path.name in HEAVY)]
    bench = Bench()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as temporary:
        tempfile.tempdir = temporary
        handles = len(os.listdir("/proc/self/fd"))
        watching = asyncio.create_task(lagging(bench))
        stopped, seen = await controls(Path(folder), bench)
        await work([*files, *mutations(real, count, int(options.seed or 5))], limits, Path(folder), bench)
        watching.cancel()
        gc.collect()
        await asyncio.sleep(0.1)
        left = left_behind(bench.sessions, Path(temporary))
        more = len(os.listdir("/proc/self/fd")) - handles
        tempfile.tempdir = None
    report(bench, options, stopped, seen, [*left, *([f"{more} open files"] if more > 0 else [])])


KINDS = frozenset("csv docx eml epub html md msg pdf pptx txt xlsx".split())


def report(bench: Bench, options: Any, stopped: int, seen: int, left: list[str]) -> None:
    print("\n".join([*bench.faults[:20], *left[:20]]))
    print(", ".join(f"{number} {code}" for code, number in bench.codes.most_common()))
    parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"most of a worker: {bench.most.memory_mb:.0f} MB of addresses, {bench.most.cpu_seconds:.1f} CPU s, "
        f"{bench.most.wall_seconds:.1f} s; largest resident {children.ru_maxrss / 1024:.0f} MB; "
        f"parent {parent:.0f} MB, busy at most {bench.lag:.1f} s at a time"
    )
    figures = [
        Figure("files", bench.codes.total()),
        Figure("faults", len(bench.faults), "0", not bench.faults),
        Figure("left_behind", len(left), "0", not left),
        Figure("controls_stopped", stopped, f"{len(CONTROLS)}", stopped == len(CONTROLS)),
        Figure("excesses_seen", seen, "3", seen == 3),
        Figure("parent_mb", parent),
        Figure("worker_cpu_s", children.ru_utime + children.ru_stime),
    ]
    common.finish("hostile", figures, options, codes=dict(bench.codes), faults=bench.faults[:20])


if __name__ == "__main__":
    common.run(main)
