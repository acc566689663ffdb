"""The routes under /api/jobs: what became of uploads, cancelling them, and their progress as a stream of events.

A job is seen by those who may see its document; for others it does not exist.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
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


async def _seen(runner: Runner, readers: frozenset[str], job_id: str) -> Job:
    found = await jobs.visible(runner.ledger, readers, job_id)
    if not found:
        raise NotFound(
            "There is no such job.", hint="GET /api/jobs lists them; finished ones are kept a week."
        )
    return found[0]


@router.get("/api/jobs")
async def list_jobs(
    request: Request, readers: Readers, limit: Annotated[int, Parameter(ge=1, le=LISTED)] = 100
) -> list[dict[str, Any]]:
    """List the visible jobs, newest first."""
    runner = runner_of(request)
    found = await jobs.visible(runner.ledger, readers)
    return [shapes.job(one, runner.live.get(one.id)) for one in found[:limit]]


@router.get("/api/jobs/{job_id}")
async def get_job(job_id: str, request: Request, readers: Readers) -> dict[str, Any]:
    """Return a job's state, its pages so far, and its outcome or error."""
    runner = runner_of(request)
    return shapes.job(await _seen(runner, readers, job_id), runner.live.get(job_id))


@router.delete("/api/jobs/{job_id}")
async def cancel_job(job_id: str, request: Request, readers: Readers) -> dict[str, Any]:
    """Cancel a job and return it; one that has ended stays as it is."""
    runner = runner_of(request)
    await _seen(runner, readers, job_id)
    await runner.cancel(job_id)
    return shapes.job(await _seen(runner, readers, job_id), None)


@router.get("/api/jobs/{job_id}/events")
async def job_events(
    job_id: str, request: Request, readers: Readers, last_event_id: Annotated[str, Header()] = ""
) -> StreamingResponse:
    """Stream the job as server-sent events whenever it changes; the last one holds its last state.

    Each event is the whole state, so that with Last-Event-ID nothing is missed: what is the same is not repeated,
    the last state always.
    """
    runner = runner_of(request)
    await _seen(runner, readers, job_id)

    async def told() -> AsyncIterator[str]:
        sent, at = last_event_id, time.monotonic()
        while not request.app.state.stopping():
            # Asked each time: whose right was revoked is told no more.
            found = await jobs.visible(runner.ledger, readers, job_id)
            if not found:
                return
            data = json.dumps(shapes.job(found[0], runner.live.get(job_id)), ensure_ascii=False)
            mark = digest(data)[:16]
            over = found[0].state in jobs.FINAL
            final = over and job_id not in runner.live  # before that its outcome is still being written
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

    return StreamingResponse(
        told(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )
