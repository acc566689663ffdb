"""A share of the calls once more to another model; its replies are counted and thrown away, nobody waits for them."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass

from lyceum.core.errors import LyceumError
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Gateway

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
    """Around `inner`; copies go through `copies` without a key, `seen` is by the shadow's name and outlives it."""

    def __init__(self, inner: Forward, gateway: Gateway, copies: Forward, seen: dict[str, Seen]) -> None:
        self.inner, self.gateway, self.copies, self.seen = inner, gateway, copies, seen
        self.models = {one.name: one for one in gateway.model if one.shadow and one.shadow_share}
        self.tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, call: Call) -> Reply:
        """Return the reply of the model that was asked."""
        model = self.models.get(self.gateway.resolved(call.model))
        if model is not None and random.random() < model.shadow_share:
            seen = self.seen.setdefault(model.shadow, Seen())
            if len(self.tasks) < MOST:
                task = asyncio.create_task(self._sent(call, model.shadow, seen))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            else:
                seen.left_out += 1
        return await self.inner(call)

    async def _sent(self, call: Call, name: str, seen: Seen) -> None:
        copy = Call(
            path=call.path, body=call.body, asked=call.asked, model=name, stream=call.stream,
            tenant=call.tenant, readers=call.readers, headers=call.headers, facts={"shadow": call.model},
        )  # fmt: skip
        seen.requests += 1
        began = asyncio.get_running_loop().time()
        try:
            reply = await self.copies(copy)
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
