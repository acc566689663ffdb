"""Hits to the same hits by what speaks for each: idf-weighted words of the question, and the meaning of the whole.

The score (0-1) is the one of `evidence`, with two differences: the cosine is that of the whole passage, so that
every passage has one, and nothing is said about the kind of value. It knows no index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lyceum.answer.evidence import FOREIGN, WORDS, Evidence
from lyceum.core.text import dense_text, has_cjk, script
from lyceum.core.types import Hit, Query


class Rerank:
    """Uses the parts of an `Evidence`: analyzer, other words for things, and the encoder where there is one."""

    def __init__(self, evidence: Evidence) -> None:
        self.words = Evidence(evidence.analyzer, None, evidence.synonyms)
        self.embedder = evidence.embedder

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits with new scores, best first; equal ones keep their order."""
        covered = [0.0] * len(hits)
        for one in await self.words(query, hits):
            rank = one.statement.rank
            covered[rank] = max(covered[rank], (one.coverage + one.passage) / 2)
        cosines = await self._cosines(query.text, [dense_text(hit.chunk) for hit in hits])
        scored = []
        trust = self.embedder.languages.get(script(query.text), 0.0) if self.embedder else 0.0
        for hit, coverage, cosine in zip(hits, covered, cosines, strict=True):
            across = has_cjk(query.text) != has_cjk(hit.chunk.text)
            meaning = 0.0 if cosine is None else (1 - WORDS) * (1.0 if across else trust)
            score = (1 - meaning) * coverage + meaning * max(cosine or 0.0, 0.0)
            score *= FOREIGN if across else 1.0
            scored.append(replace(hit, score=min(max(score, 0.0), 1.0)))
        return sorted(scored, key=lambda hit: -hit.score)

    async def _cosines(self, question: str, texts: Sequence[str]) -> list[float | None]:
        """Return cosines where the encoder knows both languages."""
        known = self.embedder.languages if self.embedder else {}
        chosen = [
            row for row, text in enumerate(texts) if script(question) in known and script(text) in known
        ]
        if self.embedder is None or not chosen:
            return [None] * len(texts)
        asked = [question, *(texts[row] for row in chosen)]
        vectors = np.asarray(await self.embedder(asked), np.float32)
        found = dict(zip(chosen, (vectors[1:] @ vectors[0]).tolist(), strict=True))
        return [found.get(row) for row in range(len(texts))]
