"""Connections to an upstream: kept, drained, replaced, cut off, silent, overfull."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from lyceum.core.errors import ProviderError, Timeout
from lyceum.gateway.client import HIGH, Client
from tests.gateway.upstream import Played, Scene, chunked, played, reply
from tests.toys import run


def with_client(
    scene: Scene, play: Callable[[Client, Played], Coroutine[Any, Any, None]], **options: float
) -> Played:
    async def scenes() -> Played:
        async with played(scene) as server:
            client = Client(**options)
            await play(client, server)
            client.close()
            return server

    return run(scenes())


async def echo(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(request.rpartition(b"\r\n\r\n")[2]))


def test_a_connection_is_kept() -> None:
    async def play(client: Client, server: Played) -> None:
        for number in range(5):
            response = await client.request("POST", f"{server.url}/a?b=c", {"x": "y"}, b"%d" % number)
            assert (response.status, await response.read()) == (200, b"%d" % number)

    server = with_client(echo, play)
    assert server.connections == 1
    assert server.requests[0].startswith(b"POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:")


def test_at_once_each_has_its_own() -> None:
    async def play(client: Client, server: Played) -> None:
        async def one(number: int) -> bytes:
            return await (await client.request("POST", server.url, {}, b"%d" % number)).read()

        assert await asyncio.gather(*map(one, range(50))) == [b"%d" % number for number in range(50)]

    assert with_client(echo, play).connections <= 50


def test_chunks_come_as_they_are_sent() -> None:
    async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two"):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")

    async def play(client: Client, server: Played) -> None:
        response = await client.request("GET", server.url, {})
        assert [chunk async for chunk in response.chunks()] == [b"one", b"two"]
        assert await (await client.request("GET", server.url, {})).read() == b"onetwo"

    assert with_client(slow, play).connections == 1


def test_a_stream_that_is_not_read_to_its_end_is_not_reused() -> None:
    """Another request on that connection would be answered with the rest of the first response."""

    async def long(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(chunked(*[b"x" * 1000] * 50))

    async def play(client: Client, server: Played) -> None:
        response = await client.request("GET", server.url, {})
        async with aclosing(response.chunks()) as chunks:
            async for _ in chunks:
                break
        response.close()
        assert len(await (await client.request("GET", server.url, {})).read()) == 50_000

    with_client(long, play)


def test_leaving_early_ends_the_connection() -> None:
    async def endless(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"3\r\nabc\r\n")
            await writer.drain()
            await asyncio.sleep(0.005)

    async def play(client: Client, server: Played) -> None:
        response = await client.request("GET", server.url, {})
        async with aclosing(response.chunks()) as chunks:
            async for _ in chunks:
                break
        for _ in range(100):
            if server.ended:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the upstream still works")

    with_client(endless, play)


def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    async def once(request: bytes, writer: asyncio.StreamWriter) -> bool:
        await echo(request, writer)
        await writer.drain()
        return False

    async def play(client: Client, server: Played) -> None:
        for number in range(3):
            assert (
                await (await client.request("POST", server.url, {}, b"%d" % number)).read() == b"%d" % number
            )

    assert with_client(once, play).connections == 3


@pytest.mark.parametrize(
    "sent",
    [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", chunked(b"abc", end=False), b"garbage\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"],
)  # fmt: skip
def test_what_is_cut_off_or_no_http_is_an_error(sent: bytes) -> None:
    async def broken(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(sent)
        await writer.drain()
        return False

    async def play(client: Client, server: Played) -> None:
        with pytest.raises(ProviderError):
            await (await client.request("POST", server.url, {}, b"x")).read()

    with_client(broken, play)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async def old(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await writer.drain()
        return False

    async def play(client: Client, server: Played) -> None:
        assert await (await client.request("GET", server.url, {})).read() == b"all of it"

    with_client(old, play)


def test_early_hints_come_before_the_response() -> None:
    async def hinting(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"yes"))

    async def play(client: Client, server: Played) -> None:
        assert await (await client.request("GET", server.url, {})).read() == b"yes"

    with_client(hinting, play)


@pytest.mark.parametrize("sent", [b"", chunked(b"abc", end=False)])
def test_silence_ends_in_time(sent: bytes) -> None:
    async def silent(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(5)

    async def play(client: Client, server: Played) -> None:
        with pytest.raises(Timeout):
            await (await client.request("GET", server.url, {})).read()

    with_client(silent, play, first=0.05, idle=0.05)


def test_nobody_listens() -> None:
    async def play() -> None:
        with pytest.raises(ProviderError, match="cannot be reached"):
            await Client().request("GET", "http://127.0.0.1:9", {})

    run(play())


def test_a_slow_reader_slows_the_upstream() -> None:
    size = 64 * HIGH
    written = 0

    async def flood(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(64):
            writer.write(b"x" * HIGH)
            written += HIGH
            await writer.drain()

    async def play(client: Client, server: Played) -> None:
        response = await client.request("GET", server.url, {})
        await asyncio.sleep(0.3)
        assert response.connection.held < 4 * HIGH
        assert written < size
        assert len(await response.read()) == size

    with_client(flood, play)


def test_line_ends_in_headers_are_refused() -> None:
    async def play(client: Client, server: Played) -> None:
        with pytest.raises(ProviderError, match="line end"):
            await client.request("GET", server.url, {"x": "a\r\nb: c"})

    with_client(echo, play)
