"""A reply that may be given again, to bytes and back, and the two forms of it: a whole body or a stream of events.

A stream is kept as it came, but for the event of its usage, which each reader gets or does not get as it asked. The
other form is made when it is asked for. It knows no cache.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from lyceum.core.types import Usage
from lyceum.gateway.call import Call, Reply

DONE = b"data: [DONE]"
PIECE = 1 << 16  # bytes that a replayed stream gives at a time, rounded up to whole events
SUM = 8  # bytes of the checksum


@dataclass(frozen=True, slots=True)
class Entry:
    """`stream` says which form `body` has; `until` is when it is too old, in seconds of the clock."""

    stream: bool
    body: bytes
    until: float
    usage: Usage
    kind: str = "application/json"

    def packed(self) -> bytes:
        """Return bytes that `unpacked` reads, with a checksum of them all."""
        head = [self.stream, self.until, self.usage.input_tokens, self.usage.output_tokens, self.kind]
        rest = orjson.dumps(head) + b"\n" + self.body
        return blake2b(rest, digest_size=SUM).digest() + rest


def unpacked(data: bytes) -> Entry | None:
    """Return the entry; None where the bytes are damaged."""
    rest = data[SUM:]
    if blake2b(rest, digest_size=SUM).digest() != data[:SUM]:
        return None
    head, _, body = rest.partition(b"\n")
    stream, until, given, made, kind = orjson.loads(head)
    return Entry(stream, body, until, Usage(input_tokens=given, output_tokens=made), kind)


def kept(call: Call, reply: Reply, body: bytes, until: float) -> Entry | None:
    """Return the entry of a reply that was read to its end; None where it should not be given again."""
    if reply.status != 200 or reply.error:
        return None
    kind, usage = reply.headers.get("content-type", "application/json"), reply.usage or Usage()
    if reply.chunks is None:
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        whole = isinstance(told, dict) and not told.get("error") and _complete(call, told)
        return Entry(False, body, until, usage, kind) if whole else None
    events = body.replace(b"\r\n", b"\n").split(b"\n\n")
    if not _ended(call, events) or any(
        one.startswith((b'data: {"error"', b"event: error")) for one in events
    ):
        return None
    return Entry(True, b"\n\n".join(one for one in events if not _only_usage(one)), until, usage, kind)


def given(entry: Entry, call: Call) -> Reply | None:
    """Return the reply in the form that the call asks for; None where it cannot be made."""
    try:
        if not call.stream:
            body = _collected(entry.body, entry.usage) if entry.stream else entry.body
            return Reply(status=200, headers={"content-type": "application/json"}, body=body)
        body = entry.body if entry.stream else _events(entry.body)
    except (KeyError, TypeError, AttributeError, ValueError):  # a vendor's own shape
        return None
    if wants_usage(call):
        body = _with_usage(body, entry.usage)
    return Reply(status=200, headers={"content-type": "text/event-stream"}, chunks=_replayed(body))


def wants_usage(call: Call) -> bool:
    """Say whether a stream shall end with its usage."""
    chat = call.path in ("/v1/chat/completions", "/v1/completions")
    return bool(chat and call.stream and (call.asked.get("stream_options") or {}).get("include_usage"))


def _complete(call: Call, told: Any) -> bool:
    """Say whether a body holds what its path promises."""
    if call.path == "/v1/responses":
        return told.get("status", "completed") == "completed" and "output" in told
    if call.path == "/v1/messages":
        return bool(told.get("type") == "message")
    return any(isinstance(told.get(name), list) for name in ("choices", "data", "results"))


def _ended(call: Call, events: list[bytes]) -> bool:
    """Say whether a stream came to its own end."""
    if call.path == "/v1/responses":
        return any(b"response.completed" in one[:60] for one in events[-4:])
    if call.path == "/v1/messages":
        return any(b"message_stop" in one[:60] for one in events[-3:])
    return any(one.strip() == DONE for one in events[-2:])


def _only_usage(event: bytes) -> bool:
    if b'"usage"' not in event or b'"choices"' not in event:
        return False
    try:
        told = orjson.loads(event.partition(b"data:")[2])
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and not told.get("choices") and isinstance(told.get("usage"), dict)


async def _replayed(body: bytes) -> AsyncGenerator[bytes, None]:
    start = 0
    while start < len(body):
        end = body.find(b"\n\n", start + PIECE) + 2
        end = len(body) if end == 1 else end
        yield body[start:end]
        start = end


def _told(body: bytes) -> list[dict[str, Any]]:
    datas = (one.partition(b"data:")[2].strip() for one in body.split(b"\n\n"))
    return [orjson.loads(one) for one in datas if one and one != b"[DONE]"]


def _counted(usage: Usage) -> dict[str, int]:
    total = usage.input_tokens + usage.output_tokens
    return {
        "prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": total,
    }  # fmt: skip


def _with_usage(body: bytes, usage: Usage) -> bytes:
    """Put the event of the usage before the end."""
    last = _told(body[: body.find(b"\n\n")])[0]
    event: dict[str, Any] = {
        name: last[name] for name in ("id", "object", "created", "model") if name in last
    }
    event = {**event, "choices": [], "usage": _counted(usage)}
    before, _, after = body.rpartition(DONE)
    return before + b"data: " + orjson.dumps(event) + b"\n\n" + DONE + after


def _collected(body: bytes, usage: Usage) -> bytes:
    """Return the whole body that a stream amounts to."""
    told = _told(body)
    whole = {name: value for one in told for name, value in one.items() if name not in ("choices", "usage")}
    choices: dict[int, dict[str, Any]] = {}
    for event in told:
        for choice in event["choices"]:
            made = choices.setdefault(choice["index"], {})
            _merge(made, {"message" if name == "delta" else name: value for name, value in choice.items()})
    for made in choices.values():
        for call in (made.get("message") or {}).get("tool_calls") or ():
            call.pop("index", None)
    whole["object"] = "chat.completion" if "chunk" in str(whole.get("object")) else whole.get("object")
    return orjson.dumps({**whole, "choices": list(choices.values()), "usage": _counted(usage)})


def _merge(made: dict[str, Any], more: dict[str, Any]) -> None:
    """Add a delta: texts and lists grow, tool calls by their index; what stays the same is set."""
    for name, value in more.items():
        old = made.get(name)
        if name == "tool_calls" and isinstance(value, list):
            calls = made.setdefault(name, [])
            for one in value:
                while len(calls) <= one["index"]:
                    calls.append({})
                _merge(calls[one["index"]], one)
        elif isinstance(value, dict):
            made[name] = old if isinstance(old, dict) else {}
            _merge(made[name], value)
        elif isinstance(value, list) and isinstance(old, list):
            old.extend(value)
        elif isinstance(value, str) and isinstance(old, str):
            made[name] = (old or value) if name in ("role", "type", "id", "name") else old + value
        elif value is not None or old is None:
            made[name] = value


def _events(body: bytes) -> bytes:
    """Return the stream that a whole body amounts to: an event with everything, one with the reason of the end."""
    told = orjson.loads(body)
    head = {name: value for name, value in told.items() if name not in ("choices", "usage")}
    chat = head.get("object") == "chat.completion"
    head["object"] = "chat.completion.chunk" if chat else head.get("object")
    first, last = [], []
    for choice in told["choices"]:
        place = {"index": choice["index"]}
        if "message" in choice:
            message = dict(choice["message"])
            if message.get("tool_calls"):
                message["tool_calls"] = [{"index": at, **one} for at, one in enumerate(message["tool_calls"])]
            more = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
            first.append({**place, "delta": message, **more, "finish_reason": None})
            last.append({**place, "delta": {}, "finish_reason": choice.get("finish_reason")})
        else:
            first.append({**choice, "finish_reason": None})
            last.append({**place, "text": "", "finish_reason": choice.get("finish_reason")})
    return b"".join(_event({**head, "choices": one}) for one in (first, last)) + DONE + b"\n\n"


def _event(told: Iterable[Any]) -> bytes:
    return b"data: " + orjson.dumps(told) + b"\n\n"
