"""Rerankers against the hybrid that they rerank, shown both ways: where each gains and where it hurts.

The hybrid names 30 passages; each reranker puts them in another order. Late interaction (plain, idf) and the judge of
statements are mixed in at .3, the judge also ranks alone; weights are learnt on the development halves of all sets,
and once more for each set on those of the others alone, as a new collection would meet them. Questions are sampled
by the hash of their ids; nDCG@10 on the test halves, differences to the hybrid with paired 95 % bootstrap intervals.
CPU milliseconds are those of reranking alone, with what is remembered of earlier questions; "MaxSim idf" asks after
"MaxSim", so that it finds all passages in memory, and "cold" none of them. The judge's passages have their vectors
from a cache on disk; without it each costs as much as one that "cold" reads.

Calibration: curves fitted on the development halves of all sets. On the test halves: the mean distance of a share
from how many are right (ECE, ten bins; over all sets, and on the worst), and how many are right of what a threshold
of .5 leaves, behind each retriever. "scaled" goes from the lowest to the highest score.

Your own questions: --home HOME --questions FILE takes the retriever that is configured there, fits on their
development half and reports on the other. --weights FILE keeps what was learnt, --curve FILE the retriever's curve.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import fitting
import numpy as np
from common import Figure

from lyceum.answer.evidence import Evidence
from lyceum.answer.rerank import Rerank
from lyceum.app import settings
from lyceum.app.session import opened
from lyceum.core.types import Example, Hit, Query
from lyceum.evals.examples import half, read
from lyceum.evals.metrics import found_at, found_in
from lyceum.evals.statistics import estimate_difference
from lyceum.models.glossed import Glossed
from lyceum.search.analyzer import Standard
from lyceum.search.calibrated import Curve, applied
from lyceum.search.gloss import Gloss
from lyceum.search.hybrid import Hybrid
from lyceum.search.learned import FEATURES, Features
from lyceum.search.maxsim import MaxSim
from lyceum.search.mixed import Mixed, mixed
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
FIXED = ("MaxSim .3", "MaxSim idf .3", "judge .3", "judge alone")
LEARNT = ("learnt", "learnt elsewhere")


@dataclass
class Case:
    """A question, its hits, their orders by each reranker with CPU milliseconds, and the other retrievers' hits."""

    half: str
    hits: list[Hit]
    gold: Mapping[str, float]
    orders: dict[str, list[Hit]] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)
    features: Any = None

    def grades(self, hits: Sequence[Hit]) -> list[float]:
        return [self.gold.get(key(hit), 0.0) for hit in hits]

    def ndcg(self, hits: Sequence[Hit]) -> float:
        return common.ndcg(list(map(key, hits)), dict(self.gold))


def key(hit: Hit) -> str:
    """Return the name of a hit in its gold: the row of a set, or the chunk."""
    return str(hit.document.meta.get("row", hit.chunk.id))


async def asked(
    questions: Iterable[tuple[str, Query, Any]], retriever: Any, others: Mapping[str, Any], evidence: Evidence
) -> list[Case]:
    """Ask each question and rerank its hits in every way that needs no fitting."""
    plain, idf = MaxSim(evidence.embedder, WEIGHT, False, 1000), MaxSim(evidence.embedder, WEIGHT, True, 1000)
    alone = MaxSim(evidence.embedder, 1.0, True, 1000)
    idf._known = alone._known = plain._known  # what one has read, the others know
    judge = Rerank(evidence)
    rankers = dict(zip(FIXED, (plain, idf, Mixed(judge, WEIGHT), judge), strict=True))
    features, found = Features(evidence.analyzer, evidence, alone), []
    for part, query, gold in questions:
        hits = await retriever(query)
        one = Case(part, hits, gold if isinstance(gold, dict) else graded(gold, hits))
        for name, ranker in rankers.items():
            before = time.process_time()
            one.orders[name] = await ranker(query, hits)
            one.ms[name] = 1000 * (time.process_time() - before)
        if len(found) % 20 == 0:
            one.ms["cold"] = await cold(query, hits, evidence)
        before = time.process_time()
        one.features = await features(query, hits)
        one.ms["features"] = 1000 * (time.process_time() - before)
        one.orders |= {name: await other(query) for name, other in others.items()}
        found.append(one)
    return found


async def cold(query: Query, hits: Sequence[Hit], evidence: Evidence) -> float:
    """Return the CPU milliseconds of late interaction that has to read every passage."""
    ranker = MaxSim(evidence.embedder, WEIGHT)
    before = time.process_time()
    await ranker(query, hits)
    return 1000 * (time.process_time() - before)


def graded(example: Example, hits: Sequence[Hit]) -> dict[str, float]:
    """Return which hits hold an example's gold."""
    return {
        key(hit): 1.0
        for hit in hits
        if any(found_in(hit, one) and found_at(hit, one) for one in example.gold)
    }


async def of_set(data: common.Dataset, many: int, encoder: Any) -> list[Case]:
    """Index a set in a home of its own and ask at most so many questions of each half, lowest hashes first."""
    ordered = sorted(data.queries, key=lambda row: hashlib.sha1(row["_id"].encode()).digest())
    rows = [row for part in ("dev", "test") for row in [q for q in ordered if half(q["_id"]) == part][:many]]
    gloss, analyzer = Gloss(), Standard()
    embedder = Glossed(common.Cached(encoder), gloss, gloss.name)
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
        others = {"bm25": Single(ledger, lexical), "vectors": Single(ledger, dense, "vectors")}
        evidence = Evidence(analyzer, embedder, Thesaurus(analyzer))
        questions = (
            (half(row["_id"]), Query(text=row["text"], top_k=DEPTH), data.gold[row["_id"]]) for row in rows
        )
        found = await asked(questions, Hybrid(ledger, lexical, dense, embedder), others, evidence)
        await ledger.close()
    return found


async def of_home(home: str, questions: str) -> dict[str, list[Case]]:
    """Ask the retriever that a home configures; every answerable question with gold counts."""
    examples = [one for one in read(Path(questions)) if one.gold and one.answerable]
    async with opened(settings.load(home, os.environ)) as platform:
        asking = (
            (one.half, Query(text=one.question, top_k=DEPTH, readers=one.readers), one) for one in examples
        )
        return {Path(questions).stem: await asked(asking, platform.retriever, {}, platform.evidence)}


def learn(cases: Iterable[Case]) -> dict[str, float]:
    """Return the weights for the development half of some cases."""
    return fitting.weights([(one.features, one.grades(one.hits)) for one in cases if one.half == "dev"])


def rank(weights: Mapping[str, float], one: Case) -> list[Hit]:
    return mixed(one.hits, (one.features @ np.array([weights[name] for name in FEATURES])).tolist(), 1.0)


def compared(found: Mapping[str, list[Case]]) -> dict[str, dict[str, Any]]:
    """Print and return for each set what each reranker changes on the test half."""
    table: dict[str, dict[str, Any]] = {}
    for name, cases in found.items():
        everywhere = learn(one for other in found.values() for one in other)
        elsewhere = learn(one for other, some in found.items() if other != name for one in some)
        test = [one for one in cases if one.half == "test"]
        base = [one.ndcg(one.hits) for one in test]
        told: dict[str, Any] = {"n": len(test), "hybrid": round(float(np.mean(base)), 4)}
        print(f"{name}: {len(test)} test questions, hybrid {told['hybrid']:.3f}")
        for arm in (*FIXED, *LEARNT[: len(found)]):
            weights = elsewhere if arm == "learnt elsewhere" else everywhere
            orders = [rank(weights, one) if arm in LEARNT else one.orders[arm] for one in test]
            gains = [one.ndcg(order) - before for one, order, before in zip(test, orders, base, strict=True)]
            seen = estimate_difference(gains)
            ms = float(np.mean([one.ms["features" if arm in LEARNT else arm] for one in cases]))
            verdict = "gains" if seen.low > 0 else "hurts" if seen.high < 0 else "not shown"
            told[arm] = {
                "gain": round(seen.mean, 4), "low": round(seen.low, 4), "high": round(seen.high, 4),
                "ms": round(ms, 1), "verdict": verdict, "gains": [round(gain, 4) for gain in gains],
            }  # fmt: skip
            print(f"  {arm:17} {seen.mean:+.3f} [{seen.low:+.3f}, {seen.high:+.3f}] {ms:6.1f} ms  {verdict}")
        table[name] = told
    return table


def scored(cases: Iterable[Case], retriever: str, part: str) -> tuple[list[float], list[float]]:
    """Return the scores of a retriever's first ten hits, and whether each was right."""
    scores: list[float] = []
    right: list[float] = []
    for one in cases:
        hits = (one.hits if retriever == "hybrid" else one.orders[retriever])[:10]
        if one.half == part:
            scores += [hit.score for hit in hits]
            right += [float(grade > 0) for grade in one.grades(hits)]
    return scores, right


def distance(shares: Sequence[float], right: Sequence[float]) -> float:
    """Return the expected calibration error in ten bins (Naeini et al. 2015)."""
    at = np.minimum((np.asarray(shares) * 10).astype(int), 9)
    gaps = [abs(np.asarray(shares)[at == n].sum() - np.asarray(right)[at == n].sum()) for n in range(10)]
    return float(sum(gaps) / len(shares))


def calibrated(found: Mapping[str, list[Case]], curve: str | None) -> dict[str, dict[str, float]]:
    """Print and return how far shares are what they say, behind each retriever, with its curve and without."""
    cases = [one for some in found.values() for one in some]
    names = [
        name
        for name in ("hybrid", "bm25", "vectors", "judge alone")
        if name == "hybrid" or name in cases[0].orders
    ]
    fits = {"isotonic": fitting.isotonic, "platt": fitting.platt}
    fitted = {(how, name): fit(*scored(cases, name, "dev")) for how, fit in fits.items() for name in names}
    table: dict[str, dict[str, float]] = {}
    for name in names:
        low, high = np.quantile(scored(cases, name, "dev")[0], [0, 1])
        raw: Curve = {"scores": [low, high], "shares": [0.0, 1.0]}
        scores, right = scored(cases, name, "test")
        apart = [scored(some, name, "test") for some in found.values()]
        own = fitted["isotonic", name]
        table[name] = {"worst set": round(max(distance(applied(own, of), right) for of, right in apart), 4)}
        other = fitted["isotonic", names[names.index(name) - 1]]
        curves = {"scaled": raw, **{how: fitted[how, name] for how in fits}, "another's": other}
        for how, one in curves.items():
            shares = np.array(applied(one, scores))
            kept = np.array(right)[shares >= 0.5]
            table[name] |= {how: round(distance(shares.tolist(), right), 4)}
            table[name] |= {f"{how}: right of .5": round(float(kept.mean()), 3) if len(kept) else 0.0}
        print(f"{name:12} " + "  ".join(f"{how} {value:.3f}" for how, value in table[name].items()))
    if curve:
        keep(curve, found, fitted["isotonic", "hybrid"])
    return table


def keep(file: str, found: Iterable[str], body: Mapping[str, Any]) -> None:
    Path(file).write_text(json.dumps({"fitted": ", ".join(found), **body}) + "\n", encoding="utf-8")


def macro(table: Mapping[str, dict[str, Any]], arm: str) -> tuple[float, float, float]:
    return common.interval(row[arm]["gains"] for row in table.values() if arm in row)


async def main() -> None:
    options = common.arguments(
        __doc__,
        home="a home to ask",
        questions="its questions",
        weights="file for weights",
        curve="file for a curve",
    )
    found: dict[str, list[Case]] = {}
    if options.questions:
        options.no_save = True
        found = await of_home(options.home, options.questions)
    else:
        folder, encoder = common.shared(options), common.encoder()
        if encoder is None:
            print("No encoder: lyceum models add minilm")
            raise SystemExit(77)
        for name in QUICK if options.quick else SETS:
            found[name] = await of_set(common.dataset(folder, name), 12 if options.quick else 100, encoder)
            print(f"{name}: {len(found[name])} questions asked", flush=True)
    table, shares = compared(found), calibrated(found, options.curve)
    weights = learn(one for some in found.values() for one in some)
    print("learnt: " + "  ".join(f"{name} {value:.2f}" for name, value in weights.items()))
    if options.weights:
        keep(options.weights, found, {"weights": {name: round(one, 5) for name, one in weights.items()}})
    figures = []
    for arm in (*FIXED, *LEARNT[: len(found)]):
        mean, low, high = macro(table, arm)
        print(f"{arm:17} over {len(table)} sets {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
        figures.append(Figure(arm.replace(" ", "_"), mean))
    known = float(np.mean([one.ms["MaxSim idf .3"] for some in found.values() for one in some]))
    worst = max(row["isotonic"] for row in shares.values())
    never = [one.ms["cold"] for some in found.values() for one in some if "cold" in one.ms]
    figures += [
        Figure("known_ms", known, "<= 25", known <= 25),
        Figure("cold_ms", float(np.mean(never))),
        # A curve that was fitted on few questions promises nothing yet.
        Figure("ece_worst", worst)
        if options.quick or options.questions
        else Figure("ece_worst", worst, "<= .05", worst <= 0.05),
    ]
    for row in table.values():
        for arm in row.values():
            if isinstance(arm, dict):
                del arm["gains"]
    common.finish("rerankers", figures, options, table=table, calibration=shares, weights=weights)


if __name__ == "__main__":
    common.run(main)
