"""Calls through the whole gateway to played upstreams: streams and their usage, retries, fallbacks, live files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from lyceum.core.errors import ConfigError, NotFound, ProviderError
from lyceum.core.types import Usage
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import parsed
from lyceum.gateway.live import Live
from tests.gateway.upstream import chunked, played, reply
from tests.toys import run


def call(model: str = "chat", path: str = "/v1/chat/completions", **more: Any) -> Call:
    asked = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
    return Call(
        path=path, body=orjson.dumps(asked), asked=asked, model=model, stream=bool(more.get("stream"))
    )


async def read(found: Reply) -> bytes:
    if found.chunks is None:
        return found.body
    return b"".join([chunk async for chunk in found.chunks])


def file(folder: Path, *urls: str, more: str = "") -> Path:
    targets = ", ".join(f'{{url = "{url}/v1", model = "real"}}' for url in urls)
    made = folder / "gateway.toml"
    made.write_text(f'[[model]]\nname = "chat"\ntargets = [{targets}]\n{more}\n', encoding="utf-8")
    return made


ANSWER = json.dumps(
    {"model": "real", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
).encode()


async def answering(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(ANSWER, "200 OK", "content-type: application/json", "x-secret: 1"))


def test_the_body_goes_on_under_the_targets_name(tmp_path: Path) -> None:
    async def play() -> None:
        async with played(answering) as server:
            live = Live(file(tmp_path, server.url))
            found = await live(call(tools=[{"x": 1.0}]))
            assert (found.status, found.body, found.usage) == (
                200,
                ANSWER,
                Usage(input_tokens=3, output_tokens=4),
            )
            assert found.headers["content-type"] == "application/json"
            assert "x-secret" not in found.headers
            sent = json.loads(server.requests[0].rpartition(b"\r\n\r\n")[2])
            assert (sent["model"], sent["tools"]) == ("real", [{"x": 1.0}])

    run(play())


EVENTS = [
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"b"}}]}\n\n',
]
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
END = b"data: [DONE]\n\n"


@pytest.mark.parametrize("cut", [1, 7, 10_000])
@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_is_counted_however_it_is_cut(tmp_path: Path, cut: int, asked: bool) -> None:
    whole = b"".join([*EVENTS, USAGE, END])
    pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)]

    async def streaming(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(chunked(*pieces).replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n", 1))

    async def play() -> None:
        async with played(streaming) as server:
            live = Live(file(tmp_path, server.url))
            more = {"stream_options": {"include_usage": True}} if asked else {}
            found = await live(call(stream=True, **more))
            text = await read(found)
            assert found.usage == Usage(input_tokens=5, output_tokens=2)
            assert text == (whole if asked else whole.replace(USAGE, b""))
            sent = json.loads(server.requests[0].rpartition(b"\r\n\r\n")[2])
            assert sent["stream_options"] == {"include_usage": True}

    run(play())


@pytest.mark.parametrize("status", ["503 Busy", "429 Slow down", "500 Oops", ""])
def test_the_next_target_serves_what_one_cannot(tmp_path: Path, status: str) -> None:
    async def failing(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(reply(b"{}", status) if status else b"")
        return False

    async def play() -> None:
        async with played(failing) as bad, played(answering) as good:
            live = Live(file(tmp_path, bad.url, good.url))
            for _ in range(10):
                found = await live(call())
                assert found.status == 200
                found.finish()
            assert 0 < len(bad.requests) < 10
            assert all(lane.state.busy == 0 for lane in live.serving.route.pools["chat"].lanes)

    run(play())


def test_what_the_client_did_wrong_is_not_tried_again(tmp_path: Path) -> None:
    async def refusing(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b'{"error": {}}', "400 Bad"))

    async def play() -> None:
        async with played(refusing) as one, played(refusing) as two:
            found = await Live(file(tmp_path, one.url, two.url))(call())
            assert (found.status, len(one.requests) + len(two.requests)) == (400, 1)

    run(play())


def test_fallback(tmp_path: Path) -> None:
    async def play() -> None:
        async with played(answering) as server:
            other = (
                f'fallback = ["spare"]\n[[model]]\nname = "spare"\ntargets = [{{url = "{server.url}/v1"}}]'
            )
            live = Live(file(tmp_path, "http://127.0.0.1:9", more=other))
            asked = call()
            assert (await live(asked)).status == 200
            assert asked.facts["model"] == "spare"
            with pytest.raises(ProviderError):
                await Live(file(tmp_path, "http://127.0.0.1:9"))(call())

    run(play())


def test_another_file_takes_effect_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    async def play() -> None:
        async with played(answering) as server:
            made = file(tmp_path, server.url)
            live = Live(made)
            made.write_text('[alias]\n"x" = "nowhere"\n')
            assert not live.look()
            assert "nowhere" in live.problem
            assert (await live(call())).status == 200
            file(tmp_path, server.url, more='[alias]\n"gpt" = "chat"')
            assert live.look()
            assert (live.problem, (await live(call("gpt"))).status) == ("", 200)
            assert not live.look()
            with pytest.raises(NotFound):
                await live(call("none"))

    run(play())


def test_a_file_that_is_being_written_is_not_taken(tmp_path: Path) -> None:
    made = file(
        tmp_path, "http://127.0.0.1:9", more='[[model]]\nname = "two"\ntargets = [{url = "http://x"}]'
    )
    live = Live(made)
    whole = made.read_text(encoding="utf-8")
    for end in range(10, len(whole), 10):
        made.write_text(whole[:end], encoding="utf-8")
        assert not live.noticed()
        assert live.known("two")
    made.write_text(whole[: whole.index('[[model]]\nname = "two"')], encoding="utf-8")
    assert [live.noticed(), live.noticed(), live.noticed()] == [False, True, False]
    assert not live.known("two")  # what stays so is meant


@pytest.mark.parametrize(
    "text",
    ["[[model]]", '[[model]]\nname = "a"\ntargets = []', "x = 1", "[", '[alias]\na = "b"\nb = "a"',
     '[[model]]\nname = "a"\ntargets = [{url = "ftp://x"}]', '[[key]]\nid = "a"\nsha256 = "short"',
     '[[model]]\nname = "a"\ntargets = [{url = "http://x", key = "sk-secret"}]'],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert "gateway.toml" in str(caught.value)
