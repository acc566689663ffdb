"""The configuration in use and what is built of it, exchanged whole while calls go on; knows no HTTP.

Calls that have begun finish on what they began with. A file that cannot be read or says something wrong leaves the
old one in use, with the reason in `problem`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from lyceum.core.errors import ConfigError
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.client import Client
from lyceum.gateway.config import Gateway, Model, Target, parsed
from lyceum.gateway.pool import Kept
from lyceum.gateway.route import Route, routed
from lyceum.gateway.upstream import OpenAI

EVERY = 0.25  # seconds between looks at the file


class Live:
    """A Forward over whatever `file` says now."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problem = ""
        self.kept: dict[str, Kept] = {}
        self.clients: dict[tuple[float, float, float], Client] = {}
        self._stamp: tuple[int, int] | None = None
        self.route = self._built(Gateway())
        self.look()

    def known(self, name: str) -> bool:
        """Say whether a model is served."""
        return self.route.known(name)

    async def __call__(self, call: Call) -> Reply:
        """Forward by the configuration in use."""
        return await self.route(call)

    def look(self) -> bool:
        """Take a changed file into use and say whether one was; a wrong one is left aside."""
        try:
            told = self.file.stat()
        except FileNotFoundError:
            return False
        stamp = (told.st_mtime_ns, told.st_size)
        if stamp == self._stamp:
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
        self.route = self._built(gateway)

    async def watch(self, changed: Callable[[], None] = lambda: None) -> None:
        """Look at the file until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            if self.look():
                changed()

    def close(self) -> None:
        """End idle connections."""
        for client in self.clients.values():
            client.close()

    def _built(self, gateway: Gateway) -> Route:
        return routed(gateway, self._reached, self.kept, self.file.parent)

    def _reached(self, target: Target, model: Model) -> OpenAI:
        waits = (model.connect_seconds, model.first_seconds, model.idle_seconds)
        return self._forward(target, self.clients.setdefault(waits, Client(*waits)))

    def _forward(self, target: Target, client: Client) -> OpenAI:
        if target.kind != "openai":
            raise ConfigError(f"Targets of kind {target.kind} are not served.", hint='Use kind = "openai".')
        return OpenAI(target, client)
