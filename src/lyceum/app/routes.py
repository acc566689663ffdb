"""The routes under /api and the health checks: requests to the same store, retriever and answerer as the CLI's.

Whose rights a request uses is said by `readers` (body) or `as` (query): the holder of the token speaks for
its users. Without it only what everyone may read is seen.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from lyceum.app import shapes
from lyceum.app.jobs import Runner
from lyceum.app.session import ask, search
from lyceum.core import errors
from lyceum.core.errors import InvalidInput, LyceumError, NotFound
from lyceum.core.text import names as names_of
from lyceum.core.types import EVERYONE, Query
from lyceum.store.jobs import Job
from lyceum.wire import Platform

router = APIRouter()


class Asked(BaseModel):
    """A question with whose rights it is asked."""

    model_config = ConfigDict(extra="forbid")
    question: str
    top_k: int = Field(10, ge=1, le=1000)
    readers: list[str] = []
    filters: dict[Literal["source", "type", "document"], str] = {}

    def query(self) -> Query:
        """Return it as the noun that every retriever takes."""
        readers = names_of(self.readers) | {EVERYONE}
        filters = {str(name): value for name, value in self.filters.items()}
        return Query(text=self.question, top_k=self.top_k, readers=readers, filters=filters)


def platform_of(request: Request) -> Platform:
    """Return the platform that this server opened."""
    platform: Platform = request.app.state.platform
    return platform


def readers_of(
    names: Annotated[str, Parameter(alias="as", description="readers, comma-separated")] = "",
) -> frozenset[str]:
    """Return whose documents a GET may see."""
    return names_of(names) | {EVERYONE}


Opened = Annotated[Platform, Depends(platform_of)]
Readers = Annotated[frozenset[str], Depends(readers_of)]


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(platform: Opened) -> JSONResponse:
    """Say whether the ledger can be read and every view has followed it."""
    try:
        await platform.store.catch_up()
        behind = await platform.store.behind()
    except LyceumError as problem:
        return JSONResponse(shapes.error(problem), 503)
    return JSONResponse({"status": "behind" if behind else "ok", "behind": behind}, 503 if behind else 200)


@router.post("/api/documents", status_code=201, responses={202: {"description": "queued as a job"}})
async def add_document(
    request: Request,
    file: Annotated[UploadFile, File(description="the file to read")],
    source: Annotated[str, Form(description="the name it is cited by; the file name by default")] = "",
    readers: Annotated[str, Form(description="who may read it, comma-separated; everyone by default")] = "",
    password: Annotated[str, Form(description="opens the file if it is locked; kept nowhere")] = "",
    wait: Annotated[bool, Parameter(description="false returns at once with a job to ask for")] = True,
) -> Any:
    """Read one file; on return it can be found, or with wait=false it is a job that no crash loses.

    The same source again replaces the document.
    """
    name = Path((file.filename or "").replace("\\", "/")).name
    if not name:
        raise InvalidInput("The upload has no file name.", hint="Send multipart form data with a file name.")
    jobs: Runner = request.app.state.jobs
    job = await jobs.submit(file.file, name, source or name, names_of(readers) or None, password)
    if wait:
        return _confirmed(await jobs.finished(job.id))
    return JSONResponse(shapes.job(job, None), 202, {"Location": f"/api/jobs/{job.id}"})


def _confirmed(job: Job) -> dict[str, Any]:
    if job.state == "cancelled":
        raise InvalidInput("The upload was cancelled.", hint="Send it again.", code="cancelled", status=409)
    if job.state == "failed":
        kind = getattr(errors, job.outcome.get("type", ""), LyceumError)
        raise kind(job.message, hint=job.hint, code=job.code)
    told = job.outcome
    return {
        "id": job.document, "source": job.source, "status": told["status"], "pages": told.get("pages", 0),
        "chunks": told.get("chunks", 0), "warnings": told.get("warnings", []),
    }  # fmt: skip


@router.delete("/api/documents/{document_id}", status_code=204)
async def remove_document(document_id: str, platform: Opened, readers: Readers) -> None:
    """Delete a document from the ledger and every view."""
    await platform.store.remove(document_id, readers)


@router.post("/api/search")
async def search_documents(asked: Asked, platform: Opened) -> list[dict[str, Any]]:
    """Return ranked passages, each with the parts that found it."""
    return [shapes.hit(one) for one in await search(platform, asked.query())]


@router.post("/api/answer")
async def answer_question(asked: Asked, platform: Opened) -> dict[str, Any]:
    """Return an answer with citations, or a refusal with its reason."""
    return shapes.answer(await ask(platform, asked.query()))


@router.get("/api/traces/{trace_id}")
async def get_trace(trace_id: str, platform: Opened, readers: Readers) -> list[dict[str, Any]]:
    """Return a trace's spans by start time, to those whose rights it used."""
    spans = await asyncio.to_thread(platform.spans.trace, trace_id, readers)
    if not spans:
        raise NotFound("There is no such trace.", hint="Traces are kept for a while only; ask again.")
    return [shapes.span(one) for one in spans]
