"""Chinese text in English words: known answers, parts of unknown words, and what the shipped lexicon holds."""

from __future__ import annotations

from lyceum.core.text import CJK, has_cjk
from lyceum.search.gloss import Gloss, entries


def test_word_by_word_with_latin_and_numbers_kept() -> None:
    assert Gloss()("备用柴油发电机功率为800 kW。") == "spare diesel generator power for 800 kW。"


def test_english_is_left_alone() -> None:
    assert Gloss()("Who repairs  the pump?") == "Who repairs  the pump?"


def test_a_word_that_is_unknown_is_read_by_its_parts() -> None:
    assert "fire" in Gloss()("灭火组长")
    assert Gloss()("𠮷") in ("", "𠮷"), "what has no gloss at all says nothing"


def test_the_lexicon_gives_each_word_one_english_gloss() -> None:
    found = [(word, gloss) for _, word, gloss in entries()]
    assert len(found) > 3000
    assert len({word for word, _ in found}) == len(found)
    assert not [word for word, gloss in found if not has_cjk(word) or has_cjk(gloss)], CJK
