"""Misspelt words of a question, put right by words of the passages that its reader may see.

A word is looked at when no such passage holds its term: five small letters or more and no digit, so that codes,
names and acronyms stay. Its place takes the word one letter away whose term stands in most passages: a letter
dropped, added, changed, or exchanged with its neighbour, never the first (Norvig 2007; Damerau 1964).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from string import ascii_lowercase
from typing import Protocol

from lyceum.core.protocols import Analyzer, Retriever, View, Vocabulary
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query
from lyceum.search.checks import check

WORDS, TRIED = 32, 5  # words of a question that are looked at; words that are tried for one
_word = re.compile(r"(?<![\w.@/-])[a-z]{5,20}(?![\w@/-])(?!\.\w)")


class Lexical(View, Vocabulary, Protocol):
    """A lexical view that counts its terms, too."""


class Spelled:
    """Wraps any retriever; a question whose words are known costs one look for each."""

    def __init__(self, retriever: Retriever, analyzer: Analyzer, lexical: Lexical) -> None:
        self.retriever, self.analyzer, self.lexical = retriever, analyzer, lexical

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the question in words that the documents know."""
        check(query)
        with span("search.spelling") as facts:
            text = query.text
            for word in list(dict.fromkeys(_word.findall(text)))[:WORDS]:
                if (
                    self.analyzer(word)
                    and not await self._held(word, query)
                    and (right := await self.right(word, query))
                ):
                    text = re.sub(rf"\b{word}\b", right, text)
            facts["changed"] = text != query.text
        return await self.retriever(replace(query, text=text))

    async def right(self, word: str, query: Query) -> str:
        """Return the word that is meant, empty where none is near."""
        near = {other: terms[0] for other in edits(word) if len(terms := self.analyzer(other)) == 1}
        _, known = await self.lexical.counts(list(set(near.values())))
        ranked = sorted((-known[term], other) for other, term in near.items() if known[term])
        for _, other in ranked[:TRIED]:
            if await self._held(other, query):
                return other
        return ""

    async def _held(self, word: str, query: Query) -> bool:
        """Say whether the reader may see a passage with this word."""
        return bool(await self.lexical.find(replace(query, terms=dict.fromkeys(self.analyzer(word), 1.0)), 1))


def edits(word: str) -> Iterator[str]:
    """Yield the words that are one letter away; the first letter stays."""
    for place in range(1, len(word) + 1):
        left, right = word[:place], word[place:]
        yield from (f"{left}{letter}{right}" for letter in ascii_lowercase)
        if right:
            yield left + right[1:]
            yield from (f"{left}{letter}{right[1:]}" for letter in ascii_lowercase if letter != right[0])
        if len(right) > 1:
            yield f"{left}{right[1]}{right[0]}{right[2:]}"
