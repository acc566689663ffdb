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


TECHNIQUES = {
    "lexical": retriever("words alone", kind="search.lexical"),
    "dense": retriever("meaning alone", kind="search.dense"),
    REFERENCE: retriever("words and meaning, fused", **BASE),
    "reranked by evidence": retriever(
        "words and meaning of each passage, once more", kind="search.reranked", retriever=BASE,
        reranker={"kind": "answer.rerank"}, depth=30,
    ),
    SHIPPED: Technique("what lyceum.toml ships", {}),
}  # fmt: skip
