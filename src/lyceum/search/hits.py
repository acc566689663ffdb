"""Scored numbers to hits that are alive and readable; hits of several forms of a question to one list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from lyceum.core.protocols import Ledger, Retriever
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


async def together(
    retriever: Retriever, query: Query, others: Sequence[Query], weight: float, depth: int = 50
) -> list[Hit]:
    """Search a question and other forms of it side by side; the others share `weight` beside the question's 1.

    A hit's score is the weighted mean of what each list gives it, its lowest score where it is not in the list:
    scores keep the retriever's scale, and what only a bad form of the question finds stays behind.
    """
    asked = [replace(one, top_k=max(depth, query.top_k)) for one in (query, *others)]
    lists = await asyncio.gather(*(retriever(one) for one in asked))
    shares = [1.0, *(weight / max(len(others), 1) for _ in others)]
    scored = [
        (share, {hit.chunk.id: hit.score for hit in found}, min(hit.score for hit in found))
        for share, found in zip(shares, lists, strict=True)
        if found
    ]
    hits = {hit.chunk.id: hit for found in reversed(lists) for hit in found}
    total = sum(share for share, _, _ in scored)
    ranked = [
        replace(hit, score=sum(share * scores.get(name, least) for share, scores, least in scored) / total)
        for name, hit in hits.items()
    ]
    return sorted(ranked, key=lambda hit: (-hit.score, hit.chunk.number))[: query.top_k]
