"""A retriever that grades what it found, and keeps, refines, or searches again in other ways; it writes no answer.

After Yan et al. (2024), Corrective Retrieval Augmented Generation: evidence above `high` is kept; between `low` and
`high` it is refined; below `low` other retrievers are asked, one after the other, until one is good enough, `steps`
have been taken or `seconds` have gone. The best-graded hits come back: whether to refuse is the answerer's decision,
by the same confidence. What was done and why stands in the trace.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Grader, Retriever
from lyceum.core.trace import span
from lyceum.core.types import Graded, Hit, Query
from lyceum.search.checks import check

WIDER = 3  # times as many hits are read before another retriever is asked


class Corrective:
    """`other` is asked when the first retriever, asked for more, did not find enough; then `web`, none as shipped.

    `refine` cuts hits of middling evidence to what speaks of the question: shorter prompts, less to read.
    """

    def __init__(
        self, retriever: Retriever, grader: Grader, other: Retriever | None = None, web: Retriever | None = None,
        low: float = 0.3, high: float = 0.7, steps: int = 3, seconds: float = 10.0, refine: bool = True,
    ) -> None:  # fmt: skip
        assert 0 <= low <= high <= 1, (low, high)
        assert steps >= 0, steps
        self.retriever, self.grader = retriever, grader
        self.others = [("wider", retriever), ("other", other), ("web", web)]
        self.low, self.high, self.steps, self.seconds, self.refine = low, high, steps, seconds, refine

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the best-graded search, refined where the evidence is middling."""
        check(query)
        hits = await self.retriever(query)
        with span("search.corrective") as facts:
            graded = await self._graded(query, hits, facts)
            if graded is None:
                return hits
            tried = [f"first {graded.confidence:.2f}"]
            if graded.confidence < self.low:
                hits, graded = await self._again(query, hits, graded, tried, facts)
            action = "keep" if graded.confidence >= self.high else "refine" if self.refine else "keep"
            if graded.confidence < self.low:
                action = "weak"
            facts.update(action=action, tried=tried, confidence=round(graded.confidence, 3))
            return list(graded.refined) if action == "refine" and graded.refined else hits

    async def _graded(self, query: Query, hits: Sequence[Hit], facts: dict[str, Any]) -> Graded | None:
        try:
            graded = await self.grader(query, hits)
        except LyceumError as problem:
            facts["warning"] = f"not graded: {problem.code}"
            return None
        if not 0 <= graded.confidence <= 1:  # NaN is not, either
            facts["warning"] = "not graded: the confidence is no share"
            return None
        return graded

    async def _again(
        self, query: Query, hits: list[Hit], graded: Graded, tried: list[str], facts: dict[str, Any]
    ) -> tuple[list[Hit], Graded]:
        """Ask the others in turn; the best-graded hits win, the first ones on a tie."""
        began = time.monotonic()
        ways = [(name, way) for name, way in self.others if way is not None][: self.steps]
        for name, way in ways:
            if time.monotonic() - began > self.seconds:
                facts["warning"] = f"out of time before {name}"
                break
            asked = replace(query, top_k=min(query.top_k * WIDER, 1000)) if name == "wider" else query
            try:
                found = await way(asked)
            except LyceumError as problem:
                facts["warning"] = f"{name} failed: {problem.code}"
                continue
            again = await self._graded(query, found, facts)
            if again is None:
                continue
            tried.append(f"{name} {again.confidence:.2f}")
            if again.confidence > graded.confidence:
                hits = list(again.refined)[: query.top_k] if len(found) > query.top_k else found
                graded = again
            if graded.confidence >= self.low:
                break
        return hits, graded
