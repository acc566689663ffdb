"""Misspelt words of a question, put right by words of the passages that its reader may see.

A word is looked at when no passage holds its term: four letters or more, no digit, no capital behind the first
letter, so that codes and acronyms stay. Its place takes the commonest of the nearest terms, one letter away (two
neighbours changed are one), for longer words two. Distance: Damerau (1964), restricted.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from lyceum.core.protocols import Analyzer, Ledger, Retriever, Vocabulary
from lyceum.core.text import dense_text
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query
from lyceum.search.checks import check

SHORTEST, LONG, WORDS = (
    4,
    8,
    32,
)  # letters of a word that is looked at, that may differ in two; words looked at
PASSAGES = 50
_word = re.compile(r"(?<![\w.@/-])[A-Za-z][a-z]+(?![\w@/-])(?!\.\w)")


class Spelled:
    """Wraps any retriever; a question whose words are known costs one look for each."""

    def __init__(self, retriever: Retriever, analyzer: Analyzer, lexical: Vocabulary, ledger: Ledger) -> None:
        self.retriever, self.analyzer = retriever, analyzer
        self.lexical, self.ledger = lexical, ledger

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the question in words that the documents know."""
        check(query)
        with span("search.spelling") as facts:
            words = dict.fromkeys(word for word in _word.findall(query.text) if len(word) >= SHORTEST)
            terms = {word: self.analyzer(word) for word in list(words)[:WORDS]}
            text = query.text
            for word, held in terms.items():
                if len(held) != 1 or await self.lexical.near(held[0], query, 1, 0):
                    continue
                if right := await self.nearest(held[0], query):
                    text = re.sub(rf"\b{word}\b", right, text)
            facts["changed"] = text != query.text
        return await self.retriever(replace(query, text=text))

    async def nearest(self, term: str, query: Query) -> str:
        """Return the word that is meant, empty where none is near."""
        for letters in range(1, 3 if len(term) >= LONG else 2):
            numbers = await self.lexical.near(term, query, PASSAGES, letters)
            found = await self.ledger.get(numbers, query.readers)
            text = " ".join(dense_text(chunk) for chunk, _ in found.values())
            words = Counter(word.lower() for word in re.findall(r"[A-Za-z]{3,}", text))
            near = {
                word: count
                for word, count in words.items()
                if (stems := self.analyzer(word)) and distance(term, stems[0], letters) <= letters
            }
            if near:
                return max(near, key=lambda word: (near[word], word))
        return ""


def distance(one: str, other: str, most: int) -> int:
    """Return how many letters differ, are missing, or have changed places with their neighbour; stop past `most`."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before, row = list[int](), list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, mine in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != mine))
            if i > 1 and j > 1 and letter == other[j - 2] and mine == one[i - 2]:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
