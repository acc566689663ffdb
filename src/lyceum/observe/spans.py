"""Spans in their own SQLite file with a size limit: the sink of every trace, and what reads it back.

Losing the last traces at a power cut is accepted (synchronous=NORMAL); a full or broken file loses traces,
never an answer.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from lyceum.core.types import Span

log = logging.getLogger(__name__)
COLUMNS = "name, id, trace_id, parent, start, seconds, error, facts"


class Spans:
    """Call it with a span to keep it; a trace is written when its root has ended."""

    def __init__(self, folder: Path, most: int = 50_000) -> None:
        self.path = folder / "traces.db"
        self.most = most
        self.also: Callable[[Sequence[Span]], None] | None = None  # takes complete traces, too
        self._waiting: dict[str, list[Span]] = {}
        self._guard = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def __call__(self, span: Span) -> None:
        """Keep a span until its trace is complete, then write the trace."""
        with self._guard:
            self._waiting.setdefault(span.trace_id, []).append(span)
            if span.parent:
                return
            complete = self._waiting.pop(span.trace_id)
            if self.also is not None:
                self.also(complete)
            try:
                self._write(complete)
            except (sqlite3.Error, OSError) as problem:
                log.warning("trace %s was not kept: %s", span.trace_id, problem)
                self._db = None

    def _write(self, spans: list[Span]) -> None:
        db = self._open()
        with db:
            rows = [
                (s.name, s.id, s.trace_id, s.parent, s.start, s.seconds, s.error, json.dumps(dict(s.facts)))
                for s in spans
            ]
            db.executemany(f"INSERT INTO spans ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", rows)
            last = db.execute("SELECT MAX(number) FROM spans").fetchone()[0]
            db.execute("DELETE FROM spans WHERE number <= ?", (last - self.most,))

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=5, check_same_thread=False)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS spans (number INTEGER PRIMARY KEY, name TEXT, id TEXT, trace_id TEXT,"
                " parent TEXT, start REAL, seconds REAL, error TEXT, facts TEXT)"
            )
            db.execute("CREATE INDEX IF NOT EXISTS spans_trace ON spans (trace_id)")
            self._db = db
        return self._db

    def trace(self, trace_id: str, readers: frozenset[str]) -> list[Span]:
        """Return a trace's spans by start, none when whoever asked it had rights that `readers` lack."""
        with self._guard:
            try:
                sql = f"SELECT {COLUMNS} FROM spans WHERE trace_id = ? ORDER BY start, number"
                rows = self._open().execute(sql, (trace_id,)).fetchall()
            except (sqlite3.Error, OSError):
                return []
        names = COLUMNS.split(", ")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        spans = [Span(**{**one, "facts": json.loads(one["facts"])}) for one in found]
        asked = {reader for span in spans for reader in span.facts.get("readers", ())}
        return spans if asked <= readers | {"*"} else []

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            if self._db is not None:
                self._db.close()
                self._db = None
