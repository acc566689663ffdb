"""A call to one target that speaks OpenAI's shapes, and its reply with the usage it reports; bytes pass as they come.

Of a stream only the pieces that can hold the usage are parsed. Where the client did not ask for the usage of a
stream, it is asked for (a stream cannot be billed otherwise) and that event is not passed on.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson

from lyceum.core.errors import ProviderError
from lyceum.core.types import Usage
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.client import Client, Destination, Response
from lyceum.gateway.config import Target

PASSED = {one.encode(): one for one in ("content-type", "retry-after", "x-request-id")}
STREAMED = ("/v1/chat/completions", "/v1/completions")
LONGEST = 1 << 26  # bytes of a reply that is no stream


class OpenAI:
    """Forwards to `target` by `client`."""

    def __init__(self, target: Target, client: Client, environment: Mapping[str, str] = os.environ) -> None:
        self.target, self.client = target, client
        self.base = target.url.rstrip("/")
        name = target.key.removeprefix("env:")
        self.headers = {"content-type": "application/json"}
        if name:
            self.headers["authorization"] = f"Bearer {environment.get(name, '')}"
        self.places: dict[str, Destination] = {}

    async def __call__(self, call: Call) -> Reply:
        """Send the call; a reply that is no stream is read whole."""
        asked_usage, body = self._body(call)
        place = self.places.get(call.path)
        if place is None:
            url = self.base + call.path.removeprefix("/v1")
            place = self.places[call.path] = self.client.to("POST", url, self.headers)
        response = await self.client.send(place, body)
        told = response.told
        headers = {name: told[one].decode("latin-1") for one, name in PASSED.items() if one in told}
        reply = Reply(status=response.status, headers=headers)
        if call.stream and response.status == 200 and "event-stream" in headers.get("content-type", ""):
            reply.chunks = _counted(response, reply, asked_usage)
            return reply
        reply.body = await response.read(LONGEST)
        if response.status == 200:
            reply.usage = _usage(reply.body)
        return reply

    def _body(self, call: Call) -> tuple[bool, bytes]:
        """Return whether the client wants the usage of its stream, and the body with the target's own model name."""
        wanted = bool((call.asked.get("stream_options") or {}).get("include_usage"))
        asks = call.stream and not wanted and call.path in STREAMED
        named = self.target.model or call.model
        if named == call.asked.get("model") and not asks:
            return wanted, call.body
        changed = {**call.asked, "model": named}
        if asks:
            changed["stream_options"] = {**(call.asked.get("stream_options") or {}), "include_usage": True}
        return wanted or not asks, orjson.dumps(changed)


async def _counted(response: Response, reply: Reply, passed: bool) -> AsyncGenerator[bytes, None]:
    """Yield the stream; its last events say what it cost. `passed` lets the usage event through."""
    kept = b""
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            if not kept and b'"usage"' not in chunk and chunk.endswith(b"\n\n"):
                yield chunk  # the usual case: whole events that say nothing of usage
                continue
            kept += chunk
            end = kept.rfind(b"\n\n") + 2
            if end == 1:
                if len(kept) > LONGEST:
                    raise ProviderError("The upstream's event has no end.", hint="See its log.")
                continue
            events, kept = kept[:end], kept[end:]
            yield events if b'"usage"' not in events else _without(events, reply, passed)
    if kept:
        yield kept


def _without(events: bytes, reply: Reply, passed: bool) -> bytes:
    """Take the usage out of whole events; leave out the event that holds nothing else, unless it was asked for."""
    left = []
    for event in events.split(b"\n\n"):
        data = event.partition(b"data:")[2].strip()
        if b'"usage"' in data and (usage := _usage(data)) is not None:
            reply.usage = usage
            if not passed and not orjson.loads(data).get("choices"):
                continue
        left.append(event)
    return b"\n\n".join(left)


def _usage(data: bytes) -> Usage | None:
    """Return the usage that a JSON body reports, None where it reports none that makes sense."""
    try:
        told: Any = orjson.loads(data)
        counted = told.get("usage") if isinstance(told, dict) else None
        if not isinstance(counted, dict):
            return None
        given = counted.get("prompt_tokens", counted.get("input_tokens", 0)) or 0
        made = counted.get("completion_tokens", counted.get("output_tokens", 0)) or 0
    except orjson.JSONDecodeError:
        return None
    if not (isinstance(given, int) and isinstance(made, int) and given >= 0 and made >= 0):
        return None
    return Usage(input_tokens=given, output_tokens=made)
