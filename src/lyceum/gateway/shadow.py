"""A share of the calls once more to another model; its replies are counted and thrown away, nobody waits for them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from lyceum.core.errors import LyceumError
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.route import Route

MOST = 64  # under way at once; more are left out, for a slow shadow must not fill the memory


@dataclass(slots=True)
class Seen:
    """What became of the calls that a shadow got."""

    requests: int = 0
    failed: int = 0
    left_out: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


class Shadow:
    """Around `route`; `seen` is by the shadow's name and outlives a configuration, `counted` may bill a reply."""

    def __init__(
        self, route: Route, seen: dict[str, Seen], counted: Callable[[Call, Reply], None] | None = None
    ) -> None:
        self.route, self.seen, self.counted = route, seen, counted
        self.models = {one.name: one for one in route.models.values() if one.shadow and one.shadow_share}
        self.tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, call: Call) -> Reply:
        """Return the reply of the model that was asked."""
        model = self.models.get(self.route.gateway.resolved(call.model)) if self.models else None
        if model is not None and random.random() < model.shadow_share:
            seen = self.seen.setdefault(model.shadow, Seen())
            if len(self.tasks) < MOST:
                task = asyncio.create_task(self._sent(call, model.shadow, seen))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            else:
                seen.left_out += 1
        return await self.route(call)

    async def _sent(self, call: Call, name: str, seen: Seen) -> None:
        copy = Call(
            path=call.path, body=call.body, asked=call.asked, model=name, stream=call.stream, key=call.key,
            tenant=call.tenant, readers=call.readers, headers=call.headers, facts={"shadow": call.model},
        )  # fmt: skip
        seen.requests += 1
        began = asyncio.get_running_loop().time()
        try:
            reply = await self.route(copy)
            try:
                if reply.chunks is not None:
                    async with aclosing(reply.chunks) as chunks:
                        async for _ in chunks:
                            pass
            except LyceumError as problem:
                reply.error = problem.code
            finally:
                reply.finish()
        except LyceumError:
            seen.failed += 1
            return
        seen.failed += reply.status >= 400 or bool(reply.error)
        seen.seconds += asyncio.get_running_loop().time() - began
        if reply.usage is not None:
            seen.input_tokens += reply.usage.input_tokens
            seen.output_tokens += reply.usage.output_tokens
        if self.counted is not None:
            self.counted(copy, reply)
