"""A policy: a call gets the reply that the same call got before, from the nearest layer that has it.

What may be the same is said by `Identity`, what may be kept by `entry.kept`. Calls of one identity that are under
way at once are one. `Cache-Control: no-cache` asks for a fresh reply, which is kept; with no-store nothing is looked
for or kept. It knows no money: a reply from here has a usage of zero, and `facts` say where it is from.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path

from lyceum.core.errors import ConfigError
from lyceum.core.types import Usage
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Cache
from lyceum.gateway.entry import Entry, given, kept, unpacked
from lyceum.gateway.flight import SingleFlight
from lyceum.gateway.identity import Identity
from lyceum.gateway.layers import Layer, Memory, Shared
from lyceum.gateway.redis import Redis
from lyceum.gateway.semantic import Semantic

HEADER = "x-lyceum-cache"


class Layers:
    """The layers of a configuration; they outlive a change of anything else. `folder` is where workers share."""

    def __init__(self, cache: Cache, folder: Path, environment: Mapping[str, str] = os.environ) -> None:
        most = cache.megabytes << 20
        self.memory = Memory(most)
        self.shared: list[Layer] = []
        if cache.exact in ("lmdb", "redis"):
            self.shared.append(Shared(folder, most))
        if cache.exact == "redis":
            name = cache.redis.removeprefix("env:")
            url = cache.redis if name == cache.redis else environment.get(name, "")
            if not url:
                raise ConfigError(f"{name} holds no address of Redis.", hint=f"Set {name} to redis://…")
            self.shared.append(Redis(url))

    async def get(self, key: bytes) -> Entry | None:
        """Return an entry from the nearest layer, and keep it in those before."""
        if (entry := self.memory.get(key)) is not None:
            return entry
        for at, layer in enumerate(self.shared):
            data = await layer.get(key)
            entry = unpacked(data) if data else None
            if data is not None and entry is not None and (left := entry.until - time.time()) > 0:
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

    def close(self) -> None:
        """Close what is open."""
        for layer in self.shared:
            layer.close()


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
        identity = self.identity(call)
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

    async def _given(self, call: Call, identity: bytes, how: str) -> Reply | None:
        entry = await self.layers.get(identity)
        reply = None if entry is None else given(entry, call)
        if entry is None or reply is None:
            return None
        reply.headers[HEADER] = call.facts["cache"] = how
        reply.usage = Usage()
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
