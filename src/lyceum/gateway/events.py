"""Server-sent events and lines of JSON out of a stream of bytes however it is cut, and events into bytes."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from lyceum.core.errors import ProviderError

LONGEST = 1 << 26  # bytes of one event
DONE = b"data: [DONE]\n\n"
_blank = re.compile(rb"\r?\n\r?\n")


async def told(
    chunks: AsyncGenerator[bytes, None], end: re.Pattern[bytes] = _blank
) -> AsyncGenerator[Any, None]:
    """Yield the JSON of each event; what is none ([DONE], comments) is left out. Raises ProviderError.

    So does an event that tells an error.
    """
    kept = b""
    async with aclosing(chunks):
        async for chunk in chunks:
            *whole, kept = end.split(kept + chunk)
            if len(kept) > LONGEST:
                raise ProviderError("The upstream's event has no end.", hint="See its log.")
            for one in whole:
                if (found := _json(one)) is not None:
                    yield found
    if (found := _json(kept)) is not None:
        yield found


def lines(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[Any, None]:
    """Yield the JSON of each line."""
    return told(chunks, _line)


_line = re.compile(rb"\r?\n")


def _json(event: bytes) -> Any:
    data = b"\n".join(
        line.removeprefix(b"data:") for line in event.splitlines() if line[:1] == b"{" or line[:5] == b"data:"
    ).strip()
    if data[:1] != b"{":
        return None
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError as problem:
        raise ProviderError(f"The upstream's event is no JSON: {problem}.", hint="See its log.") from problem
    if error := told.get("error"):
        said = error.get("message") if isinstance(error, dict) else error
        raise ProviderError(f"The upstream failed: {said}", hint="See its log.")
    return told


def event(data: Any, name: str = "") -> bytes:
    """Return an event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + orjson.dumps(data) + b"\n\n"
