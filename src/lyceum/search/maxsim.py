"""Hits by late interaction: each word of the question counts by the likest word of the passage. It knows no index.

MaxSim of Khattab and Zaharia 2020 (ColBERT) over the encoder's own last layer, which was not trained for it; with
`idf` a word weighs by how few of the candidates hold it. Words of passages are encoded when they are asked about and
remembered as int8, up to `megabytes`. They are not stored on disk: what outlives the process has to follow the
ledger, or it would keep what was erased. Figures: docs/decisions/rerankers.md.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numkong
import numpy as np
import numpy.typing as npt

from lyceum.core.errors import ConfigError
from lyceum.core.protocols import Embedder
from lyceum.core.text import dense_text, script
from lyceum.core.types import Hit, Query, Reading
from lyceum.search.mixed import mixed

AT_ONCE = 4  # passages encoded between two looks at whether the time is over


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words and a row of `vectors` for each."""

    words: tuple[str, ...]
    vectors: npt.NDArray[np.int8]


class MaxSim:
    """`weight` is its share beside the retriever's score; in languages that the encoder knows less, less."""

    def __init__(
        self, embedder: Embedder | None = None, weight: float = 0.3, idf: bool = True, megabytes: int = 64
    ) -> None:
        assert 0 <= weight <= 1, weight
        assert megabytes >= 1, megabytes
        if not hasattr(embedder, "read"):
            raise ConfigError(
                "MaxSim needs an encoder that gives the vectors of single words.",
                hint="Run: lyceum models add minilm",
            )
        self.embedder: Any = embedder
        self.weight, self.idf, self.most = weight, idf, megabytes * 1_000_000
        self.held = self.encoded = 0
        self._known: OrderedDict[bytes, Words] = OrderedDict()

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits by both scores; as they came when the encoder does not know the question's language."""
        trust = self.embedder.languages.get(script(query.text), 0.0)
        asked = packed((await self.embedder.read([query.text]))[0])
        if not trust or not asked.words or not hits:
            return list(hits)
        passages = await self._words([dense_text(hit.chunk) for hit in hits])
        return mixed(hits, maxsim(asked, passages, self.idf).tolist(), self.weight * trust)

    async def _words(self, texts: Sequence[str]) -> list[Words]:
        """Return the words of each text, from memory where they are."""
        keys = [blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
        found = {key: self._known[key] for key in keys if key in self._known}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        waiting = list(missing.items())
        for start in range(0, len(waiting), AT_ONCE):
            some = waiting[start : start + AT_ONCE]
            for (key, _), reading in zip(
                some, await self.embedder.read([text for _, text in some]), strict=True
            ):
                found[key] = packed(reading)
                self._remember(key, found[key])
        for key in found.keys() & self._known.keys():
            self._known.move_to_end(key)
        return [found[key] for key in keys]

    def _remember(self, key: bytes, words: Words) -> None:
        self.encoded += 1
        if key in self._known:  # two questions read it at the same time
            return
        self._known[key] = words
        self.held += _size(words)
        while self.held > self.most:
            self.held -= _size(self._known.popitem(last=False)[1])


def maxsim(asked: Words, passages: Sequence[Words], idf: bool = True) -> npt.NDArray[np.float64]:
    """Return for each passage the mean over the asked words of their best cosine with one of its words."""
    best = np.zeros((len(passages), len(asked.words)))
    for row, words in enumerate(passages):
        if words.words:
            distances = numkong.cdist(words.vectors, asked.vectors, metric="angular", threads=1)
            best[row] = 1 - np.asarray(distances).min(axis=0)
    seen = Counter(word for words in passages for word in set(words.words))
    share = [math.log(1 + (len(passages) + 1) / (seen[word] + 0.5)) if idf else 1.0 for word in asked.words]
    scores: npt.NDArray[np.float64] = np.average(best, axis=1, weights=share)
    return scores


def packed(reading: Reading) -> Words:
    """Return a reading's words with their vectors as int8, each row by its own greatest value."""
    vectors = np.asarray(reading.vectors, np.float32)
    greatest = np.abs(vectors).max(axis=1, keepdims=True, initial=1e-9)
    return Words(reading.words, np.rint(vectors / greatest * 127).astype(np.int8))


def _size(words: Words) -> int:
    return words.vectors.nbytes + sum(map(len, words.words)) + 64 * len(words.words)
