"""Counts and latencies as Prometheus text; labels are routes, models, tenants, codes, never content.

Format: Prometheus text exposition 0.0.4. It knows no question, no document and no server.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lyceum.observe.slots import Labels, Slots

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MODEL = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
GAP = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
HISTOGRAMS = {
    "lyceum_request_seconds": BOUNDS,
    "lyceum_answer_seconds": BOUNDS,
    "lyceum_gateway_seconds": MODEL,
    "lyceum_gateway_first_token_seconds": MODEL,
    "lyceum_gateway_token_gap_seconds": GAP,
}
FAMILIES = {
    "lyceum_requests_total": ("counter", "Requests by method, route and status."),
    "lyceum_request_seconds": ("histogram", "Seconds from a request's head to the end of its response."),
    "lyceum_open_requests": ("gauge", "Requests at work now."),
    "lyceum_answers_total": ("counter", "Questions by outcome: answered, refused, or the code of an error."),
    "lyceum_answer_seconds": ("histogram", "Seconds from a question to the end of its answer."),
    "lyceum_ingest_total": ("counter", "Documents by what became of them; code says why one failed."),
    "lyceum_view_lag": ("gauge", "Changes of the ledger that a view has yet to follow."),
    "lyceum_vector_memory_total": ("counter", "Texts that were to be encoded: hit when remembered, miss when not."),
    "lyceum_gateway_calls_total": ("counter", "Calls to models by outcome: ok, or the class of the error."),
    "lyceum_gateway_seconds": ("histogram", "Seconds from a call to the end of its reply."),
    "lyceum_gateway_first_token_seconds": ("histogram", "Seconds from a call to the first piece of its stream."),
    "lyceum_gateway_token_gap_seconds": ("histogram", "Seconds between pieces of a stream, its mean."),
    "lyceum_gateway_tokens_total": ("counter", "Tokens: input, of those cached by the provider, output."),
    "lyceum_gateway_cost_total": ("counter", "Money by the prices of gateway.toml."),
    "lyceum_gateway_cache_total": ("counter", "Calls by the layer of the cache that answered; miss where none did."),
    "lyceum_gateway_retries_total": ("counter", "Attempts beyond the first."),
    "lyceum_gateway_open": ("gauge", "Calls under way."),
    "lyceum_gateway_queued": ("gauge", "Calls that wait for a target."),
    "lyceum_gateway_breaker": ("gauge", "1 where a target is left alone, 0.5 on trial, 0 in use."),
    "lyceum_gateway_config_refused": ("gauge", "1 while gateway.toml is wrong and the one before is in use."),
    "lyceum_spans_total": ("counter", "Spans to export by what became of them: sent, failed, dropped."),
}  # fmt: skip
GAUGES = frozenset(name for name, (kind, _) in FAMILIES.items() if kind == "gauge")
MOST = 2000  # series of one family; what comes after counts as "other"
ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Metrics:
    """Filled by whoever does the work; `render` writes it down."""

    def __init__(self) -> None:
        self.slots = Slots()
        self._series: dict[str, int] = {}

    def share(self, folder: Path) -> None:
        """Count from now on together with the other processes that share a folder."""
        self.slots = Slots(folder)

    def close(self) -> None:
        """Leave the shared file."""
        self.slots.close()

    def place(self, name: str, labels: Labels = ()) -> int:
        """Return where the numbers of a series stand in `slots.values`."""
        if (name, labels) not in self.slots.places:
            self._series[name] = self._series.get(name, 0) + 1
            if self._series[name] > MOST:
                labels = tuple((label, "other") for label, _ in labels)
        return self.slots.take((name, labels), len(HISTOGRAMS.get(name, ())) + 2 if name in HISTOGRAMS else 1)

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Raise a counter, or move a gauge."""
        self.slots.values[self.place(name, tuple(labels.items()))] += amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Count a duration."""
        self.measure(self.place(name, tuple(labels.items())), HISTOGRAMS[name], seconds)

    def measure(self, place: int, bounds: tuple[float, ...], seconds: float) -> None:
        """Count a duration in the histogram at a place: the numbers of its buckets, then their sum."""
        values = self.slots.values
        values[place + bisect_left(bounds, seconds)] += 1
        values[place + len(bounds) + 1] += seconds

    def answered(self, outcome: str, seconds: float) -> None:
        """Count a question that came to its end: answered, refused, or the code of an error."""
        self.add("lyceum_answers_total", outcome=outcome)
        self.observe("lyceum_answer_seconds", seconds)

    def ingested(self, outcome: Any) -> None:
        """Count a document by what became of it."""
        self.add("lyceum_ingest_total", status=outcome.status, code=outcome.code)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request with its latency."""
        self.add("lyceum_requests_total", method=method, route=route, status=str(status))
        self.observe("lyceum_request_seconds", seconds, route=route)

    def render(self, now: Mapping[str, Mapping[Labels, float]]) -> str:
        """Return every family as text; `now` holds what is measured at this moment."""
        lines: list[str] = []
        found: dict[str, dict[Labels, list[float]]] = {}
        for (name, labels), numbers in self.slots.sums(GAUGES).items():
            found.setdefault(name, {})[labels] = numbers
        for name, (kind, text) in FAMILIES.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            series = found.get(name, {}) | {key: [value] for key, value in now.get(name, {}).items()}
            for key, numbers in sorted(series.items()):
                if kind == "histogram":
                    lines += _histogram(name, key, numbers)
                else:
                    lines.append(f"{name}{_labels(key)} {numbers[0]:.12g}")
        return "\n".join([*lines, ""])


def _histogram(name: str, key: Labels, numbers: list[float]) -> list[str]:
    lines, count = [], 0
    for bound, number in zip((*map(str, HISTOGRAMS[name]), "+Inf"), numbers, strict=False):
        count += int(number)
        lines.append(f"{name}_bucket{_labels((*key, ('le', bound)))} {count}")
    return [*lines, f"{name}_sum{_labels(key)} {numbers[-1]:.6f}", f"{name}_count{_labels(key)} {count}"]


def _labels(pairs: Labels) -> str:
    said = ",".join(f'{name}="{value.translate(ESCAPED)}"' for name, value in pairs)
    return f"{{{said}}}" if said else ""
