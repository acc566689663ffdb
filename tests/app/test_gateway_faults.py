"""What goes wrong behind the front, and what is sent to it: clients see an error in OpenAI's shape with a hint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.fronted import MOST, fronted, written
from tests.gateway.anthropic_wire import typed
from tests.gateway.upstream import Played, Scene, chunked, played, reply
from tests.toys import run

CHAT = "/v1/chat/completions"
ASKED = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'
WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
WAITS = "connect_seconds = 0.5\nfirst_seconds = 0.4\nidle_seconds = 0.4\nretries = 0\n"
ERROR = b'{"error": {"message": "no memory", "type": "server_error", "code": null}}'


def plays(*pieces: bytes, end: bool = True, wait: float = 0.0) -> Scene:
    """Return a scene that writes pieces, waits, and then keeps the connection or ends it."""

    async def scene(request: bytes, writer: asyncio.StreamWriter) -> bool:
        for piece in pieces:
            writer.write(piece)
        await writer.drain()
        await asyncio.sleep(wait)
        return not end

    return scene


def stream(*pieces: bytes, end: bool = True) -> bytes:
    return typed(chunked(*pieces, end=end), "text/event-stream")


@asynccontextmanager
async def behind(
    folder: Path, scene: Scene, more: str = WAITS, kind: str = "openai"
) -> AsyncIterator[tuple[httpx.AsyncClient, Played]]:
    """Serve one model, `chat`, that plays a scene."""
    async with played(scene) as upstream:
        written(folder / "gateway.toml", f"{upstream.url}/v1", more, kind=kind)
        async with fronted(folder / "gateway.toml") as (_, http):
            yield http, upstream


def shape(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error after a look at OpenAI's shape."""
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["message"]
    assert error["hint"]
    return error


FAULTS = {
    "silent": (plays(wait=1), 504, "timeout"),
    "closes": (plays(), 502, "provider"),
    "closes in the body": (plays(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"), 502, "provider"),
    "stops in the body": (plays(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", wait=1), 504, "timeout"),
    "no HTTP": (plays(b"SSH-2.0-OpenSSH_9.2\r\n"), 502, "provider"),
    "no JSON": (plays(reply(b"<html>Welcome to nginx!</html>")), 502, "provider"),
    "redirects": (plays(reply(b"", "302 Found", "location: /login")), 502, "provider"),
    "its key is wrong": (plays(reply(ERROR, "401 Unauthorized")), 502, "upstream_key"),
    "an error page": (plays(reply(b"<h1>Bad Gateway</h1>", "502 Bad Gateway")), 502, "upstream"),
    "its own shape": (plays(reply(b'{"detail": "too long"}', "422 No")), 422, "upstream"),
}  # fmt: skip


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_an_upstream_does_wrong(tmp_path: Path, fault: str, streams: bool) -> None:
    scene, status, code = FAULTS[fault]

    async def play() -> None:
        async with behind(tmp_path, scene) as (http, _):
            found = await http.post(CHAT, json={**ASKED, "stream": streams})
            assert (found.status_code, shape(found.json()["error"])["code"]) == (status, code), found.text

    run(play())


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
@pytest.mark.parametrize("streams", [False, True])
def test_an_error_that_is_told_as_a_success(tmp_path: Path, path: str, streams: bool) -> None:
    told = stream(b"data: " + ERROR + b"\n\n") if streams else reply(ERROR)

    async def play() -> None:
        async with behind(tmp_path, plays(told, end=False)) as (http, _):
            found = await http.post(path, json={**ASKED, "stream": streams, "max_tokens": 9})
            assert found.status_code == 502
            assert "no memory" in found.json()["error"]["message"]

    run(play())


def test_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    async def play() -> None:
        written(tmp_path / "gateway.toml", "http://127.0.0.1:9/v1", WAITS)
        async with fronted(tmp_path / "gateway.toml") as (_, http):
            found = await http.post(CHAT, json=ASKED)
            assert (found.status_code, shape(found.json()["error"])["code"]) == (502, "provider")

    run(play())


BROKEN = {
    "closes": (plays(stream(WORD, end=False)), "provider"),
    "hangs": (plays(stream(WORD, end=False), wait=1), "timeout"),
    "garbage": (plays(stream(WORD, end=False), b"zz\r\ngarbage\r\n"), "provider"),
}


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
@pytest.mark.parametrize("fault", BROKEN)
def test_a_stream_that_breaks_ends_with_an_error(tmp_path: Path, fault: str, path: str) -> None:
    scene, code = BROKEN[fault]

    async def play() -> None:
        async with behind(tmp_path, scene) as (http, _):
            found = await http.post(path, json={**ASKED, "stream": True, "max_tokens": 9})
            assert found.status_code == 200
            *before, last = found.content.rstrip(b"\n").split(b"\n\n")
            assert b'"a"' in b"".join(before)
            name, _, data = last.partition(b"\n")
            assert name == b"event: error"
            told = json.loads(data.removeprefix(b"data: "))
            assert (told["type"], shape(told["error"])["code"]) == ("error", code)

    run(play())


def test_a_stream_passes_as_it_comes(tmp_path: Path) -> None:
    """Each event is there before the next is sent, however its lines end, and nothing is changed."""
    seen: list[bytes] = []
    come = asyncio.Semaphore(0)
    words = [
        WORD,
        WORD.replace(b"\n", b"\r\n"),
        b": comment\n\n",
        b'data: {"x": "\xff"}\n\n',
        b"data: [DONE]\n\n",
    ]

    async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        for number, piece in enumerate(words):
            if number:
                async with asyncio.timeout(5):
                    await come.acquire()
            data = b"%x\r\n%s\r\n" % (len(piece), piece)
            writer.write(data if number else typed(chunked(end=False), "text/event-stream") + data)
        writer.write(b"0\r\n\r\n")

    async def play() -> None:
        async with (
            behind(tmp_path, slow, "") as (http, _),
            http.stream("POST", CHAT, json={**ASKED, "stream": True}) as found,
        ):
            async for chunk in found.aiter_raw():
                seen.append(chunk)
                come.release()
        assert seen == words

    run(play())


LIES = ['"many"', "-4", "1e400", "99999999999999999999", "{}", "[1]", "true", "null", "3.5"]


@pytest.mark.parametrize("lie", LIES)
def test_a_false_usage_changes_nothing(tmp_path: Path, lie: str) -> None:
    body = f'{{"choices": [], "usage": {{"prompt_tokens": {lie}, "completion_tokens": 1}}}}'.encode()
    event = b"data: " + body + b"\n\n"

    async def scene(request: bytes, writer: asyncio.StreamWriter) -> None:
        streams = b'"stream":true' in request.replace(b": ", b":")
        writer.write(stream(WORD, event) if streams else reply(body))

    async def play() -> None:
        async with behind(tmp_path, scene) as (http, _):
            found = await http.post(CHAT, json=ASKED)
            assert found.status_code in (200, 502)
            if found.status_code == 200:
                assert found.content == body
            streamed = await http.post(CHAT, json={**ASKED, "stream": True})
            assert streamed.content.startswith(WORD)

    run(play())


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"{", 400, "json"), (b"", 400, "json"), (b"[]", 400, "model"), (b'{"model": 3}', 400, "model"),
     (b'"\xff"', 400, "json"), (b"[" * 200_000, 400, "json"), (b'{"model": NaN}', 400, "json"),
     (b" " * (MOST + 1), 413, "too_large"), (b'{"model": "none"}', 404, "model_not_found")],
)  # fmt: skip
def test_what_a_client_does_wrong(tmp_path: Path, body: bytes, status: int, code: str) -> None:
    async def play() -> None:
        async with behind(tmp_path, plays(reply(ANSWER), end=False)) as (http, upstream):
            for sent in (body, pieces(body)):
                found = await http.post("/v1/messages", content=sent)
                assert (found.status_code, shape(found.json()["error"])["code"]) == (status, code)
            assert (await http.post(CHAT, json=ASKED)).status_code == 200
            assert len(upstream.requests) == 1

    run(play())


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, max(len(body), 1), 65_536):
        yield body[at : at + 65_536]


def test_fifty_megabytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    async def play() -> None:
        async with behind(tmp_path, plays(reply(ANSWER), end=False)) as (http, _):
            port = http.base_url.port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 50000000\r\n\r\n".encode()
            )
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
            writer.close()

    run(play())


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    async def play() -> None:
        async with behind(tmp_path, plays(reply(ANSWER), end=False)) as (http, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
            writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 50\r\n\r\n{{".encode())
            async with asyncio.timeout(10):
                assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            writer.close()

    run(play())


@pytest.mark.parametrize("streams", [True, False])
def test_who_leaves_stops_the_upstream(tmp_path: Path, streams: bool) -> None:
    async def play() -> None:
        begun, stopped = asyncio.Event(), asyncio.Event()

        async def endless(request: bytes, writer: asyncio.StreamWriter) -> None:
            begun.set()
            writer.write(stream(WORD, end=False) if streams else b"HTTP/1.1 200 OK\r\n")
            await writer.drain()
            while not writer.is_closing():
                await asyncio.sleep(0.02)
                writer.write(b"%x\r\n%s\r\n" % (len(WORD), WORD) if streams else b"x-more: 1\r\n")
                await writer.drain()

        async def scene(request: bytes, writer: asyncio.StreamWriter) -> None:
            try:
                await endless(request, writer)
            finally:
                stopped.set()

        async with behind(tmp_path, scene, "") as (http, upstream):
            asking = asyncio.create_task(http.post(CHAT, json={**ASKED, "stream": streams}))
            async with asyncio.timeout(10):
                await begun.wait()
                await asyncio.sleep(0.1)
                assert not stopped.is_set()  # the control: as long as somebody reads it goes on
                asking.cancel()
                await stopped.wait()
            assert upstream.connections == 1

    run(play())
