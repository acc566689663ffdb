"""Chat completions and embeddings to Ollama's own API and back, streams too; knows no connection.

What the model can be told beyond OpenAI's fields goes on as sent: `options`, `keep_alive` and `think`.
Reference: Ollama API, chat and embed.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from struct import pack
from typing import Any

import orjson

from lyceum.core.errors import InvalidInput
from lyceum.core.ids import random_id
from lyceum.core.types import Usage
from lyceum.gateway import events
from lyceum.gateway.call import Reply
from lyceum.gateway.translate import Shape
from lyceum.gateway.upstream import openai_error

SAME = ("model", "keep_alive", "think", "tools")
OPTIONS = {
    "temperature": "temperature", "top_p": "top_p", "seed": "seed", "stop": "stop", "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict", "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}  # fmt: skip


def request(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of /api/chat that asks the same as one for a chat completion."""
    made: dict[str, Any] = {name: asked[name] for name in SAME if asked.get(name) is not None}
    options = {theirs: asked[ours] for ours, theirs in OPTIONS.items() if asked.get(ours) is not None}
    made["options"] = options | (asked.get("options") or {})
    made["messages"] = [_turn(one) for one in asked["messages"]]
    made["stream"] = asked.get("stream") is True
    form = asked.get("response_format") or {"type": "text"}
    if form["type"] != "text":
        made["format"] = form["json_schema"]["schema"] if form["type"] == "json_schema" else "json"
    return made


def _turn(one: Mapping[str, Any]) -> dict[str, Any]:
    content = one.get("content") or ""
    parts: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content
    images = [_image(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]
    role = "system" if one["role"] == "developer" else one["role"]
    made = {"role": role, "content": "\n".join(part["text"] for part in parts if part["type"] == "text")}
    calls = [{"function": _asked(call["function"])} for call in one.get("tool_calls") or ()]
    return made | ({"images": images} if images else {}) | ({"tool_calls": calls} if calls else {})


def _asked(function: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": function["name"], "arguments": orjson.loads(function.get("arguments") or "{}")}


def _image(url: str) -> str:
    if not url.startswith("data:"):
        raise InvalidInput(
            "The model takes no address of an image.", hint="Send it as data:…;base64,…", code="image"
        )
    return url.partition(",")[2]


def whole(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chat completion that a reply of /api/chat is."""
    said = told["message"]
    message = {"role": "assistant", "content": said.get("content") or "", "refusal": None, **_thought(said)}
    if calls := _calls(said, 0):
        message["tool_calls"] = [{name: one[name] for name in one if name != "index"} for one in calls]
    choice = {"index": 0, "message": message, "finish_reason": _finish(told, bool(calls)), "logprobs": None}
    return {**_head(told, "chat.completion"), "choices": [choice], "usage": _usage(told)}


def _head(told: Mapping[str, Any], kind: str) -> dict[str, Any]:
    name = f"chatcmpl-{random_id()}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": told.get("model", "")}


def _thought(said: Mapping[str, Any]) -> dict[str, str]:
    return {"reasoning_content": said["thinking"]} if said.get("thinking") else {}


def _calls(said: Mapping[str, Any], first: int) -> list[dict[str, Any]]:
    return [
        {
            "index": index, "id": f"call_{random_id()}", "type": "function",
            "function": {
                "name": one["function"]["name"], "arguments": orjson.dumps(one["function"]["arguments"]).decode()
            },
        }
        for index, one in enumerate(said.get("tool_calls") or (), first)
    ]  # fmt: skip


def _finish(told: Mapping[str, Any], called: bool) -> str:
    return "tool_calls" if called else "length" if told.get("done_reason") == "length" else "stop"


def _usage(told: Mapping[str, Any]) -> dict[str, int]:
    sent, made = told.get("prompt_eval_count") or 0, told.get("eval_count") or 0
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}


async def stream(
    chunks: AsyncGenerator[bytes, None], asked: Mapping[str, Any], reply: Reply
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of a chat completion as the lines of /api/chat come."""
    head: dict[str, Any] = {}
    number = 0
    usage: dict[str, int] = {}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return events.event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    async with aclosing(events.lines(chunks)) as told:
        async for one in told:
            if not head:
                head = _head(one, "chat.completion.chunk")
                yield chunk({"role": "assistant", "content": ""})
            said = one.get("message") or {}
            calls = _calls(said, number)
            number += len(calls)
            delta = {**_thought(said), **({"tool_calls": calls} if calls else {})}
            if said.get("content"):
                delta["content"] = said["content"]
            if delta:
                yield chunk(delta)
            if one.get("done"):
                usage = _usage(one)
                reply.usage = Usage(
                    input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"]
                )
                yield chunk({}, _finish(one, number > 0))
    if usage and (asked.get("stream_options") or {}).get("include_usage"):
        yield events.event({**head, "choices": [], "usage": usage})
    yield events.DONE


def texts(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of /api/embed that asks the same as one for embeddings."""
    told = {
        name: asked[name] for name in ("dimensions", "keep_alive", "options") if asked.get(name) is not None
    }
    return {"model": asked["model"], "input": asked["input"], **told}


def vectors(told: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reply for embeddings."""
    coded = asked.get("encoding_format") == "base64"
    rows = [
        {"object": "embedding", "index": index, "embedding": _coded(row) if coded else row}
        for index, row in enumerate(told["embeddings"])
    ]
    used = told.get("prompt_eval_count") or 0
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "model": told.get("model", ""), "data": rows, "usage": usage}


def _coded(row: list[float]) -> str:
    return b64encode(pack(f"<{len(row)}f", *row)).decode()


CHAT = Shape("/api/chat", request, lambda told, _: whole(told), stream, openai_error)
EMBED = Shape("/api/embed", texts, vectors, None, openai_error)
