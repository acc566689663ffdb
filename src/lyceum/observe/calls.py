"""What is known of a call to a model when it has ended, and the counter of such calls; content is no part of it.

Whoever observes calls is a function of an `Ended`: counts here, traces in `otlp`, lines in `logs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lyceum.observe.metrics import GAP, HISTOGRAMS, MODEL, Metrics

MOST = 100  # tenants that are counted by name
KINDS = ("input", "cached", "output")
STATUSES = {401: "refused", 403: "refused", 408: "timeout", 429: "limited", 504: "timeout"}


@dataclass(slots=True, kw_only=True)
class Ended:
    """A call: `error` is the code of what went wrong, also in a stream that began with 200; "left" if the client
    went away. `first` and `last` are seconds to the first and last of `pieces`; `facts` say what policies did.
    """

    path: str
    model: str
    tenant: str = ""
    key: str = ""
    stream: bool = False
    status: int = 200
    error: str = ""
    start: float = 0.0  # of the clock on the wall
    seconds: float = 0.0
    first: float = 0.0
    last: float = 0.0
    pieces: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    parent: str = ""  # the header `traceparent`
    facts: Mapping[str, Any] = field(default_factory=dict)
    asked: bytes = b""  # contents, only where they are wanted
    said: bytes = b""

    @property
    def outcome(self) -> str:
        """Return "ok" or the class of the error."""
        if self.error == "left":
            return "left"
        if self.status < 400:
            return "cut" if self.error else "ok"
        return STATUSES.get(self.status) or ("client" if self.status < 500 else "upstream")


class Calls:
    """Counts calls in `metrics`, by model and tenant; tenants after the first hundred count as "other"."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._known: dict[tuple[str, str], _Places] = {}
        self._tenants: set[str] = set()

    def opened(self, model: str, tenant: str, number: int) -> None:
        """Count a call that begins, or with -1 one that ends."""
        self.metrics.slots.values[self._of(model, tenant).open] += number

    def __call__(self, one: Ended) -> None:
        """Count a call that has ended."""
        metrics, places = self.metrics, self._of(one.model, one.tenant)
        values, facts = metrics.slots.values, one.facts
        values[places.outcome(one.outcome)] += 1
        metrics.measure(places.seconds, MODEL, one.seconds)
        if one.pieces:
            metrics.measure(places.first, MODEL, one.first)
            if one.pieces > 1:
                metrics.measure(places.gap, GAP, (one.last - one.first) / (one.pieces - 1))
        if one.output or one.input:
            values[places.given] += one.input
            values[places.cached] += one.cached
            values[places.made] += one.output
        if cost := facts.get("cost"):
            values[places.cost] += cost
        if cache := facts.get("cache"):
            # A hit that no layer gave came from a call of the same identity that was under way.
            values[places.layer("miss" if cache == "miss" else facts.get("layer", "flight"))] += 1
        if (attempts := facts.get("attempts", 1)) > 1:
            values[places.retries] += attempts - 1

    def _of(self, model: str, tenant: str) -> _Places:
        made = self._known.get((model, tenant))
        if made is not None and made.slots is self.metrics.slots:
            return made
        if len(self._tenants) < MOST:
            self._tenants.add(tenant)
        whose = tenant if tenant in self._tenants else "other"
        made = self._known[model, tenant] = _Places(self.metrics, model, whose)
        return made


class _Places:
    """Where the series of one model and tenant stand, so that to count takes no labels."""

    def __init__(self, metrics: Metrics, model: str, tenant: str) -> None:
        self.metrics, self.slots = metrics, metrics.slots
        self.mine, self.whose = (("model", model),), (("model", model), ("tenant", tenant))
        self.seconds, self.first, self.gap = (
            metrics.place(name, self.mine) for name in HISTOGRAMS if name.startswith("lyceum_gateway_")
        )
        self.given, self.cached, self.made = (
            metrics.place("lyceum_gateway_tokens_total", (*self.whose, ("kind", one))) for one in KINDS
        )
        self.cost = metrics.place("lyceum_gateway_cost_total", self.whose)
        self.open = metrics.place("lyceum_gateway_open", self.mine)
        self.retries = metrics.place("lyceum_gateway_retries_total", self.mine)
        self._outcomes: dict[str, int] = {}
        self._layers: dict[str, int] = {}

    def outcome(self, name: str) -> int:
        if name not in self._outcomes:
            labels = (*self.whose, ("outcome", name))
            self._outcomes[name] = self.metrics.place("lyceum_gateway_calls_total", labels)
        return self._outcomes[name]

    def layer(self, name: str) -> int:
        if name not in self._layers:
            labels = (*self.mine, ("layer", name))
            self._layers[name] = self.metrics.place("lyceum_gateway_cache_total", labels)
        return self._layers[name]
