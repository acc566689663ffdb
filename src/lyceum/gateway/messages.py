"""Anthropic messages to chat completions and back, streams too: plain objects in and out; knows no connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson

from lyceum.core.errors import InvalidInput
from lyceum.core.ids import random_id
from lyceum.gateway import events
from lyceum.gateway.call import Reply
from lyceum.gateway.translate import Shape, anthropic_error

SAME = ("model", "temperature", "top_p", "stream", "readers", "filters")
REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
CHOICES = {"auto": "auto", "none": "none", "any": "required"}


def request(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request for a chat completion that asks the same as one for a message."""
    messages: list[dict[str, Any]] = []
    if system := asked.get("system"):
        messages.append({"role": "system", "content": _text(system)})
    for one in asked["messages"]:
        messages += _turns(one["role"], one["content"])
    made: dict[str, Any] = {name: asked[name] for name in SAME if asked.get(name) is not None}
    made |= {"messages": messages, "max_tokens": asked["max_tokens"]}
    if asked.get("stream"):
        made["stream_options"] = {"include_usage": True}  # the last event tells it
    if asked.get("stop_sequences"):
        made["stop"] = asked["stop_sequences"]
    if (asked.get("metadata") or {}).get("user_id"):
        made["user"] = asked["metadata"]["user_id"]
    if tools := asked.get("tools"):
        made["tools"] = [_tool(one) for one in tools]
        if choice := asked.get("tool_choice"):
            named = {"type": "function", "function": {"name": choice.get("name")}}
            made["tool_choice"] = named if choice["type"] == "tool" else CHOICES[choice["type"]]
            if choice.get("disable_parallel_tool_use"):
                made["parallel_tool_calls"] = False
    form = (asked.get("output_config") or {}).get("format")
    if form:
        schema = {"name": "answer", "strict": True, "schema": form["schema"]}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    return made


def _tool(one: Mapping[str, Any]) -> dict[str, Any]:
    if "input_schema" not in one:
        raise InvalidInput(
            f"The model has no tool of type {one.get('type')!r}.",
            hint="Send tools with an input_schema.",
            code="tool",
        )
    told = {"description": one["description"]} if one.get("description") else {}
    return {"type": "function", "function": {"name": one["name"], **told, "parameters": one["input_schema"]}}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(one["text"] for one in content or () if one["type"] == "text")


def _turns(role: str, content: Any) -> list[dict[str, Any]]:
    """Return the messages that one message is: results of tools are messages of their own, before the rest."""
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    made: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": one["tool_use_id"], "content": _text(one.get("content"))}
        for one in content
        if one["type"] == "tool_result"
    ]
    calls = [
        {
            "id": one["id"], "type": "function",
            "function": {"name": one["name"], "arguments": orjson.dumps(one["input"]).decode()},
        }
        for one in content
        if one["type"] == "tool_use"
    ]  # fmt: skip
    parts = [part for one in content if (part := _part(one))]
    if role == "assistant":
        turn: dict[str, Any] = {"role": role, "content": "".join(one["text"] for one in parts) or None}
        return [*made, {**turn, "tool_calls": calls} if calls else turn]
    return [*made, {"role": role, "content": parts}] if parts else made


def _part(one: Mapping[str, Any]) -> dict[str, Any] | None:
    if one["type"] == "text":
        return {"type": "text", "text": one["text"]}
    if one["type"] == "image":
        source = one["source"]
        inline = source["type"] == "base64"
        url = f"data:{source['media_type']};base64,{source['data']}" if inline else source["url"]
        return {"type": "image_url", "image_url": {"url": url}}
    if one["type"] in ("tool_use", "tool_result", "thinking", "redacted_thinking"):
        return None
    raise InvalidInput(
        f"The model takes no content of type {one['type']!r}.", hint="Send text or images.", code="content"
    )


# --- the way back ---------------------------------------------------------------------------------------


def whole(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message that a chat completion is."""
    choice = told["choices"][0]
    message = choice["message"]
    content: list[dict[str, Any]] = []
    if message.get("content"):
        content.append({"type": "text", "text": message["content"]})
    for call in message.get("tool_calls") or ():
        given = orjson.loads(call["function"]["arguments"] or "{}")
        content.append(
            {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": given}
        )
    made = _message(told.get("id"), told.get("model"), told.get("usage"))
    return {**made, "content": content, "stop_reason": _reason(choice.get("finish_reason"))}


def _message(name: str | None, model: str | None, usage: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "id": name or f"msg_{random_id()}", "type": "message", "role": "assistant", "model": model or "",
        "content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(usage),
    }  # fmt: skip


def _reason(finish: str | None) -> str:
    return REASONS.get(finish or "", "end_turn")


def _usage(told: Mapping[str, Any] | None) -> dict[str, int]:
    told = told or {}
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return {
        "input_tokens": max(0, (told.get("prompt_tokens") or 0) - cached), "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0, "output_tokens": told.get("completion_tokens") or 0,
    }  # fmt: skip


class _Blocks:
    """The blocks of a message while they come: one is open at a time."""

    def __init__(self) -> None:
        self.number, self.open = -1, ""

    def into(self, name: str, block: Mapping[str, Any]) -> list[bytes]:
        """Return the events that end the open block and begin another, none where it is the open one."""
        if self.open == name:
            return []
        made = self.closed()
        self.number, self.open = self.number + 1, name
        return [*made, self.event("start", content_block=block)]

    def closed(self) -> list[bytes]:
        """Return the event that ends the open block."""
        was, self.open = self.open, ""
        return [self.event("stop")] if was else []

    def event(self, kind: str, **more: Any) -> bytes:
        kind = f"content_block_{kind}"
        return events.event({"type": kind, "index": self.number, **more}, kind)


async def stream(
    chunks: AsyncGenerator[bytes, None], asked: Mapping[str, Any], reply: Reply
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a message as the chunks of a chat completion come."""
    blocks, finish, usage, begun = _Blocks(), None, None, False
    async with aclosing(events.told(chunks)) as told:
        async for one in told:
            if not begun:
                begun = True
                start = _message(one.get("id"), one.get("model"), None)
                yield events.event({"type": "message_start", "message": start}, "message_start")
            usage = one.get("usage") or usage
            for choice in one.get("choices") or ():
                for event in _said(blocks, choice.get("delta") or {}):
                    yield event
                finish = choice.get("finish_reason") or finish
    for event in blocks.closed():
        yield event
    ended = {"stop_reason": _reason(finish), "stop_sequence": None}
    yield events.event({"type": "message_delta", "delta": ended, "usage": _usage(usage)}, "message_delta")
    yield events.event({"type": "message_stop"}, "message_stop")


def _said(blocks: _Blocks, delta: Mapping[str, Any]) -> list[bytes]:
    made = []
    if delta.get("content"):
        made += blocks.into("text", {"type": "text", "text": ""})
        made.append(blocks.event("delta", delta={"type": "text_delta", "text": delta["content"]}))
    for call in delta.get("tool_calls") or ():
        function = call.get("function") or {}
        block = {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": {}}
        made += blocks.into(f"call {call['index']}", block)
        if function.get("arguments"):
            given = {"type": "input_json_delta", "partial_json": function["arguments"]}
            made.append(blocks.event("delta", delta=given))
    return made


MESSAGES = Shape("/v1/chat/completions", request, lambda told, _: whole(told), stream, anthropic_error)
