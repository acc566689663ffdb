"""Pools over made-up targets: a clock that is set by hand and Forwards that do what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from lyceum.core.errors import ProviderError
from lyceum.core.types import Usage
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Gateway, Model, Target
from lyceum.gateway.lane import Lane, State
from lyceum.gateway.pick import ORDERS
from lyceum.gateway.pool import Kept, Pool
from lyceum.gateway.route import Route


class Clock:
    """A time that moves only when it is moved, or slept on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def call(text: str = "hi", **more: Any) -> Call:
    known = {name: more.pop(name) for name in ("headers", "tenant", "key", "model", "stream") if name in more}
    asked = {"model": "chat", "messages": [{"role": "user", "content": text}], **more}
    return Call(
        path="/v1/chat/completions",
        body=orjson.dumps(asked),
        asked=asked,
        **{"model": "chat", **known},
    )


def good(*_: Any) -> Reply:
    return Reply(status=200, body=b"{}", usage=Usage(input_tokens=1, output_tokens=2))


def down(*_: Any) -> Reply:
    raise ProviderError("It is gone.")


class Made:
    """A target whose calls are counted; `does` is called for each and may be changed."""

    def __init__(self, name: str, does: Callable[..., Reply | Awaitable[Reply]] = good, **more: Any) -> None:
        self.target = Target(url=f"http://{name}", **more)
        self.does, self.calls = does, 0

    async def forward(self, call: Call) -> Reply:
        self.calls += 1
        made = self.does(call)
        return await made if isinstance(made, Awaitable) else made

    def lane(self, number: int = 0) -> Lane:
        forward: Forward = self.forward
        return Lane(self.target, forward, State(), number)


def model(name: str = "chat", **more: Any) -> Model:
    return Model(name=name, targets=(Target(url="http://x"),), **more)


def pool(*made: Made, clock: Clock | None = None, kept: Kept | None = None, **more: Any) -> Pool:
    chosen = clock or Clock()
    told = model(**more)
    lanes = [one.lane(number) for number, one in enumerate(made)]
    return Pool(told, lanes, ORDERS[told.route], kept or Kept(), chosen, chosen.sleep)


def route(*pools: Pool, **alias: str) -> Route:
    gateway = Gateway(model=tuple(one.model for one in pools), alias=alias)
    return Route(gateway, {one.model.name: one for one in pools})
