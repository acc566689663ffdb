"""Questions that mean the same: the guard on twins that ask something else, and the policy around it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lyceum.core.errors import ProviderError
from lyceum.gateway import semantic
from lyceum.gateway.cache import Cached, Layers
from lyceum.gateway.guard import same
from lyceum.gateway.identity import Identity
from lyceum.gateway.layers import Memory
from lyceum.gateway.semantic import Semantic
from tests.gateway.test_cache import Model, ask, call
from tests.toys import run

SAME = """
How do I reset my password? | What is the best way to reset my password?
How do I reset my password? | HOW DO I RESET MY PASSWORD
Hi, could you please tell me how to enable 2FA? | How can I turn on two-factor authentication?
What is the refund policy for annual plans? | what's the yearly plan refund policy
How much does 1,000 seats cost? | What is the price of 1000 seats?
Is it possible to pay by card? | Can I pay by card?
Where can I find the IT department? | Where is the IT department?
请问怎么修改密码？ | 如何更改密码
什么时候发货？ | 请问何时发货？
"""
DIFFERENT = """
How do I enable 2FA? | How do I disable 2FA?
Can I cancel? | Can't I cancel?
Can I eat this? | Can I not eat this?
What works with Python 3.1? | What works with Python 3.11?
What is in version 2.4.1? | What is in version 2.4.2?
What is 5 + 3? | What is 5 - 3?
Is it below 5 degrees? | Is it below -5 degrees?
What costs $5? | What costs €5?
Who is Anna? | Who is Ana?
Is the shop open on Monday? | Is the shop open on Tuesday?
What do I do before the call? | What do I do after the call?
When did it start? | Why did it start?
Can I cancel my order? | How do I cancel my order?
What is C? | What is C++?
What is C++? | What is C#?
Is "Bug 1" fixed? | Is "bug 1" fixed?
Who runs IT? | Who runs it?
What is my limit? | What is your limit?
What is my limit? | What is his limit?
Who does Ann manage? | Who manages Ann?
Convert euros to dollars | Convert dollars to euros
Is the price of oil in Iran high? | Is the price of oil in Iraq high?
Print just the first page | Print the first page
How do I sleep well? | How do I sleep?
Is it important? | Is it an import?
Is it free for everybody? | Is it free for nobody?
Is A better than B? | Is B better than A?
Read /etc/hosts | Read /etc/host.conf
Is a@x.org right? | Is a@y.org right?
今天开门吗？ | 今天不开门吗？
员工有义务吗？ | 员工有什么义务？
如何开启夜间模式？ | 如何关闭夜间模式？
第三章讲了什么？ | 第四章讲了什么？
周一开门吗？ | 周二开门吗？
战争是在哪一年开始的？ | 战争是在哪里开始的？
我的密码是什么？ | 你的密码是什么？
谁向张三汇报？ | 张三向谁汇报？
"""


def table(text: str) -> list[list[str]]:
    return [line.split(" | ") for line in text.strip().splitlines()]


@pytest.mark.parametrize(("one", "other"), table(SAME))
def test_the_same(one: str, other: str) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(("one", "other"), table(DIFFERENT))
def test_something_else(one: str, other: str) -> None:
    assert not same(one, other)
    assert not same(other, one)
    assert same(one, one)


def test_nothing_that_stands_there_is_overlooked() -> None:
    texts = [one for pair in table(DIFFERENT) for one in pair]
    for text in texts:
        for more in ("7", "xylophone", "not", "Q", "%", "鲸"):
            words = text.split()
            for at in range(len(words) + 1):
                assert not same(text, " ".join([*words[:at], more, *words[at:]])), (text, more, at)


def test_nothing_is_not_the_same_as_nothing() -> None:
    assert not same("?", "!")
    assert not same("please", "thanks")


class Alike:
    """A stand-in encoder to which all texts are one: only the guard and the rights can tell them apart."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.problem: Exception | None = None

    async def __call__(self, texts: Sequence[str]) -> Any:
        self.batches.append(len(texts))
        await asyncio.sleep(0.001)
        if self.problem is not None:
            raise self.problem
        vectors = np.zeros((len(texts), 8), np.float32)
        vectors[:, 0] = 1
        return vectors


def cached(encoder: Any, least: float = 0.9, **more: Any) -> Cached:
    identity = Identity(lambda name: name, **more)
    return Cached(Model(), Layers(Memory(1 << 20)), identity, 60, Semantic(encoder, identity, least))


FIRST, AGAIN = "How do I reset my password?", "how can I reset the password"


def test_another_wording_gets_the_answer() -> None:
    async def play() -> None:
        cache = cached(Alike())
        assert (await ask(cache, call(FIRST)))[1] == "miss"
        found = await ask(cache, call(AGAIN))
        assert (found[0], found[1], found[2].input_tokens if found[2] else -1) == (
            "answer1",
            "hit-semantic",
            0,
        )
        assert (await ask(cache, call(AGAIN, stream=True)))[:2] == ("answer1", "hit-semantic")
        assert (await ask(cache, call("How do I reset my router?")))[:2] == ("answer2", "miss")
        assert (await ask(cache, call(FIRST)))[1] == "hit-exact"

    run(play())


OTHERS: list[dict[str, Any]] = [
    {"tenant": "b"}, {"readers": "staff"}, {"readers": "* staff"}, {"model": "chat2"}, {"max_tokens": 5},
    {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": AGAIN}]},
    {"messages": [{"role": "user", "content": AGAIN, "name": "ada"}]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                  {"role": "user", "content": AGAIN}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": AGAIN}]}]},
    {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"temperature": 1},
    {"headers": {"cache-control": "no-cache"}}, {"headers": {"cache-control": "no-store"}},
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_what_else_differs_is_compared_exactly(other: dict[str, Any]) -> None:
    async def play() -> None:
        cache = cached(Alike())
        await ask(cache, call(FIRST))
        assert (await ask(cache, call(AGAIN, **other)))[1] == "miss"
        assert (await ask(cache, call(FIRST + " thanks")))[1] == "hit-semantic"  # the control

    run(play())


def test_the_index_moves() -> None:
    async def play() -> None:
        now = [1]
        cache = cached(Alike(), version=lambda _: now[0])
        await ask(cache, call(FIRST))
        now[0] = 2
        assert (await ask(cache, call(AGAIN)))[1] == "miss"

    run(play())


def test_the_cosine_has_a_say_as_well() -> None:
    class Apart(Alike):
        async def __call__(self, texts: Sequence[str]) -> Any:
            return np.array([[1, 0] if text == FIRST else [0.8, 0.6] for text in texts], np.float32)

    async def play() -> None:
        for least, how in ((0.79, "hit-semantic"), (0.81, "miss")):
            cache = cached(Apart(), least)
            await ask(cache, call(FIRST))
            assert (await ask(cache, call(AGAIN)))[1] == how

    run(play())


def test_an_encoder_that_fails_costs_no_call() -> None:
    async def play() -> None:
        encoder = Alike()
        encoder.problem = ProviderError("It is away.", hint="Wait.")
        cache = cached(encoder)
        assert (await ask(cache, call(FIRST)))[1] == "miss"
        assert (await ask(cache, call(FIRST)))[1] == "hit-exact"
        encoder.problem = None
        assert (await ask(cache, call(AGAIN)))[1] == "miss"
        assert (await ask(cache, call(FIRST + " please")))[1] == "hit-semantic"

    run(play())


def test_questions_of_one_moment_are_encoded_together() -> None:
    async def play() -> None:
        encoder = Alike()
        cache = cached(encoder)
        await asyncio.gather(*(ask(cache, call(f"question {at}")) for at in range(50)))
        assert sum(encoder.batches) == 50
        assert len(encoder.batches) <= 3
        await ask(cache, call("x" * 401))
        assert sum(encoder.batches) == 50

    run(play())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "ROWS", 20)
    monkeypatch.setattr(semantic, "MOST", 50)

    async def play() -> None:
        cache = cached(Alike(), least=0.0)
        found = cache.semantic
        assert found is not None
        monkeypatch.setattr(semantic, "BEST", 100)
        for tenant in "abcd":
            for at in range(30):
                await ask(cache, call(f"topic {at}", tenant=tenant))
        assert sum(len(group.rows) for group in found._groups.values()) == found._rows <= 50
        assert (await ask(cache, call("topic 29 please", tenant="d")))[1] == "hit-semantic"
        assert (await ask(cache, call("topic 0 please", tenant="d")))[1] == "miss"

    run(play())
