"""Style, scripts and icon of the pages, from the package: under an address that changes with their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from lyceum.core.errors import NotFound

router = APIRouter(include_in_schema=False)
MEDIA = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"


@cache
def held() -> Mapping[str, bytes]:
    """Return every file by its name."""
    folder = files(__package__).joinpath("static")
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.partition(".")[2] in MEDIA}


@cache
def stamp() -> str:
    """Return a hash of all files: scripts import each other, so one address holds them together."""
    return hashlib.sha256(repr(sorted(held().items())).encode()).hexdigest()[:16]


def address(name: str) -> str:
    """Return where a file is."""
    assert name in held(), name
    return f"/static/{stamp()}/{name}"


@router.get("/static/{version}/{name}")
async def get_static(request: Request, version: str, name: str) -> Response:
    """Return a file; under the address of today it may be kept for ever."""
    body = held().get(name)
    if body is None:
        raise NotFound("There is no such file.", hint="Load the page again.")
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": FOREVER if version == stamp() else "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, 304, headers)
    return Response(body, 200, headers, MEDIA[name.partition(".")[2]])
