"""Who may call what and how much, and what each call cost: limits before a call, the usage book after it.

What a call may use is reserved before it is made and settled by what the upstream said it used; where it did not say
(it was left, it broke off), by an estimate that is marked as one. It knows no HTTP and no database.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple

import orjson

from lyceum.core.errors import Busy, LyceumError, NotFound, RateLimited
from lyceum.core.types import Usage
from lyceum.gateway import prices
from lyceum.gateway.book import Book
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Gateway, Limits, Price
from lyceum.gateway.counters import Counters, Refused, Scope
from lyceum.gateway.hosts import Hosts, Taken
from lyceum.gateway.upstream import usage as usage_of

log = logging.getLogger(__name__)
LEFT = 499  # the status of a call whose client has left

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


class Plan(NamedTuple):
    """What is limited for a key and a model, and the price by which money is reserved."""

    scopes: tuple[Scope, ...]
    price: Price
    user: str
    model: str


class Meter:
    """Counts calls to `inner`, by the prices of the configuration's targets.

    What is paid for is the usage of the reply that comes back (zero for one out of a cache) at the price of the
    target that the facts name, and the usage of copies that came too late, which are in the facts as `lost`.
    """

    def __init__(
        self, inner: Forward, gateway: Gateway, counters: Counters, book: Book, hosts: Hosts | None = None
    ) -> None:
        self.inner, self.gateway, self.counters, self.book = inner, gateway, counters, book
        self.keys = {one.id: one for one in gateway.key}
        self.models = {one.name: one for one in gateway.model}
        self.limits: dict[tuple[str, str], Limits] = {(one.of, one.name): one for one in gateway.limit}
        self.plans: dict[tuple[str, str], Plan] = {}
        self.hosts, self.alone = hosts, False
        self.prices = {(model.name, one.url): one.price for model in gateway.model for one in model.targets}

    async def __call__(self, call: Call) -> Reply:
        """Refuse, or forward and count. Raises NotFound for a model that is not the key's, and RateLimited."""
        plan = self.plans.get((call.key, call.model)) or self._planned(call)
        if self.gateway.money.closed and self.book.full:
            raise Busy(
                "The usage book is not written.", hint="Look at the server's log.", code="usage_book", wait=5
            )
        given, output = prices.estimated(call, self.gateway.money.output)
        reserved = prices.cost(plan.price, Usage(input_tokens=given, output_tokens=output))
        if "ready" in call.facts:
            return await self._free(call, plan, given + output, reserved)
        elsewhere = None
        if plan.scopes and self.hosts is not None:
            elsewhere = await self._elsewhere(plan.scopes, given + output, reserved)
        second = 0
        if plan.scopes:
            found = self.counters.admit(plan.scopes, given + output, reserved, elsewhere is not None)
            if isinstance(found, Refused):
                raise refused(found)
            second = found
        held = Held(self, plan, call, (given, output), reserved, second)
        held.elsewhere = elsewhere
        try:
            reply = await self.inner(call)
        except BaseException as problem:
            held.settle(Reply(status=problem.status if isinstance(problem, LyceumError) else LEFT))
            raise
        reply.headers["x-lyceum-call"] = held.row[0]
        if reply.chunks is not None:
            reply.chunks = held.read(reply, reply.chunks)
            reply.ended.append(held.settle)
        else:
            held.settle(reply)
            reply.headers["x-lyceum-cost"] = prices.shown(held.row[14])
        return reply

    async def _free(self, call: Call, plan: Plan, tokens: int, reserved: int) -> Reply:
        """Let a call through that is known to be answered by the cache, at once and for nothing."""
        counters = self.counters
        if plan.scopes:
            found = counters.admit(plan.scopes, tokens, reserved, free=True)
            if isinstance(found, Refused):
                raise refused(found)
        else:
            counters.today()
        reply = await self.inner(call)
        self.book.hit(call.key, plan.user, call.tenant, plan.model[:100], counters.date)
        reply.headers["x-lyceum-cost"] = "0"
        return reply

    async def _elsewhere(self, scopes: tuple[Scope, ...], tokens: int, cost: int) -> Taken | None:
        """Ask Redis; when it does not answer, refuse or go on by this host's counts."""
        assert self.hosts is not None
        found = await self.hosts.admit(scopes, tokens, cost)
        if isinstance(found, Refused):
            raise refused(found)
        if (found is None) != self.alone:
            self.alone = found is None
            log.warning(
                "Redis %s.",
                "does not answer: limits hold for each host alone" if self.alone else "answers again",
            )
        if found is None and self.gateway.money.closed:
            raise Busy("Redis does not answer.", hint="Start it again.", code="limits", wait=1)
        return found

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
        found = [self.prices[model, one.url] for model in names for one in self.models[model].targets]
        return Price(input=max(one.input for one in found), output=max(one.output for one in found))


class Held:
    """One call that was let through: what it reserved, and the row it becomes in the usage book."""

    def __init__(
        self, meter: Meter, plan: Plan, call: Call, tokens: tuple[int, int], reserved: int, second: int
    ) -> None:
        self.meter, self.plan, self.call = meter, plan, call
        self.tokens, self.reserved, self.second = tokens, reserved, second
        self.pieces, self.settled = 0, False
        self.elsewhere: Taken | None = None  # of the counts in Redis
        self.day = meter.counters.today()
        # What stands there if this process is killed: the prompt was read, how much was written nobody knows.
        asked = prices.cost(plan.price, Usage(input_tokens=tokens[0]))
        self.row: list[Any] = [
            "", time.time(), meter.counters.date, call.key, plan.user, call.tenant, plan.model[:100], "", call.path,
            0, "lost", tokens[0], 0, 0, asked, reserved, "", 0, 0.0,
        ]  # fmt: skip
        self.record = meter.book.begin(self.row)

    async def read(self, reply: Reply, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Pass a stream on; it is settled before its end is passed on, or when it is left."""
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    # An event is about a token; those without text (the first, the last) are not.
                    self.pieces += chunk.count(b'"content":"') - chunk.count(b'"content":""')
                    yield self._told(chunk) if b'"usage"' in chunk else chunk
        finally:
            self.settle(reply)

    def settle(self, reply: Reply) -> None:
        """Give back what was reserved and write down what was used; a second time does nothing."""
        if self.settled:
            return
        self.settled = True
        row, facts = self.row, self.call.facts
        state, usage = "exact", reply.usage
        if usage is None or usage.input_tokens + usage.output_tokens > prices.MOST:
            # It was begun and not told what it cost, or left while the upstream worked on it.
            begun = reply.status == 200 or (reply.status == LEFT and "target" in facts)
            state = "estimated" if begun else "exact"
            usage = Usage(input_tokens=self.tokens[0], output_tokens=self.pieces) if begun else Usage()
        target = facts.get("target", "")
        given, cached, output = usage.input_tokens, usage.cached_tokens, usage.output_tokens
        money = self._cost(target, usage)
        for late, used in facts.get("lost", ()):
            given, output, money = (
                given + used.input_tokens, output + used.output_tokens, money + self._cost(late.url, used)
            )  # fmt: skip
        hit = facts.get("cache", "")
        row[7] = target[:200]
        row[9:15] = reply.status, state, given, cached, output, money
        row[16:] = (
            "" if hit == "miss" else hit,
            facts.get("attempts", 0),
            time.perf_counter() - self.call.started,
        )
        if self.plan.scopes:
            self.meter.counters.settle(
                self.plan.scopes,
                self.second,
                self.day,
                (sum(self.tokens), self.reserved),
                (given + output, money),
            )
            if self.elsewhere is not None and self.meter.hosts is not None:
                self.meter.hosts.settle(
                    self.plan.scopes, self.elsewhere, given + output - sum(self.tokens), self.reserved
                )
        self.meter.book.settle(self.record, row)
        facts["cost"] = money

    def _cost(self, url: str, usage: Usage) -> int:
        price = self.meter.prices.get((self.call.facts.get("model", ""), url))
        return 0 if price is None else prices.cost(price, usage)

    def _told(self, chunk: bytes) -> bytes:
        """Return events with the cost in their usage, where there is a price."""
        if self.call.facts.get("cache", "miss") != "miss":
            return chunk
        events = chunk.split(b"\n\n")
        for number, event in enumerate(events):
            head, mark, data = event.partition(b"data: ")
            usage = usage_of(data) if b'"usage"' in data else None
            if usage is not None and (money := self._cost(self.call.facts.get("target", ""), usage)):
                told = orjson.loads(data)
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
        most = found.scope.limits()[list(SAID).index(found.limit)]
        told = f"The limit of {whose} is reached: {prices.shown(most) if budget else most} {what}."
    code = "insufficient_quota" if budget else "rate_limit_exceeded"
    return RateLimited(told, hint=hint, code=code, wait=found.wait if found.wait > 0 else None)
