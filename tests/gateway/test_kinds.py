"""Every shape that a client may ask in, over every kind of target: what is sent there, and what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from lyceum.core.errors import InvalidInput, ProviderError
from lyceum.core.types import Usage
from lyceum.gateway import anthropic, events, messages
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.live import Live
from tests.gateway.anthropic_wire import EVENTS, STREAM, WHOLE, sent, typed
from tests.gateway.anthropic_wire import anthropic as anthropic_scene
from tests.gateway.anthropic_wire import ollama as ollama_scene
from tests.gateway.upstream import Scene, chunked, played, reply
from tests.toys import run

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
TOOL = {"name": "weather", "description": "The weather.", "parameters": {"type": "object", "properties": {}}}
ASKED: dict[str, Any] = {
    "model": "chat", "max_tokens": 50, "temperature": 1.5, "stop": "END", "user": "u1",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}},
            {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "sun"},
        {"role": "user", "content": "And in Oslo?"},
    ],
    "tools": [{"type": "function", "function": TOOL}], "tool_choice": "required", "parallel_tool_calls": False,
}  # fmt: skip


async def asking(
    folder: Path, scene: Scene, kind: str, asked: Mapping[str, Any], path: str = CHAT
) -> tuple[Reply, bytes, list[bytes]]:
    """Call a target of a kind; return the reply, its bytes and the requests that the target saw."""
    file = folder / "gateway.toml"
    async with played(scene) as server:
        base = server.url if kind == "ollama" else f"{server.url}/v1"
        file.write_text(
            f'[[model]]\nname = "chat"\ntargets = [{{url = "{base}", kind = "{kind}", model = "real"}}]\n'
        )
        live = Live(file)
        assert not live.problem
        found = await live(
            Call(
                path=path,
                body=orjson.dumps(asked),
                asked=asked,
                model="chat",
                stream=asked.get("stream") is True,
            )
        )
        body = found.body if found.chunks is None else b"".join([one async for one in found.chunks])
        live.close()
        return found, body, server.requests


def chunks(body: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream of chat completions."""
    assert body.endswith(events.DONE)
    return [json.loads(one.removeprefix(b"data: ")) for one in body.split(b"\n\n")[:-2]]


def joined(body: bytes) -> tuple[str, list[dict[str, Any]], str]:
    """Return text, calls of tools and the reason of the end, put together as clients do."""
    text, calls, finish = "", [], ""
    for chunk in chunks(body):
        for choice in chunk["choices"]:
            text += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or ():
                if "id" in call:
                    calls.append(call["function"])
                    assert call["index"] == len(calls) - 1
                else:
                    calls[call["index"]]["arguments"] += call["function"]["arguments"]
            finish = choice["finish_reason"] or finish
    return text, calls, finish


def test_a_chat_completion_of_anthropic(tmp_path: Path) -> None:
    found, body, requests = run(asking(tmp_path, anthropic_scene, "anthropic", ASKED))
    assert b"anthropic-version: 2023-06-01" in requests[0]
    blocks = {"type": "text", "text": "Be brief."}
    assert sent(requests[0]) == {
        "model": "real", "max_tokens": 50, "temperature": 1.0, "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"}, "system": [blocks],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bern"}},
                {"type": "tool_use", "id": "c2", "name": "weather", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rain"}]},
                {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "sun"}]},
                {"type": "text", "text": "And in Oslo?"},
            ]},
        ],
        "tools": [{"name": "weather", "description": "The weather.", "input_schema": TOOL["parameters"]}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }  # fmt: skip
    told = json.loads(body)
    message = told["choices"][0]["message"]
    assert (message["content"], told["choices"][0]["finish_reason"]) == ("Let me look.", "tool_calls")
    assert message["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    ]
    assert told["usage"]["prompt_tokens"] == 12
    assert told["usage"]["prompt_tokens_details"] == {"cached_tokens": 1}
    assert found.usage == Usage(input_tokens=12, output_tokens=7, cached_tokens=1)


@pytest.mark.parametrize("kind", ["anthropic", "ollama"])
@pytest.mark.parametrize("counted", [True, False])
def test_a_stream_in_chat_completions_shape(tmp_path: Path, kind: str, counted: bool) -> None:
    scene = {"anthropic": anthropic_scene, "ollama": ollama_scene}[kind]
    asked = {**ASKED, "stream": True, **({"stream_options": {"include_usage": True}} if counted else {})}
    found, body, _ = run(asking(tmp_path, scene, kind, asked))
    text, calls, finish = joined(body)
    assert (text, finish, len(calls)) == ("Let me look.", "tool_calls", 1)
    assert json.loads(calls[0]["arguments"]) == {"city": "Oslo"}
    assert found.usage == Usage(input_tokens=12, output_tokens=7, cached_tokens=int(kind == "anthropic"))
    last = chunks(body)[-1]
    assert bool(last.get("usage")) is counted
    if counted:
        assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (12, 7)
    assert len({(one["id"], one["model"]) for one in chunks(body)}) == 1


def test_a_chat_completion_of_ollama(tmp_path: Path) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    asked = {**ASKED, "response_format": form, "options": {"num_ctx": 8192}}
    found, body, requests = run(asking(tmp_path, ollama_scene, "ollama", asked))
    told = sent(requests[0])
    assert requests[0].startswith(b"POST /api/chat ")
    assert told["options"] == {"temperature": 1.5, "stop": "END", "num_predict": 50, "num_ctx": 8192}
    assert (told["model"], told["format"], told["stream"]) == ("real", {"type": "object"}, False)
    assert told["messages"][1] == {"role": "user", "content": "What is this?", "images": ["AAAA"]}
    assert told["messages"][2]["tool_calls"][0]["function"]["arguments"] == {"city": "Bern"}
    choice = json.loads(body)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Let me look.", "tool_calls")
    assert found.usage == Usage(input_tokens=12, output_tokens=7)


def test_embeddings_of_ollama(tmp_path: Path) -> None:
    for form, vector in {"float": [0.5, -1.0], "base64": "AAAAPwAAgL8="}.items():
        asked = {"model": "chat", "input": ["a", "b"], "encoding_format": form}
        found, body, _ = run(asking(tmp_path, ollama_scene, "ollama", asked, "/v1/embeddings"))
        assert [(one["index"], one["embedding"]) for one in json.loads(body)["data"]] == [
            (0, vector),
            (1, vector),
        ]
        assert found.usage == Usage(input_tokens=4)


MESSAGE: dict[str, Any] = {
    "model": "chat", "max_tokens": 50, "system": [{"type": "text", "text": "Be brief."}], "stop_sequences": ["END"],
    "messages": [
        {"role": "user", "content": "Weather in Bern?"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "Hm."}, {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "rain"}, {"type": "text", "text": "And in Oslo?"},
        ]},
    ],
    "tools": [{"name": "weather", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"},
}  # fmt: skip


def test_messages_pass_to_anthropic_as_they_are(tmp_path: Path) -> None:
    found, body, requests = run(asking(tmp_path, anthropic_scene, "anthropic", MESSAGE, MESSAGES))
    assert sent(requests[0]) == {**MESSAGE, "model": "real"}
    assert json.loads(body) == WHOLE
    assert found.usage == Usage(input_tokens=12, output_tokens=7, cached_tokens=1)
    found, body, _ = run(
        asking(tmp_path, anthropic_scene, "anthropic", {**MESSAGE, "stream": True}, MESSAGES)
    )
    assert body == STREAM
    assert found.usage == Usage(input_tokens=12, output_tokens=7, cached_tokens=1)


def anthropic_joined(body: bytes) -> list[dict[str, Any]]:
    """Return the blocks of a stream of messages, put together as clients do."""
    made: list[dict[str, Any]] = []
    told = [json.loads(one.partition(b"data: ")[2]) for one in body.split(b"\n\n")[:-1]]
    for one in told:
        if one["type"] == "content_block_start":
            made.append({**one["content_block"], "json": ""})
            assert one["index"] == len(made) - 1
        elif one["type"] == "content_block_delta":
            delta = one["delta"]
            made[one["index"]]["json"] += delta.get("partial_json", "")
            made[one["index"]]["text"] = made[one["index"]].get("text", "") + delta.get("text", "")
    assert [told[0]["type"], told[-1]["type"]] == ["message_start", "message_stop"]
    assert told[-2]["delta"]["stop_reason"] == "tool_use"
    assert told[-2]["usage"]["output_tokens"] == 7
    return made


def test_messages_of_another_kind(tmp_path: Path) -> None:
    """Ollama's calls in Anthropic's shape pass through both translations."""
    found, body, requests = run(asking(tmp_path, ollama_scene, "ollama", MESSAGE, MESSAGES))
    told = sent(requests[0])
    assert [one["role"] for one in told["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert told["options"] == {"num_predict": 50, "stop": ["END"]}
    message = json.loads(body)
    assert [one["type"] for one in message["content"]] == ["text", "tool_use"]
    assert message["content"][1]["input"] == {"city": "Oslo"}
    assert (message["stop_reason"], message["usage"]["input_tokens"]) == ("tool_use", 12)
    found, body, _ = run(asking(tmp_path, ollama_scene, "ollama", {**MESSAGE, "stream": True}, MESSAGES))
    text, call = anthropic_joined(body)
    assert (text["text"], call["name"]) == ("Let me look.", "weather")
    assert json.loads(call["json"]) == {"city": "Oslo"}
    assert found.usage == Usage(input_tokens=12, output_tokens=7)


def test_a_conversation_of_responses(tmp_path: Path) -> None:
    asked = {
        "model": "chat", "instructions": "Be brief.", "max_output_tokens": 50, "tool_choice": "auto",
        "tools": [{"type": "function", **TOOL}],
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            ]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"type": "function_call_output", "call_id": "c2", "output": "sun"},
        ],
    }  # fmt: skip
    found, body, requests = run(asking(tmp_path, ollama_scene, "ollama", asked, "/v1/responses"))
    told = sent(requests[0])
    assert [one["role"] for one in told["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert (len(told["messages"][2]["tool_calls"]), told["messages"][1]["images"]) == (2, ["AAAA"])
    assert (told["format"], told["options"]) == ({"type": "object"}, {"num_predict": 50})
    assert [one["type"] for one in json.loads(body)["output"]] == ["message", "function_call"]
    assert found.usage == Usage(input_tokens=12, output_tokens=7)


def test_there_and_back_again() -> None:
    """A message turned into a chat completion's request and back asks the same."""
    again = anthropic.request(messages.request(MESSAGE))
    assert [one["role"] for one in again["messages"]] == ["user", "assistant", "user"]
    assert again["messages"][1]["content"] == MESSAGE["messages"][1]["content"]
    assert again["messages"][2]["content"][1] == MESSAGE["messages"][2]["content"][1]
    for name in ("model", "max_tokens", "system", "stop_sequences", "tools", "tool_choice"):
        assert again[name] == MESSAGE[name], name


@pytest.mark.parametrize(
    ("kind", "asked", "path", "code"),
    [("anthropic", {**ASKED, "n": 2}, CHAT, "choices"), ("anthropic", {"model": "chat"}, CHAT, "shape"),
     ("anthropic", {**ASKED, "messages": [3]}, CHAT, "shape"), ("anthropic", ASKED, "/v1/embeddings", "endpoint"),
     ("anthropic", {**ASKED, "response_format": {"type": "json_object"}}, CHAT, "response_format"),
     ("anthropic", {**ASKED, "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, CHAT, "content"),
     ("ollama", {**ASKED, "messages": [{"role": "user", "content": [
         {"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}]}, CHAT, "image"),
     ("ollama", {**MESSAGE, "tools": [{"type": "web_search"}]}, MESSAGES, "tool"),
     ("openai", {"model": "chat"}, MESSAGES, "shape"), ("ollama", {"model": "chat"}, "/v1/responses", "shape"),
     ("ollama", {"model": "chat", "input": "x", "previous_response_id": "r"}, "/v1/responses", "not_stored")],
)  # fmt: skip
def test_what_cannot_be_turned_is_refused(
    tmp_path: Path, kind: str, asked: dict[str, Any], path: str, code: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        run(asking(tmp_path, anthropic_scene, kind, asked, path))
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("kind", ["anthropic", "ollama", "openai"])
def test_errors_come_back_in_the_callers_shape(tmp_path: Path, kind: str, path: str) -> None:
    body = {
        "anthropic": b'{"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}}',
        "ollama": b'{"error": "too long"}', "openai": b'{"error": {"message": "too long", "code": "x"}}',
    }[kind]  # fmt: skip

    async def refusing(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(body, "400 Bad"))

    found, said, _ = run(asking(tmp_path, refusing, kind, ASKED if path == CHAT else MESSAGE, path))
    error = json.loads(said)["error"]
    assert (found.status, error["message"] if isinstance(error, dict) else error) == (400, "too long")
    assert (json.loads(said).get("type") == "error") is (path == MESSAGES)


@pytest.mark.parametrize(
    "broken",
    [b'{"type": "message_start"}', b'{"error": "overloaded"}', b"{", b'{"type": "content_block_delta"}'],
)
def test_a_stream_that_cannot_be_read(tmp_path: Path, broken: bytes) -> None:
    async def streaming(request: bytes, writer: asyncio.StreamWriter) -> None:
        first = f"data: {json.dumps(EVENTS[0])}\n\n".encode()
        writer.write(typed(chunked(first, b"data: " + broken + b"\n\n"), "text/event-stream"))

    with pytest.raises(ProviderError):
        run(asking(tmp_path, streaming, "anthropic", {**ASKED, "stream": True}))


@pytest.mark.parametrize(("kind", "path"), [("anthropic", CHAT), ("ollama", CHAT), ("openai", MESSAGES)])
def test_a_reply_that_cannot_be_read(tmp_path: Path, kind: str, path: str) -> None:
    async def answering(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b'{"id": 1}'))

    with pytest.raises(ProviderError):
        run(asking(tmp_path, answering, kind, MESSAGE if path == MESSAGES else ASKED, path))
