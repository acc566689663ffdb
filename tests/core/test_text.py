"""Sentences, tokens and scripts."""

from __future__ import annotations

import pytest

from lyceum.core.text import clean, count_tokens, language, markdown_row, sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.50 euros. Fine.", ["It costs 3.50 euros.", "Fine."]),
        ("See Fig. 3 and Dr. Li. Then go.", ["See Fig. 3 and Dr. Li.", "Then go."]),
        ("第一句。第二句！“第三句。”", ["第一句。", "第二句！", "“第三句。”"]),
        ("Ordered by\nthe yard.", ["Ordered by\nthe yard."]),
        ("From: A\nTo: B", ["From: A", "To: B"]),
        ("- one\n- two", ["- one", "- two"]),
        ("发件人：甲\n日期：5月", ["发件人：甲", "日期：5月"]),
        ("Open from 9:00\nto 17:30", ["Open from 9:00\nto 17:30"]),
        ('He said "stop." Then left.', ['He said "stop."', "Then left."]),
        ("no mark at all", ["no mark at all"]),
        ("  spaced.  ", ["spaced."]),
        ("", []),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert cut(text) == parts


def test_sentences_cover_all_but_spaces() -> None:
    text = "A b. C d!\n\nE f 。G"
    assert "".join(cut(text)).replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_tokens() -> None:
    assert count_tokens("冷链传感器") == 5
    assert count_tokens("pump") == 1
    assert count_tokens("temperature") == 2
    assert count_tokens("12345") == 2
    assert count_tokens("") == 0


def test_language() -> None:
    assert language("温度传感器 TX-200 的精度") == "zh"
    assert language("The sensor 传感器 measures temperature in trucks and warehouses") == "en"
    assert language("") == "en"


def test_clean() -> None:
    assert clean(" a\r\nb\x00\x07 ") == "a\nb"
    assert clean("e\u0301") == "é"
    assert clean("x\ud800y") == "x?y"


def test_markdown_row() -> None:
    assert markdown_row(("a|b", " c\nd ")) == "| a\\|b | c d |"
