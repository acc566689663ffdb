"""The analyzer's terms, each rule with an example."""

from __future__ import annotations

import pytest

from lyceum.search.analyzer import Standard

analyze = Standard()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The pumps are running", ["pump", "run"]),
        ("Ｆｕｌｌ width", ["full", "width"]),
        ("costs $1,234.50 today", ["cost", "#1234.5", "today"]),
        ("1234.5 and 1,234.5", ["#1234.5", "#1234.5"]),
        ("3 million", ["#3000000"]),
        ("version 1.2.3", ["version", "#1.2"]),
        ("a b c x", []),
        ("the of and", []),
        ("", []),
        ("营收1,234.5万元", ["营收", "营收", "#12345000", "元"]),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert analyze(text) == terms


def test_chinese_words_and_bigrams() -> None:
    terms = analyze("冷链传感器")
    assert "传感器" in terms
    assert {"冷链", "链传", "传感", "感器"} <= set(terms)


def test_codes_keep_their_parts() -> None:
    assert analyze("TX-200") == ["tx", "#200"]
    assert analyze("TX200") == ["tx200"]


def test_the_same_terms_in_index_and_question() -> None:
    assert set(analyze("How many employees?")) & set(analyze("620 employees work there"))
