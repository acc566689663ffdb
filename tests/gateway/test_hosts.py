"""Limits over hosts by a real Redis: exact together, given back by the dead, and what happens without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from uvloop import run  # as the server does

from lyceum.core.errors import LyceumError
from lyceum.gateway import hosts
from lyceum.gateway import redis as redis_client
from lyceum.gateway.counters import Counters, Scope
from lyceum.gateway.live import Live
from tests.gateway.redis import needs_redis, redis
from tests.gateway.test_live import answering
from tests.gateway.test_meter import key, metered, mine
from tests.gateway.upstream import Scene

pytestmark = needs_redis


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not taken for a Redis that is away."""
    monkeypatch.setattr(redis_client, "SLOW", 20.0)


@asynccontextmanager
async def two(
    folder: Path, url: str, more: str, scene: Scene = answering, closed: str = "false"
) -> AsyncIterator[list[Live]]:
    """Two gateways with homes of their own, which know of each other by Redis alone, or not at all."""
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "two"):
            (folder / name).mkdir(parents=True)
            text = f'{more}\n[money]\nredis = "{url}"\nclosed = {closed}\n'
            made.append(await stack.enter_async_context(metered(folder / name, scene, more=text)))
        for live in made if url else ():
            await connected(live)
        yield made


async def connected(live: Live) -> None:
    assert live.build.hosts is not None
    for _ in range(1000):
        if await live.build.hosts.redis.ask(b"PING") is not None:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("Redis did not answer")


async def through(made: list[Live], many: int, **more: Any) -> int:
    """Send calls to all gateways in turn; return how many were let through."""

    async def one(number: int) -> int:
        try:
            return int((await made[number % len(made)](mine(**more))).status == 200)
        except LyceumError as problem:
            return 0 if problem.status == 429 and problem.wait else -1000

    return sum(await asyncio.gather(*map(one, range(many))))


def test_two_hosts_let_through_what_one_would(tmp_path: Path) -> None:
    async def play() -> None:
        with redis(tmp_path) as server:
            async with two(tmp_path, server.url, key(requests_per_minute=33)) as made:
                assert await through(made, 100) == 33
                assert await through(made, 20) == 0
            for name in ("one", "two"):  # the control: without Redis each lets through as many
                async with metered(
                    tmp_path / name, answering, more=key("bob", requests_per_minute=33)
                ) as live:
                    live.build.counters.reap(0)

    run(play())


def test_tokens_and_money(tmp_path: Path) -> None:
    """Of 1,016 tokens each call may use 119 at first, and 7 in the end; a day's 0.0035 is spent by 46,000 each."""

    async def play() -> None:
        with redis(tmp_path) as server:
            limits = key(tokens_per_minute=1016)
            async with two(tmp_path, server.url, limits) as made:
                at_once = 1016 // (100 + len(mine(max_tokens=100).body) // 4 + 1)
                # What has ended meanwhile gives back what it did not need, so that more may follow.
                assert at_once <= await through(made, 40, max_tokens=100) < 40
                while await through(made, 1, max_tokens=100):
                    pass
                used = [live.build.book.number for live in made if live.build.book is not None]
                assert 120 < sum(used) <= 1016 / 7
        with redis(tmp_path) as server:
            async with two(tmp_path / "more", server.url, key(budget_day=0.0035)) as made:
                done = await through(made, 40, max_tokens=100)
                assert 3 <= done < 40
                while found := await through(made, 2, max_tokens=100):
                    done += found
                assert done == 54

    run(play())


async def admitted(live: Live) -> asyncio.Task[Any]:
    """Return a call that is let through within some seconds, and now hangs."""
    for _ in range(40):
        task = asyncio.create_task(live(mine()))
        await asyncio.sleep(0.5)
        if not task.done():
            return task
        assert isinstance(task.exception(), LyceumError)
    raise AssertionError("What was held does not come back.")


def test_calls_at_once_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "ALIVE", 2.0)

    async def hanging(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def play() -> None:
        with redis(tmp_path) as server:
            async with two(tmp_path, server.url, key(concurrent=6), hanging) as made:
                waiting = [asyncio.create_task(made[number % 2](mine())) for number in range(6)]
                await asyncio.sleep(1.0)
                assert await through(made, 4) == 0
                for one in waiting[:2]:
                    one.cancel()
                await asyncio.gather(*waiting[:2], return_exceptions=True)
                more = [await admitted(made[0]) for _ in range(2)]
                assert await through(made, 1) == 0
                assert made[1].build.hosts is not None
                beating = made[1].build.hosts._beating  # its host dies
                assert beating is not None
                beating.cancel()
                more += [await admitted(made[0]) for _ in range(2)]
                for one in (*waiting, *more):
                    one.cancel()
                await asyncio.gather(*waiting, *more, return_exceptions=True)

    run(play())


def test_who_leaves_while_redis_is_asked_holds_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        with redis(tmp_path) as server:
            async with two(tmp_path, server.url, key(concurrent=1)) as made:
                for _ in range(5):
                    task = asyncio.create_task(made[0](mine()))
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                await asyncio.sleep(0.2)
                assert await through(made[:1], 1) == 1

    run(play())


@pytest.mark.parametrize("closed", [False, True])
def test_without_redis(tmp_path: Path, closed: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        with redis(tmp_path) as server:
            limits = key(requests_per_minute=10)
            async with two(tmp_path, server.url, limits, closed=str(closed).lower()) as made:
                assert await through(made, 4) == 4
                server.kill()
                if closed:
                    for live in made:
                        with pytest.raises(LyceumError) as caught:
                            await live(mine())
                        assert (caught.value.status, caught.value.code) == (503, "limits")
                else:
                    assert await through(made, 40) == 2 * (10 - 2)  # each by its own counts
                    assert "does not answer" in caplog.text
                server.start()
                for live in made:
                    await connected(live)
                if closed:
                    assert await through(made, 30) == 10
                else:
                    assert await through(made[:1], 1) == 1
                    assert "answers again" in caplog.text

    run(play())


def test_an_emptied_redis_learns_again_what_was_spent(tmp_path: Path) -> None:
    async def play() -> None:
        with redis(tmp_path) as server:
            async with two(tmp_path, server.url, key(budget_month=0.0035)) as made:
                assert await through(made, 3, max_tokens=100) == 3
                assert made[0].build.hosts is not None
                await made[0].build.hosts.redis.ask(b"FLUSHALL")
                done = 3
                while found := await through(made, 2, max_tokens=100):
                    done += found
                assert 54 <= done <= 55

    run(play())


def test_a_name_is_no_script() -> None:
    counters = Counters(None, 0, lambda *_: 0)
    scope = Scope(counters.slot("key", "x' y"), "key", "x' y", 1, 0, 0, 0, 0)
    words = hosts._words("return 1", (scope,), [1, "a"])
    assert words == [b"EVAL", b"return 1", b"1", b"lyceum:limit:key:x' y", b"1", b"a"]
