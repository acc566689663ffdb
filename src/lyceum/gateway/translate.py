"""Calls in one shape served by a Forward that speaks another: request, whole reply and stream are turned over."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import orjson

from lyceum.core.errors import InvalidInput, ProviderError
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.upstream import usage

Bytes = AsyncGenerator[bytes, None]
WRONG = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # what a shape that is none leads to


@dataclass(frozen=True, slots=True)
class Shape:
    """How calls are turned into those of `path` and back; `failed` makes the body of an error.

    `whole` and `stream` are told what was asked; `stream` notes the usage where the other shape tells it in a way of
    its own, and is None where nothing is streamed.
    """

    path: str
    request: Callable[[Mapping[str, Any]], dict[str, Any]]
    whole: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
    stream: Callable[[Bytes, Mapping[str, Any], Reply], Bytes] | None
    failed: Callable[[str], dict[str, Any]]


class Translated:
    """Serves calls by `inner` in another shape."""

    def __init__(self, inner: Forward, shape: Shape) -> None:
        self.inner, self.shape = inner, shape

    async def __call__(self, call: Call) -> Reply:
        """Turn the call over, and its reply back. Raises InvalidInput and ProviderError."""
        shape = self.shape
        try:
            asked = shape.request(call.asked)
        except WRONG as problem:
            raise InvalidInput(
                f"The body of {call.path} has a part that cannot be read: {problem!r}.",
                hint="Send it as OpenAI's or Anthropic's reference has it.", code="shape",
            ) from problem  # fmt: skip
        reply = await self.inner(replace(call, path=shape.path, asked=asked, body=orjson.dumps(asked)))
        if reply.chunks is not None and shape.stream is not None:
            reply.chunks = _checked(shape.stream(reply.chunks, call.asked, reply))
            reply.headers["content-type"] = "text/event-stream"
            return reply
        reply.headers["content-type"] = "application/json"
        try:
            told = orjson.loads(reply.body)
            if reply.status == 200 and not told.get("error"):
                reply.body = orjson.dumps(shape.whole(told, call.asked))
                reply.usage = reply.usage or usage(reply.body)
            else:
                reply.body = orjson.dumps(shape.failed(_said(told)))
        except WRONG as problem:
            if reply.status == 200:
                reply.finish()
                raise ProviderError("The upstream's reply cannot be read.", hint="See its log.") from problem
            reply.body = orjson.dumps(shape.failed(reply.body[:500].decode("utf-8", "replace")))
        return reply


class Paths:
    """Serves each path by a Forward of its own, others by `other`."""

    def __init__(self, served: Mapping[str, Forward], other: Forward | None = None) -> None:
        self.served, self.other = served, other

    def __call__(self, call: Call) -> Awaitable[Reply]:
        """Forward by the path. Raises InvalidInput for one that is not served."""
        forward = self.served.get(call.path, self.other)
        if forward is None:
            raise InvalidInput(
                f"The target of {call.model!r} does not serve {call.path}.",
                hint=f"It serves {', '.join(self.served)}.", code="endpoint",
            )  # fmt: skip
        return forward(call)


async def _checked(chunks: Bytes) -> Bytes:
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    except WRONG as problem:
        raise ProviderError(
            f"The upstream's stream cannot be read: {problem!r}.", hint="See its log."
        ) from problem


def _said(told: Any) -> str:
    error = told.get("error", told)
    return str(error.get("message", error) if isinstance(error, dict) else error)


def anthropic_error(message: str) -> dict[str, Any]:
    """Return an error in Anthropic's shape."""
    return {"type": "error", "error": {"type": "api_error", "message": message}}
