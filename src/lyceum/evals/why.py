"""Where a document stood for a question, the smallest change that brings it in, and where two pipelines part.

A change is named after it was made: the question is asked again with other rights, more hits, another weight, or one
word more, until the document reaches the reader.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lyceum.core.errors import NotFound
from lyceum.core.text import headline
from lyceum.core.types import Document, Example, Query
from lyceum.evals import repairs, words
from lyceum.evals.autopsy import WEIGHTS, Autopsy
from lyceum.evals.records import Run
from lyceum.evals.stages import PARTS, PLACES, Seen, Subject, Wrap, watched

MOST = 200  # hits that are asked for at most
WORDS = 8  # words of the document that are tried
_word = re.compile(r"[^\W_]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Of a document's best chunk (place, rank, score) at every place; `change` brings it in, empty if none does.

    `lost` is the first stage after which it was not there any more, empty where the answer cites it. `least` are the
    lowest scores that sufficed, where a place was full.
    """

    document: Document
    chunks: int
    visible: bool
    places: Sequence[tuple[str, int | None, float | None]]
    change: Mapping[str, Any]
    lost: str = ""
    least: Mapping[str, float] = field(default_factory=dict)


async def why(subject: Subject, query: Query, name: str) -> Why:
    """Return where a document stood for a question.

    Raises NotFound where the ledger does not hold it.
    """
    document = await subject.document(name)
    if document is None:
        raise NotFound(f"There is no document {name}.", hint="`lyceum docs` lists them; was it ingested?")
    numbers = [chunk.number for chunk in await subject.chunks(document)]
    answer, seen = await watched(subject, query)
    places = []
    for place in PLACES:
        scores = seen.scores[place]
        if place in PARTS and numbers and place in subject.parts and not scores.keys() & set(numbers):
            # Below the cut: the part is asked for these alone, in its own scale.
            scores = dict(await subject.parts[place].find(query, len(numbers), numbers))
        best = max((scores[one] for one in numbers if one in scores), default=None)
        places.append((place, seen.best(place, numbers), best))
    change: Mapping[str, Any] = {}
    if seen.best("read", numbers) is None:
        async for tried, wraps, made in _changes(subject, query, document, seen):
            _, found = await watched(subject, tried, wraps)
            if found.best("read", numbers) is not None:
                change = made
                break
    least = {
        place: min(seen.scores[place].values()) for place in PLACES
        if seen.asked[place] and len(seen.ranks[place]) >= seen.asked[place]
    }  # fmt: skip
    cited = document.id in {one.document_id for one in answer.citations}
    lost = "" if cited else await _lost(subject, query, document, numbers, seen)
    if lost == "read" and answer.abstained:  # nothing answers better: nothing was sure enough
        lost = "refused"
    return Why(
        document=document, chunks=len(numbers), places=places, change=change, least=least,
        visible=bool(document.readers & query.readers),
        lost=lost,
    )  # fmt: skip


async def _lost(
    subject: Subject, query: Query, document: Document, numbers: Sequence[int], seen: Seen
) -> str:
    """Return the first stage after which none of a document's chunks was there; without filters only by asking."""
    if not numbers:
        return "index"
    if not document.readers & query.readers:
        return "visible"
    ranks = {place: seen.best(place, numbers) for place in PLACES}
    if not any(ranks[part] for part in PARTS):
        if query.filters:
            _, free = await watched(subject, replace(query, filters={}))
            if any(free.best(part, numbers) for part in PARTS):
                return "filter"
        return "candidates"
    after = {"fused": "fuse", "offered": "rerank" if "reranker" in subject.parts else "fuse", "read": "pack"}
    if not seen.ranks["read"]:  # computed over a table: no passage is read by itself
        del after["read"]
    return next((stage for place, stage in after.items() if ranks[place] is None), "read")


Change = tuple[Query, Sequence[Mapping[str, Wrap]], Mapping[str, Any]]


async def _changes(subject: Subject, query: Query, document: Document, seen: Seen) -> AsyncIterator[Change]:
    """Yield changes to try, the smaller first."""
    if not document.readers & query.readers:
        query = replace(query, readers=query.readers | document.readers)
        owners: Mapping[str, Any] = {"readers": sorted(document.readers)}
        yield query, (), owners
    else:
        owners = {}
    if query.filters:
        yield replace(query, filters={}), (), {**owners, "filters": "none"}
    asked = seen.asked["offered"]
    for top_k in dict.fromkeys(min(asked * factor, MOST) for factor in (2, 4, 8)):
        yield replace(query, top_k=top_k), (), {**owners, "top_k": top_k}
    if hasattr(subject.parts.get("engine"), "weight"):
        for weight in WEIGHTS:
            wraps: Mapping[str, Wrap] = {"engine": partial(repairs.changed, weight=weight)}
            yield query, (wraps,), {**owners, "weight": weight}
    known = query.text.lower()
    chunks = await subject.chunks(document)
    said = [document.title, *(f"{headline(one)} {one.text}" for one in chunks[:3])]
    fresh = dict.fromkeys(word for text in said for word in _word.findall(text) if word.lower() not in known)
    for word in sorted(list(fresh)[:40], key=len, reverse=True)[:WORDS]:
        yield replace(query, text=f"{query.text} {word}"), (), {**owners, "word": word}


async def parted(a: Run, b: Run, example_id: str, subject_a: Subject, subject_b: Subject) -> str:
    """Return why a question fares otherwise in two runs, in a paragraph of what was measured just now."""
    found = [one.example for one in a.outcomes if one.example.id == example_id]
    if not found or example_id not in {one.example.id for one in b.outcomes}:
        raise NotFound(f"{example_id} is not in both runs.", hint="Compare runs of the same questions.")
    measured = [await _measured(subject, found[0]) for subject in (subject_a, subject_b)]
    return words.parting(found[0].question, *measured)


async def _measured(subject: Subject, example: Example) -> Mapping[str, Any]:
    autopsy = Autopsy(subject, example)
    return autopsy.measured(await autopsy.look())
