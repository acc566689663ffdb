"""What a server with OpenAI's API sends, as its reference has it; other paths are those of the other stand-ins."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.gateway.anthropic_wire import anthropic, ollama, sent, typed
from tests.gateway.upstream import chunked, reply

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "real"}
PERSON = '{"name": "Ann", "age": 7}'


def choice(**message: Any) -> dict[str, Any]:
    return {
        "index": 0,
        "finish_reason": "stop",
        "logprobs": None,
        "message": {"role": "assistant", **message},
    }


def whole(path: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to a request that is no stream."""
    if path == "/v1/embeddings":
        rows = [{"object": "embedding", "index": 0, "embedding": "AAAAPwAAgL8="}]
        return {
            "object": "list",
            "model": "real",
            "data": rows,
            "usage": {"prompt_tokens": 2, "total_tokens": 2},
        }
    if path == "/v1/completions":
        return {
            **HEAD, "object": "text_completion", "usage": USAGE,
            "choices": [{"index": 0, "text": "Oslo", "finish_reason": "stop", "logprobs": None}],
        }  # fmt: skip
    if path == "/v1/rerank":
        return {
            "model": "real",
            "results": [{"index": 1, "relevance_score": 0.9}],
            "usage": {"total_tokens": 4},
        }
    if path == "/v1/responses":
        return response("completed")
    if asked.get("tools"):
        made = {**choice(content="Let me look.", tool_calls=[CALL]), "finish_reason": "tool_calls"}
    else:
        made = choice(content=PERSON if asked.get("response_format") else "Let me look.")
    return {**HEAD, "object": "chat.completion", "choices": [made], "usage": USAGE}


def response(status: str) -> dict[str, Any]:
    said = {"type": "output_text", "text": "Let me look.", "annotations": [], "logprobs": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": [said]}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "real", "status": status, "output": [item],
        "parallel_tool_calls": False, "tool_choice": "auto", "tools": [], "usage": {
            "input_tokens": 12, "output_tokens": 7, "total_tokens": 19,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip


def streamed(path: str, asked: dict[str, Any]) -> bytes:
    """Return the events of a stream."""
    if path == "/v1/responses":
        where = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
        made = [
            {
                "type": "response.created",
                "sequence_number": 0,
                "response": {**response("in_progress"), "output": [], "usage": None},
            },
            {
                "type": "response.output_item.added", "sequence_number": 1, "output_index": 0,
                "item": {**response("in_progress")["output"][0], "content": []},
            },
            {
                "type": "response.content_part.added", "sequence_number": 2, **where,
                "part": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
            },
            {"type": "response.output_text.delta", "sequence_number": 3, **where, "delta": "Let me look."},
            {"type": "response.completed", "sequence_number": 4, "response": response("completed")},
        ]  # fmt: skip
        return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in made)
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"content": "Let me "},
        {"content": "look."},
    ]
    if asked.get("tools"):
        first = {**CALL, "index": 0, "function": {"name": "weather", "arguments": ""}}
        parts = [{"index": 0, "function": {"arguments": one}} for one in ('{"city": ', '"Oslo"}')]
        deltas += [{"tool_calls": [one]} for one in (first, *parts)]
    if path == "/v1/completions":
        chunks = [
            {"choices": [{"index": 0, "text": one, "finish_reason": None, "logprobs": None}]}
            for one in ("Os", "lo")
        ]
    else:
        chunks = [{"choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas]
        finish = "tool_calls" if asked.get("tools") else "stop"
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if (asked.get("stream_options") or {}).get("include_usage"):
        chunks.append({"choices": [], "usage": USAGE})
    kind = "text_completion" if path == "/v1/completions" else "chat.completion.chunk"
    told = b"".join(f"data: {json.dumps({**HEAD, 'object': kind, **one})}\n\n".encode() for one in chunks)
    return told + b"data: [DONE]\n\n"


async def vendor(request: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer as the API of the path does; the question "fail" is answered with an error."""
    path = request.split(b" ")[1].decode()
    asked = sent(request)
    if b'"fail"' in request:
        error = {
            "error": {
                "message": "No such luck.",
                "type": "invalid_request_error",
                "param": "x",
                "code": "luck",
            }
        }
        writer.write(reply(json.dumps(error).encode(), "400 Bad", "content-type: application/json"))
    elif path == "/v1/messages":
        await anthropic(request, writer)
    elif path.startswith("/api/"):
        await ollama(request, writer)
    elif asked.get("stream"):
        writer.write(typed(chunked(streamed(path, asked)), "text/event-stream"))
    else:
        writer.write(
            reply(json.dumps(whole(path, asked)).encode(), "200 OK", "content-type: application/json")
        )
