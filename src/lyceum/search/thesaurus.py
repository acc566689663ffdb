"""Words that say the same, in English and Chinese: a question to the phrases it holds and what else they are called.

Groups stand in thesaurus.txt, one a line, written for business texts in general; words of lexicon.txt with one gloss
make further groups. It helps where no encoder knows the language, and across the two languages; it changes no
index and no default ranking.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from lyceum.core.protocols import Analyzer
from lyceum.core.text import has_cjk
from lyceum.search.gloss import entries
from lyceum.search.gloss import groups as same

LONGEST = 6  # characters of a Chinese phrase; an English one has at most three words
# Phrases that ask ("how long", 找谁) are looked for in questions but are no other words: passages do not ask.
ASKS = re.compile(
    r"\b(?:how|what|who|whom|when|where|which)\b|[几谁哪吗]|多[少久长大高远重宽深厚快]|什么|怎么|如何|能不能"
)


class Thesaurus:
    """Groups are read at the first use; `words` are other groups than the shipped ones."""

    def __init__(self, analyzer: Analyzer, words: Sequence[Sequence[str]] = ()) -> None:
        self.analyzer, self.words = analyzer, words
        self._groups: dict[str, list[tuple[str, Sequence[str]]]] = {}

    def __call__(self, text: str) -> list[tuple[str, tuple[str, ...]]]:
        """Return each known phrase of the text, longest first at its place, with the other words of its groups."""
        groups = self._groups = self._groups or self._read()
        found: list[str] = []
        text = text.lower()
        place = 0
        while place < len(text):
            ends = range(min(len(text), place + LONGEST), place + 1, -1)
            phrase = next(
                (text[place:end] for end in ends if has_cjk(text[place]) and text[place:end] in groups), ""
            )
            if phrase:
                found.append(phrase)
            place += len(phrase) or 1
        stems = [term for term in self.analyzer(text) if not has_cjk(term)]
        for size in (3, 2, 1):
            for start in range(len(stems) - size + 1):
                key = " ".join(stems[start : start + size])
                if key in groups and not any(f" {key} " in f" {longer} " for longer in found):
                    found.append(key)
        others = ((phrase, self._others(phrase)) for phrase in dict.fromkeys(found))
        return [(phrase, words) for phrase, words in others if words]

    def _others(self, phrase: str) -> tuple[str, ...]:
        words = (other for word, group in self._groups[phrase] for other in group if other != word)
        return tuple(word for word in dict.fromkeys(words) if not ASKS.search(word))

    def _read(self) -> dict[str, list[tuple[str, Sequence[str]]]]:
        """Return for each phrase (Chinese as written, English as stems) itself and its group, for each group."""
        groups: dict[str, list[tuple[str, Sequence[str]]]] = defaultdict(list)
        stem = cache(lambda word: word if has_cjk(word) else " ".join(self.analyzer(word)))
        for words in self.words or (*same(), *_by_gloss()):
            for word in words:
                key = " ".join(filter(None, map(stem, word.split()))) if " " in word else stem(word)
                groups[key].append((word, words))
        groups.pop("", None)
        return dict(groups)


def _by_gloss() -> list[list[str]]:
    """Return the words of the lexicon that share a gloss, with it; single characters mean too much."""
    found: dict[str, list[str]] = defaultdict(list)
    for names, word, gloss in entries():
        if names and gloss and len(word) > 1:
            found[gloss.lower()].append(word)
    return [[gloss, *words] for gloss, words in found.items()]
