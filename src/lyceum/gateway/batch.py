"""A policy: embeddings and reranks that come at nearly the same time go to the model as one call.

Embeddings are put together where everything but their texts is equal, reranks where the question is equal as well
(their protocol has one question a call). Each gets its own part, renumbered, and its share of the usage, in
proportion to its bytes; the shares add up to exactly what the model reported. It knows no cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from lyceum.core.types import Usage
from lyceum.gateway.call import Call, Forward, Reply
from lyceum.gateway.config import Gateway

AGAIN = frozenset({408, 429, 500, 502, 503, 504, 529})
TEXTS = {"/v1/embeddings": ("input", "data"), "/v1/rerank": ("documents", "results")}


Waiting = tuple[Call, list[Any], asyncio.Future[Reply]]


@dataclass(slots=True)
class Batch:
    """Calls that wait for each other, and the task that sends them."""

    calls: list[Waiting] = field(default_factory=list)
    size: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)


class Batched:
    """Gathers calls of `inner`; `windows` gives for a model the seconds that are waited and the most texts."""

    def __init__(self, inner: Forward, windows: Mapping[str, tuple[float, int]]) -> None:
        self.inner, self.windows = inner, windows
        self._open: dict[bytes, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def around(cls, inner: Forward, gateway: Gateway) -> Forward:
        """Return `inner` with what the models of a configuration ask for."""
        names = {alias: gateway.resolved(alias) for alias in gateway.alias}
        waits = {one.name: (one.batch_ms / 1000, one.batch_items) for one in gateway.model if one.batch_ms}
        windows = {**waits, **{alias: waits[name] for alias, name in names.items() if name in waits}}
        return cls(inner, windows) if windows else inner

    async def __call__(self, call: Call) -> Reply:
        """Return the call's own reply."""
        seconds, most = self.windows.get(call.model, (0.0, 0))
        texts = _texts(call) if seconds else None
        if texts is None or len(texts) >= most:
            return await self.inner(call)
        key = _key(call)
        batch = self._open.get(key)
        if batch is None or batch.size + len(texts) > most:
            if batch is not None:
                batch.full.set()
            batch = self._open[key] = Batch()
            task = asyncio.create_task(self._send(key, batch, seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        batch.calls.append((call, texts, future))
        batch.size += len(texts)
        return await future

    async def _send(self, key: bytes, batch: Batch, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await batch.full.wait()
        except TimeoutError:
            pass
        if self._open.get(key) is batch:
            del self._open[key]
        calls = [one for one in batch.calls if not one[2].done()]  # the others have left
        if len(calls) < 2 or not await self._together(calls):
            await asyncio.gather(*(_finished(self.inner(call), [future]) for call, _, future in calls))

    async def _together(self, calls: list[Waiting]) -> bool:
        """Send calls as one; False where that was refused and each shall be sent alone."""
        first, futures = calls[0][0], [future for _, _, future in calls]
        name = TEXTS[first.path][0]
        asked = {**first.asked, name: [text for _, texts, _ in calls for text in texts]}
        asked.pop("top_n", None)
        merged = replace(first, asked=asked, body=orjson.dumps(asked), facts=dict(first.facts))
        task = await _finished(self.inner(merged), futures, answer=False)
        if task.cancelled():
            return True
        if (problem := task.exception()) is not None:
            for future in futures:
                if not future.done():
                    future.set_exception(problem)
            return True
        reply = task.result()
        reply.finish()
        if reply.status in AGAIN:  # it would not be better alone
            replies = [replace(reply, headers=dict(reply.headers), ended=[]) for _ in calls]
        elif (parted := _parted(reply, calls)) is not None:
            replies = parted
        else:
            return False
        for (call, _, future), own in zip(calls, replies, strict=True):
            call.facts.update(merged.facts, batch=len(calls))
            merged.facts.pop("lost", None)  # what a hedge used is paid once
            if not future.done():
                future.set_result(own)
        return True


async def _finished(
    work: Awaitable[Reply], futures: list[asyncio.Future[Reply]], answer: bool = True
) -> asyncio.Task[Reply]:
    """Wait for `work`, which ends when all of `futures` have been left; `answer` gives what came to the only one."""
    task = asyncio.ensure_future(work)
    for future in futures:
        future.add_done_callback(lambda _: task.cancel() if all(one.cancelled() for one in futures) else None)
    await asyncio.wait([task])
    if not answer or task.cancelled():
        return task
    if (problem := task.exception()) is None and futures[0].done():
        task.result().finish()
    elif not futures[0].done():
        futures[0].set_exception(problem) if problem else futures[0].set_result(task.result())
    return task


def _texts(call: Call) -> list[Any] | None:
    """Return the texts of a call that may be put together with others; None where it may not."""
    if call.path not in TEXTS or call.stream:
        return None
    told = call.asked.get(TEXTS[call.path][0])
    if isinstance(told, str):
        return [told]
    if not isinstance(told, list) or not told or not all(isinstance(one, str | dict) for one in told):
        return None
    return told


def _key(call: Call) -> bytes:
    """Return what calls have in common that may be one."""
    apart = (TEXTS[call.path][0], "top_n")
    same = {name: value for name, value in call.asked.items() if name not in apart}
    place = [call.path, call.model, call.tenant, sorted(call.readers), same]
    return orjson.dumps(place, option=orjson.OPT_SORT_KEYS)


def _parted(reply: Reply, calls: list[Waiting]) -> list[Reply] | None:
    """Return each call's own reply; None where the model did not answer for every text."""
    name = TEXTS[calls[0][0].path][1]
    try:
        told = orjson.loads(reply.body)
        rows, usage = told[name], told.get("usage") or {}
        total = sum(len(texts) for _, texts, _ in calls)
        if reply.status != 200 or sorted(row["index"] for row in rows) != list(range(total)):
            return None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    weights = [len(orjson.dumps(texts)) for _, texts, _ in calls]
    counts = {
        key: shares(value, weights) for key, value in usage.items() if type(value) is int and value >= 0
    }
    paid = reply.usage
    counted = (paid.input_tokens, paid.output_tokens, paid.cached_tokens) if paid else ()
    given = [shares(one, weights) for one in counted]
    rest = {key: value for key, value in told.items() if key not in (name, "usage", "meta")}
    replies, start = [], 0
    for at, (call, texts, _) in enumerate(calls):
        own = [
            {**row, "index": row["index"] - start}
            for row in rows
            if start <= row["index"] < start + len(texts)
        ]
        start += len(texts)
        top = call.asked.get("top_n")
        body = {**rest, name: own[:top] if isinstance(top, int) and call.path == "/v1/rerank" else own}
        if usage:
            body["usage"] = {**usage, **{key: parts[at] for key, parts in counts.items()}}
        replies.append(
            replace(
                reply, headers=dict(reply.headers), body=orjson.dumps(body), ended=[],
                usage=_usage([one[at] for one in given]) if paid else None,
            )
        )  # fmt: skip
    return replies


def _usage(counts: list[int]) -> Usage:
    given, made, cached = counts
    return Usage(input_tokens=given, output_tokens=made, cached_tokens=min(cached, given))


def shares(total: int, weights: list[int]) -> list[int]:
    """Part a number in proportion to weights, so that the parts add up: the largest remainders get what is left."""
    whole = sum(weights)
    parts = [total * one // whole for one in weights]
    order = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % whole), at))
    for at in order[: total - sum(parts)]:
        parts[at] += 1
    return parts
