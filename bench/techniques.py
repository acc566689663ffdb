"""The techniques that bench/ablations.py compares: a name, the tables of lyceum.toml that make it, what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BASE = {"kind": "search.hybrid"}
REFERENCE, SHIPPED = "hybrid", "shipped"


@dataclass(frozen=True)
class Technique:
    """A configuration, and in a few words what it does."""

    said: str
    table: Mapping[str, Mapping[str, Any]]


def retriever(said: str, **table: Any) -> Technique:
    """Return a technique that is one [retriever] table."""
    return Technique(said, {"retriever": table})


def around(said: str, kind: str, **table: Any) -> Technique:
    """Return a retriever of a kind around the plain hybrid."""
    return retriever(said, kind=kind, retriever=BASE, **table)


def reranked(said: str, depth: int = 20, **reranker: Any) -> Technique:
    """Return the hybrid with its first hits in another order."""
    return around(said, "search.reranked", reranker=reranker, depth=depth)


LEXICAL = {"kind": "search.lexical"}
TECHNIQUES = {
    "lexical": retriever("words alone", **LEXICAL),
    "dense": retriever("meaning alone", kind="search.dense"),
    REFERENCE: retriever("words, table rows and meaning, fused", **BASE),
    "history": around("turns before a follow-up question", "search.history"),
    "links": around("titles that the question and the first passages name", "search.linked"),
    "recursive": around("references in the first passages, two steps", "search.recursive"),
    "RM3": around("terms of the first five hits", "search.rm3"),
    "Rocchio": around("vectors of the first hits", "search.rocchio"),
    "HyDE without a model": around("sentences of the first hits as the question", "search.rocchio", sentences=2),
    "synonyms": around("other words for what is named", "search.synonymous", documents=0),
    "synonyms of the corpus": around("and words that go with it here", "search.synonymous"),
    "spelling": around("unknown words by the nearest known ones", "search.spelled"),
    "decomposition by rules": around("the parts of a question apart", "search.decomposed"),
    "self-query": around("filters out of the words", "search.selfquery"),
    "sentence vectors": reranked("the best sentence of each passage", kind="search.sentences"),
    "tree": around("summaries of clusters (RAPTOR, extractive)", "search.tree"),
    "distinct": around("near-duplicates collapsed", "search.distinct"),
    "fresh": around("newer documents first among equals", "search.fresh"),
    "corrective": around(
        "weak evidence is looked for once more, wider and by words (CRAG)", "search.corrective",
        grader={"kind": "answer.grade"}, other=LEXICAL, refine=False,
    ),
    "judge": reranked("words and meaning of each passage, once more", kind="answer.rerank"),
    "MaxSim": reranked("late interaction of word vectors", kind="search.maxsim"),
    SHIPPED: Technique("what lyceum.toml ships: history, links, rows, hybrid", {}),
}  # fmt: skip
