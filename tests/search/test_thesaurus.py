"""Phrases of a question and their other words, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.search.analyzer import Standard
from lyceum.search.thesaurus import FILE, Thesaurus

GROUPS = """# topic
保修|保修期|warranty
付款条件|payment terms|terms of payment
支付|pay|settle
"""


@pytest.fixture
def known(tmp_path: Path) -> Thesaurus:
    file = tmp_path / "words.txt"
    file.write_text(GROUPS, encoding="utf-8")
    return Thesaurus(Standard(), file)


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
    lines = [line for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) > 500
    assert all(
        len(set(line.split("|"))) == len(line.split("|")) >= 2 and not line.isascii() for line in lines
    )
