"""The configuration in use and what is built of it, exchanged whole while calls go on; knows no HTTP.

Calls that have begun finish on what they began with. A file that cannot be read or says something wrong leaves the
old one in use, with the reason in `problem`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lyceum.core.errors import ConfigError
from lyceum.gateway.build import Build
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import Gateway, parsed

EVERY = 0.25  # seconds between looks at the file


class Live:
    """A Forward over whatever `file` says now."""

    def __init__(self, file: Path, build: Build | None = None) -> None:
        self.file, self.build = file, build or Build(file.parent)
        self.problem = ""
        self._stamp: tuple[int, int] | None = None
        self._before: tuple[int, int] | None = None
        self.serving = self.build(Gateway())
        self.look()

    def known(self, name: str) -> bool:
        """Say whether a model is served."""
        return self.serving.route.known(name)

    async def __call__(self, call: Call) -> Reply:
        """Forward by the configuration in use."""
        return await self.serving.forward(call)

    def look(self) -> bool:
        """Take a changed file into use and say whether one was; a wrong one is left aside."""
        stamp = self._seen()
        if stamp in (None, self._stamp):
            return False
        self._stamp = stamp
        try:
            self.use(parsed(self.file.read_text(encoding="utf-8"), str(self.file)))
        except (ConfigError, OSError, UnicodeDecodeError) as problem:
            self.problem = str(problem)
            return False
        self.problem = ""
        return True

    def use(self, gateway: Gateway) -> None:
        """Exchange everything at once."""
        self.serving = self.build(gateway)

    async def write(self, text: str) -> None:
        """Put a text into the file and take it into use, or change nothing. Raises ConfigError and OSError.

        The file as it was lies beside it as gateway.before.
        """
        serving = self.build(parsed(text, str(self.file)))
        await asyncio.to_thread(_replaced, self.file, text.encode())
        self._stamp, self.serving, self.problem = self._seen(), serving, ""

    async def watch(self, changed: Callable[[], None] = lambda: None) -> None:
        """Look at the file until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self.build.probes.due(self.serving.route.pools.values())
            if self.noticed():
                changed()

    def noticed(self) -> bool:
        """Look once; a change counts when it was there at the look before too, for half a file may be valid."""
        before, self._before = self._before, self._seen()
        return self._before == before and self.look()

    def _seen(self) -> tuple[int, int] | None:
        try:
            told = self.file.stat()
        except OSError:
            return None
        return told.st_mtime_ns, told.st_size

    def close(self) -> None:
        """End idle connections."""
        self.build.close()


def _replaced(file: Path, data: bytes) -> None:
    """Put a file in another's place at once; whoever reads sees one of the two whole."""
    made = file.with_suffix(".new")
    with made.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    if file.exists():
        shutil.copy2(file, file.with_suffix(".before"))
        shutil.copymode(file, made)
    made.replace(file)
