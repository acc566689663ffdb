"""One target and what its calls have shown: how many are under way, how long they take, whether it works.

The clock is the caller's. What is known outlives a configuration; the target and the way to it do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lyceum.gateway.call import Forward
from lyceum.gateway.config import Target

TAU = 10.0  # seconds in which what was seen of latency fades to a third
UNMEASURED = 60.0  # seconds that a second call is taken to wait where the first has not come back
FADES = 0.9  # how much of the share of failures a call leaves
TOO_MANY = 0.5  # of failures: seven in a row out of nothing, or half of all for a while
PROBATION = 0.45  # the share that a target begins with when it is taken back: one failure is too many
SOUND = 0.05
FIRST_REST = 1.0  # seconds without calls; doubled for each time in a row


@dataclass(slots=True, eq=False)
class State:
    """What is known of a target; `until` is 0 while it is used freely, else from when on one call may try it."""

    busy: int = 0
    latency: float = 0.0
    stamp: float = 0.0
    failures: float = 0.0
    until: float = 0.0
    trying: bool = False
    opened: int = 0
    rests: float = 0.0  # until when it asked to be left alone

    def admits(self, now: float) -> bool:
        """Say whether a call may be sent."""
        if self.until:
            return now >= self.until and not self.trying
        return now >= self.rests

    def phase(self, now: float) -> str:
        """Return the breaker's state: closed, open, or half-open where one call may try or is trying."""
        return "closed" if not self.until else "half-open" if self.trying or now >= self.until else "open"

    def enter(self) -> bool:
        """Count a call in; True says that it is the one that tries a target that had failed."""
        self.busy += 1
        if self.until:
            self.trying = True
        return self.trying

    def worked(self, now: float, seconds: float, trial: bool) -> None:
        """Note a call that was answered after some seconds."""
        self.observe(now, seconds)
        if trial:
            self.until, self.trying, self.failures = 0.0, False, PROBATION
            return
        self.failures *= FADES
        if self.failures < SOUND:
            self.opened = 0

    def failed(self, now: float, seconds: float, trial: bool, longest: float) -> None:
        """Note a call that was not; too many open the breaker, and so does the one call that tried."""
        self.observe(now, 2 * max(seconds, self.latency))  # to fail at once must not attract calls
        self.failures = self.failures * FADES + (1 - FADES)
        if trial or (not self.until and self.failures > TOO_MANY):
            self.open(now, longest)

    def open(self, now: float, longest: float) -> None:
        """Send no call for a while, longer each time in a row, `longest` seconds at most."""
        self.until = now + min(FIRST_REST * 2**self.opened, longest)
        self.opened, self.trying = min(self.opened + 1, 30), False

    def observe(self, now: float, seconds: float) -> None:
        """Follow peaks at once and let them fade: the PeakEWMA of Finagle (Twitter, 2013)."""
        kept = math.exp(-max(0.0, now - self.stamp) / TAU)
        self.latency = max(seconds, self.latency * kept + seconds * (1 - kept))
        self.stamp = now

    def load(self, now: float) -> float:
        """Return the seconds that one more call is taken to wait; one that is never used is forgiven in time."""
        if not self.latency:
            return UNMEASURED * self.busy
        return self.latency * math.exp(-max(0.0, now - self.stamp) / TAU) * (self.busy + 1)


@dataclass(slots=True, eq=False)
class Lane:
    """A target with the Forward that reaches it and what is known of it."""

    target: Target
    forward: Forward
    state: State
    number: int = 0  # among the targets of its model

    def free(self) -> bool:
        """Say whether it takes another call at once."""
        return not self.target.concurrent or self.state.busy < self.target.concurrent


class Budget:
    """How many more attempts than requests there may be: a share of the requests of the last seconds, and a few.

    Without it retries multiply the load just when targets fail for having too much of it.
    """

    SPAN, FEW = 10.0, 10.0  # seconds; attempts that are always allowed in them

    def __init__(self) -> None:
        self.requests = self.spent = self.stamp = 0.0

    def request(self, now: float) -> None:
        """Count a request."""
        self._fade(now)
        self.requests += 1

    def spend(self, now: float, share: float) -> bool:
        """Take one more attempt, where there is one left."""
        self._fade(now)
        if self.spent + 1 > self.FEW + share * self.requests:
            return False
        self.spent += 1
        return True

    def _fade(self, now: float) -> None:
        kept = math.exp(-max(0.0, now - self.stamp) / self.SPAN)
        self.requests *= kept
        self.spent *= kept
        self.stamp = now
