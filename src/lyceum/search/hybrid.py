"""Lexical and dense search fused by z-scores: each list's scores are measured in its own deviations.

Both views score every candidate of either list, so nothing counts as zero for having missed a cut. A dense
score that does not exist (the encoder does not know the language) leaves the lexical one alone. Where the lexical
view keeps table rows apart, a table's lexical score is in part that of its best row. Measured against reciprocal
rank fusion and min-max scaling in docs/decisions/fusion.md, rows in docs/decisions/tables.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from math import fsum, sqrt

from lyceum.core.protocols import Embedder, Ledger, View
from lyceum.core.text import language
from lyceum.core.trace import span
from lyceum.core.types import Found, Hit, Query
from lyceum.search.checks import check
from lyceum.search.hits import By, fetch

Scored = list[tuple[int, float]]


class Hybrid:
    """`weight` is the dense part's share, `depth` how many candidates each view names.

    `rows` is the share of its best row in a table's lexical score.

    With its `embedder` the share is smaller in a language that the encoder has not learnt.
    """

    def __init__(
        self, ledger: Ledger, lexical: View, dense: View, embedder: Embedder | None = None,
        weight: float = 0.4, depth: int = 100, rows: float = 0.5,
    ) -> None:  # fmt: skip
        assert 0 <= weight <= 1, weight
        assert 0 <= rows <= 1, rows
        self.ledger, self.lexical, self.dense, self.embedder = ledger, lexical, dense, embedder
        self.weight, self.depth, self.share = weight, depth, rows
        self.rows: View | None = getattr(lexical, "rows", None) if rows else None

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the fused ranking; each hit says which part found it, at which rank and score."""
        check(query)
        depth = max(self.depth, query.top_k)
        while True:
            ranked, by, exhausted = await self._ranked(query, depth)
            with span("search.fetch") as facts:
                hits = await fetch(self.ledger, query, ranked, by)
                facts["hits"] = len(hits)
            if len(hits) == query.top_k or exhausted:
                return hits
            depth *= 4

    async def _ranked(self, query: Query, depth: int) -> tuple[Scored, By, bool]:
        async def ask(part: str, view: View) -> Scored:
            with span(f"search.{part}", k=depth) as facts:
                found = await view.find(query, depth)
                facts["found"] = len(found)
                return found

        async def tables() -> Scored:
            return await ask("rows", self.rows) if self.rows else []

        sparse, dense, rows = await asyncio.gather(
            ask("bm25", self.lexical), ask("vectors", self.dense), tables()
        )
        trust = self.embedder.languages.get(language(query.text), 1.0) if self.embedder else 1.0
        with span("search.fuse", weight=self.weight * trust) as facts:
            lists = [
                *await asyncio.gather(
                    self._complete(self.lexical, query, sparse, dense if len(sparse) == depth else ()),
                    self._complete(self.dense, query, dense, sparse),
                )
            ]
            for number in lists[1] if sparse else ():
                lists[0].setdefault(number, 0.0)  # no term in common is a true score of zero
            lexical = standardise(sparse, lists[0], depth if sparse else 0)
            if self.rows and rows:
                candidates = [(number, 0.0) for number in lists[0].keys() | lists[1].keys()]
                lists.append(await self._complete(self.rows, query, rows, candidates))
                for number, score in standardise(rows, lists[2], depth).items():
                    if number in lexical:
                        lexical[number] += self.share * (score - lexical[number])
            ranked = fuse(lexical, standardise(dense, lists[1]), self.weight * trust)
            facts["candidates"] = len(ranked)
        ranks = [{number: rank for rank, (number, _) in enumerate(part, 1)} for part in (sparse, dense, rows)]

        def by(number: int) -> tuple[Found, ...]:
            return tuple(
                Found(part=name, rank=rank.get(number), score=scores[number])
                for name, rank, scores in zip(("bm25", "vectors", "rows"), ranks, lists, strict=False)
                if number in scores
            )

        return ranked, by, len(sparse) < depth and len(dense) < depth

    async def _complete(
        self, view: View, query: Query, mine: Scored, others: Sequence[tuple[int, float]]
    ) -> dict[int, float]:
        """Add the view's true scores of the candidates that only the other view named."""
        scores = dict(mine)
        missing = [number for number, _ in others if number not in scores]
        if missing:
            scores.update(await view.find(query, len(missing), missing))
        return scores


def standardise(
    top: Sequence[tuple[int, float]], scores: Mapping[int, float], size: int = 0
) -> dict[int, float]:
    """Return z-scores by mean and deviation of the view's own top list; all zero when it has no spread.

    A list that ends before `size` is filled with zeros, the true score of what shares no term with the question:
    otherwise a single match would be its own mean and count for nothing.
    """
    values = [score for _, score in top] + [0.0] * (size - len(top))
    mean = fsum(values) / max(len(values), 1)
    spread = sqrt(fsum((value - mean) ** 2 for value in values) / max(len(values), 1))
    return {number: (score - mean) / spread if spread > 1e-9 else 0.0 for number, score in scores.items()}


def fuse(sparse: dict[int, float], dense: dict[int, float], weight: float) -> Scored:
    """Return numbers by (1 - weight) sparse + weight dense, best first, ties by number.

    A candidate without a dense score is judged by the lexical one alone.
    """
    fused = []
    for number in sparse.keys() | dense.keys():
        lexical = sparse.get(number, 0.0)
        score = lexical if number not in dense else (1 - weight) * lexical + weight * dense[number]
        fused.append((number, score))
    return sorted(fused, key=lambda item: (-item[1], item[0]))
