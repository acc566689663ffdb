"""Other wordings by a scripted model: what is kept, what is dropped, and that no failure loses the question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lyceum import wire
from lyceum.core.errors import ConfigError, ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Delta, Hit, Message, Query, Span
from lyceum.models.scripted import ScriptedChat
from lyceum.search.rewritten import TASKS, Rewritten
from tests.toys import Home, ToyEncoder, document, run

TEXTS = {
    "pump.md": "pump pressure",
    "lift.md": "pump lifter force",
    "sea.md": "fish and boats",
    "book.md": "valve colour",
}
QUESTION = "pump pressure limit"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rewritten")

    async def put() -> None:
        home = Home(folder)
        await home.store.put([
            *(document(name, one) for name, one in TEXTS.items()),
            document("secret.md", "lifter force", readers=frozenset({"boss"})),
        ])  # fmt: skip
        await home.ledger.close()

    run(put())
    return folder


def asked(
    folder: Path, chat: Any, text: str = QUESTION, **options: Any
) -> tuple[list[str], list[Query], dict[str, Any]]:
    history, encoder = options.pop("history", ()), options.pop("encoder", ToyEncoder())

    async def check() -> tuple[list[str], list[Query], dict[str, Any]]:
        home = Home(folder)
        heard: list[Query] = []
        spans: list[Span] = []

        async def noted(query: Query) -> list[Hit]:
            heard.append(query)
            return await home.hybrid(query)

        with tracing(spans.append):
            hits = await Rewritten(noted, chat, encoder, **options)(Query(text=text, history=history))
        told = [dict(one.facts) for one in spans if one.name == "search.rewrite"]
        return [hit.document.source for hit in hits], heard, told[0] if told else {}

    return run(check())


def test_wordings_are_searched_beside_the_question(shelf: Path) -> None:
    chat = ScriptedChat(
        ['1. pump lifter pressure\n- "pump force limit"\npump pressure limit\npump a\npump b']
    )
    names, heard, told = asked(shelf, chat)
    assert [query.text for query in heard] == [QUESTION, "pump lifter pressure", "pump force limit", "pump a"]
    assert told == {"way": "queries", "kept": 3}
    assert names[:2] == ["pump.md", "lift.md"]
    assert "secret.md" not in names


def test_the_question_counts_most(shelf: Path) -> None:
    names, heard, _ = asked(shelf, ScriptedChat(["fish boats"]), alike=-1.0)
    assert [query.text for query in heard] == [QUESTION, "fish boats"]
    assert names[0] == "pump.md"


@pytest.mark.parametrize("way", sorted(TASKS))
@pytest.mark.parametrize(
    ("reply", "warning"),
    [
        ("", "nothing usable"), ("   \n\n", "nothing usable"), ("<think>pump pressure", "nothing usable"),
        ("fish and boats", "drifts"), (ProviderError("away", hint="wait"), "provider"),
    ],
)  # fmt: skip
def test_what_is_no_good_is_dropped(shelf: Path, way: str, reply: Any, warning: str) -> None:
    history = (Message(role="user", content="pump pressure"),) if way == "history" else ()
    plain, _, _ = asked(shelf, ScriptedChat([QUESTION]), alike=2.0)
    names, heard, told = asked(shelf, ScriptedChat([reply]), way=way, history=history)
    assert [query.text for query in heard] == [QUESTION]
    assert names == plain
    assert warning in told["warning"]


@pytest.mark.parametrize(
    ("question", "reply", "kept"),
    [(QUESTION, "Pump limits", 1), (QUESTION, "boats and fish", 0), ("水泵压力", "压力", 1), ("水泵压力", "年假", 0)],
)  # fmt: skip
def test_without_an_encoder_a_word_in_common_is_asked_for(
    shelf: Path, question: str, reply: str, kept: int
) -> None:
    _, heard, _ = asked(shelf, ScriptedChat([reply]), question, encoder=None)
    assert len(heard) == 1 + kept


def test_a_line_that_is_an_essay_is_dropped(shelf: Path) -> None:
    _, heard, told = asked(shelf, ScriptedChat(["pump pressure " * 100]))
    assert (len(heard), told["warning"]) == (1, "nothing usable was written")


def test_a_model_that_is_slow(shelf: Path) -> None:
    async def slow(messages: Sequence[Message], **options: Any) -> AsyncIterator[Delta]:
        await asyncio.sleep(5)
        yield Delta(text="pump lifter")

    _, heard, told = asked(shelf, slow, seconds=0.02)
    assert (len(heard), told["warning"]) == (1, "not rewritten: timeout")


def test_a_hypothetical_passage_becomes_a_vector(shelf: Path) -> None:
    _, heard, told = asked(
        shelf, ScriptedChat(["The pump pressure limit is forty bar."]), way="hyde", alike=0.2
    )
    one, two = run(ToyEncoder()([QUESTION, "The pump pressure limit is forty bar."]))
    assert told["kept"] == 1
    assert heard[1].text == QUESTION
    cosine = float(sum(a * b for a, b in zip(heard[1].vector or (), one + two, strict=True)))
    assert cosine == pytest.approx(float((one + two) @ (one + two)) ** 0.5, abs=1e-4)


def test_a_conversation_is_sent_cut_and_only_where_there_is_one(shelf: Path) -> None:
    chat = ScriptedChat(["pump pressure limit of the lifter"])
    history = tuple(Message(role="user", content="pump " * 1000) for _ in range(1000))
    _, heard, _ = asked(shelf, chat, way="history", history=history)
    assert heard[1].text == "pump pressure limit of the lifter"
    assert heard[1].history == ()
    assert sum(len(one.content) for one in chat.heard[0]) < 7_000
    _, heard, told = asked(shelf, chat, way="history")
    assert (len(heard), told) == (1, {})


@pytest.mark.parametrize(
    ("question", "reply", "kept"),
    [
        ("保修期是多久？", "How long is the warranty?", 1),
        ("P-100 的保修期是多久？", "How long is the warranty?", 0),
        ("P-100 的保修期是多久？", "How long is the warranty of P-100?", 1),
        ("How long is it?", "How long does it last?", 0),
        ("What is due in 2023?", "2023年应付什么？", 1),
    ],
)  # fmt: skip
def test_a_translation_keeps_numbers_and_changes_the_language(
    shelf: Path, question: str, reply: str, kept: int
) -> None:
    chat = ScriptedChat([reply])
    _, heard, _ = asked(shelf, chat, question, way="translation")
    assert len(heard) == 1 + kept
    assert ("English" if "保" in question else "Chinese") in chat.heard[0][0].content


def test_a_configuration_needs_a_model(tmp_path: Path) -> None:
    table = {"kind": "search.rewritten", "retriever": {"kind": "search.lexical"}, "way": "step_back"}
    parts = {"encoder": ToyEncoder(), "spans": None}
    with pytest.raises(ConfigError, match="needs a model"):
        wire.build({"retriever": table}, tmp_path, replace=parts)
    platform = wire.build({"retriever": table}, tmp_path, replace={**parts, "chat": ScriptedChat()})
    assert isinstance(platform.retriever, Rewritten)
    run(platform.close())
    with pytest.raises(ConfigError, match="cannot work with"):
        wire.build({"retriever": {**table, "way": "?"}}, tmp_path, replace={**parts, "chat": ScriptedChat()})
