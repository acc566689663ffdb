"""The common part of /v1/responses to chat completions and back, streams too: text, pictures, functions and results.

Nothing is stored, so a request brings what was said before. Reference: OpenAI API, responses and their streaming.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from lyceum.core.errors import InvalidInput
from lyceum.core.ids import random_id
from lyceum.gateway import events
from lyceum.gateway.call import Reply
from lyceum.gateway.translate import Shape
from lyceum.gateway.upstream import openai_error

SAME = ("model", "temperature", "top_p", "stream", "parallel_tool_calls", "user", "options", "keep_alive")
ECHOED = ("instructions", "metadata", "temperature", "tools", "tool_choice", "top_p", "parallel_tool_calls")
TEXTS = ("input_text", "output_text", "text")


def request(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request for a chat completion that asks the same as one for a response."""
    if asked.get("previous_response_id") or asked.get("background"):
        raise InvalidInput("No response is stored.", hint="Send earlier messages too.", code="not_stored")
    given = asked["input"]
    messages = [{"role": "system", "content": asked["instructions"]}] if asked.get("instructions") else []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for one in items:
        turn = _turn(one)
        if "tool_calls" in turn and messages and "tool_calls" in messages[-1]:
            messages[-1]["tool_calls"] += turn["tool_calls"]  # calls of one turn are one message
        else:
            messages.append(turn)
    made: dict[str, Any] = {name: asked[name] for name in SAME if asked.get(name) is not None}
    made["messages"] = messages
    if asked.get("max_output_tokens"):
        made["max_completion_tokens"] = asked["max_output_tokens"]
    if asked.get("stream"):
        made["stream_options"] = {"include_usage": True}
    if tools := asked.get("tools"):
        made["tools"] = [_tool(one) for one in tools]
        choice: Any = asked.get("tool_choice") or "auto"
        named = isinstance(choice, Mapping)
        made["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}} if named else choice
    form = (asked.get("text") or {}).get("format")
    if form and form["type"] == "json_schema":
        schema = {name: form[name] for name in ("name", "schema", "strict") if name in form}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form and form["type"] != "text":
        made["response_format"] = form
    return made


def _tool(one: Mapping[str, Any]) -> dict[str, Any]:
    if one["type"] != "function":
        raise InvalidInput(
            f"The model has no tool of type {one['type']!r}.", hint="Send functions.", code="tool"
        )
    named = {name: one[name] for name in ("name", "description", "parameters", "strict") if name in one}
    return {"type": "function", "function": named}


def _turn(one: Mapping[str, Any]) -> dict[str, Any]:
    kind = one.get("type", "message")
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": one["call_id"], "content": one["output"]}
    if kind == "function_call":
        function = {"name": one["name"], "arguments": one["arguments"]}
        call = {"id": one["call_id"], "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind != "message":
        raise InvalidInput(
            f"The model takes no item of type {kind!r}.", hint="Send messages and functions.", code="item"
        )
    content = one["content"]
    return {
        "role": one["role"],
        "content": content if isinstance(content, str) else [_part(p) for p in content],
    }


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] in TEXTS:
        return {"type": "text", "text": part["text"]}
    if part["type"] == "input_image" and part.get("image_url"):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    raise InvalidInput(
        f"The model takes no content of type {part['type']!r}.",
        hint="Send text or image_url.",
        code="content",
    )


# --- the way back ---------------------------------------------------------------------------------------


def whole(told: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response that a chat completion is."""
    choice = told["choices"][0]
    message = choice["message"]
    output = [_message(f"msg_{random_id()}", message["content"])] if message.get("content") else []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        output.append(_call(f"fc_{random_id()}", call["id"], function["name"], function["arguments"]))
    return _ended(_head(told.get("model"), asked), output, choice.get("finish_reason"), told.get("usage"))


def _head(model: str | None, asked: Mapping[str, Any]) -> dict[str, Any]:
    echoed = {name: asked.get(name) for name in ECHOED}
    defaults = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {}}
    return {
        "id": f"resp_{random_id()}", "object": "response", "created_at": int(time.time()), "model": model or "",
        "status": "in_progress", "error": None, "incomplete_details": None, "output": [], "usage": None,
        "store": False, "previous_response_id": None, **echoed,
        **{name: one for name, one in defaults.items() if echoed[name] is None},
    }  # fmt: skip


def _ended(
    head: Mapping[str, Any], output: list[dict[str, Any]], finish: str | None, usage: Mapping[str, Any] | None
) -> dict[str, Any]:
    short = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish or "")
    told = usage or {}
    sent, made = told.get("prompt_tokens") or 0, told.get("completion_tokens") or 0
    cached = (told.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return {
        **head, "status": "incomplete" if short else "completed", "output": output,
        "incomplete_details": {"reason": short} if short else None,
        "usage": {
            "input_tokens": sent, "output_tokens": made, "total_tokens": sent + made,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip


def _message(name: str, text: str, status: str = "completed") -> dict[str, Any]:
    content = [_words(text)] if status == "completed" else []
    return {"id": name, "type": "message", "role": "assistant", "status": status, "content": content}


def _words(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(name: str, call: str, function: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    return {
        "id": name, "type": "function_call", "call_id": call, "name": function, "arguments": arguments,
        "status": status,
    }  # fmt: skip


class _Items:
    """The items of a response while they come: the last one is open."""

    def __init__(self) -> None:
        self.number = 0  # of events
        self.done: list[dict[str, Any]] = []
        self.open: dict[str, Any] = {}
        self.text = ""

    def event(self, kind: str, **more: Any) -> bytes:
        kind, number = f"response.{kind}", self.number
        self.number += 1
        return events.event({"type": kind, "sequence_number": number, **more}, kind)

    def about(self, kind: str, **more: Any) -> bytes:
        where = {"item_id": self.open["id"], "output_index": len(self.done)}
        return self.event(kind, **where, **({} if "call_id" in self.open else {"content_index": 0}), **more)

    def begin(self, item: dict[str, Any]) -> list[bytes]:
        """Return the events that end the open item and begin another."""
        made = self.end()
        self.open, self.text = item, ""
        made.append(self.event("output_item.added", output_index=len(self.done), item=item))
        if item["type"] == "message":
            made.append(self.about("content_part.added", part=_words("")))
        return made

    def end(self) -> list[bytes]:
        """Return the events that end the open item."""
        if not self.open:
            return []
        item = {**self.open, "status": "completed"}
        if item["type"] == "message":
            item["content"] = [_words(self.text)]
            made = [self.about("output_text.done", text=self.text, logprobs=[])]
            made.append(self.about("content_part.done", part=_words(self.text)))
        else:
            item["arguments"] = self.text
            made = [self.about("function_call_arguments.done", arguments=self.text, name=item["name"])]
        made.append(self.event("output_item.done", output_index=len(self.done), item=item))
        self.done.append(item)
        self.open = {}
        return made

    def said(self, delta: Mapping[str, Any]) -> list[bytes]:
        """Return the events of a piece of a chat completion."""
        made = []
        if words := delta.get("content"):
            if self.open.get("type") != "message":
                made += self.begin(_message(f"msg_{random_id()}", "", "in_progress"))
            self.text += words
            made.append(self.about("output_text.delta", delta=words, logprobs=[]))
        for call in delta.get("tool_calls") or ():
            function = call.get("function") or {}
            if call.get("id"):
                made += self.begin(
                    _call(f"fc_{random_id()}", call["id"], function["name"], "", "in_progress")
                )
            if function.get("arguments"):
                self.text += function["arguments"]
                made.append(self.about("function_call_arguments.delta", delta=function["arguments"]))
        return made


async def stream(
    chunks: AsyncGenerator[bytes, None], asked: Mapping[str, Any], reply: Reply
) -> AsyncGenerator[bytes, None]:
    """Yield the events of a response as the chunks of a chat completion come."""
    items, head, finish, usage = _Items(), dict[str, Any](), None, None
    async with aclosing(events.told(chunks)) as told:
        async for one in told:
            if not head:
                head = _head(one.get("model"), asked)
                yield items.event("created", response=head)
                yield items.event("in_progress", response=head)
            usage = one.get("usage") or usage
            for choice in one.get("choices") or ():
                for event in items.said(choice.get("delta") or {}):
                    yield event
                finish = choice.get("finish_reason") or finish
    for event in items.end():
        yield event
    ended = _ended(head or _head(None, asked), items.done, finish, usage)
    yield items.event(ended["status"], response=ended)


RESPONSES = Shape("/v1/chat/completions", request, whole, stream, openai_error)
