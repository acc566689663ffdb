"""Answers without a model, over a real store: what is quoted, what is refused, where each quote stands."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.answer.evidence import Evidence
from lyceum.answer.extractive import SECOND, Extractive, chosen
from lyceum.answer.refuse import THRESHOLD, reason
from lyceum.answer.statements import statements
from lyceum.core.text import cells, squeeze
from lyceum.core.types import Answer, Piece, Place, Query
from lyceum.search.analyzer import Standard
from tests.answer.made import hit, prose, staged, table
from tests.toys import Home, run

STORE = "The Bergen cold store holds\n1,200 pallets. Its walls are painted white."
FIRST_LINE, SECOND_LINE = (10.0, 20.0, 300.0, 32.0), (10.0, 34.0, 300.0, 46.0)
PRINTED = (
    Piece(start=0, end=27, place=Place(page=3, box=FIRST_LINE)),
    Piece(start=28, end=len(STORE), place=Place(page=3, box=SECOND_LINE)),
)
DOCUMENTS = [
    staged("store.pdf", replace(prose(STORE), pieces=PRINTED)),
    staged(
        "handbook.md", prose("The probation period lasts six months. The salary is paid on 25 March 2026.")
    ),
    staged(
        "machines.md", prose("The freezer door is sealed by gasket DS-40. The chiller is driven by FN-12.")
    ),
    staged(
        "prices.csv", table(("Code", "Price"), ("XX-77", "11 EUR"), ("FN-12", "90 EUR"), ("DS-40", "30 EUR"))
    ),
    staged("保修.md", prose("保修期为十二个月。退货应在收货后七天内提出。")),
    staged("policy v1.md", prose("A hotel night may cost 120 EUR."), edition=1.0),
    staged("policy v2.md", prose("A hotel night may cost 150 EUR."), edition=2.0),
    staged("board.md", prose("The turnover was 9 million EUR."), readers=frozenset({"board"})),
]
PALLETS = "How many pallets does the Bergen cold store hold?"
PROBATION = "How long does the probation period last and when is the salary paid?"
SEAL = "Which gasket seals the freezer door and what is its price?"
CHILLER = "What drives the chiller and what is its price?"
NONSENSE = "Who won the football championship?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the documents in a store, which each test opens anew."""
    made = tmp_path_factory.mktemp("store")
    run(Home(made).store.put(DOCUMENTS))
    return made


def opened(folder: Path) -> Extractive:
    home = Home(folder)
    return Extractive(home.hybrid, Evidence(home.lexical.analyzer))


def ask(folder: Path, text: str, **more: frozenset[str]) -> Answer:
    return run(opened(folder)(Query(text=text, **more)))


def quotes(answer: Answer) -> list[str]:
    return [cited.quote for cited in answer.citations]


def test_a_single_question(folder: Path) -> None:
    answer = ask(folder, PALLETS)
    first = answer.citations[0]
    assert first.quote == "The Bergen cold store holds 1,200 pallets."
    assert first.quote[first.start : first.end] == "1,200"
    assert answer.text.split("\n")[0] == "1,200 — The Bergen cold store holds 1,200 pallets. [1]"
    assert (answer.abstained, answer.reason) == (False, "")
    assert answer.confidence >= THRESHOLD


def test_a_citation_says_where_its_quote_is_printed(folder: Path) -> None:
    first = ask(folder, PALLETS).citations[0]
    assert (first.source, first.place) == ("store.pdf", PRINTED[0].place)
    assert first.boxes == (FIRST_LINE, SECOND_LINE), "the sentence goes over two lines"


def test_two_parts_have_one_statement_each(folder: Path) -> None:
    answer = ask(folder, PROBATION)
    assert quotes(answer) == [
        "The probation period lasts six months.",
        "The salary is paid on 25 March 2026.",
    ]
    assert [cited.number for cited in answer.citations] == [1, 2]
    assert [line[-3:] for line in answer.text.split("\n")] == ["[1]", "[2]"]


def test_no_statement_is_quoted_twice(folder: Path) -> None:
    quoted = quotes(ask(folder, "What does the Bergen cold store hold and how many pallets does it hold?"))
    assert quoted[0] == "The Bergen cold store holds 1,200 pallets."
    assert quoted.count(quoted[0]) == 1


def test_two_parts_in_chinese(folder: Path) -> None:
    assert quotes(ask(folder, "保修期多久？退货应何时提出？")) == [
        "保修期为十二个月。",
        "退货应在收货后七天内提出。",
    ]


@pytest.mark.parametrize(
    ("question", "first", "second", "row"),
    [
        (SEAL, "The freezer door is sealed by gasket DS-40.", "DS-40 | 30 EUR", 4),
        (CHILLER, "The chiller is driven by FN-12.", "FN-12 | 90 EUR", 3),
    ],
)
def test_a_part_that_refers_back_finds_the_row_by_the_code_of_the_first_answer(
    folder: Path, question: str, first: str, second: str, row: int
) -> None:
    answer = ask(folder, question)
    assert quotes(answer) == [first, second]
    assert answer.citations[1].place.row == row


def test_a_part_without_an_answer_is_refused_beside_the_other(folder: Path) -> None:
    answer = ask(folder, "How many pallets does the Bergen cold store hold and who won the championship?")
    assert quotes(answer) == ["The Bergen cold store holds 1,200 pallets."]
    assert answer.text.split("\n")[1:] == [reason("who won", "weak")]
    assert not answer.abstained


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (NONSENSE, reason(NONSENSE, "weak")),
        ("What is the price of TX-900?", reason("", "detail", "TX-900")),
        ("谁赢得了足球冠军？", reason("谁", "weak")),
    ],
)
def test_a_refusal_has_a_reason_and_nothing_else(folder: Path, question: str, said: str) -> None:
    answer = ask(folder, question)
    assert answer.abstained
    assert answer.reason == said
    assert (answer.text, answer.citations) == ("", ())
    assert answer.confidence < THRESHOLD


def test_an_empty_store_refuses(tmp_path: Path) -> None:
    answer = ask(tmp_path, PALLETS)
    assert answer.abstained
    assert (answer.reason, answer.confidence) == (reason(PALLETS, "nothing"), 0.0)


def test_only_readers_are_answered(folder: Path) -> None:
    question = "What was the turnover?"
    assert ask(folder, question).abstained
    assert quotes(ask(folder, question, readers=frozenset({"board"}))) == ["The turnover was 9 million EUR."]


def test_the_edition_that_is_meant_is_quoted(folder: Path) -> None:
    assert quotes(ask(folder, "What may a hotel night cost?"))[0] == "A hotel night may cost 150 EUR."
    old = quotes(ask(folder, "What may a hotel night cost by version 1?"))
    assert old[0] == "A hotel night may cost 120 EUR."
    assert "A hotel night may cost 150 EUR." not in old


@pytest.mark.parametrize(
    "question", [PALLETS, PROBATION, SEAL, CHILLER, "What is the price of DS-40?", "保修期多久？"]
)
def test_every_quote_is_the_text_of_its_range(folder: Path, question: str) -> None:
    answer = ask(folder, question)
    hits = {hit.chunk.id: hit for hit in answer.hits}
    assert answer.citations
    for cited in answer.citations:
        hit = hits[cited.chunk_id]
        (one,) = [one for one in statements([hit]) if one.quote == cited.quote]
        there = hit.chunk.text[one.start : one.end]
        assert cited.quote == (" | ".join(cells(there)) if one.row else squeeze(there))
        assert (cited.source, cited.document_id) == (hit.document.source, hit.document.id)
        assert cited.start is None or 0 <= cited.start < (cited.end or 0) <= len(cited.quote)


@pytest.mark.parametrize("question", [PALLETS, PROBATION, NONSENSE])
def test_the_stream_ends_with_the_answer(folder: Path, question: str) -> None:
    async def check() -> None:
        async with aclosing(opened(folder).stream(Query(text=question))) as stream:
            *pieces, answer = [piece async for piece in stream]
        assert isinstance(answer, Answer)
        assert answer.abstained == (question == NONSENSE)
        assert "".join(pieces) == f"{answer.text or answer.reason}\n"  # type: ignore[arg-type]

    run(check())


def test_the_second_statement_is_the_next_best_that_says_something_else() -> None:
    text = "The pump is outside. It hums. The red pump is outside. The pump is outside."
    judged = run(Evidence(Standard())(Query(text="Where is the pump?"), [hit(prose(text))]))
    first, other, third = (replace(judged[0], statement=one) for one in statements([hit(prose(text))])[:3])
    scored = [
        replace(first, score=1.0),
        replace(first, score=0.9),
        replace(third, score=0.8),
        replace(other, score=0.7),
    ]
    assert chosen(scored) == [scored[0], scored[2]], "neither the same words again nor what merely follows"
    assert chosen([scored[0], replace(third, score=SECOND - 0.01)]) == scored[:1]
