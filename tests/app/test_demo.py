"""The demo over the shipped examples: cited answers in both languages, refusals, and nothing read twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.text import language
from tests.app.served import told

EXAMPLES = Path(__file__).parents[2] / "examples"
TABLES = (".xlsx", ".csv")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


@pytest.fixture(scope="module")
def answers(home: Path) -> list[dict[str, Any]]:
    code, told_answers = told("demo", "--home", str(home))
    assert code == 0
    return list(told_answers)


def test_every_question_of_the_file_is_asked(answers: list[dict[str, Any]]) -> None:
    lines = (EXAMPLES / "demo.jsonl").read_text(encoding="utf-8").splitlines()
    assert [answer["question"] for answer in answers] == [json.loads(line)["question"] for line in lines]


def test_most_are_answered_with_citations_in_both_languages(answers: list[dict[str, Any]]) -> None:
    answered = [answer for answer in answers if not answer["abstained"]]
    assert len(answered) >= 8
    assert {language(answer["question"]) for answer in answered} == {"en", "zh"}
    for answer in answered:
        assert answer["answer"]
        assert answer["citations"]
        for cited in answer["citations"]:
            assert f"[{cited['number']}]" in answer["answer"]
            assert Path(cited["source"]).parent == EXAMPLES / "documents"
            assert cited["quote"].strip()
    assert len({cited["source"] for answer in answered for cited in answer["citations"]}) >= 6


def test_what_the_documents_do_not_say_is_refused_in_the_language_of_the_question(
    answers: list[dict[str, Any]],
) -> None:
    refused = [answer for answer in answers if answer["abstained"]]
    assert {language(answer["question"]) for answer in refused} == {"en", "zh"}
    for answer in refused:
        assert (answer["answer"], answer["citations"]) == ("", [])
        assert language(answer["reason"]) == language(answer["question"])


def test_some_answers_come_from_a_table_and_name_its_row(answers: list[dict[str, Any]]) -> None:
    first = [answer["citations"][0] for answer in answers if answer["citations"]]
    rows = [cited for cited in first if cited["source"].endswith(TABLES)]
    assert len(rows) >= 2
    assert all(cited["row"] >= 2 for cited in rows)
    sheets = [cited["sheet"] for cited in rows if cited["source"].endswith(".xlsx")]
    assert sheets
    assert all(sheets)


@pytest.mark.parametrize(
    ("question", "wanted", "source"),
    [
        ("How long does the battery of the PolarNode P7 last?", "6 years", "sensor-product-guide.pdf"),
        (
            "What is the daily meal allowance when travelling within Europe?",
            "EUR 51",
            "travel-policy-v2.docx",
        ),
        ("新员工的试用期是几个月？", "三个月", "employee-handbook-zh.pdf"),
        ("油过滤器的库存数量是多少？", "14", "spare-parts-inventory-zh.xlsx"),
    ],
)
def test_answers_are_right(answers: list[dict[str, Any]], question: str, wanted: str, source: str) -> None:
    (answer,) = [one for one in answers if one["question"] == question]
    assert wanted in answer["answer"]
    assert Path(answer["citations"][0]["source"]).name == source


def test_the_second_run_reads_nothing_and_says_the_same(home: Path, answers: list[dict[str, Any]]) -> None:
    before = told("status", "--home", str(home))[1]
    assert before["documents"] == len(list((EXAMPLES / "documents").iterdir()))
    code, again = told("demo", "--home", str(home))
    assert code == 0
    after = told("status", "--home", str(home))[1]
    assert (after["sequence"], after["documents"]) == (before["sequence"], before["documents"])
    changing = ("seconds", "trace_id")
    first, second = (
        [{key: value for key, value in answer.items() if key not in changing} for answer in run]
        for run in (answers, again)
    )
    assert first == second
    _, outcomes = told("ingest", "--home", str(home), str(EXAMPLES / "documents"))
    assert {outcome["status"] for outcome in outcomes} == {"unchanged"}
