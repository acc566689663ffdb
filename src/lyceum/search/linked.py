"""A retriever whose ranking is corrected by title links: what the question names, and what the first hits name.

Scores are scaled to 0-1 by the first and the hundredth hit. A document that the question names gains; so do chunks
beside the first hits in the graph of links, and those where a random walk from the first hits ends (personalised
PageRank; Haveliwala 2002). The walk goes over the links of the first hits alone, which measured no worse than the
whole graph (docs/decisions/links.md). Scores are given back on the scale that they came in. It knows no index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Analyzer, Ledger, Links, Retriever
from lyceum.core.trace import span
from lyceum.core.types import Found, Hit, Query
from lyceum.search.checks import MOST_HITS, check

DEPTH, NEAR, SEEDS = 100, 5, 10  # hits that are scaled, whose neighbours gain, from which the walk starts
TITLE, BESIDE, WALK = 0.4, 0.2, 0.5
RESTART, STEPS = 0.5, 5
LEAST = 1e-9  # a gain that is none but for rounding
Scores = dict[int, float]
Around = Mapping[int, Mapping[int, float]]


class Linked:
    """Corrects questions of at least `least` different content words: short ones seldom ask for two documents."""

    def __init__(
        self, ledger: Ledger, links: Links, analyzer: Analyzer, retriever: Retriever, least: int = 8
    ) -> None:
        assert least >= 0, least
        self.ledger, self.links, self.analyzer, self.retriever = ledger, links, analyzer, retriever
        self.least = least

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the corrected ranking; a hit that a link has raised says by how much."""
        check(query)
        if len(set(self.analyzer(query.text))) < self.least:
            return await self.retriever(query)
        hits = await self.retriever(replace(query, top_k=max(DEPTH, query.top_k)))
        with span("search.links") as facts:
            try:
                return await self._linked(query, hits, facts)
            except LyceumError as problem:
                facts["warning"] = f"not linked: {problem.code}"
                return hits[: query.top_k]

    async def _linked(self, query: Query, hits: Sequence[Hit], facts: dict[str, Any]) -> list[Hit]:
        top, low = (hits[0].score, hits[:DEPTH][-1].score) if hits else (1.0, 0.0)
        scale = (top - low) or 1.0
        base = {hit.chunk.number: (hit.score - low) / scale for hit in hits}
        titled = dict(await self.links.find(query, MOST_HITS))
        scores = named(base, titled)
        seeds = best(scores)[:SEEDS]
        around = await self.links.around(query, seeds)
        final = corrected(scores, seeds, around)
        facts.update(titled=len(titled), linked=sum(map(len, around.values())))
        ranked = [(number, low + scale * (1 + TITLE) * final[number]) for number in best(final)]
        gains = {number: (1 + TITLE) * final[number] - base.get(number, 0.0) for number in final}
        return await self._hits(query, hits, ranked, gains)

    async def _hits(
        self, query: Query, hits: Sequence[Hit], ranked: Sequence[tuple[int, float]], gains: Scores
    ) -> list[Hit]:
        """Return the first hits of a ranking; those that only a link has found come from the ledger."""
        known = {hit.chunk.number: hit for hit in hits}
        first = [number for number, _ in ranked[: 2 * query.top_k] if number not in known]
        for number, (chunk, document) in (
            await self.ledger.get(first, query.readers) if first else {}
        ).items():
            known[number] = Hit(chunk=chunk, document=document, score=0.0)
        made: list[Hit] = []
        for number, score in ranked:
            if number in known and len(made) < query.top_k:
                by = (Found(part="links", rank=None, score=gains[number]),) if gains[number] > LEAST else ()
                made.append(replace(known[number], score=score, by=(*known[number].by, *by)))
        return made


def best(scores: Mapping[int, float]) -> list[int]:
    """Return numbers by their scores, best first, ties by number."""
    return sorted(scores, key=lambda number: (-scores[number], number))


def named(base: Mapping[int, float], titled: Mapping[int, float]) -> Scores:
    """Return (score + .4 t) / 1.4; t is 1 / root of how many chunks bear a title that the question holds."""
    both = base.keys() | titled.keys()
    return {one: (base.get(one, 0.0) + TITLE * titled.get(one, 0.0)) / (1 + TITLE) for one in both}


def corrected(scores: Mapping[int, float], seeds: Sequence[int], around: Around) -> Scores:
    """Return score + .2 of the best neighbour among the first five + .5 of where the walk ends."""
    beside: Scores = {}
    for seed in seeds[:NEAR]:
        for number, share in around.get(seed, {}).items():
            beside[number] = max(beside.get(number, 0.0), scores[seed] * share)
    ends = walk({seed: max(scores[seed], 0.0) ** 2 for seed in seeds}, around)
    return {
        number: scores.get(number, 0.0) + BESIDE * beside.get(number, 0.0) + WALK * ends.get(number, 0.0)
        for number in scores.keys() | beside.keys() | ends.keys()
    }


def walk(seeds: Mapping[int, float], around: Around) -> Scores:
    """Return where a walk over links in either direction is after five steps, divided by its maximum."""
    beside: defaultdict[int, set[int]] = defaultdict(set)
    for one, others in around.items():
        for other in others:
            beside[one].add(other)
            beside[other].add(one)
    whole = sum(seeds.values()) or 1.0
    start = {number: weight / whole for number, weight in seeds.items()}
    at = dict(start)
    for _ in range(STEPS):
        moved = defaultdict(float, {number: RESTART * share for number, share in start.items()})
        for number, share in at.items():
            for other in beside.get(number, ()):
                moved[other] += (1 - RESTART) * share / len(beside[number])
        at = moved
    most = max(at.values(), default=0.0) or 1.0
    return {number: share / most for number, share in at.items()}
