"""Known answers: what the rules make of questions over small tables, and which rows they are made of."""

from __future__ import annotations

import pytest

from lyceum.answer.computed import computations
from lyceum.answer.table_sheet import Sheet
from lyceum.search.analyzer import Standard
from tests.answer.test_table_sheet import made

MEDALS = made(
    ("Rank", "Nation", "Gold", "Silver", "Total"), ("1", "China", "14", "10", "24"),
    ("2", "Thailand", "13", "9", "22"),
    ("3", "South Korea", "6", "7", "13"), ("4", "India", "0", "2", "2"), ("", "Total", "33", "28", "61"),
)  # fmt: skip
SHIPS = made(
    ("Name", "Builder", "Launched", "Length (m)"), ("Amazon", "Vosper", "26 April 1971", "117.0"),
    ("Antelope", "Vosper", "16 March 1972", "117.5"), ("Active", "Yarrow", "23 November 1972", "118.2"),
    ("Avenger", "Yarrow", "20 November 1969", "119.0"),
)  # fmt: skip
INCOME = made(
    ("", "Years ended December 31,", "", ""), ("(in thousands)", "2019", "2018", "2017"),
    ("Revenue", "1,200", "1,000", "900"), ("Operating costs", "(600)", "(500)", "(450)"),
    ("Net income", "300", "240", "200"), ("Tax rate", "21.0%", "20.0%", "25.0%"),
)  # fmt: skip
STAFF = made(
    ("部门", "人数", "城市", "预算（万元）"), ("销售部", "40", "北京", "120"), ("研发部", "95", "上海", "300"),
    ("财务部", "12", "北京", "80"),
)  # fmt: skip
REPORT = made(("项目（万元）", "2023年", "2022年"), ("营业收入", "1,500", "1,200"), ("净利润", "180", "150"))


@pytest.mark.parametrize(
    ("table", "question", "values", "rows"),
    [
        (MEDALS, "How many gold medals did Thailand win?", ("13",), (1,)),
        (MEDALS, "How many nations won more than 5 gold medals?", ("3",), (0, 1, 2)),
        (MEDALS, "How many more gold medals did China win than India?", ("14",), (0, 3)),
        (MEDALS, "What is the difference in total medals between China and India?", ("22",), (0, 3)),
        (MEDALS, "Which nation won the most silver medals?", ("China",), (0,)),
        (MEDALS, "Which nation won the least gold medals?", ("India",), (3,)),
        (MEDALS, "Who won more gold medals, Thailand or South Korea?", ("Thailand",), (1,)),
        (MEDALS, "Did India win more silver medals than China?", ("no",), (3, 0)),
        (MEDALS, "Which nation is listed after Thailand?", ("South Korea",), (2,)),
        (MEDALS, "Which nation is listed before Thailand?", ("China",), (0,)),
        (MEDALS, "What is the last nation on the list?", ("India",), (3,)),
        (MEDALS, "How many nations won no gold medals?", ("1",), (3,)),
        (SHIPS, "How many ships did Yarrow build?", ("2",), (2, 3)),
        (SHIPS, "What is the average length of the ships built by Vosper?", ("117.25",), (0, 1)),
        (SHIPS, "Which ship was the first to be launched?", ("Avenger",), (3,)),
        (SHIPS, "Who was the builder of Active?", ("Yarrow",), (2,)),
        (SHIPS, "Which ship is longer, Amazon or Antelope?", ("Antelope",), (1,)),
        (SHIPS, "How many ships were launched after 1971?", ("2",), (1, 2)),
        (INCOME, "What was the change in revenue from 2018 to 2019?", ("200",), (0,)),
        (INCOME, "What was the percentage change in net income between 2018 and 2019?", ("25",), (2,)),
        (INCOME, "What was the average revenue for 2017, 2018 and 2019?", ("1033.3333",), (0,)),
        (INCOME, "What was the average revenue from 2017 to 2019?", ("1033.3333",), (0,)),
        (INCOME, "What was the total net income of 2018 and 2019?", ("540",), (2,)),
        (INCOME, "In which year was net income the highest?", ("2019",), (2,)),
        (INCOME, "What was net income as a percentage of revenue in 2019?", ("25",), (2, 0)),
        (INCOME, "What was the ratio of net income to revenue in 2018?", ("0.24",), (2, 0)),
        (INCOME, "What was the difference between revenue and net income in 2018?", ("760",), (0, 2)),
        (INCOME, "What were the operating costs in 2018?", ("(500)",), (1,)),
        (INCOME, "What was the tax rate in 2019 and 2018?", ("21.0%", "20.0%"), (3,)),
        (STAFF, "北京有多少个部门?", ("2",), (0, 2)),
        (STAFF, "哪个部门人数最多?", ("研发部",), (1,)),
        (STAFF, "销售部和财务部的预算相差多少?", ("40",), (0, 2)),
        (STAFF, "研发部的人数是多少?", ("95",), (1,)),
        (REPORT, "2023年营业收入比2022年增长了多少?", ("300",), (0,)),
        (REPORT, "2023年净利润的同比增长率是多少，对比2022年?", ("20",), (1,)),
    ],
)  # fmt: skip
def test_known_answers(table: Sheet, question: str, values: tuple[str, ...], rows: tuple[int, ...]) -> None:
    (one,) = computations(question, table, Standard())
    assert (one.result.values, one.result.rows) == (values, rows)


@pytest.mark.parametrize(
    "question",
    ["Why did revenue increase in 2019 from 2018?", "What caused the change in net income?", "Hello there"],
)
def test_what_is_told_is_not_computed(question: str) -> None:
    assert computations(question, INCOME, Standard()) == []


def test_units() -> None:
    plans = {
        question: computations(question, INCOME, Standard())[0].plan.unit
        for question in (
            "What was the change in the tax rate from 2018 to 2019?",
            "What was revenue in 2019?",
        )
    }
    assert list(plans.values()) == ["percent", ""]
    assert INCOME.scale == "thousand"
    assert REPORT.scale == "万"


def test_more_guesses_and_words_left_over_make_it_less_sure() -> None:
    def sure(question: str) -> float:
        return computations(question, MEDALS, Standard())[0].sure

    plain = sure("Which nation won the most silver medals?")
    assert plain > sure("Which nation won the most silver medals in consecutive indoor winters?")
