"""The configuration in use and what is built of it, exchanged whole while calls go on; knows no HTTP.

Calls that have begun finish on what they began with. A file that cannot be read or says something wrong leaves the
old one in use, with the reason in `problem`.
"""

from __future__ import annotations

import asyncio
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

    async def watch(self, changed: Callable[[], None] = lambda: None) -> None:
        """Look at the file until cancelled; a change counts once it has lasted, for half a file may be valid."""
        before = self._stamp
        while True:
            await asyncio.sleep(EVERY)
            stamp = self._seen()
            if stamp == before and self.look():
                changed()
            before = stamp

    def _seen(self) -> tuple[int, int] | None:
        try:
            told = self.file.stat()
        except FileNotFoundError:
            return None
        return told.st_mtime_ns, told.st_size

    def close(self) -> None:
        """End idle connections."""
        self.build.close()
