"""Embeddings and reranks sent together: each gets its own, the usage adds up, a bad text spoils its own call."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest

from lyceum.core.errors import ProviderError
from lyceum.core.types import Usage
from lyceum.gateway.batch import Batched, shares
from lyceum.gateway.call import Call, Reply
from tests.toys import run

WINDOW = {"embed": (0.02, 64), "rank": (0.02, 64)}


def embed(texts: Any, tenant: str = "", **more: Any) -> Call:
    asked = {"model": "embed", "input": texts, **more}
    body = orjson.dumps(asked)
    return Call(path="/v1/embeddings", body=body, asked=asked, model="embed", tenant=tenant)


def rank(query: str, documents: list[Any], **more: Any) -> Call:
    asked = {"model": "rank", "query": query, "documents": documents, **more}
    return Call(path="/v1/rerank", body=orjson.dumps(asked), asked=asked, model="rank")


class Upstream:
    """A model whose vector of a text is its length; one token a letter. "bad" is refused."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.status, self.drop, self.finished, self.cancelled = 200, 0, 0, 0
        self.problem: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        call.facts["target"] = "here"
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.problem is not None:
            raise self.problem
        told = orjson.loads(call.body)
        texts = told.get("input", told.get("documents"))
        texts = [texts] if isinstance(texts, str) else texts
        if "bad" in texts:
            return self._reply(400, {"error": {"message": "bad"}}, 0)
        tokens = sum(len(str(text)) for text in texts)
        if "documents" in told:
            rows = [{"index": at, "relevance_score": len(str(text)) / 100} for at, text in enumerate(texts)]
            rows.sort(key=lambda row: -row["relevance_score"])
            return self._reply(
                200, {"results": rows[: told.get("top_n", 99)], "usage": {"total_tokens": tokens}}, 0
            )
        rows = [
            {"object": "embedding", "index": at, "embedding": [len(text)]} for at, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        body = {"object": "list", "model": "real", "data": rows[: len(rows) - self.drop], "usage": usage}
        return self._reply(self.status, body, tokens)

    def _reply(self, status: int, body: Any, tokens: int) -> Reply:
        reply = Reply(status=status, body=orjson.dumps(body), usage=Usage(input_tokens=tokens))
        reply.ended.append(lambda _: setattr(self, "finished", self.finished + 1))
        return reply


async def ask(batched: Batched, *calls: Call) -> list[Reply]:
    replies = await asyncio.gather(*(batched(one) for one in calls))
    for reply in replies:
        reply.finish()
    return replies


def vectors(reply: Reply) -> list[int]:
    data = orjson.loads(reply.body)["data"]
    assert [row["index"] for row in data] == list(range(len(data)))
    return [row["embedding"][0] for row in data]


def test_calls_of_one_moment_are_one() -> None:
    async def play() -> None:
        upstream = Upstream()
        calls = [embed("a" * at) if at % 2 else embed(["b" * at, "c"]) for at in range(1, 21)]
        replies = await ask(Batched(upstream, WINDOW), *calls)
        assert (len(upstream.calls), upstream.finished) == (1, 1)
        for at, reply in enumerate(replies, 1):
            assert vectors(reply) == ([at] if at % 2 else [at, 1])
        told = [orjson.loads(reply.body)["usage"] for reply in replies]
        total = sum(at if at % 2 else at + 1 for at in range(1, 21))
        assert sum(one["prompt_tokens"] for one in told) == sum(one["total_tokens"] for one in told) == total
        assert sum(reply.usage.input_tokens for reply in replies if reply.usage) == total
        assert calls[3].facts == {"target": "here", "batch": 20}

    run(play())


def test_what_differs_is_not_put_together() -> None:
    async def play() -> None:
        upstream = Upstream()
        calls = [embed("a"), embed("b", tenant="x"), embed("c", dimensions=5), embed("d")]
        await ask(Batched(upstream, WINDOW), *calls)
        assert sorted(len(orjson.dumps(one.asked["input"])) for one in upstream.calls) == [3, 3, 9]

    run(play())


def test_a_call_alone_passes_as_it_came() -> None:
    async def play() -> None:
        upstream = Upstream()
        call = embed("a", odd={"x": 1})
        await ask(Batched(upstream, WINDOW), call)
        assert upstream.calls == [call]
        tokens = embed([1, 2, 3])
        with pytest.raises(TypeError):  # the stand-in knows texts only; that it was asked is what counts
            await Batched(upstream, WINDOW)(tokens)
        assert upstream.calls[-1] is tokens

    run(play())


def test_a_batch_is_bounded() -> None:
    async def play() -> None:
        upstream = Upstream()
        batched = Batched(upstream, {"embed": (0.02, 10)})
        await ask(batched, *(embed(["a", "b", "c"]) for _ in range(10)), embed(["x"] * 30))
        assert sorted(len(one.asked["input"]) for one in upstream.calls) == [3, 9, 9, 9, 30]

    run(play())


def test_one_bad_text_spoils_only_its_own_call() -> None:
    async def play() -> None:
        upstream = Upstream()
        replies = await ask(Batched(upstream, WINDOW), embed("a"), embed("bad"), embed("ccc"))
        assert [reply.status for reply in replies] == [200, 400, 200]
        assert (vectors(replies[0]), vectors(replies[2]), len(upstream.calls)) == ([1], [3], 4)
        assert upstream.finished == 4

    run(play())


def test_a_model_that_answers_too_little_is_asked_for_each() -> None:
    async def play() -> None:
        upstream = Upstream()
        upstream.drop = 1
        await ask(Batched(upstream, WINDOW), embed("a"), embed("b"))
        assert len(upstream.calls) == 3

    run(play())


def test_a_model_that_is_away_is_asked_once() -> None:
    async def play() -> None:
        upstream = Upstream()
        upstream.problem = ProviderError("It is away.", hint="Wait.")
        found = await asyncio.gather(
            *(Batched(upstream, WINDOW)(one) for one in (embed("x"),)), return_exceptions=True
        )
        assert found == [upstream.problem]
        batched = Batched(upstream, WINDOW)
        found = await asyncio.gather(*(batched(embed("x")) for _ in range(9)), return_exceptions=True)
        assert (set(found), len(upstream.calls)) == ({upstream.problem}, 2)
        upstream.problem, upstream.status = None, 503
        assert [one.status for one in await ask(batched, embed("x"), embed("y"))] == [503, 503]
        assert len(upstream.calls) == 3

    run(play())


def test_who_leaves_takes_nobody_with_him_and_the_last_ends_the_call() -> None:
    async def play() -> None:
        upstream = Upstream()
        upstream.gate = asyncio.Event()
        batched = Batched(upstream, WINDOW)
        first, second = (asyncio.create_task(batched(embed(text))) for text in ("a", "bb"))
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.sleep(0)
        upstream.gate.set()
        assert vectors(await second) == [2]
        upstream.gate.clear()
        for texts in (["a"], ["a", "b"]):
            tasks = [asyncio.create_task(batched(embed(text))) for text in texts]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.sleep(0.01)
        assert upstream.cancelled == 2

    run(play())


def test_reranks_of_one_question_are_one() -> None:
    async def play() -> None:
        upstream = Upstream()
        calls = [rank("q", ["aaa", "b"], top_n=1), rank("q", ["cc", "dddd", "e"]), rank("other", ["x"])]
        replies = await ask(Batched(upstream, WINDOW), *calls)
        assert len(upstream.calls) == 2
        told = [orjson.loads(reply.body) for reply in replies]
        assert [[row["index"] for row in one["results"]] for one in told] == [[0], [1, 0, 2], [0]]
        assert sum(one["usage"]["total_tokens"] for one in told[:2]) == 11

    run(play())


def test_shares_add_up() -> None:
    rng = random.Random(5)
    for _ in range(300):
        weights = [rng.randint(1, 50) for _ in range(rng.randint(1, 20))]
        total = rng.randint(0, 500)
        parts = shares(total, weights)
        assert sum(parts) == total
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - total * weight / sum(weights)) < 1
    assert shares(10, [1, 1, 1]) == [4, 3, 3]
