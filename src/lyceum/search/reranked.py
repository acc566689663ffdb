"""A retriever whose first hits a reranker puts in another order; knows neither the retriever nor the reranker."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Reranker, Retriever
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query
from lyceum.search.checks import check


class Reranked:
    """Asks for `depth` hits and gives the best `top_k` of them; a reranker that fails changes nothing.

    Nor does one that takes longer than `seconds`.
    """

    def __init__(
        self, retriever: Retriever, reranker: Reranker, depth: int = 50, seconds: float = 10.0
    ) -> None:
        assert depth >= 1, depth
        assert seconds > 0, seconds
        self.retriever, self.reranker, self.depth, self.seconds = retriever, reranker, depth, seconds

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits by the reranker's scores; as they were, with a warning in the trace, if it fails."""
        check(query)
        hits = await self.retriever(replace(query, top_k=max(self.depth, query.top_k)))
        with span("search.rerank", hits=len(hits)) as facts:
            try:
                async with asyncio.timeout(self.seconds):
                    ranked = await self.reranker(query, hits)
            except TimeoutError:
                problem = f"it took longer than {self.seconds:g} s"
            except LyceumError as failed:
                problem = failed.code
            else:
                problem = wrong(hits, ranked)
            if problem:
                facts["warning"] = f"not reranked: {problem}"
                ranked = hits
        return ranked[: query.top_k]


def wrong(hits: Sequence[Hit], ranked: Sequence[Hit]) -> str:
    """Say what is wrong with a reranker's order, empty when nothing is."""
    if Counter(hit.chunk.id for hit in ranked) != Counter(hit.chunk.id for hit in hits):
        return "other hits came back"
    return "" if all(math.isfinite(hit.score) for hit in ranked) else "a score is no number"
