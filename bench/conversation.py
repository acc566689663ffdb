"""Follow-up questions: history rules against the last turn alone, what they cost elsewhere, and what they recover.

Retrieval: mtrag_un_en, its passages as one index, questions of the development half (by conversation) for choosing
and of the test half for reporting. Elsewhere: single questions of squad_en and clapnq_en behind two turns about
something else, all of them. Recovered: the words that the given rewrite of mtrag_rewrite_en adds to a follow-up
and that the text standing alone holds, too; drift is what it adds beside them. That set holds no answers.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import common
import numpy as np
from common import Dataset

from lyceum.core.protocols import Retriever
from lyceum.core.types import Message, Query
from lyceum.models.glossed import Glossed
from lyceum.search.analyzer import Standard
from lyceum.search.gloss import Gloss
from lyceum.search.hybrid import Hybrid
from lyceum.search.single import Single
from lyceum.store.ledger import Ledger
from lyceum.store.postings import Postings
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors

ROLES = {"user": "user", "agent": "assistant"}


class Opened:
    """A home with the documents of one set, one chunk each, and the shipped retriever over it."""

    def __init__(self, folder: Path, embedder: Any) -> None:
        self.analyzer, self.embedder = Standard(), embedder
        self.ledger = Ledger(folder)
        self.store = Store(folder, self.ledger)
        self.lexical = Postings(folder, self.analyzer)
        self.dense = Vectors(folder, embedder, self.ledger, self.store.keep_vectors)
        self.store.views += [self.lexical, self.dense]
        self.hybrid = Hybrid(self.ledger, self.lexical, self.dense, embedder)
        self.single = Single(self.ledger, self.lexical)


@asynccontextmanager
async def indexed(data: Dataset, embedder: Any) -> AsyncIterator[Opened]:
    """Index a set in a home that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        home = Opened(Path(folder), embedder)
        batch = [common.identity(row) for row in data.corpus]
        for start in range(0, len(batch), 1000):
            await home.store.put(batch[start : start + 1000])
        yield home
        await home.ledger.close()


def encoder() -> Any:
    """Return the shipped encoder with remembered vectors, or stop."""
    found = common.encoder()
    if found is None:
        print("No encoder: lyceum models add minilm")
        raise SystemExit(77)
    gloss = Gloss()
    return Glossed(common.Cached(found), gloss, gloss.name)


async def scores(
    retriever: Retriever, queries: Sequence[dict[str, Any]], data: Dataset, asked: Callable[[Any], Query],
    measure: Any = common.ndcg,
) -> np.ndarray:  # fmt: skip
    """Return the measure of each question."""
    made = []
    for query in queries:
        hits = await retriever(asked(query))
        made.append(measure([hit.document.meta["row"] for hit in hits], data.gold[query["_id"]]))
    return np.array(made)


def with_turns(row: dict[str, Any]) -> Query:
    """Return a question with the turns before it."""
    turns = row["metadata"].get("history") or ()
    history = tuple(Message(role=ROLES[turn["role"]], content=turn["text"]) for turn in turns)
    return Query(text=row["text"], history=history)


def last(row: dict[str, Any]) -> Query:
    """Return the last turn alone."""
    return Query(text=row["text"])


def said(name: str, values: np.ndarray, rounds: int = 2000) -> tuple[float, float, float]:
    """Print a mean with its interval, and return them."""
    mean, low, high = common.interval([values], rounds)
    print(f"{name:44} {mean:+.3f} [{low:+.3f}, {high:+.3f}]  n={len(values)}", flush=True)
    return mean, low, high
