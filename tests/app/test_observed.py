"""Calls through the server's front, as /metrics shows them: each outcome counted once, hits by layer, breakers."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from lyceum.app.observed import now
from lyceum.gateway.book import usage
from tests.app.fronted import OBSERVED, fronted, written
from tests.gateway.upstream import chunked, played, reply
from tests.toys import run

BODY = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
EVENT = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
CACHE = '[cache]\nexact = "memory"\n'


async def upstream(request: bytes, writer: asyncio.StreamWriter) -> bool | None:
    if b"fail" in request:
        writer.write(
            reply(b'{"error": {"message": "made up"}}', "500 Oops", "content-type: application/json")
        )
    elif b'"stream"' in request:
        head = chunked(EVENT, EVENT, end=b"cut" not in request)
        writer.write(head.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n", 1))
        return b"cut" not in request
    else:
        writer.write(reply(BODY, "200 OK", "content-type: application/json"))
    return None


def counted() -> dict[str, float]:
    lines = (line for line in OBSERVED.counted.metrics.render({}).splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def told(**more: Any) -> dict[str, Any]:
    return {"model": "chat", "temperature": 0, "messages": [{"role": "user", "content": "hi"}], **more}


def test_each_call_is_counted_once_under_its_outcome(tmp_path: Path) -> None:
    async def play() -> dict[str, float]:
        before = counted()
        async with played(upstream) as server:
            written(tmp_path / "gateway.toml", f"{server.url}/v1", CACHE)
            async with fronted(tmp_path / "gateway.toml") as (live, http):
                for asked in (
                    told(), told(), told(), told(user="fail"), told(stream=True), told(stream=True, user="cut"),
                ):  # fmt: skip
                    await http.post("/v1/chat/completions", json=asked)
                await http.post("/v1/chat/completions", content=b"{")
                assert (await http.post("/v1/chat/completions", json=told(model="none"))).status_code == 418
                states = now(live)
        assert states["lyceum_gateway_breaker"] == {(("model", "chat"), ("target", f"{server.url}/v1")): 0.0}
        assert states["lyceum_gateway_queued"] == {(("model", "chat"),): 0}
        return {name: value - before.get(name, 0) for name, value in counted().items()}

    found = run(play())
    calls = {name: value for name, value in found.items() if "calls_total" in name and value}
    mine = 'lyceum_gateway_calls_total{model="chat",tenant="",outcome='
    assert calls == {
        f'{mine}"ok"}}': 4, f'{mine}"upstream"}}': 1, f'{mine}"cut"}}': 1,
        'lyceum_gateway_calls_total{model="none",tenant="",outcome="client"}': 1,
    }  # fmt: skip
    assert found['lyceum_gateway_cache_total{model="chat",layer="memory"}'] == 3  # one of them as a stream
    assert found['lyceum_gateway_open{model="chat"}'] == 0
    assert found['lyceum_gateway_seconds_count{model="chat"}'] == 6
    assert found['lyceum_gateway_first_token_seconds_count{model="chat"}'] == 2
    assert found['lyceum_gateway_tokens_total{model="chat",tenant="",kind="output"}'] == 4  # hits use none


def test_hits_are_held_to_limits_and_stand_in_the_usage_book(tmp_path: Path) -> None:
    more = f'[[key]]\nid = "ann"\ntenant = "t"\nsha256 = "{sha256(b"sk").hexdigest()}"\nrequests_per_minute = 4\n'

    async def play() -> None:
        async with played(upstream) as server:
            written(tmp_path / "gateway.toml", f"{server.url}/v1", CACHE + more)
            async with fronted(tmp_path / "gateway.toml") as (_, http):
                ask = partial(http.post, "/v1/chat/completions", json=told(), headers={"x-api-key": "sk"})
                found = [await ask() for _ in range(5)]
            assert [one.status_code for one in found] == [200, 200, 200, 200, 429]
            assert [one.headers["x-lyceum-cost"] for one in found[:4]] == ["0"] * 4
            assert (found[4].json()["error"]["code"], len(server.requests)) == ("rate_limit_exceeded", 1)

    run(play())
    (row,) = usage(tmp_path / "usage.db", ("key", "tenant", "model"))
    assert (row["key"], row["calls"], row["hits"], row["input"], row["output"]) == ("ann", 4, 3, 3, 4)


def test_who_leaves_counts_against_no_target(tmp_path: Path) -> None:
    """Twenty in a row would open the breaker if each were a failure of the target."""

    async def endless(request: bytes, writer: asyncio.StreamWriter) -> None:
        head = chunked(EVENT, end=False)
        writer.write(head.replace(b"\r\n\r\n", b"\r\ncontent-type: text/event-stream\r\n\r\n", 1))
        await asyncio.sleep(30)

    async def play() -> None:
        before, left = counted(), 'lyceum_gateway_calls_total{model="chat",tenant="",outcome="left"}'
        async with played(endless) as server:
            written(tmp_path / "gateway.toml", f"{server.url}/v1")
            async with fronted(tmp_path / "gateway.toml") as (live, http):
                for _ in range(20):
                    async with http.stream("POST", "/v1/chat/completions", json=told(stream=True)) as found:
                        assert found.status_code == 200
                for _ in range(500):
                    if counted().get(left, 0) - before.get(left, 0) == 20:
                        break
                    await asyncio.sleep(0.02)
                else:
                    raise AssertionError(counted())
                assert set(now(live)["lyceum_gateway_breaker"].values()) == {0.0}

    run(play())


def test_hits_keep_their_order_and_the_connection(tmp_path: Path) -> None:
    """What is answered in the callback stands in line with what is not, on one connection, also when cut up."""

    async def play() -> None:
        async with played(upstream) as server:
            written(tmp_path / "gateway.toml", f"{server.url}/v1", CACHE)
            async with fronted(tmp_path / "gateway.toml") as (_, http):
                await http.post("/v1/chat/completions", json=told())
                reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
                hit, miss = request(told()), request(told(user="other"))
                writer.write(hit + miss + hit + hit)
                for how in ("hit-exact", "miss", "hit-exact", "hit-exact"):
                    assert await answer(reader) == (how, BODY)
                for at in (5, len(hit) - 400, len(hit) - 3):
                    writer.write(hit[:at])
                    await writer.drain()
                    await asyncio.sleep(0.02)
                    writer.write(hit[at:])
                    assert await answer(reader) == ("hit-exact", BODY)
                writer.write(hit.replace(b"POST", b"GET", 1))
                assert (await reader.readline()).split()[1] != b"200"
                writer.close()

    run(play())


def request(asked: dict[str, Any]) -> bytes:
    body = json.dumps(asked).encode() + b" " * 300
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body)
        + body
    )


async def answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith("http/1.1 200")
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
    return headers["x-lyceum-cache"], await reader.readexactly(int(headers["content-length"]))
