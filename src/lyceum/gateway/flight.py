"""Calls of one identity that are under way at once, made into one whose reply all get, streams included.

The call runs in a task of its own, so that whoever asked first may leave: it ends when nobody is left. The first of
those who stay pays: the usage stands in its reply, that of the others is zero. A call that fails before it answers is
made once more for those who had only waited. It knows no cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from lyceum.core.errors import ProviderError
from lyceum.core.types import Usage
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.entry import wants_usage


class Flight:
    """One call under way: its reply, what has come of its stream, and who waits for it, the one that pays first."""

    def __init__(self, call: Call, begun: Forward, landed: Callable[[Flight], None]) -> None:
        self.call, self.begun, self.landed = replace(call, facts=dict(call.facts)), begun, landed
        self.waiting: list[Call] = []
        self.parts: list[bytes] = []
        self.reply: Reply | None = None
        self.ended = self.paid = False
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._fly())

    async def _fly(self) -> None:
        try:
            self.reply = reply = await self.begun(self.call)
            if reply.chunks is not None:
                self._tell()
                async with aclosing(reply.chunks) as chunks:
                    async for chunk in chunks:
                        self.parts.append(chunk)
                        self._tell()
        except ProviderError as problem:
            if self.reply is not None:
                self.reply.error = problem.code
            raise
        finally:
            self.landed(self)
            self.ended = True
            self._tell()
            if self.reply is not None:
                self.reply.finish()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def answered(self) -> Reply:
        """Wait for the reply; its stream is read by `stream`."""
        while self.reply is None and not self.ended:
            await self._news.wait()
        if self.reply is None:
            await asyncio.shield(self.task)  # raises what happened
        assert self.reply is not None
        return self.reply

    async def stream(self, call: Call, made: Reply) -> AsyncGenerator[bytes, None]:
        """Yield what has come and what comes."""
        at = 0
        try:
            while True:
                while at < len(self.parts):
                    at += 1
                    yield self.parts[at - 1]
                if self.ended:
                    break
                await self._news.wait()
            await asyncio.shield(self.task)  # raises what happened
        finally:
            self.leave(call, made)

    def leave(self, call: Call, made: Reply | None = None) -> None:
        """Wait no longer; `made` gets the usage or zero. The last one ends the call; a second time does nothing."""
        if not any(one is call for one in self.waiting):
            return
        last = len(self.waiting) == 1
        pays = not self.paid and (last or (self.ended and self.waiting[0] is call))
        if pays:
            self.paid = True
            call.facts.update(self.call.facts, cache="miss")
        else:
            call.facts.pop("lost", None)  # what a hedge used is paid once as well
            call.facts["cache"] = "hit-exact"
        if made is not None and self.reply is not None:
            made.usage = self.reply.usage if pays else Usage()
        self.waiting[:] = [one for one in self.waiting if one is not call]
        if last:
            self.landed(self)
            if not self.task.cancel() and not self.task.cancelled():
                self.task.exception()  # has been told, or concerns nobody


class SingleFlight:
    """`inner` is called once, with the identity, for all that ask for the same."""

    def __init__(self, inner: Callable[[Call, bytes], Awaitable[Reply]]) -> None:
        self.inner = inner
        self.flights: dict[bytes, Flight] = {}

    async def __call__(self, call: Call, identity: bytes) -> Reply:
        """Return a reply of its own for each call."""
        key = identity + (b"u" if wants_usage(call) else b"s" if call.stream else b"")
        flight, led = self._flight(key, call, identity)
        try:
            reply = await self._answered(flight, call)
        except ProviderError:
            if led:
                raise
        else:
            if led or not (reply.status == 429 or reply.status >= 500):
                return self._made(flight, call, reply)
            flight.leave(call)
        flight, _ = self._flight(key, call, identity)
        return self._made(flight, call, await self._answered(flight, call))

    def _flight(self, key: bytes, call: Call, identity: bytes) -> tuple[Flight, bool]:
        flight = self.flights.get(key)
        if led := flight is None:
            flight = self.flights[key] = Flight(
                call, lambda one: self.inner(one, identity), partial(self._landed, key)
            )
        assert flight is not None
        flight.waiting.append(call)
        return flight, led

    def _landed(self, key: bytes, flight: Flight) -> None:
        if self.flights.get(key) is flight:
            del self.flights[key]

    async def _answered(self, flight: Flight, call: Call) -> Reply:
        try:
            return await flight.answered()
        except BaseException:
            flight.leave(call)
            raise

    def _made(self, flight: Flight, call: Call, reply: Reply) -> Reply:
        call.facts.update(flight.call.facts)
        made = Reply(status=reply.status, headers=dict(reply.headers), body=reply.body, error=reply.error)
        if flight.paid or flight.waiting[0] is not call:
            made.headers["x-lyceum-cache"] = "hit-exact"
        if reply.chunks is None:
            flight.leave(call, made)
        else:
            made.chunks = flight.stream(call, made)
            made.ended.append(partial(flight.leave, call))  # where nobody began to read
        return made
