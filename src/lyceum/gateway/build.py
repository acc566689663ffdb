"""A configuration to what serves it: policies around the route around the upstreams; knows no HTTP server.

What outlives a configuration (connections, counts, caches) is kept by `Build` and handed to what is made anew, so
that an exchange loses nothing; calls that have begun finish on what they began with.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lyceum.core.errors import ConfigError
from lyceum.gateway import anthropic, messages, ollama, prices, responses
from lyceum.gateway.book import Book
from lyceum.gateway.cache import Caches
from lyceum.gateway.call import Call, Forward
from lyceum.gateway.client import Client
from lyceum.gateway.config import Gateway, Key, Model, Target
from lyceum.gateway.counters import Counters
from lyceum.gateway.hosts import Hosts
from lyceum.gateway.meter import Meter
from lyceum.gateway.pool import Kept
from lyceum.gateway.probe import Probes
from lyceum.gateway.redis import Redis
from lyceum.gateway.route import Route, routed
from lyceum.gateway.semantic import Embed
from lyceum.gateway.shadow import Seen, Shadow
from lyceum.gateway.translate import Paths, Translated
from lyceum.gateway.upstream import Anthropic, OpenAI

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
Inside = Callable[[Target], Forward]


@dataclass(frozen=True, slots=True)
class Serving:
    """A configuration in use: `keys` by the SHA-256 of their secret, `forward` with every policy around the route.

    Where there is a cache, `ready` says of a call that `forward` will answer it without waiting for anything.
    """

    gateway: Gateway
    keys: Mapping[str, Key]
    route: Route
    forward: Forward
    ready: Callable[[Call], bool] | None = None


class Build:
    """Makes what serves a configuration; `folder` is for files, `inside` reaches targets in this process."""

    def __init__(
        self,
        folder: Path,
        inside: Inside | None = None,
        environment: Mapping[str, str] = os.environ,
        version: Callable[[], object] = str,
        embed: Embed | None = None,
    ) -> None:
        self.folder, self.inside, self.environment = folder, inside, environment
        self.clients: dict[tuple[float, float, float], Client] = {}
        self.kept: dict[str, Kept] = {}
        self.shadowed: dict[str, Seen] = {}
        self.probes = Probes()
        self.caches = Caches(folder, environment, version, embed)
        self.book: Book | None = None
        self.hosts: Hosts | None = None
        self.redis = ""

    def __call__(self, gateway: Gateway) -> Serving:
        """Return it. Raises ConfigError where a target cannot be served."""
        written, gateway = gateway, prices.applied(gateway, prices.read(self.folder / prices.FILE))
        route = routed(gateway, self._reached, self.kept, self.folder)
        forward: Forward = route
        if any(one.shadow for one in gateway.model):
            forward = Shadow(forward, gateway, self._metered(route, gateway), self.shadowed)
        # Policies, innermost first: batches, single-flight, cache, budget, limit.
        forward = self.caches(forward, gateway)
        ready = getattr(forward, "ready", None)
        if gateway.model:
            forward = self._metered(forward, gateway)
        if self.hosts is not None:  # whoever asks Redis has to wait
            ready = None
        return Serving(written, {one.sha256: one for one in gateway.key}, route, forward, ready)

    def _metered(self, forward: Forward, gateway: Gateway) -> Meter:
        if self.book is None:
            self.book = Book(self.folder)
            file = self.book.run / "limits" if self.book.journal.file >= 0 else None
            self.counters = Counters(file, self.book.worker, self.book.spent)
            self.book.start(self.counters.reap)
        url = gateway.money.redis
        if self.hosts is not None and url != self.redis:
            self.hosts.close()
            self.hosts = None
        if url and self.hosts is None:
            self.redis, self.hosts = url, Hosts(Redis(url), self.counters, self.folder)
        return Meter(forward, gateway, self.counters, self.book, self.hosts)

    def close(self) -> None:
        """End idle connections, and write what was used."""
        self.probes.close()
        if self.hosts is not None:
            self.hosts.close()
            self.hosts = None
        if self.book is not None:
            self.book.close()
            self.counters.close()
            self.book = None
        for client in self.clients.values():
            client.close()
        self.caches.close()

    def _reached(self, target: Target, model: Model) -> Forward:
        waits = (model.connect_seconds, model.first_seconds, model.idle_seconds)
        client = self.clients.setdefault(waits, Client(*waits))
        if target.kind == "anthropic":
            plain: Forward = Anthropic(target, client, self.environment)
            chat: Forward = Translated(plain, anthropic.CHAT)
            turned = Translated(chat, responses.RESPONSES)
            return Paths({MESSAGES: plain, CHAT: chat, RESPONSES: turned})
        if target.kind == "ollama":
            plain = OpenAI(target, client, self.environment)
            chat = Translated(plain, ollama.CHAT)
            embed = Translated(plain, ollama.EMBED)
            turned = Translated(chat, responses.RESPONSES)
            said = Translated(chat, messages.MESSAGES)
            return Paths({CHAT: chat, MESSAGES: said, RESPONSES: turned, "/v1/embeddings": embed})
        if target.kind == "openai":
            plain = OpenAI(target, client, self.environment)
        elif self.inside is not None:
            plain = self.inside(target)
        else:
            raise ConfigError("No library is open here.", hint="Run: lyceum serve")
        return Paths({MESSAGES: Translated(plain, messages.MESSAGES)}, plain)
