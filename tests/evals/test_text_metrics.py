"""Words, characters and numbers: the examples of the papers and their scripts, and cases by hand."""

from __future__ import annotations

import pytest

from lyceum.evals.text_metrics import (
    exact,
    f1,
    holds,
    numeric,
    overlaps,
    quantities,
    rouge_l,
    statements,
    tokens,
)


def test_english_is_normalised_as_squad_does() -> None:
    """Rajpurkar et al. 2016: lower case, no punctuation, no articles, blanks squeezed."""
    assert tokens("The  Denver Broncos, a team.") == ["denver", "broncos", "team"]
    assert exact("the 10th and 11th centuries!", "10th and 11th centuries") == 1
    assert exact("10th century", "11th century") == 0
    assert f1("in the 10th and 11th centuries", "10th and 11th centuries") == pytest.approx(2 * 4 / 9)
    assert f1("France", "Normandy") == 0
    assert f1("", "") == 1
    assert f1("a", "the") == 1
    assert f1("France", "") == 0


def test_chinese_is_compared_by_characters_as_cmrc_does() -> None:
    """Cui et al. 2018: marks are dropped, Latin words are kept whole, the longest common piece counts."""
    assert tokens("光荣和ω-force。") == ["光", "荣", "和", "ωforce"]
    assert exact("《战国 无双3》", "战国无双3") == 1
    assert f1("村雨城", "任天堂游戏谜之村雨城") == pytest.approx(2 * 3 / (3 + 10))
    assert f1("光荣与ω-force", "光荣和ω-force") == pytest.approx(2 * 2 / (4 + 4)), (
        "not 3: they do not stand together"
    )


def test_rouge_l_of_the_paper() -> None:
    """Lin 2004, section 3: the order counts, not the place."""
    gold = "police killed the gunman"
    assert rouge_l("police kill the gunman", gold) == pytest.approx(3 / 4)
    assert rouge_l("the gunman kill police", gold) == pytest.approx(2 / 4)
    assert rouge_l("the gunman police killed", gold) == pytest.approx(2 / 4)
    assert rouge_l("警察击毙枪手", "警察击毙了枪手") == pytest.approx(2 * 6 / 13)
    assert rouge_l("", "") == 0


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("$1,496.5 million", [(1_496_500_000, "USD")]), ("a loss of (12.6) and -3", [(-12.6, ""), (-3, "")]),
        ("US$ 2bn, or 1.5万亿元", [(2e9, "USD"), (1.5e12, "CNY")]), ("（3.2％）", [(-3.2, "%")]),
        ("净利润为3.5亿美元，同比下降12个百分点", [(3.5e8, "USD"), (12, "%")]), ("-$4.5k", [(-4500, "USD")]),
        ("2018-2019 (2020)", [(2018, ""), (2019, ""), (2020, "")]), ("5 m long, 3千米", [(5, ""), (3, "")]),
        ("€.5 and 10.48‰", [(0.5, "EUR"), (10.48, "‰")]), ("version 1.2.3, model A40", []),
        ("1361万人", [(13_610_000, "")]), ("(4.0)%", [(-4.0, "%")]), ("１２３元", [(123, "CNY")]),
        ("£(8.1m)", [(-8_100_000, "GBP")]), ("S$1.75 billion, HK$3", [(1.75e9, "s$"), (3, "hk$")]),
    ],
)  # fmt: skip
def test_numbers_are_read_with_scale_unit_and_sign(text: str, values: list[tuple[float, str]]) -> None:
    found = [(one.value, one.unit) for one in quantities(text)]
    assert found == [(pytest.approx(value), unit) for value, unit in values]


@pytest.mark.parametrize(
    ("text", "gold", "same"),
    [
        ("Sales were $1,496.5 million.", "$1.4965 billion", True), ("about 1.50 billion", "$1,496.5 million", True),
        ("about 1.5 billion", "$1,496.5 million", False), ("in 2018", "2019", False), ("12.6 %", "0.126", True),
        ("12.6", "12.6%", True), ("€5", "$5", False), ("(12.6)", "-12.6", True), ("12.6", "-12.6", False),
        ("Table (in millions): sales 1,496.5", "$1,496.5 million", True), ("单位：万元 收入 20", "20万元", True),
        ("sales 1,496.5", "$1,496.5 million", False), ("within 5 working days", "5 working days", True),
        ("within 5 weeks", "5 working days", False), ("13 610 000", "1361万", False),
        ("1361万人", "13,610,000", True),
        ("0.7", "70", False), ("70.4 seats", "70", True), ("no number", "3", False), ("3", "three", None),
        ("1 2", "1 or 2", None),
    ],
)  # fmt: skip
def test_numbers_match_whatever_their_form(text: str, gold: str, same: bool | None) -> None:
    assert numeric(text, gold) is same


def test_a_tolerance_is_asked_for() -> None:
    assert numeric("104", "100") is False
    assert numeric("104", "100", tolerance=0.05) is True
    assert numeric("106", "100", tolerance=0.05) is False


def test_words_are_held_whole() -> None:
    assert holds("It costs 1,200 EUR.", "1200 eur")
    assert holds("保修 期 为两年。", "保修期为 两年")
    assert not holds("It costs 12000.", "1200")
    assert not holds("3.14", "14")
    assert not holds("Paris.", "Pari")


def test_texts_overlap_across_layouts() -> None:
    words = "The notice period is three months to the end of a quarter"
    assert overlaps(f"| {words.replace(' ', ' | ')} |", words)
    assert overlaps("three months", words)
    assert not overlaps("three quarter", words), "short texts stand together"
    assert not overlaps("The weather is three months late in this year of the cat", words)
    assert not overlaps("", words)


def test_statements_and_their_marks() -> None:
    assert statements("It is 5. [1] It was 4 [2,3]. Nobody knows.\n有效。[1]无效。") == [
        ("It is 5.", (1,)), ("It was 4.", (2, 3)), ("Nobody knows.", ()), ("有效。", (1,)), ("无效。", ()),
    ]  # fmt: skip
    assert statements("[1]\n") == []
    assert statements("Lamp | 20 [1]\nDesk | 30 [2]") == [("Lamp | 20", (1,)), ("Desk | 30", (2,))]
