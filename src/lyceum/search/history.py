"""A question that leans on its conversation, searched with weighted words of the turns before it.

Earlier words of the user count USER, a little less each turn back; the words that tell the last answer apart (most
tf-idf) count ANSWER; half the answer's vector is added to the question's. A question that stands by itself is
searched as it is: measured in docs/decisions/queries.md.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Analyzer, Embedder, Retriever, Vocabulary
from lyceum.core.text import clean
from lyceum.core.trace import span
from lyceum.core.turns import alone, asked, dependent
from lyceum.core.types import Hit, Query
from lyceum.search.checks import check

USER, FADING, ANSWER, TOP, HALF = 0.3, 0.7, 0.2, 10, 0.5
READ, ENCODED = 4_000, 600  # characters of the last answer whose words, whose meaning count


class History:
    """Wraps any retriever; costs nothing where there is no history."""

    def __init__(
        self, retriever: Retriever, analyzer: Analyzer, lexical: Vocabulary, embedder: Embedder | None = None
    ) -> None:
        self.retriever, self.analyzer = retriever, analyzer
        self.lexical, self.embedder = lexical, embedder

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the question with what it leans on."""
        if not query.history:
            return await self.retriever(query)
        check(query)
        with span("search.history", turns=len(query.history)) as facts:
            facts["dependent"] = leans = dependent(query.text)
            try:
                query = await self._completed(query) if leans else query
            except LyceumError as problem:
                facts["warning"] = f"searched as it stands: {problem.code}"
            facts["terms"] = len(query.terms or ())
        return await self.retriever(alone(query))

    async def _completed(self, query: Query) -> Query:
        said = next((one.content for one in reversed(query.history) if one.role == "assistant"), "")
        said = clean(said[:READ])
        terms: defaultdict[str, float] = defaultdict(float)
        for distance, text in enumerate(asked(query.history)):
            for term in set(self.analyzer(text)):
                terms[term] = max(terms[term], USER * FADING**distance)
        for term in await self._telling(self.analyzer(said)):
            terms[term] += ANSWER
        own = query.terms if query.terms is not None else Counter(self.analyzer(query.text))
        vector = query.vector
        if vector is None and self.embedder is not None and said:
            mine, answer = np.asarray(await self.embedder([query.text, said[:ENCODED]]), np.float32)
            mixed = mine + HALF * answer
            vector = tuple((mixed / max(float(np.linalg.norm(mixed)), 1e-9)).tolist())
        return replace(query, terms={**terms, **own}, vector=vector)

    async def _telling(self, words: list[str]) -> list[str]:
        """Return the terms of a text with the most tf-idf; what the index does not hold tells nothing."""
        held = Counter(words)
        total, known = await self.lexical.counts(list(held))
        weights = {
            term: count * math.log(1 + (total - known[term] + 0.5) / (known[term] + 0.5))
            for term, count in held.items()
            if known[term]
        }
        return sorted(weights, key=lambda term: (-weights[term], term))[:TOP]
