"""Computed answers over a real store: what is cited, what is left to the wrapped answerer, what a model may do."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.answer.computed import Computed
from lyceum.answer.evidence import Evidence
from lyceum.answer.extractive import Extractive
from lyceum.core.errors import ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Answer, Query, Span
from lyceum.models.scripted import ScriptedChat
from tests.answer.made import prose, staged, table
from tests.toys import Home, run

SALES = staged(
    "Sales by region.csv",
    table(
        ("Region", "Orders", "Revenue (EUR)"), ("North", "12", "1,200"), ("South", "30", "2,500"),
        ("East", "8", "900"),
    ),
)  # fmt: skip
INCOME = staged(
    "Income statement.xlsx",
    table(
        ("(in thousands)", "2019", "2018"),
        ("Operating costs", "(600)", "(500)"),
        ("Net income", "300", "240"),
    ),
)
SECRET = staged(
    "Salaries by grade.csv", table(("Grade", "People"), ("A", "3"), ("B", "9")), readers=frozenset({"board"})
)
HANDBOOK = staged("Handbook.md", prose("The probation period lasts six months. A badge costs 5 EUR."))
CHANGE = "What was the percentage change in net income from 2018 to 2019?"
SHARE = "Revenue of the North region divided among its orders comes to how much?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the documents in a store."""
    made = tmp_path_factory.mktemp("store")
    run(Home(made).store.put([SALES, INCOME, SECRET, HANDBOOK]))
    return made


def opened(folder: Path, chat: ScriptedChat | None = None, threshold: float = 0.6) -> Computed:
    home = Home(folder)
    analyzer = home.lexical.analyzer
    plain = Extractive(home.hybrid, Evidence(analyzer))
    return Computed(plain, home.hybrid, home.ledger, analyzer, chat, threshold)


def warnings(spans: list[Span]) -> list[str]:
    return [str(span.facts["warning"]) for span in spans if "warning" in span.facts]


def test_a_percentage_cites_the_row_that_it_was_computed_from(folder: Path) -> None:
    answer = run(opened(folder)(Query(text=CHANGE)))
    assert answer.text == "25% — Net income | 300 | 240 [1]"
    (cited,) = answer.citations
    assert (cited.source, cited.quote, cited.place.row) == (
        "Income statement.xlsx",
        "Net income | 300 | 240",
        3,
    )
    assert answer.confidence >= 0.6


def test_a_change_says_the_scale_of_the_table(folder: Path) -> None:
    answer = run(opened(folder)(Query(text="What was the change in net income from 2018 to 2019?")))
    assert answer.text.startswith("60 thousand — ")


def test_a_superlative_marks_its_cell(folder: Path) -> None:
    answer = run(opened(folder, threshold=0.5)(Query(text="Which region has the most orders?")))
    assert answer.text.startswith("South — South | 30 | 2,500 [1]")
    (cited,) = answer.citations
    assert cited.quote[cited.start : cited.end] == "South"


@pytest.mark.parametrize("question", ["How long does the probation period last?", "What does a badge cost?"])
def test_other_questions_go_to_the_wrapped_answerer(folder: Path, question: str) -> None:
    both = opened(folder)
    answer, plain = run(both(Query(text=question))), run(both.answerer(Query(text=question)))
    assert (answer.text, answer.citations) == (plain.text, plain.citations)


def test_what_is_not_sure_enough_goes_to_the_wrapped_answerer(folder: Path) -> None:
    both = opened(folder, threshold=1.0)
    answer, plain = run(both(Query(text=CHANGE))), run(both.answerer(Query(text=CHANGE)))
    assert answer.text == plain.text != "25% — Net income | 300 | 240 [1]"


def test_a_table_that_the_reader_may_not_see_is_not_computed_over(folder: Path) -> None:
    asked = Query(text="What is the total number of people by grade?")
    board = run(opened(folder, threshold=0.1)(replace(asked, readers=frozenset({"board"}))))
    everyone = run(opened(folder, threshold=0.1)(asked))
    assert board.text.startswith("12 — ")
    assert "Salaries by grade.csv" in {one.source for one in board.citations}
    assert "Salaries by grade.csv" not in {hit.document.source for hit in everyone.hits}
    assert "12 — " not in everyone.text


def test_the_stream_ends_with_the_answer(folder: Path) -> None:
    async def pieces(question: str) -> list[str | Answer]:
        async with aclosing(opened(folder).stream(Query(text=question))) as stream:
            return [piece async for piece in stream]

    for question in (CHANGE, "How long does the probation period last?"):
        *said, last = run(pieces(question))
        assert isinstance(last, Answer)
        assert "".join(map(str, said)).strip() == last.text


def test_a_model_writes_sql_where_no_rule_is_sure(folder: Path) -> None:
    chat = ScriptedChat(["```sql\nSELECT v3 / v2 FROM t WHERE holds(c1, 'North');\n```"])
    answer = run(opened(folder, chat, 0.9)(Query(text=SHARE)))
    assert answer.text == "100 — North | 12 | 1,200 [1]"
    assert 'c3 and v3: "Revenue (EUR)"' in chat.heard[0][0].content


def test_bad_sql_is_asked_for_once_more_with_the_reason(folder: Path) -> None:
    chat = ScriptedChat(["DROP TABLE t", "SELECT v3 / v2 FROM t WHERE row = 1"])
    answer = run(opened(folder, chat, 0.9)(Query(text=SHARE)))
    assert answer.text.startswith("100 — ")
    assert "Only one SELECT" in chat.heard[1][-1].content


@pytest.mark.parametrize(
    "said",
    [
        "DROP TABLE t", "SELECT load_extension('x') FROM t", "SELECT c1 FROM t WHERE 1 = 0", "", "I do not know.",
        "SELECT 42", "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT 1 FROM x) SELECT * FROM x",
        ProviderError("down", hint="wait"),
    ],
)  # fmt: skip
def test_a_model_that_fails_changes_nothing(folder: Path, said: str | Exception) -> None:
    chat = ScriptedChat([said])
    both = opened(folder, chat, 0.9)
    spans: list[Span] = []
    with tracing(spans.append):
        answer = run(both(Query(text=SHARE)))
    plain = run(both.answerer(Query(text=SHARE)))
    assert (answer.text, answer.reason) == (plain.text, plain.reason)
    assert len(chat.heard) <= 2
    assert warnings(spans)


def test_a_model_may_say_that_the_table_does_not_tell(folder: Path) -> None:
    both = opened(folder, ScriptedChat(["NONE"]), 0.9)
    assert run(both(Query(text=SHARE))).text == run(both.answerer(Query(text=SHARE))).text
