"""Text to index terms for English and Chinese: stems, canonical numbers, Chinese words and bigrams.

Pure; the same object serves the index, the question and the answer. Changing any rule changes `name`, and
every view that was made by another name rebuilds itself.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import rjieba
import Stemmer

from lyceum.core.text import CJK, has_cjk

STOP_WORDS = frozenset(
    """a an and are as at be but by for if in into is it no not of on or such that the their then there
    these they this to was will with""".split()
)
SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "万": 1e4, "亿": 1e8}

# Boundaries are ASCII only, so that digits beside Chinese characters are found. A grouped number needs
# groups of three; "1.2.3" is read as 1.2.
NUMBER = (
    r"(?<![A-Za-z0-9.])[$€£¥]?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?P<part>\.\d+)?"
    r"(?:\s?(?P<scale>thousand|million|billion|万|亿))?(?![A-Za-z0-9])"
)
_token = re.compile(rf"{NUMBER}|(?P<cjk>[{CJK}]+)|(?P<word>[^\W{CJK}]+)")
_plain = re.compile(r"\w+")
_digit = re.compile(r"\d")


class Standard:
    """The default analyzer."""

    name = "standard-1"

    def __init__(self) -> None:
        stemmer = Stemmer.Stemmer("english")
        self._stem = lru_cache(maxsize=200_000)(stemmer.stemWord)

    def __call__(self, text: str) -> list[str]:
        """Return the terms in order, repeated as often as they occur."""
        text = unicodedata.normalize("NFKC", text).lower()
        stem = self._stem
        if not _digit.search(text) and not has_cjk(text):
            return [stem(word) for word in _plain.findall(text) if len(word) > 1 and word not in STOP_WORDS]
        terms: list[str] = []
        for match in _token.finditer(text):
            kind = match.lastgroup
            if kind == "word":
                word = match.group()
                if len(word) > 1 and word not in STOP_WORDS:
                    terms.append(stem(word))
            elif kind == "cjk":
                terms.extend(chinese(match.group()))
            else:
                terms.append(number(match.group("whole"), match.group("part"), match.group("scale")))
        return terms


def chinese(run: str) -> list[str]:
    """Return the words of a run of CJK characters and its character bigrams; a bigram that is a word once more."""
    words = [word for word in rjieba.cut(run) if word.strip()]
    return words + [run[i : i + 2] for i in range(len(run) - 1)]


def number(whole: str, part: str | None, scale: str | None) -> str:
    """Return one term for a number however it is written: 1,234.50 and 1234.5, 3 million and 3000000."""
    value = float(whole.replace(",", "") + (part or "")) * SCALES.get(scale or "", 1.0)
    return f"#{value:.10g}"
