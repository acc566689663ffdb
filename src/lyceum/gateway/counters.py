"""Counts that the workers of one host share: the last minute's requests and tokens, calls at work, money spent.

They lie in one mapped file, a slot for each name that has a limit; every look and change is made under a lock that
the kernel lifts when its holder dies. What a worker has under way (calls, money reserved) stands in a column of its
own, so that it can be given back for a worker that was killed. Minutes go by the monotonic clock, which nobody sets;
days and months by the calendar: when another begins, or the clock is set back, what was spent is read off the usage
book. It knows no call and no price.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)
MAGIC = int.from_bytes(b"lyceum1", "little")
SLOTS, WORDS, WORKERS = 2048, 256, 32
# A bucket for each second, and one more: whatever lies within 60 s is counted whole, at most 61 s are.
SPAN = 61
NEAR = 3  # seconds
REQUESTS, TOKENS = 2, 4 + SPAN  # a window: its last second, its sum, its buckets
CALLS, RESERVED = 128, 161  # a sum and a column for each worker
DAY, MONTH = 194, 196  # a period and what was spent in it
Spent = Callable[[str, str, str, str], int]  # (kind, name, first day, last day) -> money of the usage book


class Scope(NamedTuple):
    """A slot and its limits; 0 is none. `kind` and `name` say whose they are."""

    base: int
    kind: str
    name: str
    requests: int
    tokens: int
    calls: int
    day: int
    month: int

    def limits(self) -> tuple[int, int, int, int, int]:
        """Return the numbers alone."""
        return self.requests, self.tokens, self.calls, self.day, self.month


class Refused(NamedTuple):
    """Which limit of whose is reached, and the seconds after which there is room again (-1: never)."""

    limit: str
    scope: Scope
    wait: float


class Counters:
    """The file at `path`, or memory of this process alone where that is None; `worker` is this one's column."""

    def __init__(
        self, path: Path | None, worker: int, spent: Spent,
        clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.worker, self.spent, self.clock, self.wall = worker, spent, clock, wall
        self.slots: dict[tuple[str, str], int] = {}
        self._day, self._month, self.date = -1, -1, ""
        size = 8 * WORDS * (SLOTS + 1)
        self.file, self.mutex = (
            -1,
            threading.Lock(),
        )  # a lock on a file does not part the threads of a process
        if path is not None:
            self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(self.file, 0, size)  # a hole that cannot be filled would end the process
            os.truncate(self.file, size)
        self.map = mmap.mmap(self.file, size)
        self.words = memoryview(self.map).cast("q")
        self._locked(True)
        try:
            if not self._sound():
                if self.words[0]:
                    log.warning("%s was damaged: it is counted anew, money by the usage book", path)
                self.words[:] = memoryview(bytes(size)).cast("q")
                self.words[0] = MAGIC
            self._cleared(worker)
        finally:
            self._locked(False)

    def close(self) -> None:
        """Leave the file to the others."""
        self.words.release()
        self.map.close()
        if self.file >= 0:
            os.close(self.file)

    def slot(self, kind: str, name: str) -> int:
        """Return where the counts of a name lie; -1 when the file has no room for another."""
        if found := self.slots.get((kind, name)):
            return found
        sign = hashlib.blake2b(f"{kind}:{name}".encode(), digest_size=16).digest()
        first, second = (int.from_bytes(sign[at : at + 8], "little", signed=True) for at in (0, 8))
        words = self.words
        self._locked(True)
        try:
            for number in range(SLOTS):
                base = WORDS * (1 + number)
                if number >= words[1]:
                    words[base], words[base + 1] = first, second
                    words[1] = number + 1
                if (words[base], words[base + 1]) == (first, second):
                    self.slots[kind, name] = base
                    return base
        finally:
            self._locked(False)
        return -1

    def admit(
        self, scopes: tuple[Scope, ...], tokens: int, cost: int, held: bool = False, free: bool = False
    ) -> Refused | int:
        """Count a call in every scope, or in none and say why; return the second by which to settle it.

        What is `held` to limits elsewhere is counted in any case. A `free` call uses nothing and is over at once: the
        same limits hold for it, but only its request is counted, and there is nothing to settle.
        """
        words = self.words
        self._locked(True)
        try:
            # Read while nobody else counts: a second read before another's is not taken for a clock that was reset.
            now = int(self.clock())
            self._dated()
            for scope in scopes:
                if (refused := self._refused(scope, now, tokens, cost)) is not None and not held:
                    return refused
            for scope in scopes:
                base, bucket = scope.base, now % SPAN + 2
                if free:
                    words[base + REQUESTS + 1] += 1
                    words[base + REQUESTS + bucket] += 1
                    continue
                for at, much in ((base + REQUESTS, 1), (base + TOKENS, tokens)):
                    words[at + 1] += much
                    words[at + bucket] += much
                for at, much in ((base + CALLS, 1), (base + RESERVED, cost)):
                    words[at] += much
                    words[at + 1 + self.worker] += much
        finally:
            self._locked(False)
        return now

    def settle(
        self,
        scopes: tuple[Scope, ...],
        second: int,
        day: int,
        reserved: tuple[int, int],
        used: tuple[int, int],
    ) -> None:
        """Give back what a call reserved (tokens, money) and count what it used; `day` is the one it began on."""
        words, worker = self.words, self.worker
        tokens = used[0] - reserved[0]
        month = self._month if day == self._day else _month(day)
        self._locked(True)
        try:
            for scope in scopes:
                base = scope.base
                at = base + TOKENS
                if 0 <= words[at] - second < SPAN:
                    words[at + 1] += tokens
                    words[at + 2 + second % SPAN] += tokens
                for at, much in ((base + CALLS, 1), (base + RESERVED, reserved[1])):
                    much = min(much, words[at + 1 + worker])  # a file made anew knows nothing of older calls
                    words[at] -= much
                    words[at + 1 + worker] -= much
                if words[base + DAY] == day:
                    words[base + DAY + 1] += used[1]
                if words[base + MONTH] == month:
                    words[base + MONTH + 1] += used[1]
        finally:
            self._locked(False)

    def reap(self, worker: int) -> None:
        """Give back what a worker that has died had under way."""
        self._locked(True)
        try:
            self._cleared(worker)
        finally:
            self._locked(False)

    def forget(self, base: int) -> None:
        """Read what was spent off the usage book when it is next asked for."""
        self.words[base + DAY] = self.words[base + MONTH] = 0

    def spending(self, base: int) -> tuple[int, int]:
        """Return what was spent in this day and month, as far as it has been asked for."""
        words = self.words
        day = words[base + DAY + 1] if words[base + DAY] == self._day else 0
        return day, words[base + MONTH + 1] if words[base + MONTH] == self._month else 0

    def today(self) -> int:
        """Return the number of the calendar's day."""
        self._dated()
        return self._day

    def _dated(self) -> None:
        day = int(self.wall()) // 86_400
        if day != self._day:
            self._day, self._month, self.date = day, _month(day), dated(day)

    def _refused(self, scope: Scope, now: int, tokens: int, cost: int) -> Refused | None:
        words, base = self.words, scope.base
        for at, limit, much, name in (
            (base + REQUESTS, scope.requests, 1, "requests_per_minute"),
            (base + TOKENS, scope.tokens, tokens, "tokens_per_minute"),
        ):
            if words[at] != now:
                self._moved(at, now)
            if limit and words[at + 1] + much > limit:
                return Refused(name, scope, self._wait(at, words[at], words[at + 1] + much - limit))
        if scope.calls and words[base + CALLS] >= scope.calls:
            return Refused("concurrent", scope, 1.0)
        for at, limit, period, first, name in (
            (base + DAY, scope.day, self._day, self.date, "budget_day"),
            (base + MONTH, scope.month, self._month, self.date[:8] + "01", "budget_month"),
        ):
            if limit:
                if words[at] != period:
                    last = self.date if at == base + DAY else self.date[:8] + "31"
                    words[at + 1] = self.spent(scope.kind, scope.name, first, last)
                    words[at] = period
                spent = words[at + 1] + words[base + RESERVED]
                if cost and spent + cost > limit:
                    return Refused(name, scope, self.left(name) if cost <= limit else -1)
        return None

    def _moved(self, at: int, now: int) -> None:
        """Drop what has left a window; a later second than now is of before the machine was started."""
        words = self.words
        last = words[at]
        if 0 < last - now < NEAR:  # clocks of two processors
            return
        if 0 <= now - last < SPAN:
            for second in range(last + 1, now + 1):
                bucket = at + 2 + second % SPAN
                words[at + 1] -= words[bucket]
                words[bucket] = 0
        else:
            for bucket in range(at + 1, at + 2 + SPAN):
                words[bucket] = 0
        words[at] = now

    def _wait(self, at: int, now: int, much: int) -> float:
        for second in range(now - SPAN + 1, now + 1):
            much -= self.words[at + 2 + second % SPAN]
            if much <= 0:
                return float(second + SPAN - now)
        return -1

    def left(self, name: str) -> float:
        """Return the seconds until the day or month ends."""
        now = datetime.fromtimestamp(self.wall(), UTC)
        end = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
        if name == "budget_month":
            end = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
        return (end - now).total_seconds()

    def _cleared(self, worker: int) -> None:
        words = self.words
        for number in range(words[1]):
            base = WORDS * (1 + number)
            for at in (base + CALLS, base + RESERVED):
                words[at + 1 + worker] = 0
                words[at] = sum(words[at + 1 : at + 1 + WORKERS])
            for at in (base + REQUESTS, base + TOKENS):  # it may have died between a bucket and its sum
                words[at + 1] = sum(words[at + 2 : at + 2 + SPAN])

    def _sound(self) -> bool:
        words = self.words
        if words[0] != MAGIC or not 0 <= words[1] <= SLOTS:
            return False
        for number in range(words[1]):
            base = WORDS * (1 + number)
            if min(words[base + 2 : base + WORDS]) < 0 or any(words[base + MONTH + 2 : base + WORDS]):
                return False
        return True

    def _locked(self, lock: bool) -> None:
        if lock:
            self.mutex.acquire()
        if self.file >= 0:
            fcntl.lockf(self.file, fcntl.LOCK_EX if lock else fcntl.LOCK_UN, 1, 0)
        if not lock:
            self.mutex.release()


def dated(day: int) -> str:
    """Return the date of a day's number."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")


def _month(day: int) -> int:
    date = datetime.fromtimestamp(day * 86_400, UTC)
    return date.year * 12 + date.month
