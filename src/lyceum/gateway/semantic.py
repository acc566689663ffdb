"""A question to the identity of a call whose question meant the same, by vectors and a guard; None if there is none.

Only what has one question and nothing that could act is looked for, and only among calls which differ in nothing but
that question: tenant, readers, model, index version, instructions and settings are compared exactly, never by
distance. Vectors are int8 and read through whole, the best few are compared again exactly; `guard` has the last word,
for cosines cannot tell "enable" from "disable". It keeps no answers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numkong
import numpy as np
import numpy.typing as npt

from lyceum.gateway.call import Call
from lyceum.gateway.guard import same
from lyceum.gateway.identity import Identity

LONGEST = 400  # characters of a question; of longer ones the encoder would not see the end
BEST = 8  # candidates that are compared exactly
ROWS = 4096  # questions of calls that differ in nothing else
MOST = 20_000  # questions altogether
TOGETHER = 32  # questions that are encoded at once

Embed = Callable[[Sequence[str]], Awaitable[Any]]
Vector = npt.NDArray[np.float32]


class Semantic:
    """`embed` gives unit vectors, off the event loop; `least` is the cosine from which two questions may be one."""

    def __init__(self, embed: Embed, identity: Identity | None = None, least: float = 1.0) -> None:
        self.identity, self.least = identity or Identity(str), least
        self._encoded = Together(embed)
        self._groups: OrderedDict[bytes, Group] = OrderedDict()
        self._rows = 0
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()  # of calls that have not been answered yet

    async def find(self, call: Call, identity: bytes) -> bytes | None:
        """Return the identity of the call that asked the same."""
        text = question(call)
        if not text or not (place := self.identity(call, alike=True)):
            return None
        if (vector := await self._encoded(text)) is None:
            return None
        self._vectors[identity] = vector
        if len(self._vectors) > MOST // 10:
            self._vectors.popitem(last=False)
        group = self._groups.get(place)
        if group is None:
            return None
        self._groups.move_to_end(place)
        return group.find(vector, text, self.least)

    def add(self, call: Call, identity: bytes) -> None:
        """Remember a question that has been answered."""
        vector = self._vectors.pop(identity, None)
        if vector is None or not (place := self.identity(call, alike=True)):
            return
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = Group(len(vector))
        self._rows += group.add(vector, question(call), identity)
        while self._rows > MOST:
            _, oldest = self._groups.popitem(last=False)
            self._rows -= len(oldest.rows)


class Group:
    """Questions of calls that differ in nothing else; the newest takes the oldest's place."""

    def __init__(self, dimension: int) -> None:
        self.rows: list[tuple[str, bytes, npt.NDArray[np.float16]]] = []
        self.places: dict[bytes, int] = {}
        self.small = np.empty((16, dimension), np.int8)

    def add(self, vector: Vector, text: str, identity: bytes) -> int:
        """Keep a question and return how many more there are now."""
        row = (text, identity, vector.astype(np.float16))
        at = self.places.get(identity, len(self.rows))
        if at == ROWS:  # the dict has the oldest first
            at = self.places.pop(next(iter(self.places)))
        self.places[identity] = at
        if at == len(self.small):
            self.small = np.concatenate([self.small, np.empty_like(self.small)])
        self.small[at] = _small(vector)
        if at < len(self.rows):
            self.rows[at] = row
            return 0
        self.rows.append(row)
        return 1

    def find(self, vector: Vector, asked: str, least: float) -> bytes | None:
        """Return the identity of the nearest question that the guard lets pass."""
        near = np.asarray(numkong.cdist(_small(vector)[None], self.small[: len(self.rows)], metric="dot"))[0]
        best = np.argpartition(-near, BEST)[:BEST] if len(near) > BEST else np.arange(len(near))
        exact = [(float(self.rows[at][2].astype(np.float32) @ vector), int(at)) for at in best]
        for cosine, at in sorted(exact, reverse=True):
            if cosine < least:
                break
            if same(self.rows[at][0], asked):
                return self.rows[at][1]
        return None


def question(call: Call) -> str:
    """Return the only question of a call; empty where there are more turns, tools, pictures or too much text."""
    messages = call.asked.get("messages")
    if call.path != "/v1/chat/completions" or call.asked.get("tools") or not isinstance(messages, list):
        return ""
    if not messages or not all(isinstance(one, dict) for one in messages):
        return ""
    *before, last = messages
    text = last.get("content")
    if any(one.get("role") not in ("system", "developer") for one in before) or last.get("role") != "user":
        return ""
    return text if isinstance(text, str) and text.strip() and len(text) <= LONGEST else ""


def _small(vector: Vector) -> npt.NDArray[np.int8]:
    return np.rint(vector * 127).astype(np.int8)


class Together:
    """Encodes texts, those that come while others are encoded in one go."""

    def __init__(self, embed: Embed) -> None:
        self.embed = embed
        self.failed = 0
        self._waiting: list[tuple[str, asyncio.Future[Vector | None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._asked: asyncio.Future[Any] | None = None

    async def __call__(self, text: str) -> Vector | None:
        """Return the vector of a text; None where the encoder fails: no call fails with it."""
        future: asyncio.Future[Vector | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._encode())
        return await future

    async def _encode(self) -> None:
        while self._waiting:
            now, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            self._asked = task = asyncio.ensure_future(self.embed([text for text, _ in now]))
            await asyncio.wait([task])
            failed = task.cancelled() or task.exception() is not None
            self.failed += failed
            for (_, future), vector in zip(now, [None] * len(now) if failed else task.result(), strict=True):
                if not future.done():
                    future.set_result(vector)
