"""Several workers on one socket: limits hold over all, a killed one is replaced and what it had is given back."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from lyceum.gateway.book import usage
from lyceum.gateway.keys import add
from tests.app.served import Server, served
from tests.app.test_gateway import ASKED, answering, written
from tests.gateway.upstream import Scene, played
from tests.toys import run


def workers(server: Server) -> list[int]:
    """Return the processes that answer."""
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def all_up(server: Server, many: int) -> None:
    await came(lambda: server.printed().count("Application startup complete") >= many)


async def came(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never came about"
        await asyncio.sleep(0.02)


async def asked(http: httpx.AsyncClient, secret: str, many: int) -> Counter[int]:
    """Send calls over connections of their own, so that every worker gets some."""

    async def one() -> int:
        headers = {"authorization": f"Bearer {secret}", "connection": "close"}
        try:
            return (await http.post("/v1/chat/completions", json=ASKED, headers=headers)).status_code
        except httpx.TransportError:
            return 0

    return Counter(await asyncio.gather(*(one() for _ in range(many))))


def http_of(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url, trust_env=False, timeout=30, limits=httpx.Limits(max_connections=60)
    )


def play(folder: Path, scene: Scene, many: int, limits: dict[str, Any], script: Any) -> None:
    async def scenes() -> None:
        async with played(scene) as upstream:
            written(folder / "home", upstream.url)
            secret = add(folder / "home" / "gateway.toml", {"id": "ann", **limits})
            with served(
                folder / "home", "--workers", str(many), LYCEUM_MODELS=str(folder / "none")
            ) as server:
                await all_up(server, many)
                async with http_of(server) as http:
                    await script(server, http, secret)

    run(scenes())


def test_four_workers_let_through_what_one_would(tmp_path: Path) -> None:
    async def script(server: Server, http: httpx.AsyncClient, secret: str) -> None:
        assert len(workers(server)) == 4
        assert await asked(http, secret, 300) == {200: 90, 429: 210}

    play(tmp_path, answering, 4, {"requests_per_minute": 90}, script)
    with sqlite3.connect(tmp_path / "home" / "usage.db") as db:
        nonces = db.execute("SELECT COUNT(DISTINCT substr(id, 1, 12)), COUNT(*) FROM calls").fetchone()
    assert nonces[0] > 1, "one worker had served all: this shows nothing"
    assert nonces[1] == 90


def test_a_worker_killed_under_load(tmp_path: Path) -> None:
    """Its calls at work are given back and appear as lost; what was answered is billed once."""
    hanging = asyncio.Event()
    begun = 0

    async def scene(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        await hanging.wait()
        await answering(request, writer)

    async def script(server: Server, http: httpx.AsyncClient, secret: str) -> None:
        hanging.set()
        assert (await asked(http, secret, 20))[200] == 20
        hanging.clear()
        waiting = asyncio.create_task(asked(http, secret, 20))
        await came(lambda: begun == 40)
        assert (await asked(http, secret, 5)) == {429: 5}  # twenty are at work
        busiest = max(workers(server), key=lambda pid: len(os.listdir(f"/proc/{pid}/fd")))
        os.kill(busiest, signal.SIGKILL)
        await all_up(server, 3)
        hanging.set()
        statuses = await waiting
        assert statuses[200] + statuses[0] == 20
        assert statuses[0], "the killed worker had nothing to do: this shows nothing"
        deadline, found = time.monotonic() + 30, {"calls": 0}
        while time.monotonic() < deadline and found["calls"] < 40:
            found = usage(tmp_path / "home" / "usage.db", ["key"])[0]
            await asyncio.sleep(0.05)
        assert (found["lost"], found["calls"]) == (statuses[0], 40)
        assert found["output"] == 4 * (20 + statuses[200])
        assert found["input"] > 3 * found["calls"], "the prompt of a lost call is billed"
        assert (await asked(http, secret, 20)) == {200: 20}  # all twenty places are free again

    play(tmp_path, scene, 2, {"concurrent": 20}, script)
    with sqlite3.connect(tmp_path / "home" / "usage.db") as db:
        (calls,) = db.execute("SELECT COUNT(*) FROM calls").fetchone()
    assert calls == 60
