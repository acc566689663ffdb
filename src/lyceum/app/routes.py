"""The routes under /api and the health checks: requests to the same store, retriever and answerer as the CLI's.

Whose rights a request uses is said by `readers` (body) or `as` (query): the holder of the token speaks for
its users. Without it only what everyone may read is seen.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from lyceum.app import shapes
from lyceum.app.session import ask, search
from lyceum.core.disk import on_disk
from lyceum.core.errors import InvalidInput, LyceumError, NotFound, ParseError, StoreError
from lyceum.core.ids import random_id
from lyceum.core.text import names as names_of
from lyceum.core.types import EVERYONE, Query
from lyceum.ingest.pipeline import Job, Outcome
from lyceum.wire import Platform

router = APIRouter()
SPOOL = "spool"


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


def empty_spool(home: Path) -> None:
    """Drop uploads that a killed server had received and never confirmed."""
    shutil.rmtree(home / SPOOL, ignore_errors=True)


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


@router.post("/api/documents", status_code=201)
async def add_document(
    request: Request,
    platform: Opened,
    file: Annotated[UploadFile, File(description="the file to read")],
    source: Annotated[str, Form(description="the name it is cited by; the file name by default")] = "",
    readers: Annotated[str, Form(description="who may read it, comma-separated; everyone by default")] = "",
) -> dict[str, Any]:
    """Read one file; on return it can be found. The same source again replaces the document."""
    name = Path((file.filename or "").replace("\\", "/")).name
    if not name:
        raise InvalidInput("The upload has no file name.", hint="Send multipart form data with a file name.")
    names = names_of(readers)
    folder = platform.home / SPOOL / random_id()
    await asyncio.to_thread(_spool, file, folder)
    job = Job(path=folder / "upload", source=source or name, name=name, readers=names or None)
    try:
        async with request.app.state.ingesting:
            outcomes = await platform.ingest([job])
            await platform.store.catch_up()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, True)
    return _confirmed(outcomes[0])


def _spool(file: UploadFile, folder: Path) -> None:
    try:
        with on_disk("The spool"):
            folder.mkdir(parents=True)
            with (folder / "upload").open("wb") as out:
                shutil.copyfileobj(file.file, out)
    except StoreError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _confirmed(outcome: Outcome) -> dict[str, Any]:
    if outcome.status == "failed":
        raise ParseError(outcome.message, hint=outcome.hint, code=outcome.code)
    return {
        "id": outcome.document_id, "source": outcome.source, "status": outcome.status,
        "pages": outcome.pages, "chunks": outcome.chunks, "warnings": list(outcome.warnings),
    }  # fmt: skip


@router.get("/api/documents")
async def list_documents(platform: Opened, readers: Readers) -> list[dict[str, Any]]:
    """List the visible documents."""
    return [shapes.document(one) for one in await platform.store.ledger.documents(readers)]


@router.get("/api/documents/{document_id}")
async def get_document(document_id: str, platform: Opened, readers: Readers) -> dict[str, Any]:
    """Return one document with its chunks; what the reader may not see does not exist for it."""
    found = await platform.store.ledger.documents(readers, document_id)
    if not found:
        raise NotFound("There is no such document.", hint="GET /api/documents lists them.")
    chunks = await platform.store.ledger.chunks(document_id)
    texts = [{"id": one.id, "path": list(one.path), "kind": one.kind, "text": one.text} for one in chunks]
    return {**shapes.document(found[0]), "chunks": texts}


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
