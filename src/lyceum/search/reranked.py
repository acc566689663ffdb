"""A retriever whose first hits a reranker puts in another order; knows neither the retriever nor the reranker."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Reranker, Retriever
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query
from lyceum.search.checks import check


class Reranked:
    """Asks for `depth` hits and gives the best `top_k` of them; a reranker that fails changes nothing."""

    def __init__(self, retriever: Retriever, reranker: Reranker, depth: int = 50) -> None:
        assert depth >= 1, depth
        self.retriever, self.reranker, self.depth = retriever, reranker, depth

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits by the reranker's scores; as they were, with a warning in the trace, if it fails."""
        check(query)
        hits = await self.retriever(replace(query, top_k=max(self.depth, query.top_k)))
        with span("search.rerank", hits=len(hits)) as facts:
            try:
                ranked = await self.reranker(query, hits)
            except LyceumError as problem:
                facts["warning"] = f"not reranked: {problem.code}"
                return hits[: query.top_k]
            if Counter(hit.chunk.id for hit in ranked) != Counter(hit.chunk.id for hit in hits):
                facts["warning"] = "not reranked: other hits came back"
                return hits[: query.top_k]
            if any(not math.isfinite(hit.score) for hit in ranked):
                facts["warning"] = "not reranked: a score is no number"
                return hits[: query.top_k]
        return ranked[: query.top_k]
