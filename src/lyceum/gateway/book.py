"""The usage book: a row for each call that was let through, in HOME/usage.db; knows no HTTP.

A call is written down in the worker's journal before its reply ends, which outlives the worker, and put into the
database with others by a thread, a few times a second. Each row has an id of its own, so that what is found in a dead
worker's journal is never put in twice. Calls that a cache in memory answered cost nothing and are counted by day
alone: at their rate a row for each would be most of the work, and of the file. Money is counted in
thousand-millionths of the currency of the prices.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock

from lyceum.core.errors import StoreError
from lyceum.gateway.journal import Journal, dead

log = logging.getLogger(__name__)
BATCH, AGAIN, SWEEP = (
    0.05,
    1.0,
    1.0,
)  # seconds between commits, after one that failed, between looks for the dead
MOST = 100_000  # rows that wait in memory for a database that cannot be written
COLUMNS = (
    "id at day key user tenant model target path status state input cached output cost reserved hit attempts seconds"
).split()
SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
  id TEXT PRIMARY KEY, at REAL, day TEXT, key TEXT, user TEXT, tenant TEXT, model TEXT, target TEXT, path TEXT,
  status INTEGER, state TEXT, input INTEGER, cached INTEGER, output INTEGER, cost INTEGER, reserved INTEGER,
  hit TEXT, attempts INTEGER, seconds REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
  day TEXT, key TEXT, user TEXT, tenant TEXT, model TEXT, calls INTEGER, input INTEGER, output INTEGER,
  cost INTEGER, hits INTEGER, estimated INTEGER, lost INTEGER, reserved INTEGER,
  PRIMARY KEY (day, key, user, tenant, model)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS counted AFTER INSERT ON calls BEGIN
  INSERT INTO days VALUES (new.day, new.key, new.user, new.tenant, new.model, 1, new.input, new.output, new.cost,
    new.hit <> '', new.state = 'estimated', new.state = 'lost', iif(new.state = 'lost', new.reserved, 0))
  ON CONFLICT DO UPDATE SET calls = calls + 1, input = input + new.input, output = output + new.output,
    cost = cost + new.cost, hits = hits + (new.hit <> ''), estimated = estimated + (new.state = 'estimated'),
    lost = lost + (new.state = 'lost'), reserved = reserved + iif(new.state = 'lost', new.reserved, 0);
END;
"""
INSERT = f"INSERT OR IGNORE INTO calls VALUES ({', '.join('?' * len(COLUMNS))})"
# Many rows in one statement: between statements the interpreter is given up and asked for again, which costs more
# than the row itself where another thread answers calls.
AT_ONCE = 64
INSERTS = INSERT + f", ({', '.join('?' * len(COLUMNS))})" * (AT_ONCE - 1)
SUMS = ("calls", "input", "output", "cost", "hits", "estimated", "lost", "reserved")
KINDS = ("key", "user", "tenant", "model", "day")
Row = list[Any]
Day = tuple[str, str, str, str, str]
HITS = (
    "INSERT INTO days VALUES (?, ?, ?, ?, ?, ?6, 0, 0, 0, ?6, 0, 0, 0)"
    " ON CONFLICT DO UPDATE SET calls = calls + ?6, hits = hits + ?6"
)


class Book:
    """Writes HOME/usage.db from `start` to `close`; `reap` is told the number of each worker that has gone."""

    def __init__(self, home: Path) -> None:
        self.path, self.run = home / "usage.db", home / "run"
        try:
            self.run.mkdir(parents=True, exist_ok=True)
            self.journal = Journal(self.run)
        except OSError as problem:
            log.warning("Limits and usage are kept in memory alone, each worker its own: %s", problem)
            self.journal = Journal(None)
        self.worker = self.journal.worker
        self.nonce, self.number = os.urandom(6).hex(), 0
        self.waiting: deque[tuple[int, Row]] = deque()
        # Only ever raised, by one thread, and compared by the other with what it has written.
        self.hits, self.written = dict[Day, int](), dict[Day, int]()
        self.dropped, self.problem = 0, ""
        self._wake, self._ended = threading.Event(), False
        self._db: sqlite3.Connection | None = None
        self._lock = FileLock(self.run / "usage.lock")
        self._thread = threading.Thread(target=self._work, name="usage", daemon=True)

    def start(self, reap: Callable[[int], None]) -> None:
        """Begin to write."""
        self.reap = reap
        self._thread.start()

    @property
    def full(self) -> bool:
        """Say whether a call could not be written down where it outlives this worker."""
        return not self.journal.free

    def begin(self, row: Row) -> int:
        """Write down a call that is let through, with what it reserves; return its record."""
        row[0] = f"{self.nonce}{self.number:x}"
        self.number += 1
        return self.journal.begin(orjson.dumps(row))

    def hit(self, key: str, user: str, tenant: str, model: str, day: str) -> None:
        """Count a call that a cache answered at once and for nothing; its day tells of it, no row of its own."""
        place = (day, key, user, tenant, model)
        self.hits[place] = self.hits.get(place, 0) + 1
        if not self._wake.is_set():
            self._wake.set()

    def settle(self, record: int, row: Row) -> None:
        """Write down what a call used; from now on it is billed, whatever happens to this worker."""
        self.journal.used(record, orjson.dumps(row))
        if len(self.waiting) >= MOST:
            self.dropped += 1
            self.journal.end(record)
            return
        self.waiting.append((record, row))
        if not self._wake.is_set():
            self._wake.set()

    def spent(self, kind: str, name: str, first: str, last: str) -> int:
        """Return the money that was spent from one day to another; 0 when the book cannot be read."""
        try:
            with _reading(self.path) as db:
                sql = f"SELECT COALESCE(SUM(cost), 0) FROM days WHERE day BETWEEN ? AND ? AND {kind} = ?"
                return int(db.execute(sql, (first, last, name)).fetchone()[0])
        except sqlite3.Error as problem:
            if self.path.exists():
                log.warning("The usage book cannot be read, budgets begin at nothing: %s", problem)
            return 0

    def close(self) -> None:
        """Write what waits and end."""
        self._ended = True
        self._wake.set()
        self._thread.join()
        self.journal.close()

    # --- the thread ------------------------------------------------------------------------------------

    def _work(self) -> None:
        swept = float("-inf")
        ended = False
        while not ended:
            self._wake.wait(SWEEP)
            self._wake.clear()
            ended = self._ended
            if not ended:
                time.sleep(BATCH)
            try:
                if time.monotonic() - swept > SWEEP:
                    self._take_over()
                    swept = time.monotonic()
                self._commit()
                if self.problem:
                    log.warning("The usage book is written again; %d rows were dropped.", self.dropped)
                self.problem = ""
            except (sqlite3.Error, OSError) as problem:
                if str(problem) != self.problem:
                    log.warning(
                        "The usage book cannot be written, %d rows wait: %s", len(self.waiting), problem
                    )
                self.problem = str(problem)
                self._closed()
                time.sleep(0 if ended else AGAIN)
        self._closed()

    def _commit(self, left: Sequence[bytes] = ()) -> None:
        """Write what waits, and the rows `left` by a dead worker."""
        batch = list(self.waiting)
        rows: list[Row] = [*map(orjson.loads, left), *(row for _, row in batch)]
        hits = {day: number for day, number in list(self.hits.items()) if number > self.written.get(day, 0)}
        if not rows and not hits:
            return
        # One writer at a time: two that write or checkpoint at once could damage the file (SQLite before 3.51.3).
        with self._lock:
            db = self._db or self._opened()
            with db:
                db.execute("BEGIN IMMEDIATE")
                whole = len(rows) // AT_ONCE * AT_ONCE
                for start in range(0, whole, AT_ONCE):
                    db.execute(INSERTS, [*chain.from_iterable(rows[start : start + AT_ONCE])])
                db.executemany(INSERT, rows[whole:])
                db.executemany(HITS, [(*day, much - self.written.get(day, 0)) for day, much in hits.items()])
        self.written.update(hits)
        for record, _ in batch:
            self.waiting.popleft()
            self.journal.end(record)

    def _opened(self) -> sqlite3.Connection:
        self._db = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + SCHEMA)
        return self._db

    def _closed(self) -> None:
        if self._db is not None:
            with self._lock:
                self._db.close()
            self._db = None

    def _take_over(self) -> None:
        """Put what dead workers left into the book; nothing is forgotten before it is there."""
        self._commit(self.journal.left)
        self.journal.emptied()
        for worker, rows in dead(self.run):
            self._commit(rows)
            self.reap(worker)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0)) as db:
        yield db


def usage(path: Path, by: Sequence[str], since: str = "", until: str = "9") -> list[Mapping[str, Any]]:
    """Return sums by key, user, tenant, model or day, those that cost most first (days in their order)."""
    if not path.exists():
        return []
    names = ", ".join(one for one in by if one in KINDS)
    sums = ", ".join(f"SUM({one}) AS {one}" for one in SUMS)
    order = "day" if by[0] == "day" else "cost DESC"
    sql = f"SELECT {names}, {sums} FROM days WHERE day BETWEEN ? AND ? GROUP BY {names} ORDER BY {order}, {names}"
    try:
        with _reading(path) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, (since, until))]
    except sqlite3.Error as problem:
        raise StoreError(
            f"{path} cannot be read: {problem}.", hint="Try again; see `lyceum doctor`."
        ) from problem
