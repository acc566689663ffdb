"""A policy: a call gets the reply that the same call got before, from the nearest layer that has it.

What may be the same is said by `Identity`, what may be kept by `entry.kept`. Calls of one identity that are under
way at once are one. `Cache-Control: no-cache` asks for a fresh reply, which is kept; with no-store nothing is looked
for or kept. It knows no money: a reply from here has a usage of zero, and `facts` say where it is from.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from lyceum.core.errors import ConfigError
from lyceum.core.types import Usage
from lyceum.gateway.batch import Batched
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Cache, Gateway
from lyceum.gateway.entry import Entry, given, kept, unpacked
from lyceum.gateway.flight import SingleFlight
from lyceum.gateway.identity import Identity
from lyceum.gateway.layers import Layer, Memory, Shared
from lyceum.gateway.redis import Redis
from lyceum.gateway.semantic import Embed, Semantic

HEADER = "x-lyceum-cache"
JSON, NOTHING = {"content-type": "application/json"}, Usage()


class Layers:
    """The memory and the layers behind it, nearest first."""

    def __init__(self, memory: Memory, shared: Sequence[Layer] = ()) -> None:
        self.memory, self.shared = memory, shared

    async def get(self, key: bytes, facts: MutableMapping[str, Any]) -> Entry | None:
        """Return an entry from the nearest layer, which the facts tell, and keep it in those before."""
        if (entry := self.memory.get(key)) is not None:
            facts["layer"] = "memory"
            return entry
        for at, layer in enumerate(self.shared):
            data = await layer.get(key)
            entry = unpacked(data) if data else None
            if data is not None and entry is not None and (left := entry.until - time.time()) > 0:
                facts["layer"] = layer.name
                self.memory.put(key, entry)
                for nearer in self.shared[:at]:
                    nearer.put(key, data, left)
                return entry
        return None

    def put(self, key: bytes, entry: Entry, seconds: float) -> None:
        """Keep an entry everywhere."""
        self.memory.put(key, entry)
        if self.shared:
            data = entry.packed()
            for layer in self.shared:
                layer.put(key, data, seconds)


class Cached:
    """Keeps replies of `inner` in `layers` for `seconds`; `semantic` finds questions that mean the same."""

    def __init__(
        self,
        inner: Forward,
        layers: Layers,
        identity: Identity,
        seconds: float,
        semantic: Semantic | None = None,
    ) -> None:
        self.inner, self.layers, self.identity, self.seconds = inner, layers, identity, seconds
        self.semantic = semantic
        self.flight = SingleFlight(self._kept)

    async def __call__(self, call: Call) -> Reply:
        """Return a kept reply, else that of `inner`."""
        if (entry := call.facts.get("ready")) is not None:
            return self._reply(
                call, entry, Reply(status=200, headers=dict(JSON), body=entry.body), "hit-exact"
            )
        identity = call.facts.pop("identity", b"") or self.identity(call)
        call.facts["cache"] = "miss"
        if not identity:
            return _marked(await self.inner(call))
        if "no-cache" in call.headers.get("cache-control", "").lower():
            return _marked(await self._kept(call, identity))
        if (reply := await self._given(call, identity, "hit-exact")) is not None:
            return reply
        if self.semantic is not None and (near := await self.semantic.find(call, identity)):
            reply = await self._given(call, near, "hit-semantic")
            if reply is not None:
                return reply
        return _marked(await self.flight(call, identity))

    def ready(self, call: Call) -> bool:
        """Say whether the reply lies in memory as it will be given; the facts then hold it."""
        identity = call.facts["identity"] = self.identity(call)
        if not identity or call.stream or "cache-control" in call.headers:
            return False
        entry = self.layers.memory.get(identity)
        if entry is None or entry.stream:
            return False
        call.facts["ready"], call.facts["layer"] = entry, "memory"
        return True

    async def _given(self, call: Call, identity: bytes, how: str) -> Reply | None:
        entry = await self.layers.get(identity, call.facts)
        reply = None if entry is None else given(entry, call)
        if entry is None or reply is None:
            return None
        return self._reply(call, entry, reply, how)

    def _reply(self, call: Call, entry: Entry, reply: Reply, how: str) -> Reply:
        reply.headers[HEADER] = call.facts["cache"] = how
        reply.usage = NOTHING
        if how == "hit-semantic":
            call.facts["layer"] = "semantic"
        call.facts["saved"] = (entry.usage.input_tokens, entry.usage.output_tokens)
        return reply

    async def _kept(self, call: Call, identity: bytes) -> Reply:
        """Return the reply of `inner`, and keep it when it has come whole from the model that was meant."""
        reply = await self.inner(call)
        routed = self.identity.routed
        if reply.status != 200 or routed(call.facts.get("model", call.model)) != routed(call.model):
            return reply
        if reply.chunks is None:
            self._keep(call, identity, reply, reply.body)
        else:
            reply.chunks = self._recorded(call, identity, reply, reply.chunks)
        return reply

    async def _recorded(
        self, call: Call, identity: bytes, reply: Reply, chunks: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        parts: list[bytes] = []
        async with aclosing(chunks):
            async for chunk in chunks:
                parts.append(chunk)
                yield chunk
        self._keep(call, identity, reply, b"".join(parts))

    def _keep(self, call: Call, identity: bytes, reply: Reply, body: bytes) -> None:
        entry = kept(call, reply, body, time.time() + self.seconds)
        if entry is not None:
            self.layers.put(identity, entry, self.seconds)
            if self.semantic is not None:
                self.semantic.add(call, identity)


def _marked(reply: Reply) -> Reply:
    reply.headers.setdefault(HEADER, "miss")
    return reply


class Caches:
    """Puts the caches of a configuration around a Forward; what is kept outlives the configuration.

    `folder` is where workers share, `version` says how far the index has come, `embed` makes unit vectors of texts.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] = os.environ,
        version: Callable[[], object] = str,
        embed: Embed | None = None,
    ) -> None:
        self.folder, self.environment, self.version = folder, environment, version
        self.semantic = None if embed is None else Semantic(embed)
        self._memories: dict[int, Memory] = {}
        self._shared: dict[str, Layer] = {}

    def __call__(self, inner: Forward, gateway: Gateway) -> Forward:
        """Return `inner` behind its caches. Raises ConfigError where one cannot be opened."""
        inner = Batched.around(inner, gateway)
        cache = gateway.cache
        if cache.exact == "none":
            return inner
        if cache.semantic and self.semantic is None:
            raise ConfigError("A semantic cache needs an encoder.", hint="Run: lyceum models add minilm")
        routes = _routes(gateway)
        # Only what runs in this process reads the index: for others its position would cost time and drop replies.
        inside = {routes[one.name] for one in gateway.model if any(t.kind == "lyceum" for t in one.targets)}
        identity = Identity(
            routes.__getitem__, lambda place: self.version() if place in inside else "", cache.temperature
        )
        if self.semantic is not None:
            self.semantic.identity, self.semantic.least = identity, cache.semantic
        return Cached(
            inner, self.layers(cache), identity, cache.seconds, self.semantic if cache.semantic else None
        )

    def layers(self, cache: Cache) -> Layers:
        """Return the layers of a configuration; one that is open stays open, for calls may be using it."""
        most, shared = cache.megabytes << 20, []
        if cache.exact in ("lmdb", "redis"):
            folder = self.folder / f"cache-{cache.megabytes}"
            shared.append(self._shared.get(str(folder)) or Shared(folder, most))
            self._shared[str(folder)] = shared[-1]
        if cache.exact == "redis":
            name = cache.redis.removeprefix("env:")
            url = cache.redis if name == cache.redis else self.environment.get(name, "")
            if not url:
                raise ConfigError(f"{name} holds no address of Redis.", hint=f"Set {name} to redis://…")
            shared.append(self._shared.setdefault(url, Redis(url)))
        return Layers(self._memories.setdefault(most, Memory(most)), shared)

    def close(self) -> None:
        """Close files and connections."""
        for layer in self._shared.values():
            layer.close()


def _routes(gateway: Gateway) -> Mapping[str, str]:
    """Return for each model and alias what stands for where it runs, so that a model that moved is another one."""
    places = {
        one.name: f"{one.name} {[(t.kind, t.url, t.model) for t in one.targets]}" for one in gateway.model
    }
    return {**places, **{alias: places[gateway.resolved(alias)] for alias in gateway.alias}}
