"""Calls through the cache: what is one call and what is not, streams and whole replies, layers, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import orjson
import pytest

from lyceum.core.errors import ProviderError
from lyceum.core.types import Usage
from lyceum.gateway.cache import Cached, Caches, Layers
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import parsed
from lyceum.gateway.identity import Identity
from lyceum.gateway.layers import Memory
from lyceum.gateway.live import Live
from tests.gateway.upstream import played
from tests.gateway.upstream import reply as played_reply
from tests.toys import run

PATH = "/v1/chat/completions"


def call(text: str = "hi", path: str = PATH, tenant: str = "", readers: str = "*", **more: Any) -> Call:
    headers = more.pop("headers", {})
    asked = {"model": "chat", "messages": [{"role": "user", "content": text}], "temperature": 0, **more}
    return Call(
        path=path, body=orjson.dumps(asked), asked=asked, model=asked["model"], tenant=tenant, headers=headers,
        readers=frozenset(readers.split()), stream=asked.get("stream") is True,
    )  # fmt: skip


def whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    head = {"id": "a", "object": "chat.completion", "created": 1, "model": "real"}
    return orjson.dumps({**head, "choices": [choice], "usage": usage})


def event(told: Any) -> bytes:
    return b"data: " + orjson.dumps(told) + b"\n\n"


def delta(**more: Any) -> bytes:
    end = more.pop("finish_reason", None)
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "real"}
    return event({**head, "choices": [{"index": 0, "delta": more, "finish_reason": end}]})


def pieces(text: str) -> list[bytes]:
    words = [delta(content=word) for word in text.split(" ")]
    return [delta(role="assistant", content=""), *words, delta(finish_reason="stop"), b"data: [DONE]\n\n"]


class Model:
    """A model that counts its calls and answers with their number; `gate` holds it back."""

    def __init__(self, fail: Callable[[int], Exception | None] = lambda at: None) -> None:
        self.calls = self.finished = self.cancelled = 0
        self.gate: asyncio.Event | None = None
        self.fail = fail
        self.status = 200
        self.model = ""

    async def __call__(self, call: Call) -> Reply:
        self.calls += 1
        number = self.calls
        if self.model:
            call.facts["model"] = self.model
        try:
            if self.gate is not None and not call.stream:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if (problem := self.fail(number)) is not None:
            raise problem
        usage = Usage(input_tokens=3, output_tokens=4)
        headers = {"content-type": "application/json"}
        reply = Reply(status=self.status, headers=headers, body=whole(f"answer {number}"), usage=usage)
        if call.stream:
            reply.headers["content-type"] = "text/event-stream"
            reply.chunks, reply.body, reply.usage = self._chunks(reply, number), b"", None
        reply.ended.append(lambda _: setattr(self, "finished", self.finished + 1))
        return reply

    async def _chunks(self, reply: Reply, number: int) -> AsyncGenerator[bytes, None]:
        try:
            for at, piece in enumerate(pieces(f"answer {number}")):
                yield piece
                if at == 1 and self.gate is not None:
                    await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        reply.usage = Usage(input_tokens=3, output_tokens=4)


def cached(model: Model, **more: Any) -> Cached:
    layers = more.pop("layers", None) or Layers(Memory(1 << 20))
    seconds = more.pop("seconds", 60.0)
    return Cached(model, layers, Identity(more.pop("routed", lambda name: name), **more), seconds)


async def read(reply: Reply) -> bytes:
    """Read a reply as the front does, to its end."""
    try:
        if reply.chunks is None:
            return reply.body
        async with aclosing(reply.chunks) as chunks:
            return b"".join([chunk async for chunk in chunks])
    finally:
        reply.finish()


def text(body: bytes) -> str:
    """Return the text of a whole reply or a stream."""
    if not body.startswith(b"data:"):
        return str(orjson.loads(body)["choices"][0]["message"]["content"])
    told = [orjson.loads(one[5:]) for one in body.split(b"\n\n") if one and b"[DONE]" not in one]
    return "".join(choice["delta"].get("content") or "" for one in told for choice in one["choices"])


async def ask(cache: Cached, one: Call) -> tuple[str, str, Usage | None]:
    """Return the text of the reply, where it is from and what it cost."""
    reply = await cache(one)
    body = await read(reply)
    assert reply.headers["x-lyceum-cache"] == one.facts["cache"]
    return text(body).replace(" ", ""), reply.headers["x-lyceum-cache"], reply.usage


PAID = Usage(input_tokens=3, output_tokens=4)
MISS, HIT = ("answer1", "miss", PAID), ("answer1", "hit-exact", Usage())


def test_a_second_call_costs_nothing() -> None:
    async def play() -> None:
        model = Model()
        cache = cached(model)
        assert await ask(cache, call()) == MISS
        again = call(temperature=0.0)
        assert await ask(cache, again) == HIT
        assert again.facts["saved"] == (3, 4)
        assert (model.calls, model.finished) == (1, 1)

    run(play())


OTHERS: list[dict[str, Any]] = [
    {"tenant": "b"}, {"readers": "staff"}, {"readers": "* staff"}, {"text": "Hi"}, {"model": "chat2"}, {"seed": 1},
    {"path": "/v1/completions"}, {"max_tokens": 5}, {"temperature": 0.1},
    {"response_format": {"type": "json_object"}},
    {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "hi"}]},
    {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"user": "ada"},
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_what_differs_shares_nothing(other: dict[str, Any]) -> None:
    async def play() -> None:
        model = Model()
        cache = cached(model)
        await ask(cache, call())
        found = await ask(cache, call(**other))
        assert (found[1], model.calls) == ("miss", 2)
        assert (await ask(cache, call(**other)))[1] == "hit-exact"

    run(play())


NOT_KEPT: list[dict[str, Any]] = [
    {"temperature": 0.7}, {"temperature": None}, {"temperature": "warm"}, {"n": 2}, {"best_of": 3},
    {"headers": {"cache-control": "no-store"}}, {"headers": {"cache-control": "max-age=0, No-Store"}},
    {"previous_response_id": "r"}, {"tools": [{"type": "web_search"}]}, {"tools": 5},
    {"web_search_options": {"a": 1}},
]  # fmt: skip


@pytest.mark.parametrize("more", NOT_KEPT, ids=str)
def test_what_is_not_kept(more: dict[str, Any]) -> None:
    async def play() -> None:
        model = Model()
        cache = cached(model)
        for number in (1, 2):
            assert (await ask(cache, call(**more)))[:2] == (f"answer{number}", "miss")
        assert len(cache.layers.memory) == 0

    run(play())


def test_a_configured_temperature_is_kept() -> None:
    async def play() -> None:
        cache = cached(Model(), temperature=1.0)
        await ask(cache, call(temperature=None))
        assert (await ask(cache, call(temperature=None)))[1] == "hit-exact"

    run(play())


def test_no_cache_gets_a_fresh_reply_that_others_get() -> None:
    async def play() -> None:
        cache = cached(Model())
        await ask(cache, call())
        fresh = await ask(cache, call(headers={"cache-control": "no-cache"}))
        assert fresh[:2] == ("answer2", "miss")
        assert (await ask(cache, call()))[:2] == ("answer2", "hit-exact")

    run(play())


def test_an_upload_drops_the_replies_of_what_reads_the_index_alone(tmp_path: Path) -> None:
    async def play() -> None:
        targets = {"own": 'url = "lyceum:", kind = "lyceum"', "chat": 'url = "http://x"'}
        text = "".join(
            f'[[model]]\nname = "{name}"\ntargets = [{{{one}}}]\n' for name, one in targets.items()
        )
        now = [1]
        caches = Caches(tmp_path, version=lambda: now[0])
        cache = caches(Model(), parsed(text + '[cache]\nexact = "memory"\n'))
        for name in ("own", "chat"):
            await ask(cache, call(model=name))  # type: ignore[arg-type]
        now[0] = 2
        found = [(await ask(cache, call(model=name)))[1] for name in ("own", "chat")]  # type: ignore[arg-type]
        assert found == ["miss", "hit-exact"]

    run(play())


def test_the_index_moves_the_model_moves_and_time_passes() -> None:
    async def play() -> None:
        now = {"version": 7, "chat": "chat@a"}
        cache = cached(
            Model(), version=lambda _: now["version"], routed=lambda name: str(now.get(name, name))
        )
        await ask(cache, call())
        assert (await ask(cache, call()))[1] == "hit-exact"
        now["version"] = 8
        assert (await ask(cache, call()))[1] == "miss"
        now["chat"] = "chat@b"
        assert (await ask(cache, call()))[1] == "miss"
        short = cached(Model(), seconds=0.05)
        await ask(short, call())
        await asyncio.sleep(0.06)
        assert (await ask(short, call()))[1] == "miss"

    run(play())


def test_what_a_fallback_said_is_not_kept_as_the_models_own() -> None:
    async def play() -> None:
        model = Model()
        model.model = "spare"
        cache = cached(model)
        await ask(cache, call())
        model.model = "chat"
        assert (await ask(cache, call()))[1] == "miss"
        assert (await ask(cache, call()))[1] == "hit-exact"

    run(play())


BROKEN = [
    b"",
    b"<html>",
    b"[]",
    b'{"error": {"message": "no"}}',
    b'{"choices": 5}',
    b'{"error": "x", "choices": []}',
]


@pytest.mark.parametrize("body", BROKEN)
def test_a_reply_that_says_nothing_is_not_kept(body: bytes) -> None:
    async def play() -> None:
        async def broken(call: Call) -> Reply:
            return Reply(status=200, headers={}, body=body)

        cache = cached(Model())
        cache.inner = broken
        await cache(call())
        assert len(cache.layers.memory) == 0

    run(play())


ENDS: list[list[bytes]] = [
    pieces("a b")[:-1],
    [*pieces("a b")[:-2], event({"error": {"message": "lost"}}), b"data: [DONE]\n\n"],
    [*pieces("a b")[:-1], b"data: [DO"],
]


@pytest.mark.parametrize("chunks", ENDS)
def test_a_stream_without_its_end_is_not_kept(chunks: list[bytes]) -> None:
    async def play() -> None:
        async def broken(call: Call) -> Reply:
            async def stream() -> AsyncGenerator[bytes, None]:
                for one in chunks:
                    yield one

            return Reply(status=200, headers={"content-type": "text/event-stream"}, chunks=stream())

        cache = cached(Model())
        cache.inner = broken
        assert await read(await cache(call(stream=True))) == b"".join(chunks)
        assert len(cache.layers.memory) == 0

    run(play())


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("usage", [True, False])
def test_either_form_answers_either(first: bool, second: bool, usage: bool) -> None:
    async def play() -> None:
        cache = cached(Model())
        more = {"stream_options": {"include_usage": True}} if usage else {}
        assert await ask(cache, call(stream=first)) == MISS
        reply = await cache(call(stream=second, **(more if second else {})))
        body = await read(reply)
        assert reply.headers["x-lyceum-cache"] == "hit-exact"
        assert text(body).replace(" ", "") == "answer1"
        kind = reply.headers["content-type"]
        assert kind == ("text/event-stream" if second else "application/json")
        if second:
            assert body.endswith(b"data: [DONE]\n\n")
            assert (b'"total_tokens":7' in body) == usage
        else:
            told = orjson.loads(body)
            assert told["usage"]["total_tokens"] == 7
            assert (told["object"], told["choices"][0]["finish_reason"]) == ("chat.completion", "stop")

    run(play())


def test_tool_calls_survive_the_change_of_form() -> None:
    async def play() -> None:
        def part(at: int, **more: Any) -> bytes:
            return delta(tool_calls=[{"index": at, **more}])

        stream = [
            delta(role="assistant", content=None),
            part(0, id="c1", type="function", function={"name": "f", "arguments": ""}),
            part(0, function={"arguments": '{"a":'}), part(0, function={"arguments": "1}"}),
            part(1, id="c2", type="function", function={"name": "g", "arguments": "{}"}),
            delta(finish_reason="tool_calls"), b"data: [DONE]\n\n",
        ]  # fmt: skip

        async def tools(call: Call) -> Reply:
            async def chunks() -> AsyncGenerator[bytes, None]:
                for one in stream:
                    yield one

            return Reply(status=200, headers={"content-type": "text/event-stream"}, chunks=chunks())

        cache = cached(Model())
        cache.inner = tools
        await read(await cache(call(stream=True)))
        found = orjson.loads(await read(await cache(call())))["choices"][0]
        calls = [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ]
        assert found["message"] == {"role": "assistant", "content": None, "tool_calls": calls}
        assert found["finish_reason"] == "tool_calls"

    run(play())


def test_the_memory_is_bounded() -> None:
    async def play() -> None:
        cache = cached(Model())
        memory = cache.layers.memory
        memory.most = 20_000
        for number in range(100):
            await ask(cache, call(f"question {number}"))
        assert 10_000 < memory.bytes <= 20_000
        assert (await ask(cache, call("question 99")))[1] == "hit-exact"
        assert (await ask(cache, call("question 0")))[1] == "miss"

    run(play())


def test_200_calls_at_once_are_one() -> None:
    async def play() -> None:
        for stream in (False, True):
            model = Model()
            model.gate = asyncio.Event()
            cache = cached(model)
            asking = [asyncio.create_task(ask(cache, call(stream=stream))) for _ in range(200)]
            other = asyncio.create_task(ask(cache, call(stream=stream, tenant="b")))
            await asyncio.sleep(0.01)
            model.gate.set()
            found = await asyncio.gather(*asking)
            assert {one[0] for one in found} == {"answer1"}
            assert [one[2] for one in found].count(PAID) == 1
            assert [one[1] for one in found].count("miss") == 1
            assert (await other)[0] == "answer2"
            assert (model.calls, model.finished, cache.flight.flights) == (2, 2, {})
            assert (await ask(cache, call(stream=stream)))[1] == "hit-exact"

    run(play())


@pytest.mark.parametrize("stream", [False, True])
def test_a_leader_that_leaves_takes_nobody_with_it(stream: bool) -> None:
    async def play() -> None:
        model = Model()
        model.gate = asyncio.Event()
        cache = cached(model)
        calls = [call(stream=stream) for _ in range(3)]
        tasks = [asyncio.create_task(cache(one)) for one in calls]
        if stream:
            replies = [await task for task in tasks]
            begun = [asyncio.create_task(read(reply)) for reply in replies]
            await asyncio.sleep(0.01)
            begun[0].cancel()
            await asyncio.sleep(0.01)
            model.gate.set()
            bodies = await asyncio.gather(*begun[1:])
            await asyncio.wait(begun)
            assert replies[0].usage == Usage()
            usages = [reply.usage for reply in replies[1:]]
        else:
            await asyncio.sleep(0.01)
            tasks[0].cancel()
            await asyncio.sleep(0.01)
            model.gate.set()
            made = await asyncio.gather(*tasks[1:])
            bodies, usages = [await read(reply) for reply in made], [reply.usage for reply in made]
        assert {text(body).replace(" ", "") for body in bodies} == {"answer1"}
        assert usages == [PAID, Usage()]  # paid for once, by one who stayed
        assert (model.calls, model.finished, model.cancelled) == (1, 1, 0)
        assert (await ask(cache, call(stream=stream)))[1] == "hit-exact"

    run(play())


@pytest.mark.parametrize("stream", [False, True])
def test_the_last_one_who_leaves_ends_the_call(stream: bool) -> None:
    async def play() -> None:
        model = Model()
        model.gate = asyncio.Event()
        cache = cached(model)
        tasks = [asyncio.create_task(ask(cache, call(stream=stream))) for _ in range(2)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0.01)
        assert (model.cancelled, cache.flight.flights) == (1, {})
        assert len(cache.layers.memory) == 0
        model.gate.set()
        assert (await ask(cache, call(stream=stream)))[:2] == ("answer2", "miss")

    run(play())


def test_a_reply_that_nobody_begins_to_read_is_finished() -> None:
    async def play() -> None:
        model = Model()
        model.gate = asyncio.Event()
        cache = cached(model)
        reply = await cache(call(stream=True))
        reply.finish()
        await asyncio.sleep(0.01)
        assert (model.finished, cache.flight.flights) == (1, {})

    run(play())


def test_a_leader_that_fails_does_not_fail_its_followers() -> None:
    async def play() -> None:
        lost = ProviderError("It is away.", hint="Wait.")
        model = Model(fail=lambda at: lost if at == 1 else None)
        model.gate = asyncio.Event()
        cache = cached(model)
        tasks = [asyncio.create_task(ask(cache, call())) for _ in range(50)]
        await asyncio.sleep(0.01)
        model.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[0] is lost
        assert {one[0] for one in found[1:] if not isinstance(one, BaseException)} == {"answer2"}
        assert model.calls == 2
        away = Model(fail=lambda at: lost)
        away.gate = asyncio.Event()
        cache = cached(away)
        tasks = [asyncio.create_task(ask(cache, call())) for _ in range(50)]
        await asyncio.sleep(0.01)
        away.gate.set()
        assert set(await asyncio.gather(*tasks, return_exceptions=True)) == {lost}
        assert away.calls == 2  # a model that is away is not asked fifty times

    run(play())


def test_a_status_is_shared_when_another_try_would_bring_the_same() -> None:
    async def play() -> None:
        for status, calls in ((400, 1), (503, 2)):
            model = Model()
            model.status, model.gate = status, asyncio.Event()
            cache = cached(model)
            tasks = [asyncio.create_task(cache(call())) for _ in range(20)]
            await asyncio.sleep(0.01)
            model.gate.set()
            replies = await asyncio.gather(*tasks)
            assert ({one.status for one in replies}, model.calls) == ({status}, calls)
            assert len(cache.layers.memory) == 0

    run(play())


ANTHROPIC = [
    event({"type": "message_start", "message": {"usage": {"input_tokens": 3}}}),
    b"event: content_block_delta\n" + event({"type": "content_block_delta", "delta": {"text": "a"}}),
    b"event: message_stop\n" + event({"type": "message_stop"}),
]


@pytest.mark.parametrize(("path", "stream", "body"), [
    ("/v1/messages", ANTHROPIC, {"type": "message", "content": []}),
    ("/v1/responses", [event({"type": "response.completed", "response": {}})], {"object": "response", "output": []}),
])  # fmt: skip
def test_forms_that_cannot_be_made_of_each_other_are_kept_apart(
    path: str, stream: list[bytes], body: dict[str, Any]
) -> None:
    async def play() -> None:
        asked = 0

        async def model(call: Call) -> Reply:
            nonlocal asked
            asked += 1
            if not call.stream:
                return Reply(
                    status=200, headers={"content-type": "application/json"}, body=orjson.dumps(body)
                )

            async def chunks() -> AsyncGenerator[bytes, None]:
                for one in stream:
                    yield one

            return Reply(status=200, headers={"content-type": "text/event-stream"}, chunks=chunks())

        cache = cached(Model())
        cache.inner = model
        for streamed in (True, False, True, False):
            more = {"stream_options": {"include_usage": True}}
            reply = await cache(call(path=path, stream=streamed, **more))
            assert await read(reply) == (b"".join(stream) if streamed else orjson.dumps(body))
        assert asked == 2
        assert (await cache(call(path=path, temperature=1))).headers["x-lyceum-cache"] == "miss"

    run(play())


def test_the_whole_gateway_answers_from_its_cache(tmp_path: Path) -> None:
    async def play() -> None:
        async def scene(request: bytes, writer: asyncio.StreamWriter) -> None:
            if b"/embeddings" in request:
                texts = orjson.loads(request.partition(b"\r\n\r\n")[2])["input"]
                rows = [{"index": at, "embedding": [1]} for at, _ in enumerate(texts)]
                told = {"data": rows, "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)}}
                writer.write(played_reply(orjson.dumps(told), "200 OK", "content-type: application/json"))
            else:
                writer.write(played_reply(whole("answer 1"), "200 OK", "content-type: application/json"))

        async with played(scene) as server:
            file = tmp_path / "gateway.toml"
            text = f'''
[[model]]
name = "chat"
batch_ms = 20
targets = [{{url = "{server.url}/v1"}}]
[alias]
other = "chat"
[cache]
exact = "lmdb"
'''
            file.write_text(text, encoding="utf-8")
            live = Live(file)
            assert live.problem == ""
            for model, how in (("chat", "miss"), ("chat", "hit-exact"), ("other", "hit-exact")):
                found = await live(call(model=model))
                assert (found.headers["x-lyceum-cache"], text_of(found)) == (how, "answer 1")
            file.write_text(text.replace("batch_ms = 20", "batch_ms = 30"), encoding="utf-8")
            assert live.look()
            assert (await live(call())).headers[
                "x-lyceum-cache"
            ] == "hit-exact"  # what was kept outlives the file
            vectors = [call(str(at), path="/v1/embeddings", input=[f"{at}"]) for at in range(5)]
            for one in vectors:
                del one.asked["messages"]  # type: ignore[attr-defined]
            found_vectors = await asyncio.gather(*(live(one) for one in vectors))
            assert sum(one.usage.input_tokens for one in found_vectors if one.usage) == 5
            assert len(server.requests) == 2
            file.write_text(text + "semantic = 0.83\n", encoding="utf-8")
            assert not live.look()
            assert "lyceum models add minilm" in live.problem
            live.close()

    run(play())


def text_of(reply: Reply) -> str:
    return text(reply.body)


def test_what_a_hedge_used_is_told_to_the_one_who_pays() -> None:
    async def play() -> None:
        model = Model()
        model.gate = asyncio.Event()
        cache = cached(model)

        async def hedged(call: Call) -> Reply:
            reply = await model(call)
            call.facts["lost"] = [("late", PAID)]
            return reply

        cache.inner = hedged
        for stream in (False, True):
            calls = [call(f"{stream}", stream=stream) for _ in range(9)]
            tasks = [asyncio.create_task(ask(cache, one)) for one in calls]
            await asyncio.sleep(0.01)
            model.gate.set()
            await asyncio.gather(*tasks)
            assert ["lost" in one.facts for one in calls].count(True) == 1

    run(play())
