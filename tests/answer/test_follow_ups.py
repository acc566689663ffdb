"""Follow-up questions in the reader: judged by what was meant, or by their own words where these say it all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.answer.evidence import Evidence
from lyceum.answer.extractive import Extractive
from lyceum.answer.generative import Generative
from lyceum.core.types import Answer, Message, Query
from lyceum.models.scripted import ScriptedChat
from lyceum.search.history import History
from tests.answer.made import prose, staged
from tests.toys import Home, run

DOCUMENTS = [
    staged(
        "anchor.md", prose("The anchor of the Kestrel weighs forty kilos. Its chain is eleven fathoms long.")
    ),
    staged("stove.md", prose("The stove of the Osprey weighs nine kilos. Its chimney is four metres long.")),
    staged("leave.md", prose("Annual leave is thirty days. The head of the office approves annual leave.")),
    staged("trips.md", prose("The purser approves journeys abroad.")),
]
ANCHOR = ("How much does the anchor of the Kestrel weigh?", "Forty kilos.")
LEAVE = ("How many days of annual leave do I get?", "Thirty days.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("store")
    run(Home(made).store.put(DOCUMENTS))
    return made


def follow(folder: Path, text: str, *said: str, chat: ScriptedChat | None = None) -> Answer:
    async def check() -> Answer:
        home = Home(folder)
        analyzer = home.lexical.analyzer
        retriever = History(home.hybrid, analyzer, home.lexical, home.encoder)
        history = tuple(
            Message(role="assistant" if n % 2 else "user", content=one) for n, one in enumerate(said)
        )
        query = Query(text=text, history=history)
        if chat is not None:
            return await Generative(retriever, Evidence(analyzer), chat)(query)
        return await Extractive(retriever, Evidence(analyzer))(query)

    return run(check())


@pytest.mark.parametrize(
    ("text", "before", "quote"),
    [
        ("and the Osprey's stove?", ANCHOR, "nine kilos"),
        ("How long is its chain?", ANCHOR, "eleven fathoms"),
        ("Who approves it?", LEAVE, "head of the office"),
        ("Who approves journeys abroad?", LEAVE, "purser"),
        ("How long is the chimney of this stove?", ANCHOR, "four metres"),
    ],
)
def test_the_answer_is_to_what_was_meant(
    folder: Path, text: str, before: tuple[str, ...], quote: str
) -> None:
    assert quote in follow(folder, text, *before).citations[0].quote


def test_alone_it_would_be_answered_otherwise(folder: Path) -> None:
    assert "head of the office" not in follow(folder, "Who approves it?").text.split("[1]")[0]


def test_two_questions_in_one_follow_up(folder: Path) -> None:
    answer = follow(folder, "and how long is its chain and who approves journeys abroad?", *ANCHOR)
    assert ["eleven fathoms" in answer.text, "purser" in answer.text] == [True, True]


def test_a_model_is_asked_where_the_turns_before_make_it_sure(folder: Path) -> None:
    chat = ScriptedChat(["The head of the office [1]."])
    assert not follow(folder, "Who approves it?", *LEAVE, chat=chat).abstained
    assert chat.heard[0][-1].content.endswith("Question: Who approves it?")
    assert chat.heard[0][1].content == LEAVE[0]
