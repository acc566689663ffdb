"""What each technique of retrieval gains, where it hurts and what it costs: each alone, and the shipped default.

Each set's corpus is indexed once, a row a chunk; each technique is a [retriever] table of lyceum.toml, built over
the same home and asked the same questions of the reported half (halves by hash; defaults were chosen on the
other). Quality is nDCG@10, its difference to the hybrid paired, with 95 % intervals; cost is CPU time per question
without encoding it, some 3 ms.  `--sets`, `--techniques`, `--most`
narrow it; `--page` writes docs/ablations.md.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import retrieval
from common import CHINESE, ENGLISH, Figure
from techniques import BASE, REFERENCE, SHIPPED, TECHNIQUES

from lyceum import wire
from lyceum.core.protocols import Retriever
from lyceum.core.types import Example, Query
from lyceum.evals import examples
from lyceum.evals.statistics import estimate_difference
from lyceum.models.glossed import Glossed
from lyceum.search.gloss import Gloss

QUICK = ("hotpotqa_en", "rageval_finance_en", "cmrc2018_zh")
PAGE = common.ROOT / "docs" / "ablations.md"
BASELINE = "bm25"


@dataclass
class Measured:
    """One technique on one set: a value for each question, and the CPU milliseconds of one."""

    values: list[float]
    milliseconds: float


@dataclass
class Board:
    """What was measured: set -> technique -> figures."""

    rows: dict[str, dict[str, Measured]] = field(default_factory=dict)
    gains: dict[str, list[float]] = field(default_factory=dict)  # the default's over bm25, all questions
    fused: dict[str, list[float]] = field(default_factory=dict)  # and over reciprocal rank fusion

    def differences(self, name: str, technique: str, reference: str) -> list[float]:
        """Return the paired differences of a technique to another on a set."""
        pairs = zip(self.rows[name][technique].values, self.rows[name][reference].values, strict=True)
        return [one - other for one, other in pairs]

    def macro(self, technique: str, reference: str) -> tuple[float, float, float]:
        """Return the mean difference over the English sets with its interval, stratified by set."""
        english = [name for name in self.rows if name in ENGLISH]
        return common.interval(self.differences(name, technique, reference) for name in english)

    def moved(self, technique: str, reference: str) -> tuple[list[str], list[str]]:
        """Return the sets on which a technique is better, and worse, than chance explains."""
        better, worse = [], []
        for name in self.rows:
            found = estimate_difference(self.differences(name, technique, reference))
            better += [name] * (found.low > 0)
            worse += [name] * (found.high < 0)
        return better, worse

    def verdict(self, technique: str) -> str:
        """Return what the figures beside the reference allow to say."""
        _, low, high = self.macro(technique, REFERENCE)
        better, worse = self.moved(technique, REFERENCE)
        if low > 0 and not worse:
            return "gains"
        if high < 0 and not better:
            return "loses"
        return "depends on the documents" if better or worse else "not proven"


async def asked(retriever: Retriever, example: Example) -> list[str]:
    """Return the rows that a retriever finds for a question, best first."""
    hits = await retriever(Query(text=example.question, history=example.history, top_k=10))
    return list(dict.fromkeys(hit.document.source for hit in hits))


async def measured(retriever: Retriever, some: list[Example]) -> Measured:
    """Return a technique's figures; the first questions are asked once before, so that caches are as in use."""
    for one in some[:3]:
        await asked(retriever, one)
    values, started = [], time.process_time()
    for one in some:
        gold = {gold.document: gold.grade for gold in one.gold}
        values.append(common.ndcg(await asked(retriever, one), gold))
    return Measured(values, (time.process_time() - started) * 1000 / max(len(some), 1))


async def of_set(
    folder: Path, name: str, chosen: dict[str, Any], most: int
) -> tuple[dict[str, Measured], list[list[float]]]:
    """Index one set; return every technique on some questions, and the default's gains on all, over bm25 and RRF."""
    found = common.encoder()
    assert found is not None
    data, gloss = common.dataset(folder, name), Gloss()
    embedder = Glossed(common.Cached(found), gloss, gloss.name)
    whole = [one for one in examples.read(folder / "data" / name) if one.gold and one.half == "test"]
    some = whole[:: max(1, len(whole) // most)][:most]
    with tempfile.TemporaryDirectory() as home:
        shared = {"encoder": found, "gloss": gloss, "embedder": embedder}
        platform = wire.build({}, Path(home), replace=shared)
        batch = [common.identity(row) for row in data.corpus]
        for start in range(0, len(batch), 1000):
            await platform.store.put(batch[start : start + 1000])
        make = wire.builder(platform)
        measures = {BASELINE: Measured(_baseline(data, some), 0.0)}
        for technique, table in chosen.items():
            built = make(table)
            measures[technique] = await measured(built.retriever, some)  # type: ignore[attr-defined]
            value = common.interval([measures[technique].values])[0]
            print(
                f"{name:22} {technique:26} {value:.4f}  {measures[technique].milliseconds:7.1f} ms",
                flush=True,
            )
        default = make(TECHNIQUES[SHIPPED].table).retriever  # type: ignore[attr-defined]
        shipped = (await measured(default, whole)).values
        fused = await _reciprocal(make, whole)
        await platform.close()
    pairs = (_baseline(data, whole), fused)
    return measures, [[a - b for a, b in zip(shipped, other, strict=True)] for other in pairs]


async def _reciprocal(make: Any, some: list[Example]) -> list[float]:
    """Return what reciprocal rank fusion (k 60; Cormack et al. 2009) of words and meaning gives."""
    sides = [make(TECHNIQUES[name].table).retriever for name in ("lexical", "dense")]
    values = []
    for one in some:
        scores: dict[str, float] = {}
        for side in sides:
            hits = await side(Query(text=one.question, top_k=100))
            for rank, source in enumerate(dict.fromkeys(hit.document.source for hit in hits), start=1):
                scores[source] = scores.get(source, 0.0) + 1 / (60 + rank)
        ranked = sorted(scores, key=lambda name: -scores[name])[:10]
        values.append(common.ndcg(ranked, {gold.document: gold.grade for gold in one.gold}))
    return values


def _baseline(data: common.Dataset, some: list[Example]) -> list[float]:
    data = common.Dataset(data.name, data.corpus, [{"_id": one.id, "text": one.question} for one in some], {})
    run = retrieval.baseline(data)
    return [common.ndcg(run[one.id], {gold.document: gold.grade for gold in one.gold}) for one in some]


async def main() -> None:
    options = common.arguments(
        __doc__, {"page": "write docs/ablations.md"}, sets="names, by commas", techniques="names, by commas",
        most="questions of a set (default 200)",
    )  # fmt: skip
    folder = common.shared(options)
    if common.encoder() is None:
        print("No encoder: lyceum models add minilm")
        raise SystemExit(77)
    names = (
        options.sets.split(",")
        if options.sets
        else QUICK
        if options.quick
        else (*ENGLISH, *CHINESE, *retrieval.ACROSS)
    )
    wanted = options.techniques.split(",") if options.techniques else list(TECHNIQUES)
    chosen = {name: TECHNIQUES[name].table for name in dict.fromkeys([REFERENCE, SHIPPED, *wanted])}
    most = int(options.most or (25 if options.quick else 200))
    board = Board()
    for name in names:
        board.rows[name], (board.gains[name], board.fused[name]) = await of_set(folder, name, chosen, most)
    for technique in chosen:
        mean, low, high = board.macro(technique, REFERENCE)
        print(f"{technique:26} {mean:+.4f} [{low:+.4f}, {high:+.4f}]  {board.verdict(technique)}")
    if options.page:
        PAGE.write_text(page(board), encoding="utf-8")
    common.finish("ablations", figures(board), options, table=table(board))


def figures(board: Board) -> list[Figure]:
    """Return what the shipped default must show beside plain BM25, on all questions of the test halves."""
    found = {name: estimate_difference(gains) for name, gains in board.gains.items()}
    better = [name for name, one in found.items() if one.low > 0]
    worse = [name for name, one in found.items() if one.high < 0]
    for name, one in found.items():
        print(
            f"{name:22} shipped - bm25 {one.mean:+.4f} [{one.low:+.4f}, {one.high:+.4f}] n={len(board.gains[name])}"
        )
    mean, low, high = common.interval(board.gains[name] for name in board.gains if name in ENGLISH)
    print(f"macro English {mean:+.4f} [{low:+.4f}, {high:+.4f}]; not shown: {sorted({*found} - {*better})}")
    over, least, most = common.interval(board.fused[name] for name in board.fused if name in ENGLISH)
    print(f"macro English over reciprocal rank fusion {over:+.4f} [{least:+.4f}, {most:+.4f}]")
    gated = len(board.rows) >= len(ENGLISH)
    return [
        Figure("gain_over_rrf", over, ">= .035" if gated else "", not gated or over >= 0.035),
        Figure("gain_over_bm25", mean, ">= .07" if gated else "", not gated or mean >= 0.07),
        Figure("sets_better", len(better), ">= 11" if gated else "", not gated or len(better) >= 11),
        Figure("sets_worse", len(worse), "0", not worse),
    ]


def table(board: Board) -> dict[str, Any]:
    """Return the means that the result file keeps."""
    return {
        name: {
            technique: {"ndcg": round(common.interval([one.values])[0], 4), "ms": round(one.milliseconds, 1)}
            for technique, one in row.items()
        }
        for name, row in board.rows.items()
    }


def page(board: Board) -> str:
    """Return docs/ablations.md."""
    lines = [INTRODUCTION, "| technique | what it does | nDCG@10 | cost | better on | worse on | verdict |"]
    lines.append("|---|---|---|---|---|---|---|")
    first = next(iter(board.rows.values()))
    for technique in first:
        if technique in (BASELINE, REFERENCE):
            continue
        mean, low, high = board.macro(technique, REFERENCE)
        costs = [
            row[technique].milliseconds - (row[REFERENCE].milliseconds if technique != REFERENCE else 0.0)
            for row in board.rows.values()
        ]
        better, worse = board.moved(technique, REFERENCE)
        lines.append(
            f"| {technique} | {TECHNIQUES[technique].said} | {mean:+.3f} [{low:+.3f}, {high:+.3f}] |"
            f" {sum(costs) / len(costs):+.1f} ms | {', '.join(better) or '–'} | {', '.join(worse) or '–'} |"
            f" {board.verdict(technique)} |"
        )
    lines += ["", "## Set by set, nDCG@10 (questions)", ""]
    lines += ["| technique | " + " | ".join(board.rows) + " |", "|---" * (len(board.rows) + 1) + "|"]
    for technique in first:
        cells = [f"{common.interval([row[technique].values])[0]:.3f}" for row in board.rows.values()]
        lines.append(f"| {technique} | " + " | ".join(cells) + " |")
    sizes = [f"({len(row[REFERENCE].values)})" for row in board.rows.values()]
    lines += ["| | " + " | ".join(sizes) + " |", ""]
    return "\n".join(lines)


INTRODUCTION = f"""# Ablations

Written by `make ablations` (`bench/ablations.py --page`) from a run over the shared evaluation sets. One row is one
technique alone around the plain hybrid (`{BASE["kind"]}`): the macro difference over the English sets in nDCG@10 with
its 95 % interval, what it costs in CPU per question, and the sets on which the paired interval excludes zero. With
some twenty techniques on 13 sets, about ten such cells are expected by chance: what repeats over sets counts.
"""


if __name__ == "__main__":
    common.run(main)
