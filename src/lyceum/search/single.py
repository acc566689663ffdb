"""One view as a retriever: what lexical-only or dense-only search is."""

from __future__ import annotations

from lyceum.core.errors import ConfigError
from lyceum.core.protocols import Ledger, View
from lyceum.core.trace import span
from lyceum.core.types import Found, Hit, Query
from lyceum.search.checks import check
from lyceum.search.hits import fetch


class Single:
    """Asks `view` for more until `top_k` hits are alive or nothing is left."""

    def __init__(self, ledger: Ledger, view: View, part: str = "bm25") -> None:
        self.ledger, self.view, self.part = ledger, view, part

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the view's ranking."""
        check(query)
        depth = query.top_k + 10
        while True:
            with span(f"search.{self.part}", k=depth) as facts:
                ranked = await self.view.find(query, depth)
                facts["found"] = len(ranked)
            place = {number: (rank, score) for rank, (number, score) in enumerate(ranked, start=1)}

            def by(number: int, place: dict[int, tuple[int, float]] = place) -> tuple[Found, ...]:
                rank, score = place[number]
                return (Found(part=self.part, rank=rank, score=score),)

            hits = await fetch(self.ledger, query, ranked, by)
            if len(hits) == query.top_k or len(ranked) < depth:
                return hits
            depth *= 4


def dense(ledger: Ledger, dense: View | None) -> Single:
    """Searches by meaning alone."""
    if dense is None:
        raise ConfigError("There is no encoder to search with.", hint="Run: lyceum models add minilm")
    return Single(ledger, dense, "vectors")
