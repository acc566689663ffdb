"""Scored chunk numbers to hits: text from the ledger, dead or unreadable entries left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lyceum.core.protocols import Ledger
from lyceum.core.types import Found, Hit, Query

By = Callable[[int], tuple[Found, ...]]


async def fetch(ledger: Ledger, query: Query, ranked: Sequence[tuple[int, float]], by: By) -> list[Hit]:
    """Return the first `query.top_k` hits of `ranked` that are alive and readable, asking as often as needed.

    `by` says of a number which parts found it.
    """
    hits: list[Hit] = []
    start = 0
    while start < len(ranked) and len(hits) < query.top_k:
        some = ranked[start : start + query.top_k]
        alive = await ledger.get([number for number, _ in some], query.readers)
        for number, score in some:
            if number in alive:
                chunk, document = alive[number]
                hits.append(Hit(chunk=chunk, document=document, score=score, by=by(number)))
        start += query.top_k
    return hits[: query.top_k]
