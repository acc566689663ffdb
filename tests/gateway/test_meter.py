"""Calls through the build with limits and prices: what is refused, what each reply costs, what is given back."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.errors import ConfigError, LyceumError, NotFound, ProviderError, RateLimited
from lyceum.core.types import Usage
from lyceum.gateway import prices
from lyceum.gateway.book import COLUMNS
from lyceum.gateway.build import Build
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import Price, parsed
from lyceum.gateway.live import Live
from lyceum.gateway.meter import Meter
from tests.gateway.test_book import until
from tests.gateway.test_live import ANSWER, END, EVENTS, USAGE, answering, call, read
from tests.gateway.upstream import Scene, chunked, played, reply
from tests.toys import run

PRICE = "price = {input = 2.0, cached = 0.5, output = 10.0}"
STREAM = b"\r\ncontent-type: text/event-stream\r\n\r\n"


def key(name: str = "ann", **limits: Any) -> str:
    rows = [
        f'[[key]]\nid = "{name}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"',
        *(f"{k} = {json.dumps(v)}" for k, v in limits.items()),
    ]
    return "\n".join(rows) + "\n"


@asynccontextmanager
async def metered(folder: Path, *scenes: Scene, more: str = "", model: str = "") -> AsyncIterator[Live]:
    """Serve a model with one played target for each scene, at PRICE."""
    async with asynccontextmanager(_servers)(scenes) as urls:
        targets = ", ".join(f'{{url = "{url}/v1", model = "real", {PRICE}}}' for url in urls)
        text = f'{more}\n[[model]]\nname = "chat"\ntargets = [{targets}]\n{model}\n'
        (folder / "gateway.toml").write_text(text, encoding="utf-8")
        live = Live(folder / "gateway.toml")
        assert live.problem == ""
        yield live
        live.close()


async def _servers(scenes: tuple[Scene, ...]) -> AsyncIterator[list[str]]:
    if not scenes:
        yield []
        return
    async with played(scenes[0]) as server, asynccontextmanager(_servers)(scenes[1:]) as rest:
        yield [server.url, *rest]


def mine(**more: Any) -> Call:
    made = call(**more)
    made.key, made.tenant = "ann", "acme"
    return made


SEEN: list[list[Any]] = []


def last(live: Live) -> dict[str, Any]:
    """Return the row that was written last."""
    return dict(zip(COLUMNS, SEEN[-1], strict=True))


def watched(live: Live) -> None:
    """Note down what is written."""
    book = live.build.book
    assert book is not None
    settle = book.settle

    def noted(record: int, row: list[Any]) -> None:
        SEEN.append(row)
        settle(record, row)

    book.settle = noted  # type: ignore[method-assign]


def streaming(*events: bytes, end: bool = True) -> Scene:
    async def scene(request: bytes, writer: asyncio.StreamWriter) -> bool | None:
        writer.write(chunked(*events, end=end).replace(b"\r\n\r\n", STREAM, 1))
        await writer.drain()
        return end

    return scene


def test_what_a_reply_costs(tmp_path: Path) -> None:
    async def play() -> None:
        async with metered(tmp_path, answering) as live:
            watched(live)
            found = await live(mine())
            row = last(live)
            assert (row["key"], row["tenant"], row["model"], row["status"]) == ("ann", "acme", "chat", 200)
            assert (row["state"], row["input"], row["output"], row["cost"]) == ("exact", 3, 4, 46_000)
            assert found.headers["x-lyceum-cost"] == "0.000046"
            assert found.headers["x-lyceum-call"] == row["id"]

    run(play())


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_is_settled_before_its_end(tmp_path: Path, asked: bool) -> None:
    async def play() -> None:
        async with metered(tmp_path, streaming(*EVENTS, USAGE, END), more=key(concurrent=1)) as live:
            watched(live)
            more = {"stream_options": {"include_usage": True}} if asked else {}
            found = await live(mine(stream=True, **more))
            with pytest.raises(RateLimited, match="1 calls at once"):
                await live(mine())
            text = await read(found)
            row = last(live)
            assert (row["state"], row["input"], row["output"], row["cost"]) == ("exact", 5, 2, 30_000)
            found.finish()
            assert (b'"cost":0.00003' in text, b'"usage"' in text) == (asked, asked)
            assert last(live) == row
            assert (await live(mine(stream=True))).status == 200

    run(play())


@pytest.mark.parametrize("how", ["left", "unread", "silent", "broken", "lies"])
def test_what_was_not_said_is_estimated(tmp_path: Path, how: str) -> None:
    lie = USAGE.replace(b"5", b"-5") if how == "lies" else USAGE.replace(b"5", b"9" * 15)
    events = [*EVENTS, lie, END] if how == "lies" else [*EVENTS, END] if how == "silent" else [*EVENTS]

    async def play() -> None:
        scene = streaming(*events, end=how in ("lies", "silent"))
        async with metered(tmp_path, scene, more=key(concurrent=1, tokens_per_minute=2000)) as live:
            watched(live)
            found = await live(mine(stream=True))
            assert found.chunks is not None
            if how == "left":
                await anext(found.chunks)
                await found.chunks.aclose()
            elif how == "broken":
                with pytest.raises(ProviderError):
                    await read(found)
            elif how != "unread":
                await read(found)
            found.finish()
            row = last(live)
            written = 0 if how == "unread" else 2
            assert (row["state"], row["output"]) == ("estimated", written)
            assert row["input"] == len(mine(stream=True).body) // 4 + 1
            assert row["cost"] == row["input"] * 2000 + written * 10_000
            assert (await live(mine(stream=True))).status == 200  # calls and tokens were given back

    run(play())


@pytest.mark.parametrize("usage", [None, Usage(input_tokens=10**12, output_tokens=1)])
def test_usage_beyond_belief_is_none(tmp_path: Path, usage: Usage | None) -> None:
    async def play() -> None:
        async with metered(tmp_path, answering) as live:
            watched(live)

            async def told(asked: Call) -> Reply:
                return Reply(status=200, body=b"{}", usage=usage)

            meter = live.serving.forward
            assert isinstance(meter, Meter)
            meter.inner = told
            await live(mine())
            assert last(live)["state"] == "estimated"

    run(play())


def test_who_leaves_before_the_answer_pays_for_the_question(tmp_path: Path) -> None:
    async def hanging(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def play() -> None:
        async with metered(tmp_path, hanging, more=key(concurrent=1)) as live:
            watched(live)
            task = asyncio.create_task(live(mine()))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            row = last(live)
            assert (row["state"], row["status"], row["output"]) == ("estimated", 499, 0)
            assert row["input"] > 0
            task = asyncio.create_task(live(mine()))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run(play())


@pytest.mark.parametrize("answer", [b"", reply(b"{}", "500 Oops"), reply(b"{}", "400 Bad")])
def test_what_failed_costs_nothing(tmp_path: Path, answer: bytes) -> None:
    async def failing(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        return False

    async def play() -> None:
        async with metered(tmp_path, failing, more=key(concurrent=1, budget_day=0.1)) as live:
            watched(live)
            for _ in range(3):
                try:
                    status = (await live(mine())).status
                except LyceumError as problem:
                    status = problem.status
                row = last(live)
                assert (row["state"], row["status"], row["input"], row["cost"]) == ("exact", status, 0, 0)

    run(play())


def test_an_answer_from_a_cache_costs_nothing_and_copies_that_came_late_do(tmp_path: Path) -> None:
    async def play() -> None:
        async with metered(tmp_path, answering) as live:
            watched(live)
            meter = live.serving.forward
            assert isinstance(meter, Meter)
            target = live.serving.gateway.model[0].targets[0]

            async def cached(asked: Call) -> Reply:
                asked.facts.update(cache="hit-exact", model="chat", target=target.url)
                return Reply(status=200, body=b"{}", usage=Usage())

            async def hedged(asked: Call) -> Reply:
                asked.facts.update(model="chat", target=target.url)
                asked.facts["lost"] = [(target, Usage(input_tokens=100, output_tokens=1))]
                return Reply(
                    status=200, body=b"{}", usage=Usage(input_tokens=100, output_tokens=2, cached_tokens=50)
                )

            meter.inner = cached
            assert (await live(mine())).headers["x-lyceum-cost"] == "0"
            assert (last(live)["hit"], last(live)["cost"], last(live)["input"]) == ("hit-exact", 0, 0)
            meter.inner = hedged
            await live(mine())
            row = last(live)
            assert (row["input"], row["cached"], row["output"]) == (200, 50, 3)
            assert row["cost"] == (50 * 2000 + 50 * 500 + 2 * 10_000) + (100 * 2000 + 10_000)

    run(play())


def test_exactly_so_many(tmp_path: Path) -> None:
    async def play() -> None:
        limits = key(requests_per_minute=7) + key("bob", tenant="acme")
        limits += '[[limit]]\nof = "tenant"\nname = "*"\nrequests_per_minute = 12\n'
        async with metered(tmp_path, answering, more=limits) as live:

            async def tried(name: str) -> str:
                made = mine()
                made.key = name
                try:
                    return str((await live(made)).status)
                except RateLimited as problem:
                    return (
                        problem.message
                        if problem.status == 429 and 0 < (problem.wait or 0) <= 61
                        else "wrong"
                    )

            told = await asyncio.gather(*(tried("ann") for _ in range(30)))
            assert (
                told.count("200"),
                told.count("The limit of key 'ann' is reached: 7 requests a minute."),
            ) == (7, 23)
            told = await asyncio.gather(*(tried("bob") for _ in range(30)))
            assert told.count("200") == 5
            assert told.count("The limit of tenant 'acme' is reached: 12 requests a minute.") == 25

    run(play())


def test_budgets_hold_by_what_is_reserved(tmp_path: Path) -> None:
    """A call may write 100 tokens for 0.001: three fit at once, and more once they have written 4."""

    async def play() -> None:
        async with metered(tmp_path, answering, more=key(budget_month=0.0035)) as live:
            told = await asyncio.gather(
                *(live(mine(max_tokens=100)) for _ in range(30)), return_exceptions=True
            )
            refused = [one for one in told if isinstance(one, RateLimited)]
            assert len(refused) == 27
            assert {(one.code, one.status) for one in refused} == {("insufficient_quota", 429)}
            assert all(one.wait and one.hint for one in refused)
            done = 3
            while True:
                try:
                    await live(mine(max_tokens=100))
                    done += 1
                except RateLimited:
                    break
            assert done == 54  # 46,000 each; the last leaves less than one may use
            with pytest.raises(RateLimited, match="more than the limit"):
                await live(mine(max_tokens=10_000))

    run(play())


def test_a_key_has_its_models(tmp_path: Path) -> None:
    async def play() -> None:
        other = '[alias]\ngpt = "chat"\n[[model]]\nname = "big"\ntargets = [{url = "http://127.0.0.1:9"}]\n'
        async with metered(
            tmp_path, answering, more=key(models=["chat"]) + key("bob", models=["gpt"]), model=other
        ) as live:
            assert (await live(mine())).status == (await live(mine(model="gpt"))).status == 200
            with pytest.raises(NotFound) as caught:
                await live(mine(model="big"))
            assert caught.value.code == "model_not_found"
            made = mine(model="gpt")
            made.key = "bob"
            assert (await live(made)).status == 200

    run(play())


def test_a_new_file_keeps_what_was_counted(tmp_path: Path) -> None:
    async def play() -> None:
        async with metered(tmp_path, answering, more=key(requests_per_minute=2, budget_day=0.1)) as live:
            for _ in range(2):
                await live(mine())
            text = live.file.read_text()
            live.file.write_text(text.replace("minute = 2", "minute = 3"))
            assert live.look()
            assert (await live(mine())).status == 200
            with pytest.raises(RateLimited):
                await live(mine())

    run(play())


def test_a_full_journal_refuses_where_it_is_told_to(tmp_path: Path) -> None:
    async def play() -> None:
        async with metered(tmp_path, answering, more="money = {closed = true}") as live:
            assert live.build.book is not None
            kept, live.build.book.journal.free = (
                live.build.book.journal.free,
                type(live.build.book.journal.free)(),
            )
            with pytest.raises(LyceumError) as caught:
                await live(mine())
            assert (caught.value.code, caught.value.status) == ("usage_book", 503)
            live.build.book.journal.free = kept
            assert (await live(mine())).status == 200

    run(play())


def test_the_book_has_what_was_sent(tmp_path: Path) -> None:
    async def play() -> None:
        async with metered(tmp_path, answering) as live:
            for _ in range(20):
                await live(mine())
            book = live.build.book
            assert book is not None
            until(lambda: not book.waiting)
            assert book.spent("key", "ann", "", "9") == 20 * 46_000

    run(play())


def test_estimates() -> None:
    def asked(path: str = "/v1/chat/completions", **more: Any) -> tuple[int, int]:
        return prices.estimated(call(path=path, **more), 500)

    assert asked()[1] == 500
    assert asked(max_tokens=7)[1] == 7
    assert asked(max_completion_tokens=9, max_tokens=7, n=3)[1] == 27
    assert asked(max_tokens=-4)[1] == 0
    assert asked("/v1/embeddings", input="x" * 400) == ((400 + len(call(input="").body)) // 4 + 1, 0)
    picture = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:x;base64," + "A" * 900_000}}],
    }
    assert 900 < asked(messages=[picture])[0] < 1200


def test_the_cheapest_is_found_by_the_table_too(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("[dear]\ninput = 9\n[cheap]\ninput = 1\n")
    places = '{url = "http://x", model = "dear"}, {url = "http://y", model = "cheap"}'
    gateway = parsed(f'[[model]]\nname = "a"\nroute = "cheapest"\ntargets = [{places}]')
    build = Build(tmp_path)
    pool = build(gateway).route.pools["a"]
    build.close()
    assert [one.target.model for one in pool.order(pool.lanes, call(), 0.0)] == ["cheap", "dear"]


def test_prices(tmp_path: Path) -> None:
    table = tmp_path / "prices.toml"
    assert prices.read(table) == {}
    table.write_text('["big"]\ninput = 0.0375\noutput = 1\n')
    found = prices.read(table)
    places = '{url = "http://x", model = "big"}, {url = "http://y", price = {input = 9}}, {url = "http://z"}'
    made = prices.applied(parsed(f'[[model]]\nname = "a"\ntargets = [{places}]'), found)
    assert [one.price for one in made.model[0].targets] == [found["big"], Price(input=9), Price()]
    assert found["big"] == Price(input=0.0375, output=1)
    assert prices.cost(found["big"], Usage(input_tokens=3, output_tokens=1)) == 1112  # 112.5 is even at .5
    assert [prices.shown(one) for one in (0, 1, 1_500_000_000, 20)] == [
        "0",
        "0.000000001",
        "1.5",
        "0.00000002",
    ]
    table.write_text("[big]\ninput = -1")
    with pytest.raises(ConfigError):
        prices.read(table)
    two = '[[model]]\nname = "a"\ntargets = [{url = "http://x"}, {url = "http://x", price = {input = 1}}]'
    with pytest.raises(ConfigError, match="different prices"):
        parsed(two)


def test_the_answers_usage_has_a_cached_part(tmp_path: Path) -> None:
    body = json.loads(ANSWER)
    body["usage"]["prompt_tokens_details"] = {"cached_tokens": 2}

    async def cached(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(json.dumps(body).encode(), "200 OK", "content-type: application/json"))

    async def play() -> None:
        async with metered(tmp_path, cached) as live:
            watched(live)
            await live(mine())
            assert (last(live)["cached"], last(live)["cost"]) == (2, 2000 + 2 * 500 + 4 * 10_000)

    run(play())
