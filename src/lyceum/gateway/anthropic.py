"""Chat completions to Anthropic messages and back, streams too: plain objects in and out; knows no connection.

What has no counterpart there (seed, penalties, logprobs) is left out; several choices and JSON without a schema are
refused. Reference: Anthropic API, messages and their streaming.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson

from lyceum.core.errors import InvalidInput
from lyceum.gateway import events
from lyceum.gateway.call import Reply
from lyceum.gateway.translate import Shape
from lyceum.gateway.upstream import openai_error

TOKENS = 8192  # that may be written where the caller names no number, for the API needs one
FINISHED = {"max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter"}
SAME = ("model", "top_p", "stream", "thinking")
CHOICES = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}


def request(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request for a message that asks the same as one for a chat completion."""
    if (asked.get("n") or 1) != 1:
        raise InvalidInput("The model gives one choice.", hint="Leave out n.", code="choices")
    system: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    for one in asked["messages"]:
        role, content = one["role"], _blocks(one.get("content"))
        if role in ("system", "developer"):
            system += content
            continue
        if role == "tool":
            role = "user"
            content = [{"type": "tool_result", "tool_use_id": one["tool_call_id"], "content": content}]
        content += [_used(call) for call in one.get("tool_calls") or ()]
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        else:
            messages.append({"role": role, "content": content})
    made: dict[str, Any] = {name: asked[name] for name in SAME if asked.get(name) is not None}
    made["max_tokens"] = asked.get("max_completion_tokens") or asked.get("max_tokens") or TOKENS
    made["messages"] = messages
    if system:
        made["system"] = system
    return made | _options(asked)


def _options(asked: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if asked.get("temperature") is not None:
        made["temperature"] = min(asked["temperature"], 1.0)
    if stop := asked.get("stop"):
        made["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if asked.get("user"):
        made["metadata"] = {"user_id": asked["user"]}
    if tools := asked.get("tools"):
        made["tools"] = [_tool(one["function"]) for one in tools]
        chosen = asked.get("tool_choice") or "auto"
        choice: dict[str, Any] = (
            {"type": "tool", "name": chosen["function"]["name"]}
            if isinstance(chosen, Mapping)
            else dict(CHOICES[chosen])
        )
        if asked.get("parallel_tool_calls") is False and choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
        made["tool_choice"] = choice
    form = asked.get("response_format") or {"type": "text"}
    if form["type"] == "json_schema":
        schema = form["json_schema"]["schema"]
        made["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif form["type"] != "text":
        raise InvalidInput(
            "The model writes JSON by a schema only.", hint='Send response_format of type "json_schema".',
            code="response_format",
        )  # fmt: skip
    return made


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    told = {"description": function["description"]} if function.get("description") else {}
    return {"name": function["name"], **told, "input_schema": schema}


def _used(call: Mapping[str, Any]) -> dict[str, Any]:
    given = orjson.loads(call["function"].get("arguments") or "{}")
    return {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": given}


def _blocks(content: str | Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [_block(part) for part in content or ()]


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] in ("text", "refusal"):
        return {"type": "text", "text": part[part["type"]]}
    if part["type"] == "image_url":
        return {"type": "image", "source": _source(part["image_url"]["url"])}
    if part["type"] == "file" and part["file"].get("file_data"):
        return {"type": "document", "source": _source(part["file"]["file_data"])}
    raise InvalidInput(
        f"The model takes no content of type {part['type']!r}.",
        hint="Send text, image_url or file.",
        code="content",
    )


def _source(url: str) -> dict[str, Any]:
    head, comma, data = url.partition(";base64,")
    if not comma:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": head.removeprefix("data:"), "data": data}


# --- the way back ---------------------------------------------------------------------------------------


def whole(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chat completion that a message is."""
    blocks = told["content"]
    text = "".join(one["text"] for one in blocks if one["type"] == "text")
    thought = "".join(one["thinking"] for one in blocks if one["type"] == "thinking")
    calls = [_call(one, orjson.dumps(one["input"]).decode()) for one in blocks if one["type"] == "tool_use"]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text or (None if calls else ""),
        "refusal": None,
    }
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": _finish(told.get("stop_reason"))
    }  # fmt: skip
    return {
        "id": told["id"], "object": "chat.completion", "created": int(time.time()), "model": told["model"],
        "choices": [choice], "usage": _usage(told["usage"]),
    }  # fmt: skip


def _call(block: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    return {
        "id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}
    }  # fmt: skip


def _finish(reason: str | None) -> str:
    return FINISHED.get(reason or "", "stop")


def _usage(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the usage with what was read from or put into the cache counted as read, as OpenAI does."""
    cached = told.get("cache_read_input_tokens") or 0
    sent = (told.get("input_tokens") or 0) + (told.get("cache_creation_input_tokens") or 0) + cached
    made = told.get("output_tokens") or 0
    return {
        "prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made,
        "prompt_tokens_details": {"cached_tokens": cached},
    }  # fmt: skip


async def stream(
    chunks: AsyncGenerator[bytes, None], asked: Mapping[str, Any], reply: Reply
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of a chat completion as the events of a message come."""
    head: dict[str, Any] = {"object": "chat.completion.chunk", "created": int(time.time())}
    usage: dict[str, Any] = {}
    calls: dict[int, int] = {}  # the number of a block to that of its call

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return events.event({**head, "choices": [choice]})

    async with aclosing(events.told(chunks)) as told:
        async for one in told:
            kind = one.get("type")
            if kind == "message_start":
                message = one["message"]
                head.update(id=message["id"], model=message["model"])
                usage |= message["usage"]
                yield chunk({"role": "assistant", "content": ""})
            elif kind == "content_block_start" and one["content_block"]["type"] == "tool_use":
                calls[one["index"]] = number = len(calls)
                yield chunk({"tool_calls": [{"index": number, **_call(one["content_block"], "")}]})
            elif kind == "content_block_delta" and (delta := _delta(one, calls)):
                yield chunk(delta)
            elif kind == "message_delta":
                usage |= {
                    name: value for name, value in (one.get("usage") or {}).items() if value is not None
                }
                yield chunk({}, _finish(one["delta"].get("stop_reason")))
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield events.event({**head, "choices": [], "usage": _usage(usage)})
    yield events.DONE


def _delta(one: Mapping[str, Any], calls: Mapping[int, int]) -> dict[str, Any]:
    delta = one["delta"]
    if delta["type"] == "text_delta":
        return {"content": delta["text"]}
    if delta["type"] == "thinking_delta":
        return {"reasoning_content": delta["thinking"]}
    if delta["type"] == "input_json_delta" and one["index"] in calls:
        function = {"arguments": delta["partial_json"]}
        return {"tool_calls": [{"index": calls[one["index"]], "function": function}]}
    return {}


CHAT = Shape("/v1/messages", request, lambda told, _: whole(told), stream, openai_error)
