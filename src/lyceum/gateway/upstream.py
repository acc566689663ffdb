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
from lyceum.gateway.call import Call, Reply, Used
from lyceum.gateway.client import Client, Response
from lyceum.gateway.config import Target

PASSED = ("content-type", "retry-after", "x-request-id")
STREAMED = ("/v1/chat/completions", "/v1/completions")
LONGEST = 1 << 26  # bytes of a reply that is no stream


class OpenAI:
    """Forwards to `target` by `client`."""

    def __init__(self, target: Target, client: Client, environment: Mapping[str, str] = os.environ) -> None:
        self.target, self.client = target, client
        self.base = target.url.rstrip("/")
        name = target.key.removeprefix("env:")
        self.options = {"include_usage": True}
        if (
            "continuous_usage" in target.features
        ):  # vLLM and SGLang tell it with every event: a call that is left too
            self.options["continuous_usage_stats"] = True
        self.headers = {"content-type": "application/json"}
        if name:
            self.headers["authorization"] = f"Bearer {environment.get(name, '')}"

    async def __call__(self, call: Call) -> Reply:
        """Send the call; a reply that is no stream is read whole."""
        asked_usage, body = self._body(call)
        url = self.base + call.path.removeprefix("/v1")
        response = await self.client.request("POST", url, self.headers, body)
        headers = {name: response.headers[name] for name in PASSED if name in response.headers}
        reply = Reply(status=response.status, headers=headers)
        if call.stream and response.status == 200 and "event-stream" in headers.get("content-type", ""):
            reply.chunks = _counted(response, reply, asked_usage)
            return reply
        reply.body = await _whole(response)
        if response.status == 200:
            reply.usage = usage_of(reply.body)
        return reply

    def _body(self, call: Call) -> tuple[bool, bytes]:
        """Return whether the client wants the usage of its stream, and the body with the target's own model name."""
        told = call.asked.get("stream_options") or {}
        wanted = bool(told.get("include_usage"))
        asks = call.stream and call.path in STREAMED and not self.options.items() <= told.items()
        named = self.target.model or call.model
        if named == call.asked.get("model") and not asks:
            return wanted, call.body
        changed = {**call.asked, "model": named}
        if asks:
            changed["stream_options"] = {**told, **self.options}
        return wanted or call.path not in STREAMED, orjson.dumps(changed)


async def _whole(response: Response) -> bytes:
    parts: list[bytes] = []
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            parts.append(chunk)
            if sum(map(len, parts)) > LONGEST:
                raise ProviderError("The upstream's reply is too long.", hint="Ask for less.")
    return b"".join(parts)


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
        if b'"usage"' in data and (usage := usage_of(data)) is not None:
            reply.usage = usage
            if not passed and not orjson.loads(data).get("choices"):
                continue
        left.append(event)
    return b"\n\n".join(left)


def usage_of(data: bytes) -> Usage | None:
    """Return the usage that a JSON body reports, None where it reports none that makes sense."""
    try:
        told: Any = orjson.loads(data)
        counted = told.get("usage") if isinstance(told, dict) else None
        if not isinstance(counted, dict):
            return None
        given = counted.get("prompt_tokens", counted.get("input_tokens", 0)) or 0
        made = counted.get("completion_tokens", counted.get("output_tokens", 0)) or 0
        details = counted.get("prompt_tokens_details", counted.get("input_tokens_details"))
        cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    except orjson.JSONDecodeError:
        return None
    if not (isinstance(given, int) and isinstance(made, int) and given >= 0 and made >= 0):
        return None
    if isinstance(cached, int) and 0 < cached <= given:
        return Used(input_tokens=given, output_tokens=made, cached_tokens=cached)
    return Usage(input_tokens=given, output_tokens=made)
