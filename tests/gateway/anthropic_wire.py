"""What Anthropic's and Ollama's servers send, byte by byte as their references have it: stand-ins, named as such."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.gateway.upstream import chunked, reply

SENT = {"input_tokens": 9, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 1, "output_tokens": 1}
CALLED = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
WHOLE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "tool_use",
    "stop_sequence": None, "content": [{"type": "text", "text": "Let me look."}, CALLED],
    "usage": {**SENT, "output_tokens": 7},
}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**WHOLE, "content": [], "stop_reason": None, "usage": SENT}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "look."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {**CALLED, "input": {}}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"city": '}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"Oslo"}'}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 7},
    },
    {"type": "message_stop"},
]  # fmt: skip
STREAM = b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in EVENTS)
LINES = [
    {"model": "llama", "message": {"role": "assistant", "content": "Let me "}, "done": False},
    {"model": "llama", "message": {"role": "assistant", "content": "look."}, "done": False},
    {
        "model": "llama", "done": False,
        "message": {
            "role": "assistant", "content": "",
            "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
        },
    },
    {
        "model": "llama", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop",
        "prompt_eval_count": 12, "eval_count": 7,
    },
]  # fmt: skip


def typed(response: bytes, kind: str) -> bytes:
    """Return a chunked response with a content type."""
    return response.replace(b"\r\n\r\n", f"\r\ncontent-type: {kind}\r\n\r\n".encode(), 1)


def sent(request: bytes) -> dict[str, Any]:
    """Return the body of a request."""
    told: dict[str, Any] = json.loads(request.partition(b"\r\n\r\n")[2])
    return told


async def anthropic(request: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer as /v1/messages does; a stream comes in pieces of 50 bytes."""
    assert request.startswith(b"POST /v1/messages ")
    if sent(request).get("stream"):
        pieces = [STREAM[at : at + 50] for at in range(0, len(STREAM), 50)]
        writer.write(typed(chunked(*pieces), "text/event-stream; charset=utf-8"))
    else:
        writer.write(reply(json.dumps(WHOLE).encode(), "200 OK", "content-type: application/json"))


async def ollama(request: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer as /api/chat and /api/embed do."""
    asked = sent(request)
    if request.startswith(b"POST /api/embed "):
        told: dict[str, Any] = {"model": "llama", "embeddings": [[0.5, -1.0] for _ in asked["input"]]}
        writer.write(reply(json.dumps({**told, "prompt_eval_count": 4}).encode()))
    elif asked["stream"]:
        whole = b"".join(json.dumps(one).encode() + b"\n" for one in LINES)
        pieces = [whole[at : at + 50] for at in range(0, len(whole), 50)]
        writer.write(typed(chunked(*pieces), "application/x-ndjson"))
    else:
        calls = LINES[2]["message"]["tool_calls"]  # type: ignore[index]
        message = {"role": "assistant", "content": "Let me look.", "tool_calls": calls}
        writer.write(reply(json.dumps({**LINES[3], "message": message}).encode()))
