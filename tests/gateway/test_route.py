"""From model to model: fallbacks, the canary's share, shadows that nobody waits for, probes, exchanges under load."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.errors import ProviderError
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import parsed
from lyceum.gateway.live import Live
from lyceum.gateway.probe import Probes
from lyceum.gateway.shadow import MOST, Seen, Shadow
from tests.gateway.pools import Clock, Made, call, down, good, pool, route
from tests.gateway.test_client import echo, with_client
from tests.gateway.upstream import Played, played, reply
from tests.toys import run


def full(*_: Any) -> Reply:
    return Reply(status=429)


@pytest.mark.parametrize("does", [down, full])
def test_a_chain_goes_on_until_one_serves(does: Any) -> None:
    async def play() -> None:
        made = [Made("a", does), Made("b", does), Made("c")]
        first = pool(made[0], name="first", fallback=("second", "third"))
        served = route(first, pool(made[1], name="second"), pool(made[2], name="third"), chat="first")
        one = call()
        assert (await served(one)).status == 200
        assert (one.facts["model"], one.facts["target"]) == ("third", "http://c")
        made[2].does = does
        if does is down:
            with pytest.raises(ProviderError):
                await served(call())
        else:
            assert (await served(call())).status == 429

    run(play())


def test_a_full_queue_sends_to_the_fallback() -> None:
    async def play() -> None:
        gate = asyncio.Event()

        async def slow(asked: Call) -> Reply:
            await gate.wait()
            return good()

        spare = Made("spare")
        served = route(
            pool(Made("small", slow, concurrent=1), queue=0, fallback=("spare",)), pool(spare, name="spare")
        )
        first = asyncio.create_task(served(call()))
        await asyncio.sleep(0)
        assert (await served(call())).status == 200
        assert spare.calls == 1
        gate.set()
        assert (await first).status == 200

    run(play())


def test_the_canary_gets_its_share_and_a_session_one_of_both() -> None:
    async def play() -> None:
        random.seed(2)
        stable, canary = Made("stable"), Made("canary")
        served = route(pool(stable, canary="new", canary_share=0.1), pool(canary, name="new"))
        for _ in range(2000):
            await served(call())
        assert canary.calls / 2000 == pytest.approx(0.1, abs=0.03)
        kept = []
        for at in range(300):
            one, two = call(user=f"u{at}"), call(user=f"u{at}")
            await served(one)
            await served(two)
            assert one.facts["model"] == two.facts["model"]
            kept.append(one.facts["model"] == "new")
        assert sum(kept) / 300 == pytest.approx(0.1, abs=0.06)
        canary.does, before = down, stable.calls
        assert [(await served(call())).status for _ in range(200)] == [200] * 200  # a bad canary harms nobody
        assert stable.calls - before == 200

    run(play())


# --- the shadow ------------------------------------------------------------------------------------------


def test_a_shadow_is_counted_and_never_waited_for() -> None:
    async def play() -> None:
        gate = asyncio.Event()

        async def slow(asked: Call) -> Reply:
            await gate.wait()
            return good()

        shadow, seen = Made("shadow", slow), dict[str, Seen]()
        served = route(pool(Made("real"), shadow="dark", shadow_share=1.0), pool(shadow, name="dark"))
        around = Shadow(served, served.gateway, served, seen)
        for _ in range(MOST + 10):
            one = call()
            assert (await around(one)).status == 200
            assert (one.facts["target"], one.facts["attempts"]) == ("http://real", 1)
        await asyncio.sleep(0)
        assert (shadow.calls, seen["dark"].left_out) == (MOST, 10)
        gate.set()
        await asyncio.gather(*around.tasks)
        told = seen["dark"]
        assert (told.requests, told.failed, told.input_tokens, told.output_tokens) == (
            MOST,
            0,
            MOST,
            2 * MOST,
        )
        shadow.does = down
        assert (await around(call())).status == 200
        await asyncio.gather(*around.tasks)
        assert told.failed == 1
        assert served.pools["dark"].lanes[0].state.busy == 0

    run(play())


def test_a_shadow_gets_its_share() -> None:
    async def play() -> None:
        random.seed(4)
        shadow = Made("shadow")
        served = route(pool(Made("real"), shadow="dark", shadow_share=0.25), pool(shadow, name="dark"))
        around = Shadow(served, served.gateway, served, {})
        for _ in range(1000):
            await around(call())
            await asyncio.sleep(0)
        assert shadow.calls / 1000 == pytest.approx(0.25, abs=0.05)

    run(play())


# --- probes ----------------------------------------------------------------------------------------------


def test_probes_take_a_target_out_and_let_a_call_try_it_again() -> None:
    async def play() -> None:
        alive = True

        async def health(request: bytes, writer: asyncio.StreamWriter) -> None:
            assert request.startswith(b"GET /health ")
            writer.write(reply(b"{}", "200 OK" if alive else "503 Down"))

        async with played(health) as server:
            clock, made = Clock(), Made("x", health="/health")
            made.target = made.target.model_copy(update={"url": server.url + "/v1"})
            asked = pool(made, Made("without"), clock=clock, probe_seconds=5)
            probes, state = Probes(clock), asked.lanes[0].state

            async def pass_by(seconds: float) -> str:
                clock.now += seconds
                probes.due([asked])
                await asyncio.gather(*probes.tasks)
                return state.phase(clock.now)

            assert [await pass_by(one) for one in (0, 1, 5)] == ["closed"] * 3
            assert len(server.requests) == 2
            alive = False
            assert await pass_by(5) == "closed"  # one silence may be chance
            assert await pass_by(5) == "open"
            alive = True
            assert await pass_by(5) == "half-open"
            for _ in range(20):
                assert (await asked(call())).status == 200
            assert state.phase(clock.now) == "closed"
            assert len(server.requests) == 5
            probes.due([pool(Made("other"))])  # the target has gone
            assert (probes.next, probes.silent) == ({}, {})
            probes.close()

    run(play())


# --- with real connections -------------------------------------------------------------------------------


def test_a_frozen_upstream_is_waited_for_once() -> None:
    async def play(client: Any, server: Played) -> None:
        for _ in range(3):  # three connections are kept
            kept = [await client.request("POST", server.url, {}, b"x") for _ in range(3)]
            for one in kept:
                await one.read()

        async def silent(request: bytes, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0)

        server.scene, before = silent, len(server.requests)
        with pytest.raises(ProviderError):
            await client.request("POST", server.url, {}, b"x")
        assert len(server.requests) - before == 1

    with_client(echo, play, first=0.1)


TOML = """
[[model]]
name = "chat"
targets = [{url = "URL/v1", concurrent = 1, weight = WEIGHT}]
"""


def test_what_is_known_of_a_target_outlives_a_change_of_its_weight(tmp_path: Path) -> None:
    async def play() -> None:
        gate = asyncio.Event()

        async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            writer.write(reply(b'{"choices": []}'))

        async with played(slow) as server:
            file = tmp_path / "gateway.toml"
            text = TOML.replace("URL", server.url)
            file.write_text(text.replace("WEIGHT", "1"))
            live = Live(file)
            first = asyncio.create_task(live(call()))
            await asyncio.sleep(0.05)
            before = live.serving.route.pools["chat"]
            live.use(parsed(text.replace("WEIGHT", "2")))
            after = live.serving.route.pools["chat"]
            assert after is not before
            assert after.lanes[0].state is before.lanes[0].state
            second = asyncio.create_task(live(call()))  # the one slot is taken: it waits, over the exchange
            await asyncio.sleep(0.05)
            assert (len(server.requests), len(after.kept.waiting)) == (1, 1)
            gate.set()
            one = await first
            one.finish()
            two = await second
            assert (one.status, two.status, len(server.requests)) == (200, 200, 2)
            two.finish()
            assert after.lanes[0].state.busy == 0
            live.close()

    run(play())


def test_a_shadow_stands_in_the_usage_book_under_its_own_name(tmp_path: Path) -> None:
    async def answering(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'))

    async def play() -> None:
        async with played(answering) as server:
            file = tmp_path / "gateway.toml"
            file.write_text(
                f'[[model]]\nname = "chat"\nshadow = "dark"\nshadow_share = 1\ntargets = [{{url = "{server.url}"}}]\n'
                f'[[model]]\nname = "dark"\ntargets = [{{url = "{server.url}"}}]\n'
            )
            live = Live(file)
            found = await live(call())
            found.finish()
            for _ in range(500):
                if live.build.shadowed["dark"].output_tokens:
                    break
                await asyncio.sleep(0.01)
            live.close()

    run(play())
    book = sqlite3.connect(next(tmp_path.rglob("usage.db")))
    rows = book.execute("SELECT model, output FROM calls ORDER BY model").fetchall()
    book.close()
    assert rows == [("chat", 4), ("dark", 4)]
