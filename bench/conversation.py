"""Follow-up questions: history rules against the last turn alone, what they cost elsewhere, and what they recover.

Retrieval: mtrag_un_en, its passages as one index, questions of the development half (by conversation) for choosing
and of the test half for reporting. Elsewhere: single questions of squad_en and clapnq_en behind two turns about
something else, all of them. Recovered: the words that the given rewrite of mtrag_rewrite_en adds to a follow-up
and that the text standing alone holds, too; drift is what it adds beside them. That set holds no answers.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import common
import numpy as np
from common import Dataset, Figure

from lyceum.answer.evidence import Evidence
from lyceum.answer.extractive import Extractive
from lyceum.core.protocols import Retriever
from lyceum.core.turns import alone, asked, content, dependent
from lyceum.core.types import Message, Query
from lyceum.evals.examples import half
from lyceum.models.glossed import Glossed
from lyceum.search.analyzer import Standard
from lyceum.search.gloss import Gloss
from lyceum.search.history import History
from lyceum.search.hybrid import Hybrid
from lyceum.search.single import Single
from lyceum.search.thesaurus import Thesaurus
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
    retriever: Retriever, queries: Sequence[dict[str, Any]], data: Dataset, made_of: Callable[[Any], Query],
    measure: Any = common.ndcg,
) -> np.ndarray:  # fmt: skip
    """Return the measure of each question."""
    made = []
    for query in queries:
        hits = await retriever(made_of(query))
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


async def retrieval(folder: Path, embedder: Any) -> list[Figure]:
    """Compare history rules with the last turn alone on mtrag_un_en."""
    data = common.dataset(folder, "mtrag_un_en")
    figures = []
    async with indexed(data, embedder) as home:
        history = History(home.hybrid, home.analyzer, home.lexical, embedder)
        words = History(home.single, home.analyzer, home.lexical)
        for part in ("dev", "test"):
            rows = [row for row in data.queries if half(row["_id"].rpartition("_")[0]) == part]
            before = await scores(home.hybrid, rows, data, last)
            started = time.process_time()
            after = await scores(history, rows, data, with_turns)
            spent = time.process_time() - started
            leaning = np.array([bool(with_turns(row).history) and dependent(row["text"]) for row in rows])
            text = await scores(home.hybrid, rows, data, lambda row: alone(with_turns(row)))
            lexical = await scores(words, rows, data, with_turns) - await scores(
                home.single, rows, data, last
            )
            seen = await scores(history, rows, data, with_turns, common.recall)
            seen = seen - await scores(home.hybrid, rows, data, last, common.recall)
            print(
                f"mtrag_un_en {part}: last turn {before.mean():.3f}, history {after.mean():.3f}, "
                f"{leaning.sum()} of {len(rows)} lean, {1000 * spent / len(rows):.1f} CPU ms (vectors remembered)"
            )
            gain, low, _ = said("  history, nDCG@10", after - before)
            said("  history, R@10", seen)
            said("  history, nDCG@10 of those that lean", (after - before)[leaning])
            said("  history without vectors, nDCG@10", lexical)
            said("  the text standing alone, nDCG@10", text - before)
            if part == "test":
                figures += [
                    Figure("history_gain", gain, ">= .08", gain >= 0.08), Figure("history_low", low, "> 0", low > 0),
                    Figure("history_ndcg", float(after.mean()), ">= .91", after.mean() >= 0.91),
                ]  # fmt: skip
    return figures


async def elsewhere(folder: Path, embedder: Any, name: str, most: int) -> list[Figure]:
    """Put two turns about something else before single questions, and see what that costs."""
    data = common.dataset(folder, name)
    rows = [row for row in data.queries if half(row["_id"]) == "test"][:most]
    others = [with_turns(row).history for row in common.dataset(folder, "mtrag_un_en").queries]
    others = [turns for turns in others if len(turns) >= 2]
    rng = random.Random(1)
    before = {row["_id"]: others[rng.randrange(len(others))] for row in rows}

    def misled(row: Any) -> Query:
        return Query(text=row["text"], history=before[row["_id"]])

    async with indexed(data, embedder) as home:
        history = History(home.hybrid, home.analyzer, home.lexical, embedder)
        lost = await scores(history, rows, data, misled) - await scores(home.hybrid, rows, data, last)
        leaning = sum(dependent(row["text"]) for row in rows)
        changed = sum(alone(misled(row)).text != row["text"] for row in rows)
        print(
            f"{name}: {leaning} of {len(rows)} taken for dependent in search, {changed} judged by other words"
        )
        cost, _, _ = said("  unrelated history, nDCG@10", lost)
        if name == "squad_en":
            answerer = Extractive(history, Evidence(home.analyzer, embedder, Thesaurus(home.analyzer)))
            right = [
                [await held(answerer, query(row), row) for row in rows[:300]] for query in (last, misled)
            ]
            said("  unrelated history, answer held", np.array(right[1], float) - np.array(right[0], float))
    return [Figure(f"{name}_cost", cost, ">= -.01", cost >= -0.01)]


async def held(answerer: Extractive, query: Query, row: dict[str, Any]) -> bool:
    """Say whether an answer holds one of the gold answers."""
    text = (await answerer(query)).text.lower()
    return any(one.lower() in text for one in row["answers"])


def rewrites(folder: Path) -> list[Figure]:
    """Count which of the words that the given rewrites add are recovered, and what else is added."""
    analyzer = Standard()
    rows = common._rows(folder / "data" / "mtrag_rewrite_en" / "queries.jsonl")
    rows = [row for row in rows if not row["metadata"]["first_turn"]]
    ways = {"every earlier turn of the user": weighed, "the text standing alone": standing}
    figures = []
    for way, text in ways.items():
        added = recovered = drifted = given = 0
        for row in rows:
            held = set(analyzer(row["text"]))
            wanted = set(analyzer(" ".join(content(row["answers"][0])))) - held
            extra = set(analyzer(" ".join(content(text(row))))) - held
            added, recovered = added + len(wanted), recovered + len(wanted & extra)
            given, drifted = given + len(extra), drifted + len(extra - set(analyzer(row["answers"][0])))
        print(
            f"mtrag_rewrite_en, {way}: {recovered / added:.3f} of {added} added words recovered, "
            f"{drifted / given:.3f} of {given} words given are not in the rewrite (n={len(rows)})"
        )
        figures += [
            Figure(f"{text.__name__}_recovered", recovered / added),
            Figure(f"{text.__name__}_drift", drifted / given),
        ]
    return figures


def turns_of(row: dict[str, Any]) -> Query:
    """Return a follow-up of mtrag_rewrite_en, which knows the user's turns only."""
    earlier = row["metadata"]["user_turns"][:-1]
    return Query(text=row["text"], history=tuple(Message(role="user", content=turn) for turn in earlier))


def weighed(row: dict[str, Any]) -> str:
    """Return the words whose terms search.history adds."""
    return " ".join(asked(turns_of(row).history)) if dependent(row["text"]) else ""


def standing(row: dict[str, Any]) -> str:
    """Return the text by which statements are judged."""
    return alone(turns_of(row)).text


async def main() -> None:
    options = common.arguments(__doc__)
    folder, embedder = common.shared(options), encoder()
    figures = await retrieval(folder, embedder)
    figures += await elsewhere(folder, embedder, "squad_en", 100 if options.quick else 1000)
    figures += await elsewhere(folder, embedder, "clapnq_en", 1000)
    figures += rewrites(folder)
    common.finish("conversation", figures, options)


if __name__ == "__main__":
    common.run(main)
