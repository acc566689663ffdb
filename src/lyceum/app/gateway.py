"""The gateway over HTTP: a raw ASGI application for model calls, in front of the application for everything else.

Bodies are read, checked and forwarded without a framework, for that is where the time goes. A model that the gateway
does not know is left to the application behind it, so that `lyceum` itself stays a model like others.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson

from lyceum.app.guard import LOOPBACK, SLOWEST, own, too_large
from lyceum.app.observed import Observed
from lyceum.core.errors import Busy, Forbidden, InvalidInput, LyceumError, NotFound
from lyceum.core.types import EVERYONE
from lyceum.gateway.build import Serving
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import Key
from lyceum.gateway.live import Live

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = {"content-type": "application/json"}
MODELS = "/v1/models"
ALONE = frozenset(("/v1/completions", "/v1/messages"))  # what the application behind does not serve
OPTIONAL = "/v1/rerank"  # names no model where it means Lyceum's own
CALLS = ALONE | {"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/rerank"}
PATHS = CALLS | {MODELS}


class Front:
    """Forwards calls to the models that `live` serves; `inner` serves the rest, behind a guard of its own.

    A call is let in by a virtual key, by the server's `token`, or from this machine where there is neither. The
    longest body is `most` bytes, and it has to come in `seconds`. `wait` says how long an address that guesses has
    to wait.
    """

    def __init__(
        self, live: Live, inner: Application, token: str, most: int, seconds: float,
        observed: Callable[[], Observed], wait: Callable[[str], float] = lambda _: 0.0,
    ) -> None:  # fmt: skip
        self.live, self.inner, self.most, self.seconds, self.wait = live, inner, most, seconds, wait
        self.observed = observed
        self.token = token.encode("latin-1", "replace")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; who leaves before its end stops the work on it."""
        if scope["type"] != "http" or scope["path"] not in PATHS or not self.live.serving.route.models:
            await self.inner(scope, receive, send)
            return
        leaving = scope["state"].get("leaving")  # the server's protocol cancels what is in it
        task = asyncio.current_task()
        if leaving is None or task is None:
            await self._served(scope, receive, send)
            return
        leaving.add(task)
        try:
            await self._served(scope, receive, send)
        except asyncio.CancelledError:
            if task in leaving:
                raise
        finally:
            leaving.discard(task)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        serving = self.live.serving
        try:
            # It was understood already where it could have been answered at once.
            known: Call | None = scope["state"].get("call")
            call = known or await self._understood(scope, receive, send, serving)
        except LyceumError as problem:
            reply = failed(problem)
            self.observed().refused(reply)
            await _sent(reply, send)
            return
        if call is not None:
            await self._answered(call, serving, scope, send)

    async def _understood(self, scope: Scope, receive: Receive, send: Send, serving: Serving) -> Call | None:
        """Return the call that a request is, None where something else is answered. Raises Forbidden, NotFound, …"""
        headers = _decoded(scope["headers"])
        key = self._key(scope, headers, serving)
        if scope["path"] == MODELS and key is not None and scope["method"] == "GET":
            await _sent(Reply(status=200, headers=dict(JSON), body=orjson.dumps(listed(serving, key))), send)
            return None
        if scope["path"] == MODELS or scope["method"] != "POST":
            await self.inner(scope, receive, send)
            return None
        body = await self._body(scope, headers, receive)
        call = _call(scope["path"], headers, body, key)
        if serving.route.known(call.model):
            return call
        if key is not None or call.path in ALONE:
            raise unknown(call.model)
        await self.inner(scope, _again(body, receive), send)
        return None

    async def _answered(self, call: Call, serving: Serving, scope: Scope, send: Send) -> None:
        observed, reply = self.observed(), Reply(status=500, error="unexpected")
        observed.begun(call)
        try:
            try:
                reply = await serving.forward(call)
            except LyceumError as problem:
                reply = failed(problem)
            except asyncio.CancelledError:
                reply = Reply(status=499, left=True)
                raise
            write = scope["state"].get("write")  # past ASGI, where the server's protocol allows it
            if reply.chunks is None and write is not None and write(reply):
                reply.finish()
            else:
                await _sent(reply, send)
        finally:
            observed.ended(call, reply)

    def at_once(
        self, scope: Scope, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> Reply | None:
        """Return the reply to a call that needs nothing to be waited for; None lets it go the usual way."""
        serving = self.live.serving
        if serving.ready is None or not serving.route.models:
            return None
        try:
            told = _decoded(headers)
            call = _call(path, told, body, self._key(scope, told, serving))
        except LyceumError as problem:
            reply = failed(problem)
            self.observed().refused(reply)
            return reply
        if not serving.route.known(call.model):
            return None
        scope["state"]["call"] = call
        if not serving.ready(call):
            return None
        work = serving.forward(call).__await__()
        try:
            next(work)
        except StopIteration as ended:
            reply = ended.value
        except LyceumError as problem:
            reply = failed(problem)
        else:  # a policy around the cache has to wait, for counts of other hosts
            work.close()
            call.facts.clear()
            return None
        reply.finish()
        self.observed().told(call, reply)
        return reply

    def _key(self, scope: Scope, headers: Mapping[str, str], serving: Serving) -> Key | None:
        """Return the virtual key of a call, None for who may do anything. Raises Forbidden."""
        given = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
        sent = given.encode("latin-1")
        if serving.keys and (key := serving.keys.get(hashlib.sha256(sent).hexdigest())):
            return key
        if self.token and hmac.compare_digest(sent, self.token):
            return None
        address = (scope.get("client") or ("",))[0]
        if self.token or serving.keys:
            if wait := self.wait(address):
                raise Busy(
                    "Too many requests.", hint="Wait and try again.", code="rate", status=429, wait=wait
                )
            raise Forbidden("No valid key.", hint="Send the header Authorization: Bearer KEY.", code="no_key")
        if address in LOOPBACK:
            own(headers)
        return None

    async def _body(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> bytes:
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.most:
            raise too_large(self.most)
        if "whole" in scope["state"]:  # it came with the head: no clock has to be set
            body: bytes = (await receive()).get("body", b"")
            if len(body) > self.most:
                raise too_large(self.most)
            return body
        try:
            async with asyncio.timeout(self.seconds) as patience:
                parts, size, more = list[bytes](), 0, True
                began = asyncio.get_running_loop().time()
                while more:
                    message = await receive()
                    parts.append(message.get("body", b""))
                    size, more = size + len(parts[-1]), message.get("more_body", False)
                    patience.reschedule(began + self.seconds + size / SLOWEST)
                    if size > self.most:
                        raise too_large(self.most)
        except TimeoutError as problem:
            raise InvalidInput(
                "The body came too slowly.", hint="Send it faster.", code="slow", status=408
            ) from problem
        return b"".join(parts)


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


def _decoded(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def _call(path: str, headers: Mapping[str, str], body: bytes, key: Key | None) -> Call:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise InvalidInput(
            f"The body is no JSON: {problem}.", hint="Send a JSON object.", code="json"
        ) from problem
    model = asked.get("model", "" if path == OPTIONAL else None) if isinstance(asked, dict) else None
    if not isinstance(model, str):
        raise InvalidInput("The body names no model.", hint='Send {"model": "…", …}.', code="model")
    call = Call(
        path=path, body=body, asked=asked, model=model, stream=asked.get("stream") is True, headers=headers
    )
    if key is not None:
        call.key, call.tenant, call.readers = key.id, key.tenant, key.readers | {EVERYONE}
    elif isinstance(told := asked.get("readers"), list):
        call.readers = frozenset(one for one in told if isinstance(one, str)) | {EVERYONE}
    return call


def listed(serving: Serving, key: Key | None = None) -> dict[str, Any]:
    """Return the models and aliases of the gateway in OpenAI's shape: those that a key may use, or all."""
    names = [*serving.route.models, *serving.gateway.alias]
    may = key.models if key and key.models else names
    return {
        "object": "list",
        "data": [
            {"id": one, "object": "model", "created": 0, "owned_by": "gateway"} for one in names if one in may
        ],
    }


def unknown(model: str) -> NotFound:
    """Return the error of a model that nobody serves."""
    return NotFound(
        f"There is no model {model!r}.", hint="GET /v1/models lists them.", code="model_not_found"
    )


def failed(problem: LyceumError) -> Reply:
    """Return an error in OpenAI's shape; the `type` beside it is what Anthropic's clients look for."""
    kind = "invalid_request_error" if problem.status < 500 else "server_error"
    told = {"message": f"{problem}", "type": kind, "param": None, "code": problem.code, "hint": problem.hint}
    headers = dict(JSON)
    if problem.wait:
        headers["retry-after"] = str(max(1, round(problem.wait)))
    return Reply(
        status=problem.status,
        headers=headers,
        body=orjson.dumps({"type": "error", "error": told}),
        error=problem.code,
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
                    reply.last = time.perf_counter()
                    reply.first = reply.first or reply.last
                    reply.pieces += 1
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except asyncio.CancelledError:
                reply.left = True
                raise
            except LyceumError as problem:  # it began well: the client learns the end by an event
                reply.error = problem.code
                event = b"event: error\ndata: " + failed(problem).body + b"\n\n"
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        reply.finish()
