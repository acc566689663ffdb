"""Phrases of a question and their other words, in both languages."""

from __future__ import annotations

import pytest

from lyceum.search.analyzer import Standard
from lyceum.search.gloss import groups
from lyceum.search.thesaurus import Thesaurus

GROUPS = (
    ("保修", "保修期", "warranty"),
    ("付款条件", "payment terms", "terms of payment"),
    ("支付", "pay", "settle"),
)


@pytest.fixture
def known() -> Thesaurus:
    return Thesaurus(Standard(), GROUPS)


def test_the_longest_chinese_phrase_at_its_place(known: Thesaurus) -> None:
    assert known("保修期多长") == [("保修期", ("保修", "warranty"))]


def test_english_by_stems(known: Thesaurus) -> None:
    assert known("Which warranties?") == [("warranti", ("保修", "保修期"))]


def test_a_word_inside_a_longer_word_is_not_it(known: Thesaurus) -> None:
    """ "pay" begins "payment", yet both are asked for."""
    assert [phrase for phrase, _ in known("Who must pay by the payment terms?")] == ["payment term", "pay"]


def test_nothing_known(known: Thesaurus) -> None:
    assert known("zebra 斑马") == []


def test_the_shipped_groups_hold_both_languages() -> None:
    shipped = list(groups())
    assert len(shipped) > 2000
    assert all(len(set(words)) == len(words) >= 2 and not "".join(words).isascii() for words in shipped)


def test_words_of_one_gloss_are_other_words_for_each_other() -> None:
    found = dict(Thesaurus(Standard())("柴油和发电机"))
    assert "diesel" in found["柴油"]
    assert "generator" in found["发电机"]


def test_a_phrase_that_asks_is_a_key_and_no_other_word() -> None:
    found = dict(Thesaurus(Standard(), [("deadline", "最晚什么时候", "截止日期")])("最晚什么时候交？"))
    assert found["最晚什么时候"] == ("deadline", "截止日期")
    assert Thesaurus(Standard(), [("最晚什么时候", "截止日期")])("截止日期") == []
