"""Evaluations in processes of their own: a command to a file that says how far it is and how it ended; knows no page.

Such a process holds a lock for as long as it lives, so that whoever reads the file knows of one that was killed. They
run one after the other, by the functions of `lyceum eval`, and end when a file beside asks for it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from lyceum.app import cli, eval_autopsy, eval_run, settings, shapes, show
from lyceum.core.errors import LyceumError, NotFound
from lyceum.core.ids import random_id

if TYPE_CHECKING:
    from lyceum.evals.run import Progress

FOLDER = "started"
KEPT = 20  # that have ended
EVERY = 0.25  # seconds between two looks, and between two words of progress
OPEN = ("waiting", "running", "stopping")
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A command of `lyceum eval` and what became of it: `done` of `total`, seconds `left`, the `runs` it made."""

    id: str
    command: Sequence[str]
    date: str
    state: str = "waiting"
    doing: str = ""
    done: int = 0
    total: int = 0
    failed: int = 0
    left: float = 0.0
    runs: Sequence[str] = ()
    error: Mapping[str, Any] | None = None


def begin(home: Path, command: Sequence[str]) -> Started:
    """Start a command of `lyceum eval` on a home."""
    one = Started(
        id=random_id(), command=tuple(command), date=datetime.now(UTC).isoformat(timespec="milliseconds")
    )
    file = home / FOLDER / f"{one.id}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in [one for one in listed(home) if one.state not in OPEN][KEPT:]:
        for left in file.parent.glob(f"{old.id}.*"):
            left.unlink(missing_ok=True)
    _write(file, one)
    with file.with_suffix(".lock").open("wb") as lock, file.with_suffix(".log").open("wb") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the process inherits it
        _children[:] = [child for child in _children if child.poll() is None]
        run = (sys.executable, "-m", __name__, str(file))
        _children.append(
            subprocess.Popen(run, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock.fileno(),))
        )
    return one


def stop(home: Path, name: str) -> None:
    """Ask a command to end; what it has measured is kept, and asking again goes on from there."""
    found = next((one for one in listed(home) if one.id == name), None)
    if found is None:
        raise NotFound("There is no such evaluation.", hint="Load the page again.")
    if found.state in OPEN:
        (home / FOLDER / f"{found.id}.stop").touch()


def listed(home: Path) -> list[Started]:
    """Return what was started, the newest first."""
    found = []
    for file in (home / FOLDER).glob("*.json"):
        with suppress(FileNotFoundError):  # the old are dropped
            found.append(_read(file))
    return sorted(found, key=lambda one: one.date, reverse=True)


def _read(file: Path) -> Started:
    one = Started(**json.loads(file.read_text(encoding="utf-8")))
    if one.state not in OPEN:
        return one
    try:
        with FileLock(file.with_suffix(".lock"), timeout=0):
            pass
    except Timeout:
        return replace(one, state="stopping") if file.with_suffix(".stop").exists() else one
    again = Started(**json.loads(file.read_text(encoding="utf-8")))  # it may have ended between the two looks
    return replace(again, state="broken") if again.state in OPEN else again


def _write(file: Path, one: Started) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(one), ensure_ascii=False), encoding="utf-8")
    draft.replace(file)


class Note:
    """The file of what was started, as its own process writes it."""

    def __init__(self, file: Path) -> None:
        self.file, self.one, self.at = file, _read(file), 0.0

    def __call__(self, **changed: Any) -> None:
        """Write down what has changed."""
        self.one, self.at = replace(self.one, **changed), time.monotonic()
        _write(self.file, self.one)

    def asked_to_stop(self) -> bool:
        """Say whether it shall end."""
        return self.file.with_suffix(".stop").exists()


class Told(show.Bar):
    """Progress into a note, where others go to a terminal."""

    def __init__(self, note: Note, what: str, *, quiet: bool) -> None:
        super().__init__(what, quiet=True)
        self.note = note
        note(doing=what, done=0, total=0)

    def __call__(self, done: int, total: int, said: str) -> None:
        """Take how much of what is done."""
        self._tell(done, total, 0, 0.0)

    def run(self, found: Progress) -> None:
        """Take how far a run is."""
        self._tell(found.done, found.total, found.failed, found.left)

    def _tell(self, done: int, total: int, failed: int, left: float) -> None:
        if time.monotonic() - self.note.at > EVERY or done == total:
            self.note(done=done, total=total, failed=failed, left=left)


def main(file: Path) -> None:
    """Run the command that a file holds."""
    note = Note(file)
    arguments = cli.parser().parse_args(["eval", *note.one.command, "--json", "--home", str(file.parents[1])])
    work = {"run": _runs, "autopsy": _autopsy}[arguments.measure]
    try:
        asyncio.run(_attended(note, partial(work, arguments, partial(Told, note))))
    except (asyncio.CancelledError, KeyboardInterrupt):
        note(state="stopped")
    except LyceumError as problem:
        note(state="failed", error=shapes.error(problem)["error"])


async def _attended(note: Note, work: Callable[[], Awaitable[Sequence[str]]]) -> None:
    """Do the work when its turn has come, until it ends or is asked to."""
    task = asyncio.create_task(_in_turn(note, work))
    while not (await asyncio.wait((task,), timeout=EVERY))[0]:
        if note.asked_to_stop():
            task.cancel()
    note(state="done", runs=task.result())


async def _in_turn(note: Note, work: Callable[[], Awaitable[Sequence[str]]]) -> Sequence[str]:
    turn = FileLock(note.file.parent / "turn", timeout=0, thread_local=False)
    while not turn.is_locked:
        try:
            turn.acquire()
        except Timeout:
            await asyncio.sleep(EVERY)
    note(state="running")
    return await work()


async def _runs(arguments: Any, watch: Callable[..., show.Bar]) -> Sequence[str]:
    chosen = settings.load(arguments.home, settings.current())
    return [one.summary.id for one in await eval_run.measured(arguments, chosen, watch)]


async def _autopsy(arguments: Any, watch: Callable[..., show.Bar]) -> Sequence[str]:
    chosen = settings.load(arguments.home, settings.current())
    return [(await eval_autopsy.examined(arguments, chosen, watch))[0].summary.id]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
