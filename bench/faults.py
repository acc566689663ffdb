"""Calls that fail, one after another: the refusal is clear, nothing is falsely confirmed, the home works afterwards.

A child ingests, replaces and removes documents through the command line's own parts (ledger, postings, vectors with
a stand-in encoder); strace makes the n-th call of a kind fail and, in half of the points, all that follow: EIO or
ENOSPC on fsync, fdatasync, pwrite64, write, openat, rename and ftruncate, ENOMEM on mmap and brk. Allowed are: the
work is done, or it ends with an error of ours and exit code 1; no traceback. Without memory the process may also
be ended by a library (SIGABRT, SIGSEGV) or stop before it has begun. Afterwards, without faults, what was
confirmed is there, the rest can be done, and every view agrees. Control: a child that confirms whatever happened.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import common
import crash
import recorded
from common import Figure

from lyceum.app.cli import _said
from lyceum.core.errors import LyceumError, NotFound
from tests.toys import ALL, Home, document

CALLS = {
    "fsync": ("EIO", "ENOSPC"), "fdatasync": ("EIO", "ENOSPC"), "pwrite64": ("EIO", "ENOSPC"),
    "write": ("EIO", "ENOSPC"), "openat": ("EIO", "ENOSPC", "EMFILE"), "rename,renameat": ("EIO", "ENOSPC"),
    "ftruncate": ("EIO",), "mmap": ("ENOMEM",), "brk": ("ENOMEM",),
}  # fmt: skip
STEPS = [("put", 0, 1), ("put", 1, 1), ("put", 0, 2), ("remove", 1, 0), ("put", 2, 1)]
MEMORY = ("mmap", "brk")


@dataclass(frozen=True)
class Point:
    """Where what fails: the number is counted within each thread, from the moment the home is opened."""

    call: str
    error: str
    number: int
    onwards: bool

    def __str__(self) -> str:
        return f"{self.call}:{self.error}:{self.number}{'+' if self.onwards else ''}"


async def work(folder: Path, careless: bool) -> None:
    """Do the steps on a home that holds a document; each confirmed one is written to standard output."""
    home = Home(folder)
    os.write(1, b"ready\n")
    await home.store.catch_up()
    for kind, number, version in STEPS:
        try:
            await step(home, kind, number, version)
        except LyceumError:
            if not careless:
                raise
        os.write(1, f"{kind} {number} {version}\n".encode())


async def step(home: Home, kind: str, number: int, version: int) -> None:
    if kind == "put":
        await home.store.put([crash.made(number, version)])
    else:
        await home.store.remove(document(f"doc{number}.md")[0].id, ALL)


def child(folder: Path, careless: bool) -> int:
    """End as the command line does: an error of ours is said in one line."""
    try:
        asyncio.run(work(folder, careless))
    except LyceumError as problem:
        return _said(problem, as_json=False)
    except OSError as problem:
        sys.stderr.write(f"lyceum: {problem.strerror}\n")
        return 1
    except MemoryError:
        sys.stderr.write("lyceum: memory: There is not enough memory.\n")
        return 1
    return 0


def points(number: int, rng: random.Random) -> list[Point]:
    """Return points spread over kinds of calls and their first occurrences."""
    kinds = [(call, error) for call, errors in CALLS.items() for error in errors]
    most = {"fsync": 14, "fdatasync": 30, "pwrite64": 60, "write": 60, "openat": 60, "mmap": 60, "brk": 25}
    return [
        Point(call, error, rng.randint(1, most.get(call, 8)), onwards)
        for n in range(number)
        for call, error in [kinds[n % len(kinds)]]
        for onwards in [bool(n // len(kinds) % 2)]
    ]


def driven(folder: Path, point: Point, careless: bool) -> tuple[int, str, str]:
    """Run the child with the fault; return its exit code and what it said.

    The fault begins when the child says that it is ready: Python and its libraries have been loaded by then.
    """
    command = [sys.executable, __file__, "--child", str(folder), *(["--careless", "yes"] if careless else [])]
    process = subprocess.Popen(
        [*command, "--wait", "yes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "loaded\n"
    inject = f"inject={point.call}:error={point.error}:when={point.number}{'+' if point.onwards else ''}"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject]
    with subprocess.Popen(
        [*strace, "-p", str(process.pid)], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as tracer:
        while "TracerPid:\t0\n" in Path(f"/proc/{process.pid}/status").read_text() and tracer.poll() is None:
            pass
        try:
            out, err = process.communicate("go\n", timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += "\nTIMEOUT"
        tracer.wait()
    return process.returncode, out, err


async def judged(folder: Path, point: Point, careless: bool = False) -> tuple[str, list[str]]:
    """Return how the child ended, and what is wrong."""
    await Home(folder).store.put([crash.made(5, 1)])
    code, out, err = await asyncio.to_thread(driven, folder, point, careless)
    wrong = []
    lost_memory = point.call in MEMORY
    if "Traceback" in err and not (lost_memory and "MemoryError" in err):
        wrong.append(f"{point}: a traceback: {err.strip().splitlines()[-1]}")
    if "TIMEOUT" in err:
        wrong.append(f"{point}: did not end")
    if code not in (0, 1) and not (lost_memory and code < 0):
        wrong.append(f"{point}: exit code {code}: {err[-200:]}")
    if code == 1 and not err.startswith("lyceum: ") and "\nlyceum: " not in err and not lost_memory:
        wrong.append(f"{point}: no clear error: {err[-200:]}")
    confirmed = [line for line in out.splitlines() if line.split()[0] in ("put", "remove")]
    wrong += [f"{point}: {one}" for one in await afterwards(folder, len(confirmed))]
    return {0: "done", 1: "refused"}.get(code, "ended"), wrong


async def afterwards(folder: Path, confirmed: int) -> list[str]:
    """Return what of the confirmed steps is not there, and whether the rest can be done."""
    home = Home(folder)
    await home.store.catch_up()
    wrong = []
    shown = await visible(home)
    if shown not in (expected(confirmed), expected(min(confirmed + 1, len(STEPS)))):
        wrong.append(f"{confirmed} confirmed, shown {shown}")
    for kind, number, version in STEPS[confirmed:]:
        with suppress(NotFound):
            await step(home, kind, number, version)
    if await visible(home) != expected(len(STEPS)):
        wrong.append(f"cannot go on: {await visible(home)}")
    ledger = (await home.ledger.counts(ALL))["chunks"]
    for view in home.store.views:
        held, broken = await view.check()
        if held != ledger or broken:
            wrong.append(f"{view.name} holds {held} of {ledger}, broken {broken}")
    return wrong


async def visible(home: Home) -> dict[str, str]:
    return {one.source: one.version for one in await home.ledger.documents(ALL)}


def expected(steps: int) -> dict[str, str]:
    state = {"doc5.md": "1"}
    for kind, number, version in STEPS[:steps]:
        if kind == "put":
            state[f"doc{number}.md"] = str(version)
        else:
            state.pop(f"doc{number}.md", None)
    return state


async def main() -> None:
    options = common.arguments(
        __doc__, child="work in this home (used by the bench itself)", careless="of the child", wait="of the child",
        points="how many (250)",
    )  # fmt: skip
    recorded.needs_strace()
    number = int(options.points or (40 if options.quick else 250))
    rng = random.Random(4)
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    for point in points(number, rng):
        with tempfile.TemporaryDirectory(dir=common_memory()) as folder:
            end, found = await judged(Path(folder), point)
        ends[end] += 1
        wrong += found
    caught = 0
    for call in ("pwrite64", "fdatasync"):
        with tempfile.TemporaryDirectory(dir=common_memory()) as folder:
            _, found = await judged(Path(folder), Point(call, "EIO", 3, onwards=True), careless=True)
        caught += bool(found)
    print("\n".join(wrong[:20]))
    print(dict(ends))
    figures = [
        Figure("points", sum(ends.values()), f">= {number}", sum(ends.values()) >= number),
        Figure("refused", ends["refused"], "> 0", ends["refused"] > 0),
        Figure("ended", ends["ended"], ""),
        Figure("faults", len(wrong), "0", not wrong),
        Figure("control_caught", caught, "2 of 2", caught == 2),
    ]
    common.finish("faults", figures, options, faults=json.loads(json.dumps(wrong[:20])))


def common_memory() -> Path | None:
    """Return a folder in memory: the syncs of 250 homes cost nothing there."""
    return Path("/dev/shm") if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    if "--child" in sys.argv:
        os.write(1, b"loaded\n")
        sys.stdin.readline()
        sys.exit(child(Path(sys.argv[sys.argv.index("--child") + 1]), "--careless" in sys.argv))
    common.run(main)
