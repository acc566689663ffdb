"""Lyceum's gateway beside LiteLLM, nginx and a direct connection: CPU for a request, streams, latency, memory.

What counts is CPU of the gateway's own processes for a request that wrk saw answered (utime + stime), for on a shared
machine requests a second say little. Peers take turns, forwards and backwards; medians are compared. Lyceum runs with
all its policies: a virtual key with limits and a budget, the usage book, metrics. LiteLLM runs without a database,
with a master key; it lives in .venv-litellm, which the long form makes. --quick: one round, no LiteLLM unless it is
there, 20,000 requests instead of 500,000 for memory, 200 open streams instead of 1,000.
"""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import common
import gateway_peers as peers
import numpy as np
import uvloop
from common import Figure
from gateway_peers import Load, Peer

SYSTEM = "You are a helpful assistant that answers briefly and to the point."
USER = "What is the capital of France, and how many people live there? Name a source for the figure that you give."
ASKED: dict[str, Any] = {
    "model": "chat",
    "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}],
    "temperature": 0,
    "max_tokens": 50,
}
BODY = json.dumps(ASKED).encode()
STREAM = json.dumps({**ASKED, "stream": True}).encode()
LIMITS = "requests_per_minute = 100000000\ntokens_per_minute = 1000000000\nbudget_month = 1000000.0\n"
PRICE = ", price = {input = 1.0, output = 4.0}"


class Asking(asyncio.Protocol):
    """One request at a time over a kept connection; `first` is when the first bytes of its body came."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def ask(self) -> None:
        self.data, self.first = bytearray(), 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {peers.KEY}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(self.body)}\r\n\r\n"
        self.sent = time.perf_counter()
        self.transport.write(head.encode() + self.body)

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not self.first and b"data:" in self.data:
            self.first = time.perf_counter()
        if self.data.endswith(b"0\r\n\r\n"):
            self._end()

    def connection_lost(self, problem: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    @property
    def whole(self) -> bool:
        return self.data.count(b"word") >= 50 and b"[DONE]" in self.data


async def asked(peer: Peer, body: bytes) -> Asking:
    parts = urlsplit(peer.url)
    _, one = await asyncio.get_running_loop().create_connection(
        lambda: Asking(body), parts.hostname, parts.port
    )
    return one


async def first_tokens(direct: Peer, peer: Peer, pairs: int) -> list[float]:
    """Return the milliseconds by which the first token came later than directly, in pairs that take turns."""
    body = json.dumps({**ASKED, "stream": True, "user": "waiting"}).encode()
    near, far = [await asked(one, body) for one in (direct, peer)]
    apart = []
    for number in range(pairs):
        took = {}
        for one in (near, far) if number % 2 else (far, near):
            one.ask()
            await one.done
            took[one] = one.first - one.sent
        apart.append((took[far] - took[near]) * 1000)
    for one in (near, far):
        one.transport.close()
    return apart


async def open_at_once(peer: Peer, number: int) -> int:
    """Open so many paced streams at once and return how many came whole."""
    body = json.dumps({**ASKED, "stream": True, "user": "paced"}).encode()
    some = [await asked(peer, body) for _ in range(number)]
    for one in some:
        one.ask()
    async with asyncio.timeout(120):
        await asyncio.gather(*(one.done for one in some))
    for one in some:
        one.transport.close()
    return sum(one.whole for one in some)


def memory(peer: Peer, folder: Path, requests: int) -> list[tuple[int, float]]:
    """Return the memory of a gateway after each tenth of so many requests."""
    seen, done = [], 0
    while done < requests:
        load = peers.wrk(peer, folder, BODY, 32, math.ceil(requests / 10 / 4000) + 1)
        done += load.requests
        seen.append((done, peer.memory()))
    return seen


def median_of(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def median(loads: Iterable[Load], what: str) -> float:
    return median_of(getattr(one, what) for one in loads)


def say(name: str, shape: str, loads: Sequence[Load]) -> None:
    values = [median(loads, one) for one in ("cpu", "rate", "p50", "p99")]
    rows = "  ".join(f"{value:>10.1f}" for value in values)
    print(f"{name:10} {shape:8} {rows}  {sum(one.requests for one in loads):>9} requests", flush=True)


def rounds(running: Sequence[Peer], folder: Path, quick: bool) -> dict[tuple[str, str], list[Load]]:
    """Let the peers take turns; return what was measured by peer and shape."""
    found: dict[tuple[str, str], list[Load]] = {}
    for number in range(1 if quick else 3):
        for peer in running if number % 2 == 0 else running[::-1]:
            slow = peer.name == "litellm"
            for shape, body, connections in (("plain", BODY, 32), ("stream", STREAM, 16)):
                seconds = (5 if slow else 2) if quick else (15 if slow else 5)
                load = peers.wrk(peer, folder, body, connections, seconds)
                found.setdefault((peer.name, shape), []).append(load)
    return found


def figures(found: dict[tuple[str, str], list[Load]]) -> list[Figure]:
    """Return the figures of the rounds."""
    cpu = {key: median(loads, "cpu") for key, loads in found.items()}
    mine, stream, hit = cpu["lyceum", "plain"], cpu["lyceum", "stream"], cpu["cached", "plain"]
    rate, cached = (median(found[name, "plain"], "rate") for name in ("lyceum", "cached"))
    made = [
        Figure("cpu_us", mine), Figure("stream_cpu_us", stream), Figure("cached_cpu_us", hit),
        Figure("forwarded_over_cached", mine / hit, ">= 4", mine / hit >= 4),
        Figure("requests_per_s", rate, ">= 2000", rate >= 2000),
        Figure("cached_per_s", cached, ">= 5000", cached >= 5000),
        Figure("p99_ms", median(found["lyceum", "plain"], "p99")),
        Figure("cached_p99_ms", median(found["cached", "plain"], "p99")),
    ]  # fmt: skip
    if ("litellm", "plain") in cpu:
        less, streams = cpu["litellm", "plain"] / mine, cpu["litellm", "stream"] / stream
        made.append(Figure("litellm_over_lyceum", less, ">= 30", less >= 30))
        made.append(Figure("litellm_over_lyceum_streams", streams, ">= 40", streams >= 40))
    if ("nginx", "plain") in cpu:
        over = mine / cpu["nginx", "plain"]
        made.append(Figure("lyceum_over_nginx", over, "<= 12", over <= 12))
    failed = sum(one.failed for (name, _), loads in found.items() for one in loads if name != "litellm")
    return [*made, Figure("failed", failed, "0", not failed)]


def grown(seen: Sequence[tuple[int, float]]) -> float:
    """Return the megabytes by which the second half of a run holds more than the end of its first fifth."""
    settled = [held for _, held in seen[len(seen) // 5 : len(seen) // 2]]
    return median_of([held for _, held in seen[len(seen) // 2 :]]) - median_of(settled)


def main() -> None:
    options = common.arguments(__doc__)
    if shutil.which("wrk") is None:
        print("No wrk: apt install wrk.")
        raise SystemExit(77)
    quick = options.quick
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        direct = peers.upstream()
        running = [direct]
        try:
            port = urlsplit(direct.url).port or 0
            other = peers.litellm(folder, port, install=not quick)
            running += [one for one in (other, peers.nginx(folder, port)) if one]
            mine = peers.lyceum(folder, port, more=LIMITS, target=PRICE)
            cached = peers.lyceum(
                folder, port, "cached", more=LIMITS + '[cache]\nexact = "memory"\n', target=PRICE
            )
            running += [mine, cached]
            if other is not None:
                peers.ready(other, "/health/liveliness")
                peers.wrk(other, folder, BODY, 32, 3 if quick else 10)  # it grows warm slowly
            print(f"{'':19} {'CPU us':>10}  {'a second':>10}  {'p50 ms':>10}  {'p99 ms':>10}")
            found = rounds(running, folder, quick)
            for (who, shape), loads in found.items():
                say(who, shape, loads)
            made = figures(found)
            later = uvloop.run(first_tokens(direct, mine, 100 if quick else 400))
            made.append(Figure("first_token_later_ms", median_of(later), "<= 1", median_of(later) <= 1))
            number = 200 if quick else 1000
            whole = uvloop.run(open_at_once(mine, number))
            most = json.load(urllib.request.urlopen(direct.url))["most_open"]
            made.append(Figure("open_streams", min(whole, most), f">= {number}", min(whole, most) >= number))
            wanted = 20_000 if quick else 500_000
            seen = memory(mine, folder, wanted)
            growth = grown(seen)
            print(f"memory after requests: {', '.join(f'{done:,}: {held:.0f} MB' for done, held in seen)}")
            made.append(Figure("memory_mb", seen[-1][1]))
            made.append(Figure("grown_mb", growth, "<= 2", growth <= 2))
            made.append(Figure("requests", seen[-1][0], f">= {wanted}", seen[-1][0] >= wanted))
        finally:
            for one in running:
                one.stop()
    absent = [one for one in ("litellm", "nginx") if one not in {name for name, _ in found}]
    if absent:
        print(f"not measured, for it is not installed: {', '.join(absent)}", file=sys.stderr)
    common.finish("gateway", made, options, absent=absent)


if __name__ == "__main__":
    main()
