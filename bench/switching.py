"""Switch models and routes, kill and freeze an upstream, all under load: how many requests fail, how fast it heals.

A real `lyceum serve` with three stand-in upstreams in processes of their own; clients keep 32 requests under way, a
third of them streams. Part 1 rewrites gateway.toml 200 times (other targets, other strategies, an alias that moves;
a file cut in half comes before every tenth and must be refused). Part 2 kills one of three upstreams with SIGKILL
and starts it again on its port. Part 3 freezes one with SIGSTOP: it takes connections and never answers. Streams
that had begun on the upstream that went cannot be saved and are counted apart. The control has no retries and must
lose requests. Part 4 kills Redis while caches and limits use it, and starts it again; it is left out where there is
no redis-server.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import common
import orjson
import upstreams
from common import Figure

from lyceum.core.errors import ConfigError, LyceumError
from lyceum.gateway.client import Client
from lyceum.gateway.config import parsed
from tests.app.served import free_port, served

CLIENTS = 32
ROUTES = ("weighted", "least_busy", "peak_ewma", "session", "prefix", "cheapest")
NAMES = ("a", "b", "c")


@dataclass
class Done:
    """A request: when it began and ended, whether it went well, who served it, and whether its stream had begun."""

    began: float
    ended: float
    good: bool
    stream: bool
    by: str
    streamed: bool
    why: str = ""


class Load:
    """Clients that ask `url` for the model `chat` without pause; what becomes of their requests is in `done`."""

    def __init__(self, url: str) -> None:
        self.url, self.done, self.client = url, list[Done](), Client(first=30)
        self.rng = random.Random(1)
        self.questions = 0  # how many different ones there are, 0 for one that no cache keeps

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask until the block ends; requests under way come to their end."""
        self.going = True
        tasks = [asyncio.create_task(self._ask(number)) for number in range(CLIENTS)]
        try:
            yield
        finally:
            self.going = False
            await asyncio.gather(*tasks)

    async def _ask(self, number: int) -> None:
        while self.going:
            stream = self.rng.random() < 1 / 3
            self.done.append(await self._one(stream, f"client {number}"))

    async def _one(self, stream: bool, user: str) -> Done:
        asked = {"model": "chat", "messages": [{"role": "user", "content": "a b c"}], "stream": stream}
        if self.questions:
            text = f"question {self.rng.randrange(self.questions)}"
            asked |= {"messages": [{"role": "user", "content": text}], "temperature": 0}
        else:
            asked["user"] = user
        began, text, status = time.perf_counter(), b"", 0
        headers = {"content-type": "application/json"}
        try:
            found = await self.client.request(
                "POST", self.url + "/v1/chat/completions", headers, orjson.dumps(asked)
            )
            status = found.status
            async with aclosing(found.chunks()) as chunks:
                async for chunk in chunks:
                    text += chunk
        except LyceumError as problem:
            return self._done(began, False, stream, text, str(problem))
        good = (
            status == 200 and (b"[DONE]" in text if stream else b'"usage"' in text) and b'"error"' not in text
        )
        return self._done(began, good, stream, text, "" if good else f"{status} {text[-300:].decode()}")

    def _done(self, began: float, good: bool, stream: bool, text: bytes, why: str) -> Done:
        by = text.partition(b'"system_fingerprint":"')[2][:1].decode()
        return Done(began, time.perf_counter(), good, stream, by, stream and b'"content"' in text, why)

    async def until(self, seen: Callable[[Done], bool], seconds: float = 20.0) -> Done | None:
        """Wait for a request of which something holds."""
        at, end = len(self.done), time.perf_counter() + seconds
        while time.perf_counter() < end:
            for one in self.done[at:]:
                at += 1
                if seen(one):
                    return one
            await asyncio.sleep(0.005)
        return None


def configuration(urls: Sequence[str], more: str = "", name: str = "first", each: str = "") -> str:
    targets = ", ".join(f'{{url = "{url}/v1"{each}}}' for url in urls)
    return f'[[model]]\nname = "{name}"\ntargets = [{targets}]\n{more}\n[alias]\nchat = "{name}"\n'


def write(file: Path, text: str) -> float:
    """Exchange the file in one step; return when."""
    draft = file.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
    return time.perf_counter()


async def switched(file: Path, load: Load, urls: Sequence[str], times: int) -> tuple[list[float], int, int]:
    """Switch `times` times; return the seconds each took, how many never took effect, and what a bad file changed."""
    took, lost, moved = list[float](), 0, 0
    routes = itertools.cycle(ROUTES)
    for number in range(times):
        at = (number + 1) % 3  # each file names another upstream than the one before
        if number % 10 == 9:
            whole = configuration([urls[at]])
            write(file, whole[: len(whole) // 2])
            before = len(load.done)
            await asyncio.sleep(0.7)
            moved += sum(one.by == NAMES[at] for one in load.done[before:] if one.good)
        name = ("first", "second")[number % 2]
        when = write(file, configuration([urls[at]], f'route = "{next(routes)}"', name))
        found = await load.until(lambda one, when=when, by=NAMES[at]: one.began > when and one.by == by)
        if found is None:
            lost += 1
        else:
            took.append(found.began - when)
    return took, lost, moved


async def broken(
    load: Load, pid: int, again: Callable[[], None], stop: signal.Signals, seconds: float
) -> tuple[float, float]:
    """Stop an upstream and let it work again; return the longest wait of a call by then, and the time to recover."""
    at = len(load.done)
    os.kill(pid, stop)
    await asyncio.sleep(seconds)
    again()
    when = time.perf_counter()
    found = await load.until(lambda one: one.by == "b" and one.began > when and one.good)
    longest = max(one.ended - one.began for one in load.done[at:] if not one.stream)
    return longest, (found.began - when) if found else float("inf")


@contextmanager
def redis(folder: Path, port: int) -> Iterator[Callable[[], None]]:
    """Run a Redis; give what kills it and starts it again."""

    def start() -> subprocess.Popen[bytes]:
        command = [
            "redis-server",
            "--port",
            f"{port}",
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    process = start()

    def again() -> None:
        nonlocal process
        if process.poll() is None:
            process.kill()
            process.wait()
        else:
            process = start()

    try:
        yield again
    finally:
        process.kill()
        process.wait()


def keys(port: int) -> int:
    """Return how many keys a Redis holds, 0 where it does not answer."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"DBSIZE\r\n")
        return int(connection.recv(64).strip()[1:])
    return 0


async def without_redis(file: Path, load: Load, urls: Sequence[str], folder: Path) -> list[Figure]:
    """Kill Redis under load and start it again."""
    if shutil.which("redis-server") is None:
        print("redis: no redis-server here (Debian: apt install redis-server)")
        return []
    port = free_port()
    address = f'"redis://127.0.0.1:{port}"'
    text = configuration(urls) + f'[cache]\nexact = "redis"\nredis = {address}\n'
    limited = f'{text}[money]\nredis = {address}\n[[limit]]\nof = "model"\nname = "*"\nconcurrent = 1000\n'
    with suppress(ConfigError):
        parsed(limited)
        text = limited
    with redis(folder, port) as again:
        write(file, text)
        await asyncio.sleep(1)
        load.done.clear()
        load.questions = 200
        async with load.running():
            await asyncio.sleep(2)
            before = keys(port)
            if before:
                again()
                await asyncio.sleep(2)
                again()
                await asyncio.sleep(3)
                load.questions = 400
                await asyncio.sleep(2)
        after = keys(port)
    if not before:
        print("redis: this gateway keeps nothing in Redis; not measured")
        return []
    failed, cut = judged(load.done, "redis")
    return [
        Figure("redis_failed", failed + cut, "0", not failed + cut),
        Figure("redis_keys_before", before),
        Figure("redis_keys_after", after, "> 0", after > 0),
    ]


def ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def judged(done: Sequence[Done], what: str) -> tuple[int, int]:
    """Return how many requests failed that could have been saved, and how many streams broke that had begun."""
    failed = [one for one in done if not one.good and not one.streamed]
    cut = [one for one in done if not one.good and one.streamed]
    print(
        f"{what}: {len(done):,} requests, {len(failed)} failed, {len(cut)} streams cut;"
        f" served by {dict(sorted(Counter(one.by for one in done if one.good).items()))}",
        *sorted({one.why for one in failed})[:3], sep="\n  ",
    )  # fmt: skip
    return len(failed), len(cut)


async def main() -> None:
    options = common.arguments(__doc__, switches="how many (200)")
    times = int(options.switches or (12 if options.quick else 200))
    rounds = 1 if options.quick else 5
    figures: list[Figure] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        given = {"delay": 0.005, "gap": 0.002, "tokens": 20}
        made, urls = list[subprocess.Popen[str]](), list[str]()
        for name in NAMES:
            process, url = upstreams.start(name=name, **given)
            made.append(process)
            urls.append(url)
        stack.callback(lambda: [ended(one) for one in made])
        home = folder / "home"
        home.mkdir()
        file = home / "gateway.toml"
        write(file, configuration(urls[:1]))
        server = stack.enter_context(served(home, LYCEUM_MODELS=str(folder / "none")))
        load = Load(server.url)

        async with load.running():
            took, lost, moved = await switched(file, load, urls, times)
        failed, cut = judged(load.done, "switching")
        figures += [
            Figure("switches", len(took), f"{times}", len(took) == times and not lost),
            Figure("switching_failed", failed + cut, "0", not failed + cut),
            Figure("switch_seconds_median", sorted(took)[len(took) // 2]),
            Figure(
                "switch_seconds_p95",
                sorted(took)[len(took) * 19 // 20],
                "< 1",
                sorted(took)[len(took) * 19 // 20] < 1,
            ),
            Figure("switch_seconds_longest", max(took)),
            Figure("moved_by_a_bad_file", moved, "0", not moved),
        ]

        def again() -> None:
            ended(made[1])
            made[1] = upstreams.start(name="b", port=urlsplit(urls[1]).port, **given)[0]

        kinds = (
            ("kill", signal.SIGKILL, "", again),
            ("freeze", signal.SIGSTOP, "", lambda: made[1].send_signal(signal.SIGCONT)),
            ("control", signal.SIGKILL, "retries = 0\nbreaker_seconds = 0.001", again),
        )
        for name, stop, more, healed in kinds:
            more = f"first_seconds = 1.5\nidle_seconds = 1.5\nprobe_seconds = 0.5\n{more}"
            write(file, configuration(urls, more, each=', health = "/health"'))
            await asyncio.sleep(1)
            load.done.clear()
            longest, recovery = [], []
            for _ in range(1 if name == "control" else rounds):
                async with load.running():
                    await asyncio.sleep(1.5)
                    waited, healthy = await broken(load, made[1].pid, healed, stop, 4)
                    await asyncio.sleep(1)
                longest.append(waited)
                recovery.append(healthy)
            failed, cut = judged(load.done, name)
            if name == "control":
                figures.append(Figure("control_failed", failed, "> 0", failed > 0))
                continue
            figures += [
                Figure(f"{name}_requests", len(load.done)),
                Figure(f"{name}_failed", failed, "0", not failed),
                Figure(f"{name}_streams_cut", cut),
                Figure(f"{name}_recovery_seconds", max(recovery), "< 5", max(recovery) < 5),
                Figure(f"{name}_longest_call_seconds", max(longest)),
            ]
        figures += await without_redis(file, load, urls, folder)
        load.client.close()
    common.finish("switching", figures, options)


if __name__ == "__main__":
    common.run(main)
