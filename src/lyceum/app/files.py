"""The file that a document was read from, as a download: whole or one range of it, never shown in place."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from typing import IO, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from lyceum.app.listing import known, visible
from lyceum.app.pages import original
from lyceum.app.routes import Opened, Readers
from lyceum.core.errors import NotFound
from lyceum.core.types import Document
from lyceum.wire import Platform

router = APIRouter()
BLOCK = 1 << 18
_range = re.compile(r"bytes=(\d*)-(\d*)")


@router.get(
    "/api/documents/{document_id}/file",
    response_class=Response, responses={200: {"content": {"application/octet-stream": {}}}},
)  # fmt: skip
async def get_file(request: Request, document_id: str, platform: Opened, readers: Readers) -> Response:
    """Return the file as it was read; one range may be asked for, several give the whole."""
    document = await visible(platform, readers, document_id)
    file, size = await asyncio.to_thread(_same, platform, document)
    tag = f'"{document.meta["sha256"]}"'
    name = quote(document.source.rsplit("/", 1)[-1], safe="")
    headers = {
        "ETag": tag, "Cache-Control": "private, no-cache", "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
    }  # fmt: skip
    if known(request, tag):
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
    with original(platform, document).open("rb") as source:
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
