"""Asks targets now and then whether they live, by a request that costs nothing; what they say moves their breaker.

Two silences in a row take a target out; the first answer lets a call try it at once. Only a real call closes the
breaker, for a server may be up and its model not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from lyceum.core.errors import ProviderError
from lyceum.gateway.client import Client
from lyceum.gateway.lane import Lane, State
from lyceum.gateway.pool import Pool

PATIENCE = 2.0  # seconds for a connection and for an answer


class Probes:
    """`due` starts the probes whose time has come; a target with `health = "/health"` has them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.client, self.clock = Client(PATIENCE, PATIENCE, PATIENCE), clock
        self.tasks: set[asyncio.Task[None]] = set()
        self.silent: dict[State, int] = {}
        self.next: dict[State, float] = {}

    def due(self, pools: Iterable[Pool]) -> None:
        """Start what is due."""
        now, known = self.clock(), set[State]()
        for pool in pools:
            for lane in pool.lanes:
                if not lane.target.health:
                    continue
                known.add(lane.state)
                if now >= self.next.get(lane.state, 0.0):
                    self.next[lane.state] = now + pool.model.probe_seconds
                    task = asyncio.create_task(self.asked(lane, pool.model.breaker_seconds))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)
        for state in self.next.keys() - known:
            del self.next[state]
            self.silent.pop(state, None)

    async def asked(self, lane: Lane, longest: float) -> None:
        """Ask one target, and note what it says."""
        state = lane.state
        if await self._lives(lane):
            self.silent[state] = 0
            if state.until:
                state.until = min(state.until, self.clock())
            return
        self.silent[state] = self.silent.get(state, 0) + 1
        if self.silent[state] >= 2:
            state.open(self.clock(), longest)

    async def _lives(self, lane: Lane) -> bool:
        """Say whether it answers at all: one that wants a key, or has no such page, is up."""
        parts = urlsplit(lane.target.url)
        try:
            response = await self.client.request(
                "GET", f"{parts.scheme}://{parts.netloc}{lane.target.health}", {}
            )
            await response.read()
        except ProviderError:
            return False
        return response.status < 500

    def close(self) -> None:
        """Ask no more."""
        for task in self.tasks:
            task.cancel()
        self.client.close()
