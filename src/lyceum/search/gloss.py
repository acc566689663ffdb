"""Chinese text to English glosses, word by word, for encoders that read English alone; pure, no model.

An English encoder sees "spare diesel generator power" for 备用柴油发电机功率: no translation, but near it in
meaning (figures: docs/decisions/gloss.md). Words come from lexicon.txt and thesaurus.txt; a word that
neither holds is looked up by its parts, down to single characters. Latin words and numbers stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import rjieba

from lyceum.core.text import CJK, has_cjk

LEXICON = Path(__file__).with_name("lexicon.txt")
THESAURUS = Path(__file__).with_name("thesaurus.txt")
_run = re.compile(f"[{CJK}]+")


class Gloss:
    """`name` changes with the words, so that vectors of other glosses are made again."""

    name = "gloss-2"

    def __call__(self, text: str) -> str:
        """Return the text with each Chinese word replaced by its gloss."""
        if not has_cjk(text):
            return text
        return " ".join(_run.sub(lambda run: f" {' '.join(self._words(run.group()))} ", text).split())

    def _words(self, run: str) -> Iterator[str]:
        for word in rjieba.cut(run):
            place = 0
            while place < len(word):
                ends = range(len(word), place, -1)
                end = next((end for end in ends if word[place:end] in self._known), 0)
                if end and (gloss := self._known[word[place:end]]):
                    yield gloss
                place = end or place + 1

    @cached_property
    def _known(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for words in groups():
            english = next((word for word in words if not has_cjk(word)), "")
            known.update({word: english for word in words if has_cjk(word) and english and word not in known})
        return known | {word: gloss for _, word, gloss in entries()}


def groups() -> Iterator[list[str]]:
    """Yield the groups of thesaurus.txt: words that say the same."""
    for line in THESAURUS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.lower().split("|")


def entries() -> Iterator[tuple[bool, str, str]]:
    """Yield (names something, word, gloss) of lexicon.txt: words of its first section only ask or link."""
    names = False
    for line in LEXICON.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            names = "question words" not in line
            continue
        for entry in line.split(";"):
            word, _, gloss = entry.partition(" ")
            yield names, word, gloss
