"""The gateway over HTTP: a raw ASGI application for model calls, in front of the application for everything else.

Bodies are read, checked and forwarded without a framework, for that is where the time goes. A model that the gateway
does not know is left to the application behind it, so that `lyceum` itself stays a model like others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any

import orjson

from lyceum.core.errors import InvalidInput, LyceumError, TooLarge
from lyceum.gateway.call import Call, Forward, Reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PATHS = frozenset("/v1/chat/completions /v1/completions /v1/responses /v1/embeddings /v1/rerank".split())


class Gateway:
    """Forwards calls to `models` by `forward`; `inner` serves the rest. `most` is the longest body in bytes."""

    def __init__(
        self, forward: Forward, known: Callable[[str], bool], inner: Application, most: int = 20_000_000
    ) -> None:
        self.forward, self.known, self.inner, self.most = forward, known, inner, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] not in PATHS or scope["method"] != "POST":
            await self.inner(scope, receive, send)
            return
        try:
            body = await _body(receive, self.most)
            call = _call(scope, body)
            if not self.known(call.model):
                await self.inner(scope, _again(body, receive), send)
                return
            reply = await self.forward(call)
        except LyceumError as problem:
            reply = failed(problem)
        await _sent(reply, send)


async def _body(receive: Receive, most: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            break
    if size > most:
        raise TooLarge(f"The body is longer than {most:,} bytes.", hint="Send less text.")
    return body if len(parts) == 1 else b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Let the application behind read the body that was read here."""
    given = False

    async def read() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def _call(scope: Scope, body: bytes) -> Call:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise InvalidInput(
            f"The body is no JSON: {problem}.", hint="Send a JSON object.", code="json"
        ) from problem
    model = asked.get("model") if isinstance(asked, dict) else None
    if not isinstance(model, str):
        raise InvalidInput("The body names no model.", hint='Send {"model": "…", …}.', code="model")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Call(
        path=scope["path"],
        body=body,
        asked=asked,
        model=model,
        stream=asked.get("stream") is True,
        headers=headers,
    )


def failed(problem: LyceumError) -> Reply:
    """Return an error in OpenAI's shape."""
    kind = "invalid_request_error" if problem.status < 500 else "server_error"
    told = {"message": f"{problem}", "type": kind, "param": None, "code": problem.code, "hint": problem.hint}
    headers = {"content-type": "application/json"}
    if problem.wait:
        headers["retry-after"] = str(max(1, round(problem.wait)))
    return Reply(
        status=problem.status, headers=headers, body=orjson.dumps({"error": told}), error=problem.code
    )


async def _sent(reply: Reply, send: Send) -> None:
    """Send a reply; whatever happens it is finished exactly once."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    try:
        if reply.chunks is None:
            headers.append((b"content-length", str(len(reply.body)).encode()))
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": reply.body})
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        async with aclosing(reply.chunks) as chunks:
            try:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except LyceumError as problem:  # it began well: the client learns the end by an event
                reply.error = problem.code
                event = b"data: " + failed(problem).body + b"\n\n"
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        reply.finish()
