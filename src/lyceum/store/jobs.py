"""The queue of uploads: who may take a job and whose result counts, as functions on a connection of the ledger.

A worker takes a job for `LEASE` seconds and renews; its result counts only while the job is still its own, so
a job may be started twice and still has its effect once. Each start has a worker's name of its own. It knows no
file and no parser.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lyceum.core.errors import Busy, LyceumError
from lyceum.core.packed import dump
from lyceum.core.types import EVERYONE
from lyceum.store.ledger import Ledger

LEASE = 10.0
STARTS = 25  # of one job, when its whole process dies each time: any of the jobs beside it may be the cause
KEPT, KEPT_SECONDS = 10_000, 7 * 86_400.0  # finished jobs that are remembered
FINAL = ("done", "failed", "cancelled")

# A time that lies further ahead than any lease was written by a clock that has been set back since (a monotonic
# clock starts again at a boot): it holds nothing, so no job waits longer than one lease for that.
FREE = "NOT (until > :now AND until <= :now + :lease)"
MINE = "id = :id AND worker = :worker"
# Uploads of one document keep their order: the last one wins.
FIRST = (
    "NOT EXISTS (SELECT 1 FROM jobs e WHERE e.document = jobs.document AND e.number < jobs.number"
    " AND e.state IN ('queued', 'running'))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One upload; `readers` None keeps those the document has. The document's id says which jobs belong together.

    `attempts` counts its starts, `failures` those of them that ended with an error.
    """

    id: str
    source: str
    document: str
    path: str
    readers: frozenset[str] | None = None
    kind: str = "ingest"
    options: Mapping[str, Any] = field(default_factory=dict)
    state: str = "queued"
    attempts: int = 0
    failures: int = 0
    worker: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""
    outcome: Mapping[str, Any] = field(default_factory=dict)
    created: float = 0.0
    updated: float = 0.0


COLUMNS = [one.name for one in fields(Job)]


def submit(db: sqlite3.Connection, job: Job) -> None:
    """Queue a job; when the transaction is committed it is acknowledged."""
    readers = None if job.readers is None else json.dumps(sorted(job.readers))
    db.execute(
        "INSERT INTO jobs (id, kind, source, document, path, readers, options, state, created, updated)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?8, ?8)",
        (job.id, job.kind, job.source, job.document, job.path, readers, dump(dict(job.options)), time.time()),
    )  # fmt: skip


def take(db: sqlite3.Connection, worker: str, now: float) -> Job | None:
    """Lease the oldest job that waits, or whose worker has let its lease run out; None when there is none."""
    given = {"worker": worker, "now": now, "lease": LEASE, "most": STARTS, "time": time.time()}
    db.execute(
        "UPDATE jobs SET state = 'failed', code = 'crash', updated = :time, hint = 'Get another copy of the file.',"
        " message = 'It was started ' || attempts || ' times and never came to an end.' WHERE state = 'running'"
        f" AND attempts >= :most AND {FREE}",
        given,
    )
    row = db.execute(
        f"SELECT id FROM jobs WHERE state IN ('queued', 'running') AND {FREE} AND {FIRST} ORDER BY number LIMIT 1",
        given,
    ).fetchone()
    if row is None:
        return None
    db.execute(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = :worker, until = :now + :lease,"
        " updated = :time WHERE id = :id",
        {**given, "id": row[0]},
    )
    return _job(db.execute(f"SELECT {', '.join(COLUMNS)} FROM jobs WHERE id = ?", row).fetchone())


def renew(db: sqlite3.Connection, held: Iterable[Job], now: float) -> set[str]:
    """Extend the leases of jobs; return the ids of those that are still their worker's, or done by it."""
    sql = f"UPDATE jobs SET until = :until WHERE {MINE} AND state IN ('running', 'done')"
    return {
        job.id
        for job in held
        if db.execute(sql, {"id": job.id, "worker": job.worker, "until": now + LEASE}).rowcount
    }


def finish(db: sqlite3.Connection, job: Job, outcome: Mapping[str, Any]) -> None:
    """Mark a running job as done, in the transaction that makes its document current; raise Busy to undo both.

    A job that was cancelled, or taken over, or is done already, so has no effect and none twice.
    """
    if not _end(db, job, "('running')", state="done", outcome=dump(dict(outcome))):
        raise Busy(
            "This job is not this worker's any more.", hint="It was cancelled or taken over.", code="lost"
        )


def describe(db: sqlite3.Connection, job: Job, outcome: Mapping[str, Any]) -> None:
    """Say all of a job that is done, or done by having nothing to do."""
    _end(db, job, "('running', 'done')", state="done", outcome=dump(dict(outcome)))


def fail(db: sqlite3.Connection, job: Job, problem: LyceumError, again: float | None = None) -> None:
    """Mark a job as failed, or queue it once more from the time `again` on (at most a lease ahead)."""
    _end(
        db, job, "('running')", state="failed" if again is None else "queued", until=again or 0.0,
        failures=job.failures + 1, code=problem.code, message=problem.message, hint=problem.hint,
        outcome=dump({"type": type(problem).__name__}),
    )  # fmt: skip


def release(db: sqlite3.Connection, job: Job) -> None:
    """Queue a job again that was stopped through no fault of its own."""
    _end(db, job, "('running')", state="queued", until=0.0, attempts=job.attempts - 1)


def _end(db: sqlite3.Connection, job: Job, states: str, **changes: Any) -> bool:
    assigned = ", ".join(f"{name} = :new_{name}" for name in changes)
    done = db.execute(
        f"UPDATE jobs SET {assigned}, updated = :time WHERE {MINE} AND state IN {states}",
        {
            **{f"new_{name}": value for name, value in changes.items()}, "time": time.time(), "id": job.id,
            "worker": job.worker,
        },
    )  # fmt: skip
    return done.rowcount == 1


def cancel(db: sqlite3.Connection, job_id: str) -> None:
    """Cancel a job that has not ended; from here on no worker can give it an effect."""
    db.execute(
        "UPDATE jobs SET state = 'cancelled', updated = ? WHERE id = ? AND state IN ('queued', 'running')",
        (time.time(), job_id),
    )


def forget(db: sqlite3.Connection, document_id: str) -> None:
    """Cancel what is still to come of a document before it is removed, and drop what is remembered of it."""
    db.execute("DELETE FROM jobs WHERE document = ? AND state NOT IN ('queued', 'running')", (document_id,))
    db.execute(
        "UPDATE jobs SET state = 'cancelled', updated = ?, readers ="
        " COALESCE(readers, (SELECT readers FROM documents WHERE id = document)) WHERE document = ?",
        (time.time(), document_id),
    )


def prune(db: sqlite3.Connection) -> None:
    """Drop finished jobs that are old or too many."""
    db.execute(
        "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND (updated < ? OR number <="
        " (SELECT MAX(number) FROM jobs) - ?)",
        (time.time() - KEPT_SECONDS, KEPT),
    )


async def waiting(ledger: Ledger, now: float) -> bool:
    """Say whether `take` may find something, without writing."""
    sql = f"SELECT 1 FROM jobs WHERE state IN ('queued', 'running') AND {FREE} LIMIT 1"
    return bool(await ledger.rows(sql, {"now": now, "lease": LEASE}))


async def unfinished(ledger: Ledger) -> set[str]:
    """Return the ids of jobs whose files are still needed."""
    return {row[0] for row in await ledger.rows("SELECT id FROM jobs WHERE state IN ('queued', 'running')")}


async def find(ledger: Ledger, job_id: str) -> Job | None:
    """Return a job whoever may see it: for its runner alone."""
    return next((job for _, job in await _read(ledger, job_id)), None)


async def visible(
    ledger: Ledger, readers: frozenset[str], job_id: str | None = None, *, unsettled: bool = False
) -> list[Job]:
    """Return jobs, newest first, whose document these readers may read, as it is and as the upload makes it.

    Unsettled are those that have not ended, and those that failed and are the last of their document.
    """
    return [
        job
        for held, job in await _read(ledger, job_id, unsettled)
        if (job.readers is None or job.readers & readers)
        and frozenset(json.loads(held) if held else job.readers or [EVERYONE]) & readers
    ]


async def _read(ledger: Ledger, job_id: str | None, unsettled: bool = False) -> list[tuple[str | None, Job]]:
    """Return jobs, newest first, each with the readers of its document."""
    columns = ", ".join(f"j.{name}" for name in COLUMNS)
    rows = await ledger.rows(
        f"SELECT d.readers, {columns} FROM jobs j LEFT JOIN documents d ON d.id = j.document"
        " WHERE (?1 IS NULL OR j.id = ?1) AND (NOT ?2 OR j.state IN ('queued', 'running') OR j.state = 'failed' AND"
        " NOT EXISTS (SELECT 1 FROM jobs l WHERE l.document = j.document AND l.number > j.number))"
        " ORDER BY j.number DESC",
        [job_id, unsettled],
    )
    return [(held, _job(row)) for held, *row in rows]


def _job(row: Any) -> Job:
    named = dict(zip(COLUMNS, row, strict=True))
    readers = named["readers"]
    return Job(**{
        **named, "readers": None if readers is None else frozenset(json.loads(readers)),
        "options": json.loads(named["options"]), "outcome": json.loads(named["outcome"]),
    })  # fmt: skip
