"""The lanes of one model as one Forward: order, slots with a queue, attempts, a second copy of a late call.

Only what has not begun to answer is tried again, and only where another attempt may help: no connection, a time-out,
an error of the server, 429. A stream has begun with its first bytes; what breaks afterwards is the front's to tell.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from lyceum.core.errors import LyceumError, ProviderError, RateLimited
from lyceum.gateway.begun import begun
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import Model
from lyceum.gateway.fit import fitting
from lyceum.gateway.lane import Budget, Lane, State
from lyceum.gateway.pick import Order

AGAIN = frozenset({408, 429, 500, 502, 503, 504, 529})
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds before a lane that failed is tried again by the same call

Waiter = tuple["asyncio.Future[Lane | None]", Sequence[Lane]]
Outcome = Reply | ProviderError


@dataclass(slots=True)
class Kept:
    """What a model keeps when its configuration changes: states by target, who waits, the budget of retries."""

    states: dict[tuple[str, str, int], State] = field(default_factory=dict)
    waiting: deque[Waiter] = field(default_factory=deque)
    budget: Budget = field(default_factory=Budget)


class Pool:
    """Serves `model` over its lanes in the order that `order` says."""

    def __init__(
        self,
        model: Model,
        lanes: Sequence[Lane],
        order: Order,
        kept: Kept,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.model, self.lanes, self.order, self.kept = model, lanes, order, kept
        self.clock, self.sleep = clock, sleep
        # Where no target says what it can do, nothing has to be asked of a call.
        self.plain = not any(
            one.target.context or one.target.features or one.target.tags or one.target.tenants
            for one in lanes
        )

    async def __call__(self, call: Call) -> Reply:
        """Return the first good reply, else the last failure. Raises ProviderError; RateLimited for a full queue."""
        now = self.clock()
        self.kept.budget.request(now)
        lanes = (
            self.lanes if self.plain and "x-lyceum-tags" not in call.headers else fitting(self.lanes, call)
        )
        left = lanes = self.order(lanes, call, now) if len(lanes) > 1 else list(lanes)
        outcome: Outcome | None = None
        for attempt in range(self.model.retries + 1):
            if attempt and not self.kept.budget.spend(self.clock(), self.model.retry_share):
                break
            if attempt and not any(one.state.admits(self.clock()) for one in left):
                if self.model.fallback:
                    break
                await self.sleep(_pause(attempt, outcome))
                left = lanes
            try:
                lane, trial = await self._taken(left, call)
            except ProviderError as problem:
                outcome = outcome or problem
                break
            left = [one for one in left if one is not lane]
            if self.model.hedge_after and left:
                outcome, left = await self._hedged(lane, trial, left, call)
            else:
                outcome = await self._tried(lane, trial, call)
            if isinstance(outcome, Reply) and outcome.status not in AGAIN:
                return outcome
        assert outcome is not None
        if isinstance(outcome, ProviderError):
            raise outcome
        return outcome

    # --- slots -------------------------------------------------------------------------------------------

    async def _taken(self, lanes: Sequence[Lane], call: Call) -> tuple[Lane, bool]:
        """Return a lane with a slot taken, waiting in the queue where all are full; say whether it is on trial."""
        if (lane := self._open(lanes)) is not None:
            return lane, lane.state.enter()
        if not any(one.state.admits(self.clock()) for one in lanes):
            raise self._down(lanes)
        waiting = self.kept.waiting
        if len(waiting) >= self.model.queue:
            raise RateLimited(
                f"All targets of {self.model.name} are busy and its queue is full.",
                hint="Try again later, or raise queue.", code="queue_full", wait=self._wait(),
            )  # fmt: skip
        granted: asyncio.Future[Lane | None] = asyncio.get_running_loop().create_future()
        waiting.append((granted, lanes))
        began = self.clock()
        try:
            async with asyncio.timeout(self.model.queue_seconds):
                lane = await granted
        except BaseException as problem:
            self._gone(granted, lanes)
            if isinstance(problem, TimeoutError):
                raise RateLimited(
                    f"No target of {self.model.name} was free for {self.model.queue_seconds:g} s.",
                    hint="Try again later, or raise queue_seconds.", code="queue_time", wait=self._wait(),
                ) from problem  # fmt: skip
            raise
        call.facts["queued"] = self.clock() - began
        if lane is None:
            raise self._down(lanes)
        return lane, lane.state.trying

    def _open(self, lanes: Sequence[Lane]) -> Lane | None:
        now = self.clock()
        for lane in lanes:
            if lane.free() and lane.state.admits(now):
                return lane
        return None

    def _gone(self, granted: asyncio.Future[Lane | None], lanes: Sequence[Lane]) -> None:
        """Take one who waits out of the queue; a slot that it was given just then goes to the next."""
        if granted.done() and not granted.cancelled():
            if (lane := granted.result()) is not None:
                self._left(lane, lane.state.trying)
        elif (granted, lanes) in self.kept.waiting:
            self.kept.waiting.remove((granted, lanes))

    def _left(self, lane: Lane, trial: bool = False) -> None:
        """Give a slot back and let in who waits; one who waits for lanes that are all down is told so."""
        lane.state.busy -= 1
        if trial:
            lane.state.trying = False
        waiting = self.kept.waiting
        for granted, lanes in list(waiting) if waiting else ():
            if granted.done():  # it has given up, and will take itself out
                continue
            chosen = self._open(lanes)
            if chosen is not None:
                chosen.state.enter()
            elif any(one.state.admits(self.clock()) for one in lanes):
                continue
            waiting.remove((granted, lanes))
            granted.set_result(chosen)

    def _wait(self) -> float:
        """Return the seconds after which a call that is turned away may be served."""
        slots = sum(one.target.concurrent for one in self.lanes) or 1
        latency = max(one.state.latency for one in self.lanes)
        return min(60.0, max(1.0, (len(self.kept.waiting) + 1) * latency / slots))

    def _down(self, lanes: Sequence[Lane]) -> ProviderError:
        now = self.clock()
        wait = max(1.0, min(max(one.state.until, one.state.rests) for one in lanes) - now)
        return ProviderError(
            f"No target of {self.model.name} is up.", hint="See why its last calls failed.", code="no_target",
            status=503, retryable=True, wait=wait,
        )  # fmt: skip

    # --- attempts ----------------------------------------------------------------------------------------

    async def _tried(self, lane: Lane, trial: bool, call: Call) -> Outcome:
        """Send a call to a lane whose slot was taken; the slot is free again when its reply has ended."""
        facts, state, began = call.facts, lane.state, self.clock()
        facts["model"], facts["target"] = self.model.name, lane.target.url
        facts["attempts"] = facts.get("attempts", 0) + 1
        try:
            reply = await begun(await lane.forward(call))
        except ProviderError as problem:
            self._judged(state, 503 if problem.status != 429 else 429, problem.wait, began, trial)
            self._left(lane)
            return problem
        except BaseException:  # who asked has left, or another copy was faster
            if (took := self.clock() - began) > state.latency:
                state.observe(self.clock(), took)
            self._left(lane, trial)
            raise
        waits = reply.headers.get("retry-after", "") if reply.status == 429 else ""
        self._judged(state, reply.status, float(waits) if waits.isdecimal() else None, began, trial)
        if reply.status in AGAIN:
            reply.finish()
            self._left(lane)
        else:
            reply.ended.append(lambda ended: self._over(lane, ended))
        return reply

    def _judged(self, state: State, status: int, wait: float | None, began: float, trial: bool) -> None:
        now = self.clock()
        if status == 429:  # it works, and asks to be left alone
            state.rests = now + min(wait or 0.0, self.model.breaker_seconds)
            state.worked(now, now - began, trial)
        elif status in AGAIN:
            state.failed(now, now - began, trial, self.model.breaker_seconds)
        else:
            state.worked(now, now - began, trial)

    def _over(self, lane: Lane, reply: Reply) -> None:
        """Free the slot; a stream that broke counts against its target."""
        if reply.error:
            lane.state.failed(self.clock(), 0.0, False, self.model.breaker_seconds)
        self._left(lane)

    async def _hedged(
        self, lane: Lane, trial: bool, left: list[Lane], call: Call
    ) -> tuple[Outcome, list[Lane]]:
        """Send a second copy when the first is late and another lane is free; the first good reply wins.

        The loser is cancelled, which tells its upstream to stop; one that had ended too is billed.
        """
        racing = {asyncio.create_task(self._tried(lane, trial, call)): lane}
        try:
            await asyncio.wait(racing, timeout=self.model.hedge_after)
            spare = None if any(one.done() for one in racing) else self._open(left)
            if spare is not None and self.kept.budget.spend(self.clock(), self.model.retry_share):
                racing[asyncio.create_task(self._tried(spare, spare.state.enter(), call))] = spare
                left = [one for one in left if one is not spare]
                call.facts["hedged"] = call.facts.get("hedged", 0) + 1
            pending = set(racing)
            while True:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                good = [one for one in done if _good(one.result())]
                if good or not pending:
                    break
        except BaseException:
            await self._dropped(racing, None, call)
            raise
        winner = (good or list(done))[0]
        await self._dropped(racing, winner, call)
        call.facts["target"] = racing[winner].target.url
        return winner.result(), left

    async def _dropped(
        self, racing: dict[asyncio.Task[Outcome], Lane], winner: asyncio.Task[Outcome] | None, call: Call
    ) -> None:
        """End what lost: its connection closes, its slot is free; what it is known to have cost is noted."""
        for task in racing:
            if task is not winner:
                task.cancel()
        for task in [one for one in racing if one is not winner]:
            outcome = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(outcome, Reply):
                if outcome.chunks is not None:
                    await outcome.chunks.aclose()
                outcome.finish()
                if outcome.usage is not None:
                    call.facts.setdefault("lost", []).append((racing[task].target, outcome.usage))


def _good(outcome: Outcome) -> bool:
    return isinstance(outcome, Reply) and outcome.status not in AGAIN


def _pause(attempt: int, outcome: Outcome | None) -> float:
    """Return the seconds before the same lanes are tried again: what was asked for, or longer each time, drawn."""
    asked = outcome.wait if isinstance(outcome, LyceumError) else None
    drawn: float = FIRST_PAUSE * 2 ** (attempt - 1) * (0.5 + random.random())
    return min(LONGEST_PAUSE, max(asked or 0.0, drawn))
