"""A reply to one that has really begun: the first bytes of a stream are there, and no error hides behind a 200."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import orjson

from lyceum.core.errors import ProviderError
from lyceum.gateway.call import Reply

NEAR = 256  # bytes at the beginning in which an error that is told as a success shows


async def begun(reply: Reply) -> Reply:
    """Return the reply with its first bytes read; what is an error in truth gets an error's status."""
    if reply.chunks is None:
        if reply.status == 200 and b'"error"' in reply.body[:NEAR]:
            _corrected(reply, reply.body)
        return reply
    rest = reply.chunks
    try:
        first = await anext(rest, b"")
    except BaseException:
        await rest.aclose()
        raise
    if not first:
        raise ProviderError("The upstream's stream was empty.", hint="See its log.", retryable=True)
    data = first.partition(b"data:")[2].partition(b"\n")[0] or first
    if b'"error"' in first[:NEAR] and _corrected(reply, data):
        await rest.aclose()
        reply.chunks = None
        reply.headers = {"content-type": "application/json"}
    else:
        reply.chunks = Begun(first, rest)
    return reply


def _corrected(reply: Reply, data: bytes) -> bool:
    """Give a reply that holds nothing but an error the error's status."""
    try:
        told: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(told, dict) or not told.get("error") or told.get("choices") or told.get("data"):
        return False
    code = told["error"].get("code") if isinstance(told["error"], dict) else None
    reply.status = code if isinstance(code, int) and 400 <= code < 600 else 502
    reply.body, reply.usage = data.strip(), None
    return True


class Begun(AsyncGenerator[bytes, None]):
    """The first bytes and then the rest, without a step of its own for each piece."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self.first: bytes | None = first
        self.rest = rest

    def __anext__(self) -> Any:
        if self.first:
            first, self.first = self.first, None
            return _now(first)
        return self.rest.__anext__()

    async def asend(self, value: None) -> bytes:
        return await self.rest.asend(value)

    async def athrow(self, *problem: Any) -> bytes:
        return await self.rest.athrow(*problem)

    async def aclose(self) -> None:
        await self.rest.aclose()


async def _now(first: bytes) -> bytes:
    return first
