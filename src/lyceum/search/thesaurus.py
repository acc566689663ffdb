"""Words that say the same, in English and Chinese: a question to the phrases it holds and what else they are called.

Groups stand in thesaurus.txt, one a line, written for business texts in general; words of lexicon.txt with one gloss
make further groups. It helps where no encoder knows the language, and across the two languages; it changes no
index and no default ranking.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lyceum.core.protocols import Analyzer
from lyceum.core.text import has_cjk
from lyceum.search.gloss import entries
from lyceum.search.gloss import groups as same

LONGEST = 6  # characters of a Chinese phrase; an English one has at most three words


class Thesaurus:
    """Groups are read at the first use; `words` are other groups than the shipped ones."""

    def __init__(self, analyzer: Analyzer, words: Sequence[Sequence[str]] = ()) -> None:
        self.analyzer, self.words = analyzer, words
        self._groups: dict[str, dict[str, None]] = {}

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
        return [(phrase, tuple(groups[phrase])) for phrase in dict.fromkeys(found)]

    def _read(self) -> dict[str, dict[str, None]]:
        """Return for each phrase (Chinese as written, English as stems) the words of all its groups, in order."""
        groups: dict[str, dict[str, None]] = defaultdict(dict)
        for words in self.words or (*same(), *_by_gloss()):
            for word in words:
                key = word if has_cjk(word) else " ".join(self.analyzer(word))
                groups[key].update(dict.fromkeys(other for other in words if other != word))
        groups.pop("", None)
        return dict(groups)


def _by_gloss() -> list[list[str]]:
    """Return the words of the lexicon that share a gloss, with it; single characters mean too much."""
    found: dict[str, list[str]] = defaultdict(list)
    for names, word, gloss in entries():
        if names and gloss and len(word) > 1:
            found[gloss.lower()].append(word)
    return [[gloss, *words] for gloss, words in found.items()]
