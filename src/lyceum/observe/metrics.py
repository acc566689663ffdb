"""Counts and latencies of one process as Prometheus text; labels are routes, statuses and codes, never content.

Format: Prometheus text exposition 0.0.4. It knows no question, no document and no server.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FAMILIES = {
    "lyceum_requests_total": ("counter", "Requests by method, route and status."),
    "lyceum_request_seconds": ("histogram", "Seconds from a request's head to the end of its response."),
    "lyceum_open_requests": ("gauge", "Requests at work now."),
    "lyceum_answers_total": ("counter", "Questions by outcome: answered, refused."),
    "lyceum_ingest_total": ("counter", "Documents by what became of them; code says why one failed."),
    "lyceum_view_lag": ("gauge", "Changes of the ledger that a view has yet to follow."),
    "lyceum_vector_memory_total": ("counter", "Texts that were to be encoded: hit when remembered, miss when not."),
}  # fmt: skip
ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Filled by whoever does the work; `render` writes it down."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {}
        self._buckets: dict[Labels, list[int]] = {}

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Raise a counter."""
        values = self._values.setdefault(name, {})
        key = tuple(labels.items())
        values[key] = values.get(key, 0) + amount

    def answered(self, abstained: bool) -> None:
        """Count a question that came to its end."""
        self.add("lyceum_answers_total", outcome="refused" if abstained else "answered")

    def ingested(self, outcome: Any) -> None:
        """Count a document by what became of it."""
        self.add("lyceum_ingest_total", status=outcome.status, code=outcome.code)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request with its latency."""
        self.add("lyceum_requests_total", method=method, route=route, status=str(status))
        key = (("route", route),)
        buckets = self._buckets.setdefault(key, [0] * (len(BOUNDS) + 1))
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self.add("lyceum_request_seconds", seconds, route=route)

    def render(self, now: Mapping[str, Mapping[Labels, float]]) -> str:
        """Return every family as text; `now` holds what is measured at this moment."""
        lines: list[str] = []
        for name, (kind, text) in FAMILIES.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            values = {**self._values.get(name, {}), **now.get(name, {})}
            if kind == "histogram":
                for key, buckets in sorted(self._buckets.items()):
                    lines += _histogram(name, key, buckets, values[key])
            else:
                lines += [f"{name}{_labels(key)} {value:g}" for key, value in sorted(values.items())]
        return "\n".join([*lines, ""])


def _histogram(name: str, key: Labels, buckets: list[int], total: float) -> list[str]:
    lines, count = [], 0
    for bound, number in zip((*map(str, BOUNDS), "+Inf"), buckets, strict=True):
        count += number
        lines.append(f"{name}_bucket{_labels((*key, ('le', bound)))} {count}")
    return [*lines, f"{name}_sum{_labels(key)} {total:.6f}", f"{name}_count{_labels(key)} {count}"]


def _labels(pairs: Labels) -> str:
    said = ",".join(f'{name}="{value.translate(ESCAPED)}"' for name, value in pairs)
    return f"{{{said}}}" if said else ""
