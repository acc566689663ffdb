"""Rerankers against the hybrid that they rerank, shown both ways: where each gains and where it hurts.

The default hybrid names 30 passages; each reranker puts them in another order. Late interaction (plain, idf) and the
judge of statements are mixed in at .3, the judge also alone; weights are learnt on the development halves of
all sets, and once more for each set on those of the others alone, as a new collection would meet them. Questions are
sampled by the hash of their ids; nDCG@10 of the test halves, differences to the hybrid with 95 % intervals by paired
bootstrap. CPU milliseconds are those of reranking alone; "known" is late interaction whose passages are in memory.

Calibration: of the hits that have a share of .4 to .6, how many are right on the test halves, behind each retriever.

--fit FILE keeps the weights of all sets, --curve FILE the isotonic curve of the hybrid.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import common
import numpy as np
from common import Figure

from lyceum.answer.evidence import Evidence
from lyceum.answer.rerank import Rerank
from lyceum.core.types import Hit, Query
from lyceum.evals.examples import half
from lyceum.evals.statistics import estimate_difference
from lyceum.models.glossed import Glossed
from lyceum.search import calibrated, learned
from lyceum.search.analyzer import Standard
from lyceum.search.gloss import Gloss
from lyceum.search.hybrid import Hybrid
from lyceum.search.maxsim import MaxSim
from lyceum.search.mixed import mixed
from lyceum.search.single import Single
from lyceum.search.thesaurus import Thesaurus
from lyceum.store.ledger import Ledger
from lyceum.store.postings import Postings
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors

SETS = (
    "squad_en", "hotpotqa_en", "cranfield_en", "rageval_finance_en", "tatqa_en", "financebench_en", "clapnq_en",
    "cmrc2018_zh",
)  # fmt: skip
QUICK = ("squad_en", "tatqa_en")
DEPTH, WEIGHT = 30, 0.3
ARMS = ("MaxSim .3", "MaxSim idf .3", "judge .3", "judge alone", "learnt", "learnt elsewhere")


class Reading(common.Cached):
    """The cached encoder with the words' vectors, which are not cached: their cost is what is measured."""

    async def read(self, texts: Sequence[str]) -> Any:
        return await self.encoder.read(texts)  # type: ignore[attr-defined]


@dataclass
class Case:
    """A question with the hybrid's hits and what each reranker says of them; `ms` are CPU milliseconds."""

    half: str
    hits: list[Hit]
    gold: dict[str, float]
    scores: dict[str, list[float]] = field(default_factory=dict)
    features: Any = None
    ms: dict[str, float] = field(default_factory=dict)
    singles: dict[str, list[Hit]] = field(default_factory=dict)

    def grades(self, hits: Sequence[Hit]) -> list[float]:
        return [self.gold.get(hit.document.meta["row"], 0.0) for hit in hits]

    def ndcg(self, hits: Sequence[Hit]) -> float:
        return common.ndcg([hit.document.meta["row"] for hit in hits], self.gold)


def sampled(data: common.Dataset, many: int) -> list[dict[str, Any]]:
    """Return at most so many questions of each half, the lowest hashes first."""
    ordered = sorted(data.queries, key=lambda row: hashlib.sha1(row["_id"].encode()).digest())
    return [row for part in ("dev", "test") for row in [q for q in ordered if half(q["_id"]) == part][:many]]


async def cases(data: common.Dataset, many: int, encoder: Any) -> list[Case]:
    """Index a set in a home of its own and ask its questions."""
    gloss, analyzer = Gloss(), Standard()
    embedder = Glossed(Reading(encoder), gloss, gloss.name)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        store = Store(Path(folder), ledger)
        lexical, dense = (
            Postings(Path(folder), analyzer),
            Vectors(Path(folder), embedder, ledger, store.keep_vectors),
        )
        store.views += [lexical, dense]
        batch = [common.identity(row) for row in data.corpus]
        for start in range(0, len(batch), 1000):
            await store.put(batch[start : start + 1000])
        hybrid = Hybrid(ledger, lexical, dense, embedder)
        singles = {"bm25": Single(ledger, lexical), "vectors": Single(ledger, dense, "vectors")}
        evidence = Evidence(analyzer, embedder, Thesaurus(analyzer))
        rankers = {
            "MaxSim": MaxSim(embedder, 1.0, False, 1000), "judge": Rerank(evidence), "idf": MaxSim(embedder, 1.0, True, 1000)
        }  # fmt: skip
        features = learned.Features(analyzer, evidence, None)
        found = []
        for row in sampled(data, many):
            query = Query(text=row["text"], top_k=DEPTH)
            one = Case(half(row["_id"]), await hybrid(query), data.gold[row["_id"]])
            one.singles = {name: await single(query) for name, single in singles.items()}
            for name, ranker in rankers.items():
                before = time.process_time()
                ranked = {hit.chunk.id: hit.score for hit in await ranker(query, one.hits)}
                one.ms[name] = 1000 * (time.process_time() - before)
                one.scores[name] = [ranked[hit.chunk.id] for hit in one.hits]
                if name == "MaxSim":
                    rankers["idf"]._known = ranker._known  # type: ignore[attr-defined]
            before = time.process_time()
            one.features = await features(query, one.hits)
            one.ms["features"] = 1000 * (time.process_time() - before)
            found.append(one)
        await ledger.close()
    return found
