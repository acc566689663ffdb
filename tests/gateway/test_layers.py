"""Layers of the cache: two processes over one file, a full and a damaged file, Redis killed, stopped and back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from lyceum.core.errors import ConfigError
from lyceum.gateway.cache import Cached, Caches, Layers
from lyceum.gateway.config import Cache, parsed
from lyceum.gateway.layers import Memory, Shared
from lyceum.gateway.redis import AGAIN, Redis
from tests.gateway.redis import needs_redis, redis
from tests.gateway.test_cache import Model, ask, cached, call

OTHER = """
import asyncio, sys
from pathlib import Path
from lyceum.gateway.layers import Shared
layer = Shared(Path(sys.argv[1]), 1 << 20)
print(asyncio.run(layer.get(b"mine")).decode(), flush=True)
for at in range(int(sys.argv[2])):
    layer.put(b"%d" % at, b"x" * 2000, 1)
layer.put(b"yours", b"theirs", 1)
"""


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    layer = Shared(tmp_path, 1 << 20)
    layer.put(b"mine", b"ours", 1)
    found = subprocess.run(
        [sys.executable, "-c", OTHER, str(tmp_path), "5"], check=True, capture_output=True, text=True
    )
    assert found.stdout == "ours\n"
    assert asyncio.run(layer.get(b"yours")) == b"theirs"
    layer.close()


def test_a_process_that_is_killed_while_it_writes_holds_nobody_up(tmp_path: Path) -> None:
    layer = Shared(tmp_path, 1 << 20)
    layer.put(b"mine", b"ours", 1)
    command = [sys.executable, "-c", OTHER, str(tmp_path), "1000000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ours\n"
        time.sleep(0.1)
        child.kill()
    layer.put(b"after", b"all", 1)
    assert asyncio.run(layer.get(b"after")) == b"all"
    layer.close()


def test_a_full_file_forgets_the_oldest(tmp_path: Path) -> None:
    layer = Shared(tmp_path, 1 << 20)
    for at in range(3000):
        layer.put(b"%d" % at, os.urandom(1000), 1)
        if at % 50 == 0:
            assert asyncio.run(layer.get(b"0")) is not None, at  # what is asked for stays
    assert asyncio.run(layer.get(b"2999")) is not None
    assert asyncio.run(layer.get(b"1")) is None
    assert layer.failed == 0
    assert (layer.folder / "data.mdb").stat().st_size <= 2 << 20
    layer.put(b"big", b"x" * (1 << 18), 1)
    assert asyncio.run(layer.get(b"big")) is None
    layer.close()


def test_a_disk_that_is_full_costs_no_call(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: writing past it fails in the same way."""
    code = (
        "import asyncio, resource, signal, sys; from pathlib import Path\n"
        "from lyceum.gateway.layers import Shared\n"
        "layer = Shared(Path(sys.argv[1]), 1 << 24); layer.put(b'a', b'kept', 1)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))\n"
        "for at in range(100): layer.put(b'%d' % at, b'x' * 10000, 1)\n"
        "print(layer.failed > 0, asyncio.run(layer.get(b'a')))\n"
    )
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert found.stdout == "True b'kept'\n", found.stderr


def opened(folder: Path, url: str = "") -> Layers:
    return Caches(folder).layers(Cache(exact="redis" if url else "lmdb", redis=url, megabytes=1))


def close(layers: Layers) -> None:
    for layer in layers.shared:
        layer.close()


def kept_in(folder: Path) -> Path:
    return next(folder.glob("cache-1/boot-*/data.mdb"))


def damage(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    if how == "noise":
        data[:] = os.urandom(len(data))
    elif how == "cut":
        del data[len(data) // 2 :]
    elif how == "empty":
        data.clear()
    else:
        data[8192:] = bytes(len(data) - 8192)
    file.write_bytes(data)


@pytest.mark.parametrize("how", ["noise", "cut", "empty", "zeros"])
def test_a_damaged_file_begins_anew(tmp_path: Path, how: str) -> None:
    async def play() -> None:
        layers = opened(tmp_path)
        cache = cached(Model(), layers=layers)
        for number in range(20):
            await ask(cache, call(f"question {number}"))
        close(layers)
        damage(kept_in(tmp_path), how)
        layers = opened(tmp_path)
        cache = cached(Model(), layers=layers)
        for how_found in ("miss", "hit-exact"):
            for number in range(20):
                layers.memory = Memory(1 << 20)
                assert (await ask(cache, call(f"question {number}")))[1] == how_found
        close(layers)

    uvloop.run(play())  # as the server runs


def test_a_changed_byte_is_no_answer(tmp_path: Path) -> None:
    async def play() -> None:
        layers = opened(tmp_path)
        await ask(cached(Model(), layers=layers), call())
        close(layers)
        file = kept_in(tmp_path)
        data = file.read_bytes()
        assert data.count(b"answer 1") == 1
        file.write_bytes(data.replace(b"answer 1", b"answer 7"))
        layers = opened(tmp_path)
        assert (await ask(cached(Model(), layers=layers), call()))[1] == "miss"
        close(layers)

    uvloop.run(play())  # as the server runs


def test_another_boot_leaves_its_file(tmp_path: Path) -> None:
    (tmp_path / "boot-before").mkdir()
    (tmp_path / "boot-before" / "data.mdb").write_bytes(b"torn")
    Shared(tmp_path, 1 << 20).close()
    assert len(list(tmp_path.glob("boot-*"))) == 1


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="ascii")
    with pytest.raises(ConfigError, match="cannot be opened"):
        Shared(tmp_path / "file", 1 << 20)


def worker(folder: Path, url: str = "") -> Cached:
    """Return the cache of another worker, whose own memory is empty."""
    return cached(Model(), layers=opened(folder, url))


async def until(ready: Redis) -> None:
    """Wait for a connection."""
    for _ in range(400):
        if ready._ready() is not None:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("no connection")


def layer(cache: Cached) -> Redis:
    found = cache.layers.shared[-1]
    assert isinstance(found, Redis)
    return found


@needs_redis
@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_hosts_share_redis(tmp_path: Path, loop: Callable[..., None]) -> None:
    async def play() -> None:
        with redis(tmp_path) as server:
            here = worker(tmp_path / "here", url=server.url)
            there = worker(tmp_path / "there", url=server.url)
            await asyncio.gather(until(layer(here)), until(layer(there)))
            await ask(here, call(stream=True))
            await layer(here).get(b"")  # what was sent before has arrived
            assert (await ask(there, call()))[1] == "hit-exact"
            for other in ({"tenant": "b"}, {"readers": "staff"}):
                assert (await ask(there, call(**other)))[1] == "miss"
            layer(there).put(b"short", b"x", 0.05)
            assert await layer(there).get(b"short") == b"x"
            await asyncio.sleep(0.1)
            assert await layer(there).get(b"short") is None
            many = [layer(here).get(b"%d" % at) for at in range(100)]
            assert set(await asyncio.gather(*many)) == {None}
            for cache in (here, there):
                close(cache.layers)

    loop(play())


@needs_redis
def test_redis_dies_and_comes_back(tmp_path: Path) -> None:
    async def play() -> None:
        with redis(tmp_path) as server:
            cache = worker(tmp_path / "here", url=server.url)
            await until(layer(cache))
            failed = 0

            async def load() -> None:
                nonlocal failed
                for number in range(200):
                    found = await ask(cache, call(f"question {number}"))
                    failed += not found[0].startswith("answer")
                    await asyncio.sleep(0.002)

            async def fault() -> None:
                await asyncio.sleep(0.1)
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(0.2)
                await asyncio.to_thread(server.start)

            await asyncio.gather(load(), fault())
            assert failed == 0
            await until(layer(cache))
            assert await layer(cache).get(b"x") is None
            await ask(cache, call("after"))
            await layer(cache).get(b"")
            other = worker(tmp_path / "there", url=server.url)
            await until(layer(other))
            assert (await ask(other, call("after")))[1] == "hit-exact"
            for one in (cache, other):
                close(one.layers)

    uvloop.run(play())  # as the server runs


@needs_redis
def test_a_redis_that_hangs_is_waited_for_once(tmp_path: Path) -> None:
    async def play() -> None:
        with redis(tmp_path) as server:
            cache = worker(tmp_path / "here", url=server.url)
            await until(layer(cache))
            server.signal(signal.SIGSTOP)
            assert (await ask(cache, call("first")))[1] == "miss"
            assert layer(cache).failed == 1
            begun = time.process_time(), time.monotonic()
            for number in range(20):
                assert (await ask(cache, call(f"question {number}")))[1] == "miss"
            assert layer(cache).failed <= 2 or time.monotonic() - begun[1] > AGAIN
            server.signal(signal.SIGCONT)
            await until(layer(cache))
            close(cache.layers)

    uvloop.run(play())  # as the server runs


@needs_redis
def test_a_redis_that_refuses_is_one_that_is_away(tmp_path: Path) -> None:
    async def play() -> None:
        with redis(tmp_path, "--requirepass", "s3:cret") as server:
            shut = worker(tmp_path / "here", url=server.url)
            assert (await ask(shut, call()))[1] == "miss"
            await asyncio.sleep(0.1)
            assert layer(shut).failed == 1
            opened = Redis(server.url.replace("redis://", "redis://:s3%3Acret@"))
            await until(opened)
            opened.put(b"a", b"b", 1)
            assert await opened.get(b"a") == b"b"
            opened.close()
            close(shut.layers)

    uvloop.run(play())  # as the server runs


def test_something_else_than_redis_answers(tmp_path: Path) -> None:
    async def play() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n$x\r\n\r\n" * 5)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        found = Redis(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await found.get(b"a") is None
        await asyncio.sleep(0.1)
        assert await found.get(b"a") is None
        found.close()
        server.close()

    uvloop.run(play())  # as the server runs


def test_the_configuration_names_redis(tmp_path: Path) -> None:
    for wrong in (
        'exact = "redis"',
        'exact = "memory"\nredis = "redis://x"',
        "semantic = 0.9",
        'redis = "x"',
    ):
        with pytest.raises(ConfigError):
            parsed(f"[cache]\n{wrong}")
    with pytest.raises(ConfigError, match="NOWHERE holds no address"):
        Caches(tmp_path, {}).layers(Cache(exact="redis", redis="env:NOWHERE"))
