"""A follow-up searched with the turns before it: the weights by hand, readers, and what a huge history does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lyceum import wire
from lyceum.core.errors import ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Hit, Message, Query, Span
from lyceum.search.analyzer import Standard
from lyceum.search.history import History
from lyceum.search.hybrid import Hybrid
from lyceum.search.linked import Linked
from tests.toys import Home, ToyEncoder, document, run


class Heard:
    """A retriever that keeps what it was asked."""

    def __init__(self) -> None:
        self.queries: list[Query] = []

    async def __call__(self, query: Query) -> list[Hit]:
        self.queries.append(query)
        return []


class Counted:
    """A vocabulary of ten chunks in which the odd words are rare."""

    def __init__(self, **known: int) -> None:
        self.known = known

    async def counts(self, terms: Sequence[str]) -> tuple[int, dict[str, int]]:
        return 10, {term: self.known.get(term, 0) for term in terms}


def turns(*said: str) -> tuple[Message, ...]:
    return tuple(
        Message(role="assistant" if number % 2 else "user", content=text) for number, text in enumerate(said)
    )


def heard(query: Query, vocabulary: Any = None, embedder: Any = None) -> tuple[Query, dict[str, Any]]:
    retriever, spans = Heard(), list[Span]()
    with tracing(spans.append):
        run(History(retriever, Standard(), vocabulary or Counted(), embedder)(query))
    (asked,) = retriever.queries
    return asked, dict(spans[0].facts) if spans else {}


def test_weights_by_hand() -> None:
    history = turns(
        "warehouse gates", "-", "valve pump", "The pump is a rare zebra, a zebra in a common pump."
    )
    asked, told = heard(Query(text="and motor?", history=history), Counted(pump=9, zebra=1, common=9))
    assert asked.terms == {
        "motor": 1, "valv": 0.3, "pump": pytest.approx(0.5), "warehous": pytest.approx(0.21),
        "gate": pytest.approx(0.21), "zebra": 0.2, "common": 0.2,
    }  # fmt: skip
    assert asked.history == ()
    assert told == {"turns": 4, "dependent": True, "terms": 7}


def test_of_a_long_answer_the_ten_telling_words_count() -> None:
    words = [f"word{chr(97 + n)}x" for n in range(20)]
    vocabulary = Counted(**{word: 10 if n < 10 else 1 for n, word in enumerate(words)})
    asked, _ = heard(Query(text="and?", history=turns("-", " ".join(words))), vocabulary)
    assert set(asked.terms or ()) == set(words[10:])


def test_half_the_answer_is_added_to_the_vector() -> None:
    encoder = ToyEncoder()
    asked, _ = heard(Query(text="and motor?", history=turns("x", "zebra " * 500)), embedder=encoder)
    mine, answer = run(encoder(["and motor?", ("zebra " * 500)[:600]]))
    wanted = (mine + 0.5 * answer) / np.linalg.norm(mine + 0.5 * answer)
    assert asked.vector == pytest.approx(tuple(wanted.tolist()), abs=1e-6)


def test_a_question_that_stands_by_itself_is_searched_as_it_is() -> None:
    text = "Which supplier delivers cooling pumps to the Bergen warehouse?"
    asked, told = heard(Query(text=text, history=turns("zebra", "zebra")))
    assert asked == Query(text=text)
    assert told["dependent"] is False


def test_without_history_nothing_happens() -> None:
    query = Query(text="and it?")
    asked, told = heard(query)
    assert asked is query
    assert told == {}


def test_an_encoder_that_fails_leaves_the_question() -> None:
    async def broken(texts: Sequence[str]) -> Any:
        raise ProviderError("The encoder is away.", hint="Try again.")

    asked, told = heard(Query(text="and it?", history=turns("pump", "valve")), embedder=broken)
    assert (asked.terms, asked.vector) == (None, None)
    assert told["warning"] == "searched as it stands: provider"


def test_a_huge_history_is_cut() -> None:
    history = turns(*["pump " * 250, "valve " * 250] * 500)
    asked, told = heard(Query(text="and it?", history=history), Counted(valv=1), ToyEncoder())
    assert told["turns"] == 1000
    assert asked.terms == {"pump": 0.3, "valv": 0.2}


def test_a_follow_up_finds_what_it_is_about_and_only_what_may_be_read(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([
            document("a.md", "The valve needs oil every month"),
            document("b.md", "The pump needs oil every week"),
            document("c.md", "The pump secret oil", readers=frozenset({"boss"})),
        ])  # fmt: skip
        history = History(home.hybrid, home.lexical.analyzer, home.lexical, home.encoder)
        query = Query(
            text="and how often is oil needed?", history=turns("Tell me of the pump", "The pump is old.")
        )
        (first, *others) = await history(query)
        assert first.document.source == "b.md"
        assert "c.md" not in {hit.document.source for hit in others}
        assert (await home.hybrid(Query(text="oil valve")))[0].document.source == "a.md", (
            "alone it is another"
        )

    run(check())


def test_it_is_the_outermost_part_of_the_default(tmp_path: Path) -> None:
    platform = wire.build({}, tmp_path, replace={"encoder": ToyEncoder(), "spans": None})
    assert isinstance(platform.retriever, History)
    assert isinstance(platform.retriever.retriever, Linked)
    assert isinstance(platform.retriever.retriever.retriever, Hybrid)
    run(platform.close())
    bare = wire.build({}, tmp_path, replace={"encoder": None, "spans": None})
    assert isinstance(bare.retriever, History)
    assert isinstance(bare.retriever.retriever, Linked)
    assert type(bare.retriever.retriever.retriever).__name__ == "Single"
    assert bare.retriever.embedder is None
    run(bare.close())
