"""Calls to Lyceum's own models as a target of the gateway: the routes of this process, asked without a socket.

The answerer, the encoder and the reranker stand in the gateway's configuration like others (`lyceum:`); whose
documents an answer may use is what the key says, whatever the body does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import orjson
from starlette.types import ASGIApp, Message

from lyceum.app.openai_routes import ENCODER, MODEL
from lyceum.app.vectors_routes import RERANKER
from lyceum.core.errors import ProviderError
from lyceum.core.ids import random_id
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Target
from lyceum.gateway.upstream import usage

OWN = {"/v1/embeddings": ENCODER, "/v1/rerank": RERANKER}
AHEAD = 16  # messages that a route may be ahead of who reads


def inside(application: Callable[[], ASGIApp], app: Any) -> Callable[[Target], Forward]:
    """Return what makes the Forward for a target in this process; `application` is there once it has started."""

    def reached(target: Target) -> Forward:
        async def forward(call: Call) -> Reply:
            own = OWN.get(call.path, MODEL)
            asked = {**call.asked, "model": target.model or own}
            if own == MODEL:
                asked["readers"] = sorted(call.readers)
            return await _answered(application(), app, call, orjson.dumps(asked))

        return forward

    return reached


async def _answered(application: ASGIApp, app: Any, call: Call, body: bytes) -> Reply:
    sent: asyncio.Queue[Message] = asyncio.Queue(AHEAD)
    asked: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if asked:
            return asked.pop()
        await asyncio.Event().wait()  # nobody leaves: the work is cancelled instead
        return {"type": "http.disconnect"}

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": call.path, "raw_path": call.path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json")], "client": None, "server": None, "app": app,
        "state": {"request_id": random_id()},
    }  # fmt: skip
    work = asyncio.ensure_future(application(scope, receive, sent.put))
    chunks = _sent(work, sent)
    try:
        start = await anext(chunks)
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        kept = {"content-type": headers["content-type"]}
        reply = Reply(status=start["status"], headers=kept)
        if "event-stream" in kept["content-type"]:
            reply.chunks = _streamed(chunks, reply)
            return reply
        reply.body = b"".join([one.get("body", b"") async for one in chunks])
    except BaseException:
        await chunks.aclose()
        raise
    reply.usage = usage(reply.body)
    return reply


async def _sent(work: asyncio.Future[None], sent: asyncio.Queue[Message]) -> AsyncGenerator[Message, None]:
    """Yield what the application sends; its work ends with whoever reads."""
    try:
        while not (work.done() and sent.empty()):
            waiting = asyncio.ensure_future(sent.get())
            await asyncio.wait((waiting, work), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                continue
            message = waiting.result()
            yield message
            if message["type"] == "http.response.body" and not message.get("more_body"):
                break
        else:
            work.result()
            raise ProviderError("The route ended without a reply.", hint="See the server's log.")
    finally:
        work.cancel()
        await asyncio.wait((work,))
        if not work.cancelled():
            work.exception()  # its route has told and logged it


async def _streamed(messages: AsyncGenerator[Message, None], reply: Reply) -> AsyncGenerator[bytes, None]:
    try:
        async for one in messages:
            body: bytes = one.get("body", b"")
            if b'"usage"' in body and (found := usage(body.partition(b"data:")[2])) is not None:
                reply.usage = found
            if body:
                yield body
    finally:
        await messages.aclose()
