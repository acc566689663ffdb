"""Documents over HTTP: added, listed, described, drawn, downloaded, deleted; what is known stays at home.

An ETag is a hash of the response's bytes, which hold only what the reader may see. A file is never shown in place.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse, StreamingResponse

from lyceum.app import pages, shapes
from lyceum.app.jobs import Runner
from lyceum.app.routes import Opened, Readers
from lyceum.core import errors
from lyceum.core.errors import InvalidInput, LyceumError, NotFound
from lyceum.core.packed import dump
from lyceum.core.text import names as names_of
from lyceum.core.types import Document
from lyceum.store.jobs import Job
from lyceum.wire import Platform

router = APIRouter(prefix="/api/documents")
ALL = 1 << 31
BLOCK = 1 << 18
PRIVATE = {"Cache-Control": "private, no-cache"}
_range = re.compile(r"bytes=(\d*)-(\d*)")


async def visible(document_id: str, platform: Opened, readers: Readers) -> Document:
    """Return the document of a path; what the reader may not see does not exist for it."""
    return await platform.store.ledger.document(readers, document_id)


Visible = Annotated[Document, Depends(visible)]


def named(file: UploadFile) -> str:
    """Return an upload's file name without folders, "" where it has none."""
    return Path((file.filename or "").replace("\\", "/")).name


@router.post("", status_code=201, responses={202: {"description": "queued as a job"}})
async def add_document(
    request: Request,
    file: Annotated[UploadFile, File(description="the file to read")],
    source: Annotated[str, Form(description="the name it is cited by; the file name by default")] = "",
    readers: Annotated[str, Form(description="who may read it, comma-separated; everyone by default")] = "",
    password: Annotated[str, Form(description="opens the file if it is locked; kept nowhere")] = "",
    tags: Annotated[
        str, Form(description="tags to filter by, comma-separated; kept as they are by default")
    ] = "",
    wait: Annotated[bool, Parameter(description="false returns at once with a job to ask for")] = True,
) -> Any:
    """Read one file; on return it can be found, or with wait=false it is a job that no crash loses.

    The same source again replaces the document.
    """
    if not (name := named(file)):
        raise InvalidInput("The upload has no file name.", hint="Send multipart form data with a file name.")
    jobs: Runner = request.app.state.jobs
    job = await jobs.submit(
        file.file, name, source or name, names_of(readers) or None, password, names_of(tags) or None
    )
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


@router.get("", response_model=list[dict[str, Any]])
async def list_documents(
    request: Request,
    platform: Opened,
    readers: Readers,
    limit: Annotated[int | None, Parameter(ge=1, le=1000, description="all by default")] = None,
    offset: Annotated[int, Parameter(ge=0, le=ALL)] = 0,
    media: Annotated[str, Parameter(alias="type", description="pdf, docx, …")] = "",
    source: Annotated[str, Parameter(description="how the source begins")] = "",
    title: Annotated[str, Parameter(description="words inside the title, in any case")] = "",
    language: Annotated[str, Parameter(description="en or zh")] = "",
) -> Response:
    """List the visible documents by source; X-Total-Count says how many there are, Link leads on."""

    def wanted(document: Document) -> bool:
        return (
            media.lower() in ("", document.media)
            and document.source.startswith(source)
            and title.casefold() in document.title.casefold()
            and language.lower() in ("", document.language)
        )

    found, total = await platform.store.ledger.page(readers, wanted, offset, limit or ALL)
    headers = {"X-Total-Count": str(total)}
    if limit and offset + limit < total:
        following = request.url.include_query_params(offset=offset + limit)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return _tagged(request, [shapes.document(one) for one in found], **headers)


@router.get("/{document_id}", response_model=dict[str, Any])
async def get_document(request: Request, found: Visible, platform: Opened) -> Response:
    """Return one document with its chunks; what the reader may not see does not exist for it."""
    chunks = await platform.store.ledger.chunks(found.id)
    texts = [{"id": one.id, "path": list(one.path), "kind": one.kind, "text": one.text} for one in chunks]
    return _tagged(request, {**shapes.document(found), "chunks": texts})


@router.get("/{document_id}/report", response_model=dict[str, Any])
async def get_report(request: Request, document: Visible) -> Response:
    """Say how a document was read: counts, and the pages that are doubtful or were recognised in a picture."""
    return _tagged(request, pages.report(document))


@router.get(
    "/{document_id}/pages/{number}.png",
    response_class=Response, responses={200: {"content": {"image/png": {}}}},
)  # fmt: skip
async def get_page(
    request: Request,
    document: Visible,
    number: int,
    platform: Opened,
    quote: Annotated[str, Parameter(max_length=4000, description="words to mark")] = "",
    chunk: Annotated[
        str, Parameter(max_length=64, description="mark this chunk, or look for the quote in it")
    ] = "",
    dpi: Annotated[int, Parameter(ge=36, le=300)] = pages.DPI,
) -> Response:
    """Draw a page of a PDF or picture with words marked; X-Boxes says how many lines were."""
    boxes = await pages.places(platform, document, number, quote, chunk)
    tag = _etag(document.version.encode(), dump([number, dpi, boxes]).encode())
    headers = {"ETag": tag, **PRIVATE, "X-Boxes": str(len(boxes))}
    if _known(request, tag):
        return Response(None, 304, headers)
    return Response(await platform.draw(document, number, boxes, dpi), 200, headers, "image/png")


@router.get("/{document_id}/pages/{number}", response_model=dict[str, Any])
async def get_measures(
    request: Request, document: Visible, number: int, platform: Opened,
    quote: Annotated[str, Parameter(max_length=4000, description="words to find")] = "",
    chunk: Annotated[str, Parameter(max_length=64, description="find this chunk, or the quote in it")] = "",
) -> Response:  # fmt: skip
    """Return a page's width and height and the boxes of words on it: (left, top, right, bottom) from its top left."""
    return _tagged(request, await pages.measured(platform, document, number, quote, chunk))


@router.get(
    "/{document_id}/file",
    response_class=Response, responses={200: {"content": {"application/octet-stream": {}}}},
)  # fmt: skip
async def get_file(request: Request, document: Visible, platform: Opened) -> Response:
    """Return the file as it was read; one range may be asked for, several give the whole."""
    file, size = await asyncio.to_thread(_same, platform, document)
    tag = f'"{document.meta["sha256"]}"'
    name = quote(document.source.rsplit("/", 1)[-1], safe="")
    headers = {
        "ETag": tag, **PRIVATE, "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
    }  # fmt: skip
    if _known(request, tag):
        file.close()
        return Response(None, 304, headers)
    start, end = _asked(request, tag, size)
    if start >= end and size:
        file.close()
        return Response(None, 416, {**headers, "Content-Range": f"bytes */{size}"})
    status = 206 if end - start < size else 200
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(_blocks(file, start, end), status, headers, "application/octet-stream")


def _same(platform: Platform, document: Document) -> tuple[IO[bytes], int]:
    """Return the file, open, and its size; raise unless its bytes are those that were read.

    What lies outside of the home is copied while it is checked, for it could change afterwards.
    """
    with platform.draw.original(document).open("rb") as source:
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the response has been sent
        sha256 = hashlib.sha256()
        while block := source.read(BLOCK):
            sha256.update(block)
            copy.write(block)
    if sha256.hexdigest() != document.meta["sha256"]:
        copy.close()
        raise NotFound("The file has changed since it was read.", hint="Ingest it again.", code="changed")
    return copy, copy.tell()


def _asked(request: Request, tag: str, size: int) -> tuple[int, int]:
    """Return the bytes that are asked for, from and to; the whole when the request names no single range."""
    given = _range.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if given is None or given.groups() == ("", "") or request.headers.get("if-range", tag) != tag:
        return 0, size
    first, last = given.groups()
    if not first:
        return max(size - int(last[:18]), 0), size if int(last[:18]) else 0
    return int(first[:18]), min(int(last[:18]) + 1 if last else size, size)


async def _blocks(file: IO[Any], start: int, end: int) -> AsyncIterator[bytes]:
    try:
        file.seek(start)
        while start < end and (block := await asyncio.to_thread(file.read, min(BLOCK, end - start))):
            start += len(block)
            yield block
    finally:
        file.close()


@router.delete("/{document_id}", status_code=204)
async def remove_document(document_id: str, platform: Opened, readers: Readers) -> None:
    """Delete a document from the ledger and every view."""
    await platform.store.remove(document_id, readers)


def _tagged(request: Request, value: Any, **headers: str) -> Response:
    """Return a value as JSON with its ETag, or 304 when the caller has it."""
    response = JSONResponse(value)
    response.headers.update({"ETag": _etag(bytes(response.body)), **PRIVATE, **headers})
    if _known(request, response.headers["ETag"]):
        return Response(None, 304, {"ETag": response.headers["ETag"], **PRIVATE, **headers})
    return response


def _etag(*parts: bytes) -> str:
    """Return the entity tag of what the parts make up."""
    return f'"{hashlib.sha256(b"|".join(parts)).hexdigest()[:32]}"'


def _known(request: Request, tag: str) -> bool:
    """Say whether the caller's If-None-Match names this tag."""
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return tag in given or given == ["*"]
