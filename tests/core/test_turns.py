"""A question within a conversation: which ones lean on it, and what they ask standing alone."""

from __future__ import annotations

import time

import pytest

from lyceum.core.turns import ADDED, BACK, LONGEST, alone, asked, content, dependent
from lyceum.core.types import Message, Query


def turns(*said: str) -> tuple[Message, ...]:
    return tuple(
        Message(role="assistant" if number % 2 else "user", content=text) for number, text in enumerate(said)
    )


def standing(text: str, *said: str) -> str:
    return alone(Query(text=text, history=turns(*said))).text


@pytest.mark.parametrize(
    ("text", "leans"),
    [
        ("and in 2023?", True),
        ("What about the costs of the second plant in Bergen during summer?", True),
        ("Who signed the purchase contract with this supplier in Bergen last spring?", True),
        ("How do I ask for it before the summer holidays begin in Norway?", True),
        ("Why?", True),
        ("When did oil prices finally return to its Bretton Woods levels in the markets?", True),
        ("Which supplier delivers cooling pumps to the Bergen warehouse every month?", False),
        ("那2023年呢？", True),
        ("这个供应商的合同是谁在去年春天签署的？", True),
        ("它的保修期多长？", True),
        ("员工出差住宿标准和餐饮补贴分别是多少？", False),
        ("其他城市的员工出差住宿标准是多少？", False),
    ],
)
def test_what_leans_on_the_turns_before(text: str, leans: bool) -> None:
    assert dependent(text) == leans


@pytest.mark.parametrize(
    ("text", "before", "whole"),
    [
        ("and in 2023?", "What was the revenue of Northwind in 2022?", "What was the revenue of Northwind in 2023?"),
        ("What about Berlin?", "What is the hotel limit in Paris?", "What is the hotel limit in Berlin?"),
        ("那2023年呢？", "2022年的差旅预算是多少？", "2023年的差旅预算是多少?"),
        ("Who approves it?", "How many days of annual leave do I get?", "Who approves it days annual leave?"),
        ("谁批准？", "年假有多少天？", "谁批准 年假?"),
        ("for night shifts, too", "What is paid on Sundays?", "What is paid on Sundays for night shifts, too?"),
    ],
)  # fmt: skip
def test_a_follow_up_stands_alone(text: str, before: str, whole: str) -> None:
    assert standing(text, before, "An answer.") == whole


def test_a_whole_question_takes_nothing_from_another_matter() -> None:
    text = "Which supplier delivers cooling pumps?"
    assert standing(text, "How many days of annual leave do I get?", "30.") == text
    assert dependent(text), "it is short enough that search looks at the turns before"


def test_a_pronoun_with_its_noun_before_it_takes_no_words() -> None:
    text = "When did oil prices finally return to its Bretton Woods levels in the markets?"
    assert standing(text, "How many days of annual leave do I get?", "30.") == text


def test_turns_that_lean_on_each_other_are_followed_to_the_one_that_does_not() -> None:
    said = ("What does the Kestrel warehouse store?", "Fish.", "Who runs it?", "Berg.")
    assert "Kestrel" in standing("When was he born?", *said)
    assert "Kestrel" not in standing(
        "When was he born?", *said, "Which bank lends money to the mayor?", "Nordea."
    )


def test_without_history_nothing_is_done() -> None:
    query = Query(text="and it?")
    assert alone(query) is query
    assert standing("", "x", "y") == ""
    assert standing("and?", "   ", "\n") == "and?"
    assert alone(Query(text="  and?", history=turns("", ""))).history == ()


def test_huge_histories_are_cut() -> None:
    said = [f"turn{number} " * 100_000 for number in range(4)] * 250
    started = time.process_time()
    seen = asked(turns(*said))
    text = standing("and it?", *said)
    assert len(seen) == BACK
    assert max(map(len, seen)) <= LONGEST
    assert len(text) < 400
    assert time.process_time() - started < 0.5


def test_words_that_name_something() -> None:
    assert content("How many days of annual leave do I get?") == ["days", "annual", "leave"]
    assert content("年假有多少天？") == ["年假"]
    long = standing("Who approves it?", " ".join(f"word{n}" for n in range(90)), "-")
    assert long == "Who approves it " + " ".join(f"word{n}" for n in range(ADDED)) + "?"
