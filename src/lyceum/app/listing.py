"""Documents over HTTP, one and many: filters, parts of a long list, and ETags so that what is known stays at home.

An ETag is a hash of the response's bytes, which hold only what the reader may see.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Query as Parameter

from lyceum.app import shapes
from lyceum.app.routes import Opened, Readers
from lyceum.core.errors import NotFound
from lyceum.core.types import Document
from lyceum.wire import Platform

router = APIRouter()
ALL = 1 << 31


def tagged(request: Request, body: bytes, media: str = "application/json", **headers: str) -> Response:
    """Return a body with its ETag, or 304 when the caller has it."""
    tag = etag(body)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", **headers}
    if known(request, tag):
        return Response(None, 304, headers)
    return Response(body, 200, headers, media_type=media)


def etag(*parts: bytes) -> str:
    """Return the entity tag of what the parts make up."""
    return f'"{hashlib.sha256(b"|".join(parts)).hexdigest()[:32]}"'


def known(request: Request, tag: str) -> bool:
    """Say whether the caller's If-None-Match names this tag."""
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return tag in given or given == ["*"]


def packed(value: Any) -> bytes:
    """Return JSON bytes; NaN has no place in them."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


async def visible(platform: Platform, readers: frozenset[str], document_id: str) -> Document:
    """Return a document; what the reader may not see does not exist for it."""
    found = await platform.store.ledger.documents(readers, document_id)
    if not found:
        raise NotFound("There is no such document.", hint="GET /api/documents lists them.")
    return found[0]


@router.get("/api/documents", response_model=list[dict[str, Any]])
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
    wanted = _wanted(media.lower(), source, title.casefold(), language.lower())
    found, total = await platform.store.ledger.page(readers, wanted, offset, limit or ALL)
    headers = {"X-Total-Count": str(total)}
    if limit and offset + limit < total:
        following = request.url.include_query_params(offset=offset + limit)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return tagged(request, packed([shapes.document(one) for one in found]), **headers)


def _wanted(media: str, source: str, title: str, language: str) -> Callable[[Document], bool]:
    def wanted(document: Document) -> bool:
        return (
            media in ("", document.media)
            and document.source.startswith(source)
            and title in document.title.casefold()
            and language in ("", document.language)
        )

    return wanted


@router.get("/api/documents/{document_id}", response_model=dict[str, Any])
async def get_document(request: Request, document_id: str, platform: Opened, readers: Readers) -> Response:
    """Return one document with its chunks; what the reader may not see does not exist for it."""
    found = await visible(platform, readers, document_id)
    chunks = await platform.store.ledger.chunks(document_id)
    texts = [{"id": one.id, "path": list(one.path), "kind": one.kind, "text": one.text} for one in chunks]
    return tagged(request, packed({**shapes.document(found), "chunks": texts}))
