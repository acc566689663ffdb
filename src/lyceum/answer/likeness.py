"""The share of a question's words that a statement says, in the same or in like words: late interaction. Pure.

Takes words with the vectors that the encoder's last layer gives them in their text; each word of the question counts
by its likest word in the statement (MaxSim of Khattab and Zaharia 2020, ColBERT) and by its idf. The encoder was
not trained for it: all vectors share a direction, so their mean over the question and its statements is taken
away, and a cosine up to LOW is no likeness. Figures: docs/decisions/answers.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LOW, HIGH = 0.2, 0.8  # cosines of two words that count nothing, and as the same
UNDER = 0.9  # what a cosine counts that a word has only in the statement under its headings

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a text that name something, as terms, and a row of `vectors` for each."""

    terms: tuple[str, ...]
    vectors: npt.NDArray[np.float16]


def likeness(asked: Words, alone: Sequence[Words], under: Sequence[Words]) -> Array | None:
    """Return the shares (0-1) of the asked words in each statement; None when there is nothing to compare.

    `alone` are the statements' words, `under` the same texts read together with their headings.
    """
    rows = {term: row for row, term in reversed([*enumerate(asked.terms)])}
    everything = [words.vectors for words in (asked, *alone, *under)]
    if not rows or sum(map(len, everything)) == len(asked.vectors):
        return None
    mean = np.concatenate(everything).mean(axis=0, dtype=np.float32)
    seen = Counter(term for words in under for term in set(words.terms))
    idf = np.array([math.log(1 + (len(under) + 1) / (seen[term] + 0.5)) for term in rows], np.float32)
    question = _centred(asked.vectors[[*rows.values()]], mean)
    best = np.maximum(_best(question, alone, mean), UNDER * _best(question, under, mean))
    shares: Array = np.clip((best - LOW) / (HIGH - LOW), 0, 1) @ idf / idf.sum()
    return shares


def _centred(vectors: npt.NDArray[np.float16], mean: Array) -> Array:
    moved = vectors.astype(np.float32) - mean
    unit: Array = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-6)
    return unit


def _best(question: Array, texts: Sequence[Words], mean: Array) -> Array:
    """Return for every text (rows) and word of the question the greatest cosine with a word of the text."""
    best = np.zeros((len(texts), len(question)), np.float32)
    held = [row for row, words in enumerate(texts) if words.terms]
    if held:
        sizes = [len(texts[row].terms) for row in held]
        cosines = _centred(np.concatenate([texts[row].vectors for row in held]), mean) @ question.T
        best[held] = np.maximum.reduceat(cosines, np.cumsum([0, *sizes[:-1]]), axis=0)
    return best
