"""The routes under /api/jobs: what became of uploads, cancelling them, and their progress as a stream of events.

A job is seen by those who may see its document; for others it does not exist.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi import Query as Parameter
from fastapi.responses import StreamingResponse

from lyceum.app import shapes
from lyceum.app.jobs import Runner
from lyceum.app.routes import Readers
from lyceum.core.errors import NotFound
from lyceum.core.ids import digest
from lyceum.store import jobs
from lyceum.store.jobs import Job

router = APIRouter()
LISTED = 1_000
EVERY = 0.1  # seconds between two events at least
SILENCE = 15.0  # seconds after which a comment keeps the connection open


def runner_of(request: Request) -> Runner:
    """Return the runner of this server."""
    runner: Runner = request.app.state.jobs
    return runner


Running = Annotated[Runner, Depends(runner_of)]


async def seen(runner: Running, readers: Readers, job_id: str) -> Job:
    """Return the job of a path; what the reader may not see does not exist for it."""
    found = await jobs.visible(runner.ledger, readers, job_id)
    if not found:
        raise NotFound("There is no such job.", hint="GET /api/jobs lists them; the old are dropped.")
    return found[0]


Seen = Annotated[Job, Depends(seen)]


@router.get("/api/jobs")
async def list_jobs(
    runner: Running, readers: Readers, limit: Annotated[int, Parameter(ge=1, le=LISTED)] = 100
) -> list[dict[str, Any]]:
    """List the visible jobs, newest first."""
    found = await jobs.visible(runner.ledger, readers)
    return [shapes.job(one, runner.live.get(one.id)) for one in found[:limit]]


@router.get("/api/jobs/{job_id}")
async def get_job(job: Seen, runner: Running) -> dict[str, Any]:
    """Return a job's state, its pages so far, and its outcome or error."""
    return shapes.job(job, runner.live.get(job.id))


@router.delete("/api/jobs/{job_id}")
async def cancel_job(job: Seen, runner: Running, readers: Readers) -> dict[str, Any]:
    """Cancel a job and return it; one that has ended stays as it is."""
    await runner.cancel(job.id)
    return shapes.job(await seen(runner, readers, job.id), None)


@router.get("/api/jobs/{job_id}/events")
async def job_events(
    job: Seen, runner: Running, request: Request, readers: Readers,
    last_event_id: Annotated[str, Header()] = "",
) -> StreamingResponse:  # fmt: skip
    """Stream the job as server-sent events whenever it changes; the last one holds its last state.

    Each event is the whole state, so that with Last-Event-ID nothing is missed: what is the same is not repeated,
    the last state always.
    """

    async def told() -> AsyncIterator[str]:
        sent, at = last_event_id, time.monotonic()
        while not request.app.state.stopping():
            # Asked each time: whose right was revoked is told no more.
            found = await jobs.visible(runner.ledger, readers, job.id)
            if not found:
                return
            data = json.dumps(shapes.job(found[0], runner.live.get(job.id)), ensure_ascii=False)
            mark = digest(data)[:16]
            over = found[0].state in jobs.FINAL
            final = over and job.id not in runner.live  # before that its outcome is still being written
            if final or (mark != sent and not over):
                yield f"id: {mark}\ndata: {data}\n\n"
                sent, at = mark, time.monotonic()
            if final:
                return
            if time.monotonic() - at > SILENCE:
                yield ": still here\n\n"
                at = time.monotonic()
            await asyncio.sleep(EVERY)
            await runner.moved(0.5)

    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(told(), headers=headers, media_type="text/event-stream")
