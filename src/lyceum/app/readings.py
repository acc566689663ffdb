"""What a server's meters said over the last half hour, read as `/metrics` gives it; knows no page."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise

from lyceum.app.top import Samples, Seen, samples
from lyceum.core.errors import LyceumError

EVERY, KEPT = 10.0, 180  # seconds between two readings, and how many are kept


class Readings:
    """Takes a reading every few seconds; `read` gives the meters as text."""

    def __init__(self, read: Callable[[], Awaitable[str]]) -> None:
        self.read = read
        self.kept: deque[tuple[float, Samples]] = deque(maxlen=KEPT)

    async def watch(self) -> None:
        """Read until cancelled."""
        while True:
            with suppress(LyceumError):  # whoever asks for the numbers is told of it
                self.kept.append((time.monotonic(), samples(await self.read())))
            await asyncio.sleep(EVERY)

    async def now(self, seconds: float = EVERY * KEPT) -> Seen:
        """Return what has changed in the last so many seconds, or since the server was started."""
        after, at = samples(await self.read()), time.monotonic()
        then, before = next((one for one in self.kept if at - one[0] <= seconds), (at, after))
        return Seen(before, after, max(at - then, 1e-3))

    def steps(self) -> list[Seen]:
        """Return what has changed from each reading to the next."""
        return [Seen(old, new, at - then) for (then, old), (at, new) in pairwise(self.kept)]
