"""A real redis-server on a free port, which can be killed, stopped and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="no redis-server: apt install redis-server")


class RedisServer:
    """`url` stays the same when it is started again."""

    def __init__(self, folder: Path, *more: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.folder, self.more = folder, more
        self.url = f"redis://127.0.0.1:{self.port}/1"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = [str(PROGRAM), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", "."]
        self.process = subprocess.Popen([*command, *self.more], cwd=self.folder, stdout=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def redis(folder: Path, *more: str) -> Iterator[RedisServer]:
    """Run a server until the end of the block."""
    server = RedisServer(folder, *more)
    try:
        yield server
    finally:
        server.kill()
