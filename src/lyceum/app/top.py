"""`lyceum top`: /metrics of a running server, read every second, as a table in the terminal.

Plain ANSI and no library; what is shown are differences between two readings. Quantiles are interpolated within a
bucket, as Prometheus does it.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import httpx

from lyceum.app.settings import Settings
from lyceum.core.errors import Forbidden, ProviderError

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]
_sample = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)$")
_label = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
CLEAR, BOLD, RED, PLAIN = "\x1b[H\x1b[2J", "\x1b[1m", "\x1b[31m", "\x1b[0m"
BAD = ("upstream", "timeout", "cut")
PHASES = {0.0: "", 0.5: "on trial", 1.0: "left alone"}


async def run_top(arguments: argparse.Namespace, settings: Settings) -> int:
    """Show the table until interrupted, or once."""
    serve = settings.tables["serve"]
    url = (arguments.url or f"http://{serve['host']}:{serve['port']}").rstrip("/")
    headers = {"authorization": f"Bearer {settings.token}"} if settings.token else {}
    async with httpx.AsyncClient(timeout=5, headers=headers, trust_env=False) as http:
        before, then = await _read(http, url), time.monotonic()
        while True:
            await asyncio.sleep(arguments.every)
            after, now = await _read(http, url), time.monotonic()
            table = screen(Seen(before, after, now - then), f"{url}  {time.strftime('%H:%M:%S')}")
            sys.stdout.write(table if arguments.once else CLEAR + table)
            sys.stdout.flush()
            if arguments.once:
                return 0
            before, then = after, now


async def _read(http: httpx.AsyncClient, url: str) -> Samples:
    try:
        found = await http.get(f"{url}/metrics")
    except httpx.HTTPError as problem:
        raise ProviderError(
            f"{url} does not answer: {problem}.", hint="Start `lyceum serve`, or give its address with --url."
        ) from problem
    if found.status_code != 200:
        raise Forbidden(f"{url}/metrics answered {found.status_code}.", hint="Set the server's LYCEUM_TOKEN.")
    return samples(found.text)


def samples(text: str) -> Samples:
    """Return the numbers of a Prometheus text by name and labels."""
    found: Samples = {}
    for line in text.splitlines():
        if not line.startswith("#") and (match := _sample.match(line)):
            labels = tuple(_label.findall(match[2] or ""))
            found.setdefault(match[1], {})[labels] = float(match[3])
    return found


class Seen:
    """Two readings, `seconds` apart."""

    def __init__(self, before: Samples, after: Samples, seconds: float) -> None:
        self.before, self.after, self.seconds = before, after, seconds

    def values(self, name: str) -> list[str]:
        """Return the values of a label of the calls."""
        found = {dict(labels).get(name, "") for labels in self.after.get("lyceum_gateway_calls_total", {})}
        return sorted(found - {""})

    def rate(self, name: str, **wanted: str | Sequence[str]) -> float:
        """Return how much a counter has grown a second, summed over the series with these labels."""
        old = self.before.get(name, {})
        grown = sum(value - old.get(labels, 0.0) for labels, value in _with(self.after, name, wanted))
        return max(0.0, grown) / self.seconds

    def gauge(self, name: str, **wanted: str | Sequence[str]) -> float:
        """Return the sum of a gauge."""
        return sum(value for _, value in _with(self.after, name, wanted))

    def quantile(self, share: float, name: str, **wanted: str | Sequence[str]) -> float:
        """Return a quantile of a histogram in milliseconds, nan where nothing was measured."""
        old, buckets = self.before.get(f"{name}_bucket", {}), dict[float, float]()
        for labels, value in _with(self.after, f"{name}_bucket", wanted):
            bound = float(dict(labels)["le"])
            buckets[bound] = buckets.get(bound, 0.0) + value - old.get(labels, 0.0)
        return _quantile(share, sorted(buckets.items())) * 1000


def _with(
    found: Samples, name: str, wanted: Mapping[str, str | Sequence[str]]
) -> Iterable[tuple[tuple[tuple[str, str], ...], float]]:
    """Yield the series in which each label is as wanted, or one of several."""
    allowed = {key: (one,) if isinstance(one, str) else one for key, one in wanted.items()}
    for labels, value in found.get(name, {}).items():
        have = dict(labels)
        if all(have.get(key, "") in some for key, some in allowed.items()):
            yield labels, value


def _quantile(share: float, buckets: list[tuple[float, float]]) -> float:
    """Return the value below which a share of what was counted lies; `buckets` are cumulative, by upper bound."""
    total = buckets[-1][1] if buckets else 0.0
    low, under = 0.0, 0.0
    for bound, count in buckets:
        if total > 0 and count >= share * total:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (share * total - under) / max(count - under, 1e-12)
        low, under = bound, count
    return math.nan


def screen(seen: Seen, title: str) -> str:
    """Return the table as text."""
    calls, hits = "lyceum_gateway_calls_total", "lyceum_gateway_cache_total"
    lines = [f"{BOLD}lyceum top{PLAIN}  {title}"]
    cost = seen.rate("lyceum_gateway_cost_total") * 3600
    open_, waiting = (seen.gauge(f"lyceum_gateway_{one}") for one in ("open", "queued"))
    lines.append(
        f"calls {_number(seen.rate(calls))}/s   open {open_:.0f}   waiting {waiting:.0f}   cost {cost:.2f}/h"
    )
    answered, asked = "lyceum_answer_seconds", seen.rate("lyceum_answers_total")
    refused = seen.rate("lyceum_answers_total", outcome="refused")
    good = refused + seen.rate("lyceum_answers_total", outcome="answered")
    lines.append(
        f"answers {_number(asked)}/s   refused {_share(refused, asked)}   failed {_share(asked - good, asked)}   "
        f"p50 {_ms(seen.quantile(0.5, answered))} ms   p95 {_ms(seen.quantile(0.95, answered))} ms"
    )
    if seen.gauge("lyceum_gateway_config_refused"):
        lines.append(f"{RED}gateway.toml is wrong; the one before is in use{PLAIN}")
    lines.append("")
    lines += _rows(
        "MODEL", "CALLS/S FAILED P50-MS P95-MS FIRST-MS TOKENS/S CACHED OPEN WAIT", seen.values("model"),
        lambda one: [
            _number(seen.rate(calls, model=one)),
            _share(seen.rate(calls, model=one, outcome=BAD), seen.rate(calls, model=one)),
            _ms(seen.quantile(0.5, "lyceum_gateway_seconds", model=one)),
            _ms(seen.quantile(0.95, "lyceum_gateway_seconds", model=one)),
            _ms(seen.quantile(0.5, "lyceum_gateway_first_token_seconds", model=one)),
            _number(seen.rate("lyceum_gateway_tokens_total", model=one, kind=("input", "output"))),
            _share(
                seen.rate(hits, model=one) - seen.rate(hits, model=one, layer="miss"), seen.rate(hits, model=one)
            ),
            f"{seen.gauge('lyceum_gateway_open', model=one):.0f}",
            f"{seen.gauge('lyceum_gateway_queued', model=one):.0f}",
        ],
    )  # fmt: skip
    lines += _rows(
        "TENANT", "CALLS/S FAILED LIMITED TOKENS/S COST/H", seen.values("tenant"),
        lambda one: [
            _number(seen.rate(calls, tenant=one)),
            _share(seen.rate(calls, tenant=one, outcome=BAD), seen.rate(calls, tenant=one)),
            _share(seen.rate(calls, tenant=one, outcome="limited"), seen.rate(calls, tenant=one)),
            _number(seen.rate("lyceum_gateway_tokens_total", tenant=one, kind=("input", "output"))),
            f"{seen.rate('lyceum_gateway_cost_total', tenant=one) * 3600:.2f}",
        ],
    )  # fmt: skip
    for labels, value in sorted(seen.after.get("lyceum_gateway_breaker", {}).items()):
        if value:
            told = dict(labels)
            lines.append(f"{RED}{told.get('model')} {told.get('target')}: {PHASES.get(value, value)}{PLAIN}")
    return "\n".join(lines) + "\n"


def _rows(name: str, columns: str, values: list[str], cells: Any) -> list[str]:
    if not values:
        return []
    lines = [f"{BOLD}{name:24}" + "".join(f"{one:>10}" for one in columns.split()) + PLAIN]
    return [*lines, *(f"{one[:23]:24}" + "".join(f"{cell:>10}" for cell in cells(one)) for one in values), ""]


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole > 0 else "-"


def _ms(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}" if value >= 10 else f"{value:.1f}"
