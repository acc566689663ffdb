"""Hits with a prior for newer documents: recency decays by half each half-life (Li and Croft 2003).

A document's date is what it states or its file is named by; its age counts from the newest one found, so that the
same question gives the same answer tomorrow. One without a date gains as much as the dated ones on average. A
question that names a year or asks for what was is left alone.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from statistics import fmean

from lyceum.core.dates import dated, of_the_past
from lyceum.core.protocols import Retriever
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query

_year = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


class Fresh:
    """`weight` is what the newest gains, in units of the retriever's score; `half_life` is in days."""

    def __init__(
        self, retriever: Retriever, weight: float = 0.3, half_life: float = 365.0, depth: int = 30
    ) -> None:
        assert half_life > 0, half_life
        self.retriever, self.weight, self.half_life, self.depth = retriever, weight, half_life, depth

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the best hits after the prior."""
        if _year.search(query.text) or of_the_past(query.text):
            return await self.retriever(query)
        hits = await self.retriever(replace(query, top_k=max(self.depth, query.top_k)))
        with span("search.fresh", hits=len(hits)) as facts:
            days = [_day(dated(hit.document)) for hit in hits]
            newest = max((day for day in days if day), default=0)
            gains = [0.5 ** ((newest - day) / self.half_life) if day else None for day in days]
            known = [gain for gain in gains if gain is not None]
            facts["dated"] = len(known)
            usual = fmean(known) if known else 0.0
            scored = [
                replace(hit, score=hit.score + self.weight * (usual if gain is None else gain))
                for hit, gain in zip(hits, gains, strict=True)
            ]
        return sorted(scored, key=lambda hit: -hit.score)[: query.top_k]


def _day(text: str) -> int:
    """Return the number of a day; of a month or year its middle; 0 for none."""
    if not text:
        return 0
    try:
        return date.fromisoformat(text + {4: "-07-01", 7: "-15"}.get(len(text), "")).toordinal()
    except ValueError:
        return 0
