"""Does the usage book say what the upstreams counted, and do limits let through exactly what they allow?

    python bench/accounting.py [--quick] [--requests N] [--flying N]

A server of two workers, with real upstream processes (bench/upstreams.py) that keep their own count of each request.
First a mix of answers, streams, retries, failures, answers that may come from a cache, and clients that leave: while
the upstream works on an answer, in a pause of a stream, and in the middle of its flow. Each row of the book is then
held against the upstream's count of that request. What no upstream could say (its client left) the book marks as
estimated; there the words that were passed on must agree, but in the middle of a flow some are still on their way:
how many is reported. Then each kind of limit is pressed by more calls than it allows.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import orjson
import upstreams
from common import Figure

from lyceum.core.errors import LyceumError
from lyceum.gateway.book import usage
from lyceum.gateway.client import Client
from lyceum.gateway.keys import add

KINDS: dict[str, float] = {
    "answer": 32, "stream": 26, "retried": 16, "failed": 3, "same": 12, "paused": 4, "told": 4, "mid": 2.5, "hung": 1,
}  # fmt: skip
PATIENCE = 4.0  # seconds after which a client leaves an answer that does not come
PRICE = "price = {input = 1.5, output = 6.0}"


@dataclass
class Seen:
    """What the clients saw: `calls` maps a request to its call in the book and its kind."""

    calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)


def request(number: int, kind: str, rng: random.Random) -> dict[str, Any]:
    """Return the body of a request; upstreams know it by `user`."""
    words = " ".join(f"w{rng.randrange(999)}" for _ in range(rng.randint(1, 60)))
    body: dict[str, Any] = {
        "model": {"told": "told", "retried": "flaky", "failed": "broken"}.get(kind, "chat"),
        "user": f"r{number}", "max_tokens": rng.randint(1, 24),
        "messages": [{"role": "user", "content": words}], "temperature": 0, "metadata": {},
    }  # fmt: skip
    if kind == "same":
        body |= {"user": f"same{number % 7}", "max_tokens": 5, "stream": number % 2 == 0}
        body["messages"] = [{"role": "user", "content": f"same {number % 7}"}]
    if kind in ("stream", "paused", "told", "mid"):
        body |= {"stream": True}
        if rng.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
    if kind in ("paused", "told"):
        body["max_tokens"] = 30
        body["metadata"] = {"pause": rng.randint(1, 20)}
    if kind == "mid":
        body["max_tokens"] = 200
    if kind == "hung":
        body["metadata"] = {"hang": True}
    if kind in ("retried", "failed"):
        body["metadata"] = {"fail": "*" if kind == "failed" else f"up{number % 8}"}
        body["stream"] = rng.random() < 0.4
    return body


async def play(client: Client, url: str, key: str, body: dict[str, Any], kind: str, seen: Seen) -> None:
    """Send one request and read or leave its reply as its kind does."""
    name = body["user"]
    seen.sent[kind] += 1
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    try:
        async with asyncio.timeout(PATIENCE if kind == "hung" else 60):
            response = await client.request("POST", url, headers, orjson.dumps(body))
    except TimeoutError:
        if kind != "hung":
            seen.odd.append(f"{kind} {name}: no answer")
        return
    seen.statuses[response.status] += 1
    if response.status not in {"failed": (503,), "retried": (200, 503)}.get(kind, (200,)):
        seen.odd.append(f"{kind} {name}: {response.status}")
    if kind != "same" and (response.status == 200 or "x-lyceum-call" in response.headers):
        seen.calls[name] = (response.headers.get("x-lyceum-call", ""), kind)
    left = {"paused": body["metadata"].get("pause"), "told": body["metadata"].get("pause"), "mid": 20}.get(
        kind
    )
    words, text = 0, b""
    try:
        async with aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                words += chunk.count(b'"content":"')
                text += chunk
                if left is not None and words >= left:
                    break
    except LyceumError as problem:
        seen.odd.append(f"{kind} {name}: {problem}")
    if kind == "stream" and (b"[DONE]" not in text or (b'"usage"' in text) != ("stream_options" in body)):
        seen.odd.append(f"{kind} {name}: {text[-200:]!r}")


async def mix(url: str, key: str, requests: int, flying: int) -> Seen:
    """Send the mix, so many at a time."""
    rng, seen, client = random.Random(5), Seen(), Client(first=60)
    kinds = rng.choices(list(KINDS), list(KINDS.values()), k=requests)
    numbers = iter(enumerate(kinds))

    async def one() -> None:
        for number, kind in numbers:
            await play(client, url, key, request(number, kind, rng), kind, seen)

    await asyncio.gather(*(one() for _ in range(flying)))
    client.close()
    return seen


async def pressed(url: str, key: str, body: dict[str, Any], calls: int, flying: int) -> Counter[int]:
    """Send the same call many times and count statuses."""
    client, statuses = Client(first=60), Counter[int]()
    left = iter(range(calls))

    async def one() -> None:
        for _ in left:
            headers = {"authorization": f"Bearer {key}"}
            response = await client.request("POST", url, headers, orjson.dumps(body))
            statuses[response.status] += 1
            if response.status == 429 and not (
                "retry-after" in response.headers and "hint" in str(await response.read())
            ):
                statuses[-1] += 1
            await response.read()

    await asyncio.gather(*(one() for _ in range(flying)))
    client.close()
    return statuses


@contextmanager
def served(home: Path, workers: int) -> Any:
    """Run `lyceum serve` over a home; give its process and address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "lyceum.app.cli", "serve", "--home", str(home), "--port", str(port)]
    environment = {**os.environ, "LYCEUM_MODELS": str(home / "none")}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--workers", str(workers)], env=environment, stdout=log, stderr=log
        )
    try:
        while (home / "log").read_text().count("startup complete") < workers:
            assert process.poll() is None, (home / "log").read_text()
            time.sleep(0.05)
        yield process, f"http://127.0.0.1:{port}/v1/chat/completions"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def configured(home: Path, urls: list[str], apart: str) -> dict[str, str]:
    """Write gateway.toml and keys; return the secrets."""

    def targets(more: str = "") -> str:
        return ", ".join(f'{{url = "{url}/v1", {PRICE}{more}}}' for url in urls)

    told = ', features = ["continuous_usage"]'
    text = '[cache]\nexact = "memory"\n'
    # What fails is asked of a model of its own: a breaker that opens must not turn the others away.
    for name, more, options in (("chat", "", ""), ("told", told, ""), ("flaky", "", ""), ("broken", "", "")):
        text += f'[[model]]\nname = "{name}"\nretries = 3\n{options}targets = [{targets(more)}]\n'
    text += f'[[model]]\nname = "apart"\ntargets = [{{url = "{apart}/v1"}}]\n'
    (home / "gateway.toml").write_text(text, encoding="utf-8")
    limits = {
        "mix": {}, "requests": {"requests_per_minute": 400}, "tokens": {"tokens_per_minute": 20_000},
        "concurrent": {"concurrent": 8}, "budget": {"budget_day": 0.05},
    }  # fmt: skip
    return {name: add(home / "gateway.toml", {"id": name, **more}) for name, more in limits.items()}


def book(home: Path, where: str, *values: Any) -> list[Any]:
    """Return rows of the usage book."""
    with sqlite3.connect(home / "usage.db") as db:
        names = "id, state, input, output, cost, hit, status, attempts"
        return db.execute(f"SELECT {names} FROM calls WHERE {where}", values).fetchall()


def settled(home: Path, key: str, calls: int) -> list[Any]:
    """Wait until the book has so many rows of a key, or no more come."""
    before, still = -1, 0
    while still < 20:
        rows = book(home, "key = ?", key)
        if len(rows) >= calls:
            time.sleep(0.5)
            return book(home, "key = ?", key)
        still = still + 1 if len(rows) == before else 0
        before = len(rows)
        time.sleep(0.25)
    return rows


async def logged(urls: list[str], path: str = "/log") -> list[Any]:
    """Return what each upstream counted."""
    client = Client()
    found = [orjson.loads(await (await client.request("GET", url + path, {})).read()) for url in urls]
    client.close()
    return found


def held_against(seen: Seen, rows: list[Any], log: list[Any]) -> dict[str, Any]:
    """Compare the book with the upstreams' own count, request by request."""
    by_id = {row[0]: row for row in rows}
    worked: dict[str, tuple[int, int]] = {}
    for name, how, given, made in log:
        if how != "failed":
            before = worked.get(name, (0, 0))
            worked[name] = (before[0] + given, before[1] + made)
    wrong, off, words = [], [], Counter[str]()
    for name, (call, kind) in seen.calls.items():
        row, (given, made) = by_id.get(call), worked.get(name, (0, 0))
        if row is None:
            wrong.append(f"{kind} {name}: no row")
        elif kind == "mid":
            off.append(made - row[3])
        elif kind == "paused":
            words["left"] += 1
            if row[1] != "estimated" or row[3] != made:
                wrong.append(f"{kind} {name}: {row} against {made} words")
        elif row[1] != "exact" or (row[2], row[3]) != (given, made):
            wrong.append(f"{kind} {name}: {row} against {given}, {made}")
        elif row[4] != given * 1500 + made * 6000:
            wrong.append(f"{kind} {name}: costs {row[4]}")
    apart = {call for call, kind in seen.calls.values() if kind in ("paused", "mid")}
    exact = [row for row in rows if row[1] == "exact" and row[0] not in apart]
    names = {name for name, (_, kind) in seen.calls.items() if kind in ("paused", "mid")}
    counted = [value for name, value in worked.items() if name not in names]
    hung = {name for name, how, _, _ in log if how == "cut"} - seen.calls.keys()
    given = sum(value[0] for value in counted) - sum(worked[name][0] for name in hung)
    return {
        "wrong": wrong, "off": off, "paused": words["left"], "rows": len(rows),
        "book": (sum(row[2] for row in exact), sum(row[3] for row in exact)),
        "upstream": (given, sum(value[1] for value in counted)),
        "hung": (len(hung), sum(row[1] == "estimated" and row[2] > 0 == row[3] for row in rows)),
        "retried": sum(row[6] == 200 and row[7] > 1 for row in rows),
        "twice": len(rows) - len(by_id),
    }  # fmt: skip


async def limits(home: Path, url: str, keys: dict[str, str], apart: str) -> dict[str, Any]:
    """Press each limit; return what was let through."""
    found: dict[str, Any] = {}
    for name, calls in (("requests", 1200), ("tokens", 2000), ("budget", 1200), ("concurrent", 400)):
        body = {
            "model": "apart" if name == "concurrent" else "chat", "max_tokens": 10, "user": name,
            "messages": [{"role": "user", "content": "one two three"}], "metadata": {"of": name},
        }  # fmt: skip
        statuses = await pressed(url, keys[name], body, calls, 100)
        statuses += await pressed(
            url, keys[name], body, 50, 1
        )  # what was reserved and not used has come back
        rows = settled(home, name, statuses[200])
        found[name] = {
            "statuses": dict(statuses), "through": statuses[200],
            "refused": statuses[429], "rows": len(rows), "bad": statuses[-1],
            "tokens": sum(row[2] + row[3] for row in rows), "money": sum(row[4] for row in rows),
            "reserve": len(orjson.dumps(body)) // 4 + 11,
        }  # fmt: skip
    again = await pressed(url, keys["concurrent"], body, 8, 8)  # every place has come back
    found["concurrent"]["again"] = again[200]
    found["concurrent"]["most"] = (await logged([apart], "/count"))[0]["most_busy"]
    return found


async def main() -> None:
    options = common.arguments(__doc__, requests="of the mix (20000; quick 2000)", flying="at a time (300)")
    requests = int(options.requests or (2000 if options.quick else 20_000))
    flying = int(options.flying or 300)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = [
            stack.enter_context(upstreams.started(name=f"up{n}", delay=0.002, gap=0.001))[1] for n in range(2)
        ]
        apart = stack.enter_context(upstreams.started(delay=0.2))[1]
        keys = configured(home, urls, apart)
        _, url = stack.enter_context(served(home, 2))
        began = time.perf_counter()
        seen = await mix(url, keys["mix"], requests, flying)
        seconds = time.perf_counter() - began
        rows = settled(home, "mix", requests)
        log = [row for one in await logged(urls) for row in one]
        found = held_against(seen, rows, log)
        found["hits"] = sum(row["hits"] for row in usage(home / "usage.db", ("key",)) if row["key"] == "mix")
        gone, changed = [call for call, kind in seen.calls.values() if kind == "answer"][:2]
        spoilt = [(*row[:3], row[3] + (row[0] == changed), *row[4:]) for row in rows if row[0] != gone]
        caught = held_against(seen, spoilt, log)["wrong"]
        assert len(caught) == len(found["wrong"]) + 2, (
            "the control: a row that is lost, and one token too many"
        )
        pressing = await limits(home, url, keys, apart)
        printed = (home / "log").read_text()
    wrong = [*seen.odd, *found["wrong"]]
    print("\n".join(wrong[:10]))
    print(f"{requests} requests in {seconds:.0f} s: {dict(seen.sent)}, statuses {dict(seen.statuses)}")
    print(json.dumps({name: value for name, value in found.items() if name not in ("wrong", "off")}))
    print(json.dumps(pressing))
    print("\n".join(line for line in printed.splitlines() if "INFO" not in line)[:2000])
    report(options, seen, found, pressing, wrong)


def report(
    options: Any, seen: Seen, found: dict[str, Any], pressing: dict[str, Any], wrong: list[str]
) -> None:
    """Print the last line."""
    book_tokens, upstream_tokens = sum(found["book"]), sum(found["upstream"])
    tokens, budget, reserve = (
        pressing["tokens"]["tokens"],
        pressing["budget"]["money"],
        pressing["tokens"]["reserve"],
    )
    bad = sum(one["bad"] + (one["rows"] != one["through"]) for one in pressing.values())
    most = pressing["concurrent"]["most"]
    figures = [
        Figure("requests", sum(seen.sent[kind] for kind in KINDS)),
        Figure("retried", found["retried"], "> 0", found["retried"] > 0),
        Figure("wrong_rows", len(wrong), "0", not wrong),
        Figure("tokens", upstream_tokens),
        Figure("difference", book_tokens - upstream_tokens, "0", found["book"] == found["upstream"]),
        Figure("twice", found["twice"], "0", not found["twice"]),
        Figure(
            "hung_difference", found["hung"][1] - found["hung"][0], "0", found["hung"][0] == found["hung"][1]
        ),
        Figure("hits", found["hits"]),
        Figure("left_in_pause", found["paused"]),
        Figure("left_in_flow", len(found["off"])),
        Figure("words_on_their_way", sum(found["off"]) / max(1, len(found["off"]))),
        Figure(
            "requests_through", pressing["requests"]["through"], "400", pressing["requests"]["through"] == 400
        ),
        Figure("tokens_through", tokens, "20000 or one call less", 20_000 - reserve <= tokens <= 20_000),
        Figure("budget_spent", budget / 1e9, "0.05 or one call less", 5e7 - reserve * 6000 <= budget <= 5e7),
        Figure("most_at_once", most, "8", most == 8),
        Figure("places_back", pressing["concurrent"]["again"], "8", pressing["concurrent"]["again"] == 8),
        Figure("bad_429", bad, "0", not bad),
    ]
    common.finish("accounting", figures, options, wrong=wrong[:20], limits=pressing, sent=dict(seen.sent))


if __name__ == "__main__":
    common.run(main)
