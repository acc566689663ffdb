"""The usage book: rows once each, through kills, locks and full disks."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.errors import ConfigError
from lyceum.gateway.book import Book, usage
from lyceum.gateway.journal import Journal
from tests.store.test_faults import mounts, on_tmpfs


def row(number: int = 0, cost: int = 7, day: str = "2026-11-25", **more: Any) -> list[Any]:
    named = {
        "id": "", "at": 1.0, "day": day, "key": "ann", "user": "", "tenant": "acme", "model": "chat", "target": "http://x",
        "path": "/v1/chat/completions", "status": 200, "state": "exact", "input": 3, "cached": 0, "output": number,
        "cost": cost, "reserved": 99, "hit": "", "attempts": 1, "seconds": 0.1, **more,
    }  # fmt: skip
    return list(named.values())


def write(book: Book, made: list[Any]) -> None:
    record = book.begin(made)
    book.settle(record, made)


@contextmanager
def written(home: Path, reaped: list[int] | None = None) -> Iterator[Book]:
    book = Book(home)
    book.start((reaped if reaped is not None else []).append)
    yield book
    book.close()


def until(true: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def rows(home: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(home / "usage.db") as db:
        return db.execute("SELECT id, state, output, cost FROM calls ORDER BY output").fetchall()


def there(home: Path) -> int:
    """Return how many rows have been committed, while they are written."""
    try:
        return len(rows(home))
    except sqlite3.OperationalError:
        return 0


def total(home: Path, name: str = "calls") -> int:
    return sum(one[name] for one in usage(home / "usage.db", ["key"]))


def test_sums(tmp_path: Path) -> None:
    with written(tmp_path) as book:
        for number in range(10):
            write(
                book,
                row(number, day=f"2026-11-{10 + number % 2}", state="estimated" if number == 3 else "exact"),
            )
        write(book, row(0, 0, key="bob", hit="hit-exact"))
    with written(tmp_path) as book:
        write(book, row(10, 500, key="bob"))
    found = usage(tmp_path / "usage.db", ["key"])
    names = ("key", "calls", "output", "cost", "hits", "estimated")
    assert [[one[name] for name in names] for one in found] == [
        ["bob", 2, 10, 500, 1, 0],
        ["ann", 10, 45, 70, 0, 1],
    ]
    found = usage(tmp_path / "usage.db", ["day", "tenant"], "2026-11-10", "2026-11-11")
    assert [(one["day"], one["calls"]) for one in found] == [("2026-11-10", 5), ("2026-11-11", 5)]
    assert book.spent("key", "ann", "2026-11-10", "2026-11-10") == 35
    assert book.spent("tenant", "acme", "2026-11-01", "2026-11-31") == 570
    assert usage(tmp_path / "none.db", ["key"]) == []


CHILD = """
import os, sys, time
from pathlib import Path
from lyceum.gateway import book
from tests.gateway.test_book import row, write
book.BATCH = float(sys.argv[2])
made = book.Book(Path(sys.argv[1]))
made.start(lambda worker: None)
for number in range(100):
    write(made, row(number))
lost = [row(1000 + number, 0, state="lost") for number in range(5)]
for one in lost:
    made.begin(one)
print(made.worker, flush=True)
time.sleep(60)
"""


def killed(home: Path, batch: float) -> None:
    """Settle 100 calls and leave 5 open in a process that is then killed."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home), str(batch)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip().isdigit()
        try:
            until(lambda: batch > 1 or there(home) >= 100)
        finally:
            os.kill(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("batch", [0.01, 50.0])
@pytest.mark.parametrize("alive", [True, False])
def test_a_killed_workers_calls_are_billed_once(tmp_path: Path, batch: float, alive: bool) -> None:
    """Whether its thread had written them (0.01 s) or not, and whether another worker lives or one starts later."""
    reaped: list[int] = []
    if alive:
        with written(tmp_path, reaped) as book:
            write(book, row(500))
            until(lambda: book.number and not book.waiting)
            killed(tmp_path, batch)
            until(lambda: 1 in reaped)
    else:
        killed(tmp_path, batch)
        with written(tmp_path, reaped):
            pass
    with written(tmp_path):  # a second look finds nothing more
        pass
    found = rows(tmp_path)
    assert len(found) == 105 + alive
    assert [output for _, state, output, _ in found if state == "exact"] == [
        *range(100),
        *([500] if alive else []),
    ]
    assert [cost for _, state, _, cost in found if state == "lost"] == [0] * 5
    assert (total(tmp_path), total(tmp_path, "lost"), total(tmp_path, "reserved")) == (105 + alive, 5, 495)


def test_a_row_that_was_written_is_not_put_in_again(tmp_path: Path) -> None:
    """Killed between the commit and the journal's end: the journal still has what the book has."""
    with written(tmp_path) as book:
        write(book, row(1))
        until(lambda: not book.waiting)
        made = row(1)
        record = book.begin(made)
        book.settle(record, made)
        until(lambda: not book.waiting)
        book.journal.used(record, json.dumps(made).encode())
    with written(tmp_path):
        pass
    assert total(tmp_path) == 2


def test_a_locked_book_is_written_when_it_is_free(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with written(tmp_path) as book:
        write(book, row(1))
        until(lambda: not book.waiting)
        other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for number in range(50):
            write(book, row(number))
        until(lambda: book.problem)
        assert "cannot be written" in caplog.text
        assert len(book.journal.free) == 2048 - 50
        other.execute("ROLLBACK")
        other.close()
        until(lambda: not book.waiting)
    assert total(tmp_path) == 51


def test_what_cannot_be_kept_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lyceum.gateway.book.MOST", 2100)
    book = Book(tmp_path)
    for number in range(2200):
        assert book.full == (number >= 2048)
        write(book, row(number))
    assert (book.dropped, len(book.waiting)) == (100, 2100)
    book.start(lambda worker: None)
    book.close()
    assert total(tmp_path) == 2100


@mounts
def test_a_full_disk_holds_nobody_up(tmp_path: Path) -> None:
    printed = on_tmpfs(
        tmp_path,
        """
        from lyceum.gateway.book import Book, usage
        from tests.gateway.test_book import row, until, write
        book = Book(folder)
        book.start(lambda worker: None)
        write(book, row(1))
        until(lambda: not book.waiting)
        with open(folder / "filler", "wb", 0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        for number in range(3000):
            write(book, row(number, target="x" * 200))
        until(lambda: book.problem)
        print(book.problem, len(book.waiting) > 2000, book.full)
        os.unlink(folder / "filler")
        until(lambda: not book.waiting)
        book.close()
        print(sum(one["calls"] for one in usage(folder / "usage.db", ["key"])))
        """,
        "16m",
    )
    assert printed.splitlines() == ["database or disk is full True True", "3001"]


@mounts
def test_a_disk_that_is_full_at_the_start(tmp_path: Path) -> None:
    printed = on_tmpfs(
        tmp_path,
        """
        from lyceum.gateway.book import Book
        from tests.gateway.test_book import row, write
        book = Book(folder)
        book.start(lambda worker: None)
        write(book, row(1))
        print(book.journal.file, book.spent("key", "ann", "", "9"))
        book.close()
        """,
        "64k",
    )
    assert printed.splitlines() == ["-1 0"]


def test_more_workers_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lyceum.gateway.journal.WORKERS", 2)
    first, second = Journal(tmp_path), Journal(tmp_path)
    assert (first.worker, second.worker) == (0, 1)
    with pytest.raises(ConfigError) as caught:
        Journal(tmp_path)
    assert caught.value.code == "workers"
    first.close()
    assert Journal(tmp_path).worker == 0
