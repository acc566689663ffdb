"""Attempts over lanes that fail, hang and flap; the clock is set by hand. Controls show that a test can fail."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from lyceum.core.errors import LyceumError, ProviderError, RateLimited, Timeout
from lyceum.core.types import Usage
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.lane import Budget, State
from lyceum.gateway.pool import Kept, Pool
from tests.gateway.pools import Clock, Made, call, down, good, pool
from tests.toys import run


async def served(asked: Pool, one: Call | None = None) -> int | str:
    """Return the status of a call that is read to its end, or the code of its error."""
    try:
        reply = await asked(one or call())
    except LyceumError as problem:
        return problem.code
    if reply.chunks is not None:
        async for _ in reply.chunks:
            pass
    reply.finish()
    return reply.status


def status(code: int, **headers: str) -> Any:
    return lambda *_: Reply(status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})


# --- the breaker -----------------------------------------------------------------------------------------


def phases(state: State, clock: Clock) -> str:
    return state.phase(clock.now)


def test_a_dead_target_is_left_alone_after_seven_calls_and_tried_by_one() -> None:
    async def play() -> None:
        clock = Clock()
        bad = Made("bad", down)
        asked = pool(bad, clock=clock, retries=0)
        state = asked.lanes[0].state
        for _ in range(7):
            assert phases(state, clock) == "closed"
            assert await served(asked) == "provider"
        assert phases(state, clock) == "open"
        for _ in range(50):
            assert await served(asked) == "no_target"
        assert bad.calls == 7
        waits = []
        for _ in range(8):  # each trial that fails doubles the rest, up to breaker_seconds
            waits.append(state.until - clock.now)
            clock.now = state.until
            assert phases(state, clock) == "half-open"
            assert await served(asked) == "provider"
            assert await served(asked) == "no_target"
        assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
        assert bad.calls == 15

    run(play())


def test_control_without_a_breaker_every_call_goes_to_the_dead_target() -> None:
    async def play() -> None:
        clock = Clock()
        bad = Made("bad", down)
        asked = pool(bad, clock=clock, retries=0, breaker_seconds=1e-9)
        for _ in range(57):
            clock.now += 0.001
            assert await served(asked) == "provider"
        assert bad.calls == 57

    run(play())


def test_half_open_lets_exactly_one_call_through() -> None:
    async def play() -> None:
        clock, gate = Clock(), asyncio.Event()
        one = Made("one", down)
        asked = pool(one, clock=clock, retries=0)
        for _ in range(7):
            await served(asked)

        async def slow(*_: Any) -> Reply:
            await gate.wait()
            return good()

        one.does, clock.now, one.calls = slow, clock.now + 1, 0
        waiting = [asyncio.create_task(served(asked)) for _ in range(20)]
        await asyncio.sleep(0)
        assert (one.calls, phases(asked.lanes[0].state, clock)) == (1, "half-open")
        gate.set()
        told = await asyncio.gather(*waiting)
        assert sorted(map(str, told)) == ["200"] + ["no_target"] * 19
        assert phases(asked.lanes[0].state, clock) == "closed"
        one.does = down  # what fails again just after it was taken back is out at once
        assert [await served(asked) for _ in range(2)] == ["provider", "no_target"]

    run(play())


def test_who_leaves_during_the_trial_lets_the_next_one_try() -> None:
    async def play() -> None:
        clock = Clock()
        one = Made("one", down)
        asked = pool(one, clock=clock, retries=0)
        for _ in range(7):
            await served(asked)

        async def forever(*_: Any) -> Reply:
            await asyncio.Event().wait()
            return good()

        clock.now, one.does = clock.now + 1, forever
        trial = asyncio.create_task(served(asked))
        await asyncio.sleep(0)
        trial.cancel()
        await asyncio.gather(trial, return_exceptions=True)
        one.does = good
        assert await served(asked) == 200
        assert asked.lanes[0].state.busy == 0

    run(play())


@pytest.mark.parametrize(("share", "opens"), [(0.1, False), (0.75, True)])
def test_a_flapping_target_is_judged_by_its_share_of_failures(share: float, opens: bool) -> None:
    random.seed(3)
    state, now, longest = State(), 0.0, 0.0
    for _ in range(300):
        now += 0.01
        if random.random() < share:
            state.failed(now, 0.1, False, 30)
        else:
            state.worked(now, 0.1, False)
        longest = max(longest, state.until)
    assert bool(longest) is opens


def test_what_began_before_the_breaker_opened_does_not_close_it() -> None:
    state = State()
    for _ in range(7):
        state.failed(0.0, 0.1, False, 30)
    state.worked(0.5, 0.1, False)
    assert state.phase(0.5) == "open"
    assert not state.admits(0.5)


def test_of_three_targets_one_dies_and_comes_back() -> None:
    async def play() -> None:
        random.seed(5)
        clock = Clock()
        made = [Made(f"t{at}") for at in range(3)]
        asked = pool(*made, clock=clock)

        async def many(count: int) -> list[int | str]:
            told = []
            for _ in range(count):
                clock.now += 0.01
                told.append(await served(asked))
            return told

        assert await many(200) == [200] * 200
        made[0].does, before = down, made[0].calls
        assert await many(500) == [200] * 500
        assert made[0].calls - before < 15  # seven until it opens, and a trial now and then
        made[0].does = good
        assert await many(1500) == [200] * 1500
        assert made[0].calls > 200

    run(play())


# --- attempts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("does", [down, status(500), status(503), status(529), status(408), status(429)])
def test_another_lane_serves_what_one_cannot(does: Any) -> None:
    async def play() -> None:
        random.seed(1)
        bad, fine = Made("bad", does), Made("fine")
        asked = pool(bad, fine)
        one = call()
        assert [await served(asked, one) for _ in range(10)] == [200] * 10
        assert 0 < bad.calls < 10
        assert one.facts["target"] == "http://fine"
        assert [lane.state.busy for lane in asked.lanes] == [0, 0]

    run(play())


@pytest.mark.parametrize("code", [400, 401, 404, 413, 422])
def test_the_clients_fault_is_not_tried_again_nor_the_targets(code: int) -> None:
    async def play() -> None:
        made = [Made("a", status(code)), Made("b", status(code))]
        asked = pool(*made)
        assert [await served(asked) for _ in range(20)] == [code] * 20
        assert sum(one.calls for one in made) == 20
        assert all(lane.state.phase(1000.0) == "closed" for lane in asked.lanes)

    run(play())


def test_one_lane_is_tried_again_after_a_pause() -> None:
    async def play() -> None:
        clock, told = Clock(), [503, 503, 200]
        one = Made("one", lambda *_: Reply(status=told.pop(0)))
        assert await served(pool(one, clock=clock)) == 200
        assert len(clock.slept) == 2
        assert 0.05 <= clock.slept[0] <= 0.15 < clock.slept[1] * 1.51

    run(play())


def test_a_target_that_asks_to_wait_is_left_alone_that_long() -> None:
    async def play() -> None:
        clock = Clock()
        limited, other = Made("limited", status(429, retry_after="20")), Made("other")
        asked = pool(limited, other, clock=clock)
        for _ in range(40):
            assert await served(asked) == 200
        assert limited.calls == 1
        assert phases(asked.lanes[0].state, clock) == "closed"  # it works: only calls have to wait
        clock.now, limited.does, limited.calls = clock.now + 20, good, 0
        for _ in range(40):
            await served(asked)
        assert limited.calls > 5

    run(play())


def test_retries_are_a_share_of_the_requests() -> None:
    async def play() -> None:
        clock = Clock()
        made = [Made(f"t{at}", status(500)) for at in range(3)]
        asked = pool(*made, clock=clock, breaker_seconds=1e-9, retry_share=0.1)
        for _ in range(1000):
            clock.now += 0.01
            assert await served(asked) == 500
        # 0.1 of 1,000 and the few that are always allowed: ten at once, and what of them fades in 10 s.
        assert 1000 < sum(one.calls for one in made) <= 1000 * 1.1 + 10 * 2 + 5

    run(play())


class Endless(Budget):
    def spend(self, now: float, share: float) -> bool:
        return True


def test_control_without_a_budget_an_outage_triples_the_load() -> None:
    async def play() -> None:
        clock = Clock()
        made = [Made(f"t{at}", status(500)) for at in range(3)]
        asked = pool(*made, clock=clock, kept=Kept(budget=Endless()), breaker_seconds=1e-9, retry_share=0.1)
        for _ in range(100):
            clock.now += 0.01
            await served(asked)
        assert sum(one.calls for one in made) == 300

    run(play())


def test_a_budget_forgets() -> None:
    budget = Budget()
    for _ in range(100):
        budget.request(0.0)
    allowed = sum(budget.spend(0.0, 0.5) for _ in range(200))
    assert allowed == 60
    assert not budget.spend(0.0, 0.5)
    assert sum(budget.spend(100.0, 0.5) for _ in range(200)) in (9, 10)


# --- streams ---------------------------------------------------------------------------------------------


async def pieces(*told: bytes | Exception) -> Any:
    for one in told:
        if isinstance(one, Exception):
            raise one
        yield one


def streaming(*told: bytes | Exception) -> Any:
    return lambda *_: Reply(status=200, chunks=pieces(*told))


ERROR = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'


@pytest.mark.parametrize(
    "told",
    [
        (ProviderError("cut"),),
        (Timeout("silent"),),
        (),
        (ERROR + b"data: [DONE]\n\n",),
        (b'{"error": {"message": "no"}}',),
    ],
)
def test_a_stream_that_breaks_before_its_first_token_is_served_by_another(told: Any) -> None:
    async def play() -> None:
        bad, fine = Made("bad", streaming(*told)), Made("fine", streaming(b"data: 1\n\n", b"data: 2\n\n"))
        asked = pool(bad, fine, route="least_busy")
        for _ in range(8):
            reply = await asked(call(stream=True))
            assert reply.chunks is not None
            assert b"".join([one async for one in reply.chunks]) == b"data: 1\n\ndata: 2\n\n"
            reply.finish()
        assert bad.calls > 0
        assert [lane.state.busy for lane in asked.lanes] == [0, 0]

    run(play())


def test_a_stream_that_breaks_later_is_not_tried_again_but_counts() -> None:
    async def play() -> None:
        made = [Made(name, streaming(b"data: 1\n\n", ProviderError("cut"))) for name in "ab"]
        asked = pool(*made)
        reply = await asked(call(stream=True))
        assert reply.chunks is not None
        assert await anext(reply.chunks) == b"data: 1\n\n"
        assert sum(lane.state.busy for lane in asked.lanes) == 1
        with pytest.raises(ProviderError):
            await anext(reply.chunks)
        reply.error = "provider"  # as the front does
        reply.finish()
        assert sum(one.calls for one in made) == 1
        assert sorted(lane.state.failures for lane in asked.lanes)[1] > 0
        assert sum(lane.state.busy for lane in asked.lanes) == 0

    run(play())


def test_a_stream_that_nobody_reads_is_closed() -> None:
    async def play() -> None:
        closed = []

        async def told() -> Any:
            try:
                yield b"data: 1\n\n"
                yield b"data: 2\n\n"
            finally:
                closed.append(True)

        reply = await pool(Made("one", lambda *_: Reply(status=200, chunks=told())))(call(stream=True))
        assert reply.chunks is not None
        await reply.chunks.aclose()
        assert closed == [True]

    run(play())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": {"message": "no", "code": 404}}', 404),
        (b'{"error": "no"}', 502),
        (b'{"error": null, "choices": [1]}', 200),
        (b'{"choices": [{"message": {"content": "an \\"error\\": here"}}]}', 200),
    ],
)
def test_an_error_that_is_told_as_a_success_is_an_error(body: bytes, code: int) -> None:
    async def play() -> None:
        reply = await pool(Made("one", lambda *_: Reply(status=200, body=body)), retries=0)(call())
        assert (reply.status, reply.body) == (code, body)

    run(play())


# --- slots and the queue ---------------------------------------------------------------------------------


class Gate:
    """A target that holds its calls until it is told to let some go."""

    def __init__(self) -> None:
        self.held: list[asyncio.Future[None]] = []
        self.most = 0

    async def __call__(self, asked: Call) -> Reply:
        held = asyncio.get_running_loop().create_future()
        self.held.append(held)
        self.most = max(self.most, len(self.held))
        try:
            await held
        finally:
            self.held.remove(held)
        return good()

    async def let_go(self, count: int = 1) -> None:
        for one in self.held[:count]:
            one.set_result(None)
        for _ in range(6):
            await asyncio.sleep(0)


def test_calls_wait_in_order_and_what_is_too_much_is_told_when_to_come_back() -> None:
    async def play() -> None:
        gate, order = Gate(), list[int]()
        asked = pool(Made("one", gate, concurrent=2), queue=3, retries=0)

        async def one(number: int) -> int | str:
            told = await served(asked)
            order.append(number)
            return told

        tasks = [asyncio.create_task(one(number)) for number in range(8)]
        for _ in range(4):
            await asyncio.sleep(0)
        assert (len(gate.held), len(asked.kept.waiting)) == (2, 3)
        assert sorted(order) == [5, 6, 7]
        with pytest.raises(RateLimited) as caught:
            await asked(call())
        assert (caught.value.code, caught.value.status) == ("queue_full", 429)
        assert caught.value.wait is not None
        assert caught.value.wait >= 1
        while gate.held:
            await gate.let_go(1)
        assert await asyncio.gather(*tasks) == [200] * 5 + ["queue_full"] * 3
        assert order[3:] == [0, 1, 2, 3, 4]
        assert (gate.most, asked.lanes[0].state.busy) == (2, 0)

    run(play())


def test_who_leaves_the_queue_takes_no_slot() -> None:
    async def play() -> None:
        gate = Gate()
        asked = pool(Made("one", gate, concurrent=1), retries=0)
        tasks = [asyncio.create_task(served(asked)) for _ in range(4)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks[1].cancel()
        gate.held[0].set_result(None)  # and a slot comes free at the same moment
        tasks[2].cancel()
        for _ in range(8):
            await asyncio.sleep(0)
        await gate.let_go()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in told if one == 200] == [200, 200]
        assert (asked.lanes[0].state.busy, len(asked.kept.waiting)) == (0, 0)

    run(play())


@pytest.mark.parametrize("seed", range(5))
def test_no_slot_is_lost_nor_given_twice(seed: int) -> None:
    async def play() -> None:
        drawn = random.Random(seed)
        running = most = 0

        async def does(asked: Call) -> Reply:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                for _ in range(drawn.randrange(6)):
                    await asyncio.sleep(0)
                if drawn.random() < 0.3:
                    raise ProviderError("made up")
                return good()
            finally:
                running -= 1

        made = [Made("a", does, concurrent=2), Made("b", does, concurrent=1)]
        asked = pool(*made, queue=20, hedge_after=drawn.choice([0, 1e-6]), breaker_seconds=1e-9)
        tasks = []
        for _ in range(300):
            tasks.append(asyncio.create_task(served(asked)))
            if drawn.random() < 0.3:
                drawn.choice(tasks).cancel()
            if drawn.random() < 0.5:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [lane.state.busy for lane in asked.lanes] == [0, 0]
        assert (most, len(asked.kept.waiting), running) == (3, 0, 0)

    run(play())


def test_who_waits_for_lanes_that_go_down_is_told() -> None:
    async def play() -> None:
        clock, gate = Clock(), Gate()

        async def fails(asked: Call) -> Reply:
            await gate(asked)
            raise ProviderError("gone")

        asked = pool(Made("one", fails, concurrent=1), clock=clock, retries=0, queue=9)
        asked.lanes[0].state.failures = 0.5
        tasks = [asyncio.create_task(served(asked)) for _ in range(4)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await gate.let_go()
        assert await asyncio.gather(*tasks) == ["provider"] + ["no_target"] * 3

    run(play())


def test_the_queue_is_left_after_a_while() -> None:
    async def play() -> None:
        gate = Gate()
        asked = pool(Made("one", gate, concurrent=1), retries=0, queue_seconds=0.05)
        first = asyncio.create_task(served(asked))
        await asyncio.sleep(0)
        assert await served(asked) == "queue_time"
        await gate.let_go()
        assert await first == 200
        assert asked.lanes[0].state.busy == 0

    run(play())


# --- hedged calls ----------------------------------------------------------------------------------------


def test_a_late_call_gets_a_second_copy_and_the_first_answer_wins() -> None:
    async def play() -> None:
        left = []

        async def hangs(asked: Call) -> Reply:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                left.append("hangs")
                raise
            return good()

        fast = Made("fast")
        asked = pool(Made("slow", hangs), fast, route="session", hedge_after=0.01, retry_share=1)
        for at in range(40):
            one = call(user=f"u{at}")
            assert await served(asked, one) == 200
            assert one.facts["target"] == "http://fast"
            assert one.facts.get("hedged", 0) == (one.facts["attempts"] == 2)
        assert len(left) + asked.lanes[1].state.opened > 5
        assert [lane.state.busy for lane in asked.lanes] == [0, 0]

    run(play())


def test_a_fast_call_is_sent_once() -> None:
    async def play() -> None:
        made = [Made("a"), Made("b")]
        asked = pool(*made, hedge_after=5)
        assert [await served(asked) for _ in range(20)] == [200] * 20
        assert sum(one.calls for one in made) == 20

    run(play())


def test_a_loser_that_had_ended_too_is_noted_for_the_bill() -> None:
    async def play() -> None:
        gate = asyncio.Event()

        async def both(asked: Call) -> Reply:
            await gate.wait()
            return good()

        asked = pool(Made("a", both), Made("b", both), hedge_after=0.01)
        one = call()
        task = asyncio.create_task(served(asked, one))
        await asyncio.sleep(0.1)
        gate.set()
        assert await task == 200
        assert [usage for _, usage in one.facts["lost"]] == [Usage(input_tokens=1, output_tokens=2)]
        assert {one.facts["target"], one.facts["lost"][0][0].url} == {"http://a", "http://b"}
        assert [lane.state.busy for lane in asked.lanes] == [0, 0]

    run(play())


def test_hedges_come_out_of_the_budget_of_retries() -> None:
    async def play() -> None:
        async def slow(asked: Call) -> Reply:
            await asyncio.sleep(0.02)
            return good()

        made = [Made("a", slow), Made("b", slow)]
        asked = pool(*made, hedge_after=0.001, retry_share=0.0)
        told = await asyncio.gather(*[served(asked) for _ in range(100)])
        assert told == [200] * 100
        assert sum(one.calls for one in made) <= 110

    run(play())


def test_a_client_that_leaves_ends_both_copies() -> None:
    async def play() -> None:
        left = []

        async def hangs(asked: Call) -> Reply:
            try:
                await asyncio.Event().wait()
            finally:
                left.append(1)
            return good()

        asked = pool(Made("a", hangs), Made("b", hangs), hedge_after=0.01)
        task = asyncio.create_task(served(asked))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(left) == 2
        assert [lane.state.busy for lane in asked.lanes] == [0, 0]

    run(play())
