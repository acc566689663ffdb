"""Several processes that answer on one socket: starts them, starts those that died again, ends them; serves nothing.

All take connections from the same listening socket, so that what waits for a worker that dies is served by another.
Each worker holds the end of a pipe and goes when the other end closes: none outlives who started it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lyceum.core.errors import ConfigError

log = logging.getLogger(__name__)
SOON, TRIES = 5.0, 5  # a worker that dies so soon after its start, so often in a row, will not come up


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker was given: its number, the socket, and the pipe to whoever started it."""

    number: int
    listener: int
    pipe: int

    @classmethod
    def read(cls, text: str) -> Place:
        """Return what `--worker` says."""
        return cls(*map(int, text.split(",")))

    def socket(self) -> socket.socket:
        """Return the listening socket."""
        return socket.socket(fileno=self.listener)

    def until_gone(self, end: Callable[[], None]) -> None:
        """Call `end` when whoever started this worker has gone."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self.pipe)
            end()

        loop.add_reader(self.pipe, gone)


async def supervise(home: Path, listener: socket.socket, workers: int) -> None:
    """Keep so many workers until interrupted. Raises ConfigError when one does not come up."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stopping.set)
    reading, writing = os.pipe()
    try:
        tasks = [
            asyncio.create_task(_kept(home, Place(n, listener.fileno(), reading), stopping))
            for n in range(workers)
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            stopping.set()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        os.close(writing)
        os.close(reading)
        listener.close()


async def _kept(home: Path, place: Place, stopping: asyncio.Event) -> None:
    failed = 0
    while not stopping.is_set():
        began = time.monotonic()
        command = (sys.executable, "-m", "lyceum.app.cli", "serve", "--home", str(home))
        told = f"--worker={place.number},{place.listener},{place.pipe}"
        process = await asyncio.create_subprocess_exec(*command, told, pass_fds=(place.listener, place.pipe))
        ended, asked = asyncio.create_task(process.wait()), asyncio.create_task(stopping.wait())
        await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if stopping.is_set():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await ended
            return
        failed = failed + 1 if time.monotonic() - began < SOON else 0
        if failed == TRIES:
            raise ConfigError(
                f"Worker {place.number} does not come up.", hint="See what it printed.", code="worker"
            )
        log.warning("Worker %d ended with %s and is started again.", place.number, process.returncode)
        await asyncio.sleep(0.1 * failed)
