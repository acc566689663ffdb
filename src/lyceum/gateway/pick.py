"""Lanes and a call to the order in which the lanes are tried; knows neither attempts nor failures.

Each strategy is a function of the lanes, the call and the time. What hangs on a text or a session gives the same
order in every worker.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from lyceum.gateway import prices
from lyceum.gateway.call import Call
from lyceum.gateway.fit import ANSWER
from lyceum.gateway.lane import Lane

Order = Callable[[Sequence[Lane], Call, float], list[Lane]]

PREFIX = 1024  # characters of a conversation's beginning by which it goes where that has been read before
SPREAD = 1.25  # times the mean of calls under way that an affinity may give a lane (Mirrokni et al. 2018)
SESSION = "x-session-id"


def weighted(lanes: Sequence[Lane], call: Call, now: float) -> list[Lane]:
    """Draw by weight, without repetition."""
    # Efraimidis and Spirakis (2006): keys u^(1/w) draw a weighted permutation.
    return sorted(lanes, key=lambda one: -(random.random() ** (1 / max(one.target.weight, 1e-9))))


def least_busy(lanes: Sequence[Lane], call: Call, now: float) -> list[Lane]:
    """The fewest calls under way for its weight first; chance decides between equals."""
    return sorted(lanes, key=lambda one: ((one.state.busy + 1) / _weight(one), random.random()))


def peak_ewma(lanes: Sequence[Lane], call: Call, now: float) -> list[Lane]:
    """Of two drawn by weight the one that keeps a call waiting less (Mitzenmacher 2001), then the other."""
    drawn = weighted(lanes, call, now)
    if len(drawn) > 1 and drawn[1].target.weight and drawn[1].state.load(now) < drawn[0].state.load(now):
        drawn[0], drawn[1] = drawn[1], drawn[0]
    return drawn


def session(lanes: Sequence[Lane], call: Call, now: float) -> list[Lane]:
    """The same session to the same lane."""
    return _near(lanes, whose(call) or call.key)


def prefix(lanes: Sequence[Lane], call: Call, now: float) -> list[Lane]:
    """What begins alike to the same lane, whose key-value cache has read it."""
    return _near(lanes, beginning(call.asked))


def cheapest(lanes: Sequence[Lane], call: Call, now: float) -> list[Lane]:
    """The cheapest for a call of this size first; between equals the less busy."""
    sent, back = prices.estimated(call, ANSWER)

    def cost(lane: Lane) -> tuple[float, int]:
        price = lane.target.price
        return price.input * sent + price.output * back, lane.state.busy

    return sorted(lanes, key=cost)


ORDERS: dict[str, Order] = {
    "weighted": weighted, "least_busy": least_busy, "peak_ewma": peak_ewma, "session": session,
    "prefix": prefix, "cheapest": cheapest,
}  # fmt: skip


def whose(call: Call) -> str:
    """Return what tells a session: a header or the request's `user`."""
    user = call.asked.get("user")
    return call.headers.get(SESSION) or (user if isinstance(user, str) else "")


def beginning(asked: Any) -> str:
    """Return how a conversation begins: up to its first question, which later turns repeat."""
    told = []
    for one in asked.get("messages") or [{"content": asked.get("prompt") or asked.get("input")}]:
        if not isinstance(one, dict):
            break
        told.append(str(one.get("content")))
        if one.get("role") == "user":
            break
    return "\n".join(told)[:PREFIX]


def hashed(text: str) -> float:
    """Return a number in (0, 1) that is the same in every process."""
    made = blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return (int.from_bytes(made) + 1) / (2**64 + 2)


def _near(lanes: Sequence[Lane], key: str) -> list[Lane]:
    """Order by weighted rendezvous hashing (Thaler and Ravishankar 1998); who has too much already comes later.

    Where a lane goes, only its own keys move.
    """
    mark = blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()
    ranked = sorted(
        lanes, key=lambda one: math.log(hashed(f"{mark} {one.target.url} {one.target.model}")) / _weight(one),
        reverse=True,
    )  # fmt: skip
    most = SPREAD * (sum(one.state.busy for one in lanes) + 1) / len(lanes) + 1
    return sorted(ranked, key=lambda one: one.state.busy >= most)


def _weight(lane: Lane) -> float:
    return max(lane.target.weight, 1e-9)
