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
ENDS = (b"\n\n", b"\r\n\r\n")  # of an event
VERSIONS = ("anthropic-version", "anthropic-beta")
MANY = 1 << 31  # tokens that no call has


class OpenAI:
    """Forwards to `target` by `client`."""

    def __init__(self, target: Target, client: Client, environment: Mapping[str, str] = os.environ) -> None:
        self.target, self.client = target, client
        self.base = target.url.rstrip("/")
        self.name = target.key.removeprefix("env:")
        self.options = {"include_usage": True}
        if "continuous_usage" in target.features:  # vLLM and SGLang tell it with every event
            self.options["continuous_usage_stats"] = True
        self.headers = {"content-type": "application/json"}
        if self.name:
            self.headers |= self.proof(environment.get(self.name, ""))
        self.places: dict[str, Destination] = {}

    def proof(self, secret: str) -> dict[str, str]:
        """Return the headers that say who calls."""
        return {"authorization": f"Bearer {secret}"}

    def place(self, call: Call) -> Destination:
        """Return where a call goes, worked out once for each path."""
        made = self.places.get(call.path)
        if made is None:
            made = self.places[call.path] = self._place(call.path, self.headers)
        return made

    def _place(self, path: str, headers: Mapping[str, str]) -> Destination:
        return self.client.to("POST", self.base + path.removeprefix("/v1"), headers)

    async def __call__(self, call: Call) -> Reply:
        """Send the call; a reply that is no stream is read whole."""
        asked_usage, body = self._body(call)
        response = await self.client.send(self.place(call), body)
        status, told = response.status, response.told
        headers = {name: told[one].decode("latin-1") for one, name in PASSED.items() if one in told}
        reply = Reply(status=status, headers=headers)
        if call.stream and status == 200:
            kind = headers.get("content-type", "")
            if "event-stream" in kind:
                reply.chunks = _counted(response, reply, asked_usage)
                return reply
            if "ndjson" in kind:
                reply.chunks = response.chunks()
                return reply
        reply.body = await response.read(LONGEST)
        if status == 200:
            reply.usage = usage(reply.body)
        if status != 200 or reply.usage is None:
            self._checked(reply)
        return reply

    def _body(self, call: Call) -> tuple[bool, bytes]:
        """Return whether the client sees the usage of its stream, and the body with the target's own model name."""
        told = call.asked.get("stream_options") or {}
        wanted = bool(told.get("include_usage"))
        asks = call.stream and call.path in STREAMED and not self.options.items() <= told.items()
        named = self.target.model or call.facts.get("model", call.model)
        if named == call.asked.get("model") and not asks:
            return True, call.body
        changed = {**call.asked, "model": named}
        if asks:
            changed["stream_options"] = {**told, **self.options}
        return wanted or not asks, orjson.dumps(changed)

    def _checked(self, reply: Reply) -> None:
        """Give an error that is none in our shape that shape. Raises ProviderError for what cannot be passed on."""
        if reply.status == 401:  # it is not the client's key that is wrong
            raise ProviderError(
                f"The upstream of {self.target.model or 'the model'} does not take the gateway's key.",
                hint=f"Set {self.name or 'key = env:… of its target'} in the server's environment.",
                code="upstream_key",
            )
        told = _object(reply.body)
        if reply.status < 400:
            if reply.status >= 300 or not told:
                raise ProviderError(
                    f"The upstream answered {reply.status} without JSON.",
                    hint="Check its address and its log.",
                )
        elif not told.get("error"):
            said = told.get("message") or told.get("detail") or reply.body[:300].decode("utf-8", "replace")
            reply.body = orjson.dumps(openai_error(f"The upstream answered {reply.status}: {said}"))
            reply.headers["content-type"] = "application/json"


class Anthropic(OpenAI):
    """Forwards messages to Anthropic's API as they are."""

    def __init__(self, target: Target, client: Client, environment: Mapping[str, str] = os.environ) -> None:
        super().__init__(target, client, environment)
        self.headers["anthropic-version"] = "2023-06-01"

    def proof(self, secret: str) -> dict[str, str]:
        """Return the headers that say who calls."""
        return {"x-api-key": secret}

    def place(self, call: Call) -> Destination:
        """Return where a call goes, with what its client says of the API."""
        said = {name: call.headers[name] for name in VERSIONS if name in call.headers}
        return self._place(call.path, self.headers | said) if said else super().place(call)


async def _counted(response: Response, reply: Reply, passed: bool) -> AsyncGenerator[bytes, None]:
    """Yield the stream; its events say what it cost. `passed` lets the usage event through."""
    kept = b""
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            if not kept and b'"usage"' not in chunk and chunk.endswith(ENDS):
                yield chunk  # the usual case: whole events that say nothing of usage
                continue
            kept += chunk
            end = max(kept.rfind(one) + len(one) for one in ENDS)
            if end < len(ENDS[1]):
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
    end = ENDS[1] if events.endswith(ENDS[1]) else ENDS[0]
    for event in events.split(end):
        data = event.partition(b"data:")[2].strip()
        if b'"usage"' in data and (found := usage(data)) is not None:
            # Numbers of one reply only grow: some tell what was read first, and what was written last.
            known = reply.usage or found
            reply.usage = Usage(
                input_tokens=max(known.input_tokens, found.input_tokens),
                output_tokens=max(known.output_tokens, found.output_tokens),
                cached_tokens=max(known.cached_tokens, found.cached_tokens),
            )
            if not passed and not _object(data).get("choices"):
                continue
        left.append(event)
    return end.join(left)


def _object(data: bytes) -> dict[str, Any]:
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def usage(data: bytes) -> Usage | None:
    """Return the usage that a JSON body or event reports, None where it reports none that makes sense."""
    told = _object(data)
    counted = told.get("usage")
    if counted is None:  # Anthropic's first event and the last one of a response hold it one level deeper
        inner = told.get("message") or told.get("response")
        counted = inner.get("usage") if isinstance(inner, dict) else None
    if not isinstance(counted, dict):
        return None
    given = counted.get("prompt_tokens", counted.get("input_tokens", 0)) or 0
    made = counted.get("completion_tokens", counted.get("output_tokens", 0)) or 0
    stored = [counted.get(f"cache_{one}_input_tokens") or 0 for one in ("read", "creation")]
    if not all(type(one) is int and 0 <= one < MANY for one in (given, made, *stored)):
        return None
    details = counted.get("prompt_tokens_details", counted.get("input_tokens_details"))
    cached = details.get("cached_tokens") if isinstance(details, dict) else stored[0]
    given += sum(stored)
    told_twice = cached if type(cached) is int and 0 <= cached <= given else 0
    return Usage(input_tokens=given, output_tokens=made, cached_tokens=told_twice)


def openai_error(message: str) -> dict[str, Any]:
    """Return an upstream's error in OpenAI's shape."""
    hint = "See the upstream's log."
    return {
        "error": {"message": message, "type": "upstream_error", "param": None, "code": "upstream", "hint": hint}
    }  # fmt: skip
