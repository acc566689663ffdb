"""Calls that have ended, from the gateway to the observers (counts, log, traces), in their nouns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lyceum.gateway.call import Call, Reply
from lyceum.gateway.live import Live
from lyceum.observe.calls import Calls, Ended
from lyceum.observe.metrics import Metrics
from lyceum.observe.slots import Labels

PHASES = {"closed": 0.0, "half-open": 0.5, "open": 1.0}


class Observed:
    """Tells `metrics`, and `others` where they are not None; content is read only if one of them wants it."""

    def __init__(self, metrics: Metrics, *others: Any) -> None:
        self.counted = Calls(metrics)
        self.others = [one for one in others if one is not None]
        self.contents = any(one.contents for one in self.others)

    def begun(self, call: Call) -> None:
        """Note a call that is under way."""
        self.counted.opened(call.model, call.tenant, 1)

    def refused(self, reply: Reply) -> None:
        """Note one that was refused before it was understood."""
        self.told(Call(path="", body=b"", asked={}, model="none"), reply)

    def ended(self, call: Call, reply: Reply) -> None:
        """Note that one has ended that had `begun`."""
        self.counted.opened(call.model, call.tenant, -1)
        self.told(call, reply)

    def told(self, call: Call, reply: Reply) -> None:
        """Tell everyone of a call."""
        seconds, usage = time.perf_counter() - call.started, reply.usage
        error = "left" if reply.left else reply.error
        one = Ended(
            path=call.path, model=call.model, tenant=call.tenant, key=call.key, stream=call.stream,
            status=reply.status, error=error, start=time.time() - seconds, seconds=seconds, facts=call.facts,
        )  # fmt: skip
        if reply.pieces:
            one.first, one.last = reply.first - call.started, reply.last - call.started
            one.pieces = reply.pieces
        if usage is not None:
            one.input, one.output = usage.input_tokens, usage.output_tokens
            one.cached = usage.cached_tokens
        self.counted(one)
        if self.others:
            one.parent = call.headers.get("traceparent", "")
            if self.contents:
                one.asked, one.said = call.body, reply.body
            for other in self.others:
                other(one)


def now(live: Live) -> Mapping[str, Mapping[Labels, float]]:
    """Return what is measured of a gateway at this moment, in this process."""
    waiting, breakers = dict[Labels, float](), dict[Labels, float]()
    for name, pool in live.serving.route.pools.items():
        waiting[(("model", name),)] = len(pool.kept.waiting)
        for lane in pool.lanes:
            place = (("model", name), ("target", lane.target.url))
            breakers[place] = max(PHASES[lane.state.phase(pool.clock())], breakers.get(place, 0.0))
    return {
        "lyceum_gateway_config_refused": {(): float(bool(live.problem))},
        "lyceum_gateway_queued": waiting,
        "lyceum_gateway_breaker": breakers,
    }
