"""A call to the bytes that say which other calls may be given the same reply; empty where none may.

They cover everything that a reply depends on: path, tenant, readers, the model and where it runs, how far the index
has come that it reads, and the request as canonical JSON. Whether the reply comes as a stream is left out. It keeps
nothing but identities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from lyceum.gateway.call import Call

REMEMBERED, MANY = 8192, 1024  # bytes of a body whose identity is remembered, and how many are
SURE = frozenset({"/v1/embeddings", "/v1/rerank"})  # what is not drawn by lot
APART = frozenset({"/v1/responses", "/v1/messages"})  # whose two forms cannot be made of each other
# What makes a reply depend on more than the request, where it is not empty.
STATE = ("previous_response_id", "conversation", "background", "web_search_options")
FORM = ("stream", "stream_options")


class Identity:
    """`routed` gives what a model's name stands for now, `version` the position of the index that this reads."""

    def __init__(
        self,
        routed: Callable[[str], str],
        version: Callable[[str], object] = lambda _: "",
        temperature: float = 0.3,
    ) -> None:
        self.routed, self.version, self.temperature = routed, version, temperature
        self._known: dict[Any, bytes] = {}

    def __call__(self, call: Call, alike: bool = False) -> bytes:
        """Return the identity; `alike` gives one to all calls that differ only in the text of the last message.

        What the same bytes mean is remembered: canonical JSON costs more than the rest of a hit.
        """
        if alike or len(call.body) > REMEMBERED:
            return self._made(call, alike)
        told = call.headers.get("cache-control", "")
        place = self.routed(call.model)
        key = (call.body, call.path, call.tenant, call.readers, told, place, self.version(place))
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MANY:
                self._known.clear()
            found = self._known[key] = self._made(call, alike)
        return found

    def _made(self, call: Call, alike: bool) -> bytes:
        asked = call.asked
        if not self._repeatable(call) or "no-store" in call.headers.get("cache-control", "").lower():
            return b""
        same = {
            name: int(value) if type(value) is float and value.is_integer() else value
            for name, value in asked.items()
            if name not in FORM
        }
        same["model"] = routed = self.routed(call.model)
        if alike:
            *before, last = asked["messages"]
            same["messages"] = [*before, {**last, "content": ""}]
        if call.path in APART:
            same["stream"] = call.stream
        place = [alike, call.path, call.tenant, sorted(call.readers), str(self.version(routed))]
        return blake2b(orjson.dumps([place, same], option=orjson.OPT_SORT_KEYS), digest_size=20).digest()

    def _repeatable(self, call: Call) -> bool:
        """Say whether the same request means the same reply."""
        asked = call.asked
        if call.path in SURE:
            return True
        warmth, tools = asked.get("temperature"), asked.get("tools") or []
        warmth = 1.0 if warmth is None else warmth
        return (
            isinstance(warmth, int | float)
            and warmth <= self.temperature
            and asked.get("n") in (None, 1)
            and asked.get("best_of") in (None, 1)
            and not any(asked.get(name) for name in STATE)
            and isinstance(tools, list)
            and all(_function(tool) for tool in tools)
        )


def _function(tool: Any) -> bool:
    """Say whether a tool is run by the client; those that the provider runs see the world change."""
    return isinstance(tool, Mapping) and tool.get("type", "function") == "function"
