"""Short answers: the one value of a sentence, the one cell of a row, and when none is marked."""

from __future__ import annotations

import pytest

from lyceum.answer.asked import kind
from lyceum.answer.statements import Statement, statements
from lyceum.answer.values import value
from lyceum.search.analyzer import Standard
from tests.answer.made import hit, prose, table

analyze = Standard()


def short(question: str, statement: Statement) -> str | None:
    span = value(question, kind(question), statement, analyze)
    return None if span is None else statement.quote[slice(*span)]


def sentence(text: str) -> Statement:
    (found,) = statements([hit(prose(text))])
    return found


def row(columns: tuple[str, ...], cells: tuple[str, ...]) -> Statement:
    (found,) = statements([hit(table(columns, cells))])
    return found


@pytest.mark.parametrize(
    ("question", "text", "marked"),
    [
        ("How many pallets fit in?", "The cold store holds 1,200 pallets.", "1,200"),
        ("How many people work there?", "In Bergen work 620 people.", "620 people"),
        ("How heavy is the gateway?", "The gateway weighs 2.5 kg.", "2.5 kg"),
        ("How cold is the store?", "The store is kept at -18 °C.", "-18 °C"),
        ("What share is refunded?", "Of the fee 80% is refunded.", "80%"),
        ("How much does the fan cost?", "The fan costs $1,250.50 in Bergen.", "$1,250.50"),
        ("How long is the notice?", "The notice is 30 days long.", "30 days"),
        ("保修期多久？", "保修期为12个月。", "12个月"),
        ("午餐多少钱？", "午餐每份30元。", "30元"),
    ],
)
def test_the_one_value_of_a_sentence_is_marked_with_its_unit(question: str, text: str, marked: str) -> None:
    assert short(question, sentence(text)) == marked


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How many pallets fit in?", "The cold store holds 1,200 pallets and 40 crates."),
        ("How much does the fan cost?", "The fan costs 90 EUR, the seal 30 EUR."),
        ("When is the salary paid?", "It is paid on 25 March 2026 and 25 April 2026."),
        ("保修期多久？", "保修期为12个月，电池为6个月。"),
    ],
)
def test_of_two_values_none_is_marked(question: str, text: str) -> None:
    assert short(question, sentence(text)) is None


@pytest.mark.parametrize(
    ("question", "text", "marked"),
    [
        ("How many pallets do 40 trucks carry?", "40 trucks carry 1,200 pallets.", "1,200"),
        ("How much does the fan cost?", "The fan costs 90 EUR for 14 days.", "90 EUR"),
        ("How many doors are there?", "The TX-200 has 3 doors.", "3"),
        ("How many pallets were there?", "On 25 March 2026 it held 640 pallets.", "640"),
    ],
)
def test_values_that_cannot_be_meant_do_not_count(question: str, text: str, marked: str) -> None:
    assert short(question, sentence(text)) == marked


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How many trucks are there?", "Trucks are washed on Fridays."),
        ("How much does the fan cost?", "The fan is 40 cm wide."),
        ("Who leads the depot?", "Ingrid Dahl has led the depot for 12 years."),
        ("Describe the depot.", "The depot holds 1,200 pallets."),
    ],
)
def test_without_a_value_of_the_kind_none_is_marked(question: str, text: str) -> None:
    assert short(question, sentence(text)) is None


@pytest.mark.parametrize(
    ("question", "text", "marked"),
    [
        ("When is the salary paid?", "It is paid on 25 March 2026 by bank.", "25 March 2026"),
        ("When is the salary paid?", "It is paid on March 25, 2026 by bank.", "March 25, 2026"),
        ("When is the salary paid?", "It is paid on 2026-03-25 by bank.", "2026-03-25"),
        ("When did the depot open?", "The depot opened in 1998 with 40 trucks.", "1998"),
        ("工资什么时候发？", "工资于2026年3月25日发放。", "2026年3月25日"),
        ("When was the fee of 2025 raised?", "The fee of 2025 was raised on 3 May 2026.", "3 May 2026"),
    ],
)
def test_dates(question: str, text: str, marked: str) -> None:
    assert short(question, sentence(text)) == marked


STAFF = row(("Name", "Post", "Extension"), ("Ingrid Dahl", "Head of logistics", "4471"))


@pytest.mark.parametrize(
    ("question", "cell"),
    [
        ("What is the extension of Ingrid Dahl?", "4471"),
        ("What is the post of Ingrid Dahl?", "Head of logistics"),
        ("What is the name of the head of logistics?", "Ingrid Dahl"),
    ],
)
def test_the_cell_by_its_column(question: str, cell: str) -> None:
    assert short(question, STAFF) == cell


def test_a_chinese_cell_by_its_column() -> None:
    assert short("水泵的库存是多少？", row(("备件", "库存", "单价"), ("水泵", "14", "900"))) == "14"


def test_the_cell_that_the_question_names_is_never_the_answer() -> None:
    seal = row(("Spare part", "Price"), ("Door seal", "30 EUR"))
    assert short("What is the price of the spare part door seal?", seal) == "30 EUR"
    assert short("Which spare part has the price 30 EUR?", seal) == "Door seal"


def test_two_columns_with_as_many_words_leave_a_guess() -> None:
    fan = row(("Part", "Price net", "Price gross"), ("Fan", "90 EUR", "113 EUR"))
    assert short("What is the price of the fan?", fan) is None
    assert short("What is the gross price of the fan?", fan) == "113 EUR"


def test_without_a_column_the_only_cell_of_the_kind() -> None:
    assert (
        short("When is the gateway calibrated?", row(("Device", "Due"), ("Gateway", "2026-03-25")))
        == "2026-03-25"
    )
    twice = row(("Device", "Last", "Due"), ("Gateway", "2025-03-25", "2026-03-25"))
    assert short("When is the gateway calibrated?", twice) is None
    assert short("Who calibrates the gateway?", row(("Device", "Crew"), ("Gateway", "Per Moe"))) is None
