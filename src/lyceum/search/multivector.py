"""Hits to the same hits by their best sentence: its cosine and the whole passage's, beside the score they had.

One vector a sentence and the maximum over them (MaxSim with sentences in the place of tokens; Khattab and Zaharia
2020, ColBERT), averaged with the passage's own vector. Vectors are remembered by text; a first question pays for
encoding its candidates' sentences, which a store would have to keep five to ten times as many vectors to avoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lyceum.core.protocols import Embedder
from lyceum.core.text import dense_text, script, sentences
from lyceum.core.types import Hit, Query

REMEMBERED = 20_000  # vectors of half precision, 15 MB
MOST = 12  # sentences of a passage

Floats = npt.NDArray[np.float32]


class Sentences:
    """`weight` is the share of the vectors' z-score beside that of the score the hits had."""

    def __init__(self, embedder: Embedder | None = None, weight: float = 0.2) -> None:
        assert 0 <= weight <= 1, weight
        self.embedder, self.weight = embedder, weight
        self._known: dict[str, npt.NDArray[np.float16]] = {}

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits by the weighted sum; as they are where the encoder does not know the language."""
        if self.embedder is None or len(hits) < 2 or script(query.text) not in self.embedder.languages:
            return list(hits)
        texts = [_texts(hit) for hit in hits]
        vectors = await self._encoded([query.text, *(text for some in texts for text in some)])
        cosines, start = vectors[1:] @ vectors[0], 0
        likeness = np.zeros(len(hits), np.float32)
        for row, some in enumerate(texts):
            own, *each = cosines[start : start + len(some)].tolist()
            likeness[row] = (own + max(each, default=own)) / 2
            start += len(some)
        old = _standard(np.array([hit.score for hit in hits], np.float32))
        scores = ((1 - self.weight) * old + self.weight * _standard(likeness)).tolist()
        scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
        return sorted(scored, key=lambda hit: -hit.score)

    async def _encoded(self, texts: Sequence[str]) -> Floats:
        assert self.embedder is not None
        known = {text: self._known[text] for text in texts if text in self._known}
        if missing := [text for text in dict.fromkeys(texts) if text not in known]:
            made = np.asarray(await self.embedder(missing), np.float16)
            if len(self._known) + len(missing) > REMEMBERED:
                self._known.clear()
            known.update(zip(missing, made, strict=True))
            self._known.update(known)
        return np.stack([known[text] for text in texts]).astype(np.float32)


def _texts(hit: Hit) -> list[str]:
    """Return the passage and its sentences; a table's rows are its sentences."""
    text = hit.chunk.text
    lines = text.split("\n") if hit.chunk.kind == "table" else [text[a:b] for a, b in sentences(text)]
    return [dense_text(hit.chunk), *(f"{hit.chunk.title}\n{line}" for line in lines[:MOST])]


def _standard(values: Floats) -> Floats:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros_like(values)
