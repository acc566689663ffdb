"""Who may call what and how much, and what each call cost: limits before a call, the usage book after it.

What a call may use is reserved before it is made and settled by what the upstream said it used; where it did not say
(it was left, it broke off), by an estimate that is marked as one. It knows no HTTP and no database.
"""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import orjson

from lyceum.core.errors import Busy, LyceumError, NotFound, RateLimited
from lyceum.core.types import Usage
from lyceum.gateway import prices
from lyceum.gateway.book import Book
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Gateway, Limits, Price, Target
from lyceum.gateway.counters import Counters, Refused, Scope

SAID = {
    "requests_per_minute": ("requests a minute", "Wait as Retry-After says, or raise the limit."),
    "tokens_per_minute": ("tokens a minute", "Wait as Retry-After says, or ask for fewer with max_tokens."),
    "concurrent": ("calls at once", "Wait until one has ended."),
    "budget_day": ("spent in a day (UTC)", "Wait until it ends, raise the budget, or ask for fewer tokens."),
    "budget_month": (
        "spent in a month (UTC)",
        "Wait until it ends, raise the budget, or ask for fewer tokens.",
    ),
}


class Priced:
    """A target's Forward that notes in the call's facts what it has to be paid for: whatever it began to answer."""

    def __init__(self, inner: Forward, target: Target, price: Price) -> None:
        self.inner, self.target, self.price = inner, target, price

    async def __call__(self, call: Call) -> Reply:
        """Forward the call."""
        try:
            reply = await self.inner(call)
        except CancelledError:  # left while the upstream worked on it, or another was faster
            call.facts.setdefault("paid", []).append((self, None))
            raise
        if reply.status == 200:
            call.facts.setdefault("paid", []).append((self, reply))
        return reply


class Plan(NamedTuple):
    """What is limited for a key and a model, and the price by which money is reserved."""

    scopes: tuple[Scope, ...]
    price: Price
    user: str
    model: str


class Meter:
    """Counts calls to `inner`; `table` holds the prices of prices.toml."""

    def __init__(
        self, inner: Forward, gateway: Gateway, counters: Counters, book: Book, table: Mapping[str, Price]
    ) -> None:
        self.inner, self.gateway, self.counters, self.book, self.table = inner, gateway, counters, book, table
        self.keys = {one.id: one for one in gateway.key}
        self.models = {one.name: one for one in gateway.model}
        self.limits: dict[tuple[str, str], Limits] = {(one.of, one.name): one for one in gateway.limit}
        self.plans: dict[tuple[str, str], Plan] = {}

    async def __call__(self, call: Call) -> Reply:
        """Refuse, or forward and count. Raises NotFound for a model that is not the key's, and RateLimited."""
        plan = self.plans.get((call.key, call.model)) or self._planned(call)
        if self.gateway.money.closed and self.book.full:
            raise Busy(
                "The usage book is not written.", hint="Look at the server's log.", code="usage_book", wait=5
            )
        given, output = prices.estimated(call, self.gateway.money.output)
        reserved = prices.cost(plan.price, Usage(input_tokens=given, output_tokens=output))
        second = self.counters.admit(plan.scopes, given + output, reserved) if plan.scopes else 0
        if isinstance(second, Refused):
            raise refused(second)
        held = Held(self, plan, call, given, given + output, reserved, second)
        try:
            reply = await self.inner(call)
        except BaseException as problem:
            held.status = problem.status if isinstance(problem, LyceumError) else 499
            held.settle()
            raise
        held.status = reply.status
        reply.headers["x-lyceum-call"] = held.row[0]
        if reply.chunks is not None:
            reply.chunks = held.read(reply.chunks)
            reply.ended.append(held.ended)
        else:
            held.settle()
            reply.headers["x-lyceum-cost"] = prices.shown(held.row[14])
        return reply

    def _planned(self, call: Call) -> Plan:
        key = self.keys.get(call.key)
        model = self.gateway.resolved(call.model)
        if key is not None and key.models and not {call.model, model} & key.models:
            raise NotFound(
                f"There is no model {call.model!r}.",
                hint="GET /v1/models lists yours.",
                code="model_not_found",
            )
        user = key.user if key is not None else ""
        scopes = []
        for kind, name in (("key", call.key), ("user", user), ("tenant", call.tenant), ("model", model)):
            limits = key if kind == "key" else self.limits.get((kind, name)) or self.limits.get((kind, "*"))
            if name and limits is not None and any(told := _numbers(limits)):
                base = self.counters.slot(kind, name)
                if base < 0:
                    raise Busy(
                        "There is no room for more limits.", hint="Remove keys nobody uses.", code="limits"
                    )
                if not (limits.budget_day or limits.budget_month):
                    self.counters.forget(base)
                scopes.append(Scope(base, kind, name, *told))
        made = Plan(tuple(scopes), self._dearest(model), user, model)
        if model in self.models:
            self.plans[call.key, call.model] = made
        return made

    def _dearest(self, name: str) -> Price:
        """Return the highest price that a call to a model may come to, its fallbacks included."""
        if name not in self.models:
            return Price()
        names = (name, *map(self.gateway.resolved, self.models[name].fallback))
        found = [prices.of(one, model, self.table) for model in names for one in self.models[model].targets]
        return Price(input=max(one.input for one in found), output=max(one.output for one in found))


class Held:
    """One call that was let through: what it reserved, and the row it becomes in the usage book."""

    def __init__(
        self, meter: Meter, plan: Plan, call: Call, given: int, tokens: int, reserved: int, second: int
    ) -> None:
        self.meter, self.plan, self.call = meter, plan, call
        self.given, self.tokens, self.reserved, self.second = given, tokens, reserved, second
        self.status, self.pieces, self.settled = 0, 0, False
        self.day = meter.counters.today()
        self.row: list[Any] = [
            "", time.time(), meter.counters.date, call.key, plan.user, call.tenant, plan.model[:100], "", call.path,
            0, "lost", 0, 0, 0, 0, reserved, "", 0, 0.0,
        ]  # fmt: skip
        self.record = meter.book.begin(self.row)

    async def read(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Pass a stream on; it is settled before its end is passed on, or when it is left."""
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    # An event is about a token; those without text (the first, the last) are not.
                    self.pieces += chunk.count(b'"content":"') - chunk.count(b'"content":""')
                    yield self._told(chunk) if b'"usage"' in chunk else chunk
        finally:
            self.settle()

    def ended(self, reply: Reply) -> None:
        """Settle a stream that was never read."""
        self.settle()

    def settle(self) -> None:
        """Give back what was reserved and write down what was used; a second time does nothing."""
        if self.settled:
            return
        self.settled = True
        row, facts = self.row, self.call.facts
        state, given, cached, output, money = "exact", 0, 0, 0, 0
        for priced, reply in facts.get("paid", ()):
            usage = reply.usage if reply is not None else None
            if usage is None or usage.input_tokens + usage.output_tokens > prices.MOST:
                state = "estimated"
                usage = Usage(input_tokens=self.given, output_tokens=self.pieces if reply is not None else 0)
            given, output = given + usage.input_tokens, output + usage.output_tokens
            cached += getattr(usage, "cached_tokens", 0)
            money += prices.cost(priced.price, usage)
            row[7] = priced.target.url[:200]
        row[9:15] = self.status, state, given, cached, output, money
        row[16:] = (
            str(facts.get("cache", "")),
            facts.get("attempts", 0),
            time.perf_counter() - self.call.started,
        )
        if self.plan.scopes:
            self.meter.counters.settle(
                self.plan.scopes, self.second, self.day, (self.tokens, self.reserved), (given + output, money)
            )
        self.meter.book.settle(self.record, row)
        facts["cost"] = money

    def _told(self, chunk: bytes) -> bytes:
        """Return events with the cost in their usage, where there is a price."""
        events = chunk.split(b"\n\n")
        for number, event in enumerate(events):
            for priced, reply in self.call.facts.get("paid", ())[-1:]:
                head, mark, data = event.partition(b"data: ")
                if b'"usage"' not in data or reply is None or reply.usage is None:
                    continue
                told = orjson.loads(data)
                if isinstance(told.get("usage"), dict) and (money := prices.cost(priced.price, reply.usage)):
                    told["usage"]["cost"] = money / prices.UNIT
                    events[number] = head + mark + orjson.dumps(told)
        return b"\n\n".join(events)


def _numbers(limits: Limits) -> tuple[int, int, int, int, int]:
    day, month = (round(one * prices.UNIT) for one in (limits.budget_day, limits.budget_month))
    return limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent, day, month


def refused(found: Refused) -> RateLimited:
    """Return the error of a limit that is reached, as OpenAI's clients know it."""
    what, hint = SAID[found.limit]
    whose = f"{found.scope.kind} {found.scope.name!r}"
    budget = found.limit.startswith("budget")
    if found.wait < 0:
        told = f"The call may use more than the limit of {whose} lets through at all ({what})."
    else:
        most = found.scope[3 + list(SAID).index(found.limit)]
        told = f"The limit of {whose} is reached: {prices.shown(int(most)) if budget else most} {what}."
    code = "insufficient_quota" if budget else "rate_limit_exceeded"
    return RateLimited(told, hint=hint, code=code, wait=found.wait if found.wait > 0 else None)
