"""Retrieval quality against plain BM25 in the same run, over the shared evaluation sets.

Baseline: bm25s (Lucene, k1 1.2, b .75, title and text in one field, English stop words and Snowball stems,
Chinese words). Lyceum: the shipped analyzer, postings, vectors and fusion; each corpus row is one chunk.
The second table uses the shipped splitter and scores a document by its best chunk. "linked" is the shipped default:
title links around the hybrid; "recursive" follows references around the hybrid ("+ recursive" around the default) and
runs on the multi-hop sets. All queries with gold documents count; numbers of the link step were chosen on the
development half (`evals.examples.half` of the question's id), so gains are reported by half as well. The last table
asks one index of all English documents, to see that single-hop questions are unharmed.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import Any

import bm25s
import common
import rjieba
import snowballstemmer
from common import CHINESE, ENGLISH, Dataset, Figure

from lyceum.core.text import headline
from lyceum.core.types import Document, Element, Query, Table
from lyceum.evals.examples import half
from lyceum.evals.statistics import estimate_difference
from lyceum.ingest.splitter import Structured
from lyceum.models.glossed import Glossed
from lyceum.search.analyzer import STOP_WORDS, Standard
from lyceum.search.gloss import Gloss
from lyceum.search.hybrid import Hybrid
from lyceum.search.linked import Linked
from lyceum.search.recursive import Recursive
from lyceum.search.single import Single
from lyceum.store.ledger import Ledger
from lyceum.store.links import Links
from lyceum.store.postings import Postings
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors
from tests.exact import ExactBM25F

ACROSS = ("xquad_zh_to_en", "xquad_en_to_zh")  # questions in one language, passages in the other
MULTIHOP = ("hotpotqa_en", "ottqa_en")
QUICK = ("hotpotqa_en", "squad_en", "wikitablequestions_en", "rageval_finance_zh")
Run = dict[str, list[str]]


def baseline(data: Dataset, top_k: int = 10) -> Run:
    """Return the rankings of plain BM25."""
    stem = snowballstemmer.stemmer("english").stemWord

    def words(text: str) -> list[str]:
        found = []
        for token in re.findall(r"[\u4e00-\u9fff]+|[^\W\u4e00-\u9fff]{2,}", text.lower()):
            if "\u4e00" <= token[0] <= "\u9fff":
                found.extend(word for word in rjieba.cut(token) if word.strip())
            elif token not in STOP_WORDS:
                found.append(stem(token))
        return found

    corpus = [words(f"{row.get('title') or ''} {row['text']}") for row in data.corpus]
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(corpus, show_progress=False)
    known = set(index.vocab_dict)
    run = {}
    for query in data.queries:
        asked = [word for word in words(query["text"]) if word in known]
        if asked:
            found, _ = index.retrieve([asked], k=min(top_k, len(corpus)), show_progress=False)
            run[query["_id"]] = [data.corpus[i]["_id"] for i in found[0]]
        else:
            run[query["_id"]] = []
    return run


def exact(data: Dataset, analyzer: Standard) -> Run:
    """Return the rankings of BM25F by its formula, with the shipped analyzer."""
    chunks = [common.identity(row)[2][0] for row in data.corpus]
    index = ExactBM25F([(analyzer(headline(chunk)), analyzer(chunk.text)) for chunk in chunks])
    return {
        query["_id"]: [data.corpus[i]["_id"] for i, _ in index(analyzer(query["text"]), 10)]
        for query in data.queries
    }


async def lyceum(data: Dataset, embedder: Any, batch: list[Any], top_k: int) -> dict[str, Run]:
    """Index a batch in a home of its own; return the rankings of the lexical view, the hybrid and the default."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        store = Store(Path(folder), ledger)
        analyzer = Standard()
        lexical, links = Postings(Path(folder), analyzer), Links(Path(folder))
        dense = Vectors(Path(folder), embedder, ledger, store.keep_vectors)
        store.views += [lexical, dense, links]
        for start in range(0, len(batch), 1000):
            await store.put(batch[start : start + 1000])
        hybrid = Hybrid(ledger, lexical, dense, embedder)
        linked = Linked(ledger, links, analyzer, hybrid)
        retrievers: dict[str, Any] = {"lexical": Single(ledger, lexical), "hybrid": hybrid, "linked": linked}
        if data.name in MULTIHOP:
            retrievers["recursive"] = Recursive(ledger, links, lexical, hybrid)
            retrievers["linked + recursive"] = Recursive(ledger, links, lexical, linked)
        runs: dict[str, Run] = {}
        for name, retriever in retrievers.items():
            runs[name] = {}
            for query in data.queries:
                hits = await retriever(Query(text=query["text"], top_k=top_k))
                rows = dict.fromkeys(hit.document.meta["row"] for hit in hits)
                runs[name][query["_id"]] = list(rows)[:10]
        await ledger.close()
        return runs


async def mixed(folder: Path, embedder: Any) -> dict[str, Any]:
    """Ask one index of all English documents the questions of every set; return scores by set and retriever."""
    sets = {name: common.dataset(folder, name) for name in ENGLISH}
    corpus, queries, gold = [], [], {}
    for name, data in sets.items():
        corpus += [{**row, "_id": f"{name}/{row['_id']}"} for row in data.corpus]
        queries += [{**query, "_id": f"{name}/{query['_id']}"} for query in data.queries]
        for query, grades in data.gold.items():
            gold[f"{name}/{query}"] = {f"{name}/{one}": grade for one, grade in grades.items()}
    everything = Dataset("mixed", corpus, queries, gold)
    runs = await lyceum(everything, embedder, [common.identity(row) for row in corpus], 10)
    parts = {}
    for name in ENGLISH:
        own = [query for query in queries if query["_id"].startswith(f"{name}/")]
        parts[name] = {kind: scored(Dataset(name, [], own, gold), run) for kind, run in runs.items()}
        parts[name]["bm25s"] = parts[name]["lexical"]  # what `_gain` compares with is not asked here
    return parts


def scored(data: Dataset, run: Run) -> dict[str, list[float]]:
    """Return nDCG@10, recall@10 and whether all gold is among the first ten, question by question."""
    found = [(run[query["_id"]], data.gold[query["_id"]]) for query in data.queries]
    recalls = [common.recall(*one) for one in found]
    return {
        "ndcg": [common.ndcg(*one) for one in found], "recall": recalls,
        "all": [float(one == 1) for one in recalls],
    }  # fmt: skip


def split(row: dict[str, Any], splitter: Structured) -> tuple[Document, list[Element], list[Any]]:
    """Return a corpus row cut by the shipped splitter: its table lines as a table, the rest as paragraphs."""
    document, _, (chunk,) = common.identity(row)
    elements = [Element(doc_id=document.id, kind="heading", text=text, level=1) for text in chunk.path]
    lines: list[str] = []

    def flush() -> None:
        if len(lines) > 1:
            cells = tuple(tuple(cell.strip() for cell in line.split(" | ")) for line in lines)
            text = "\n".join(lines)
            elements.append(Element(doc_id=document.id, kind="table", text=text, table=Table(rows=cells)))
        elif lines:
            elements.append(Element(doc_id=document.id, kind="text", text=lines[0]))
        lines.clear()

    for line in row["text"].split("\n"):
        if " | " in line:
            lines.append(line)
            continue
        flush()
        if line.strip():
            elements.append(Element(doc_id=document.id, kind="text", text=line.strip()))
    flush()
    return document, elements, splitter(document, elements)


async def main() -> None:
    options = common.arguments(__doc__)
    folder = common.shared(options)
    found = common.encoder()
    if found is None:
        print("No encoder: lyceum models add minilm")
        raise SystemExit(77)
    gloss = Gloss()
    embedder = Glossed(common.Cached(found), gloss, gloss.name)
    analyzer, splitter = Standard(), Structured()
    names = QUICK if options.quick else (*ENGLISH, *CHINESE, *ACROSS)
    print("sets: " + ", ".join(names))
    rows: dict[str, dict[str, Any]] = {}
    halves: dict[str, list[str]] = {}
    for name in names:
        started = time.process_time()
        data = common.dataset(folder, name)
        runs = {"bm25s": baseline(data), "bm25f": exact(data, analyzer)}
        runs |= await lyceum(data, embedder, [common.identity(row) for row in data.corpus], 10)
        if not options.quick:
            cut = [split(row, splitter) for row in data.corpus]
            chunked = await lyceum(data, embedder, cut, 60)
            runs |= {f"{kind} split": run for kind, run in chunked.items()}
        rows[name] = {kind: scored(data, run) for kind, run in runs.items()}
        halves[name] = [half(query["_id"]) for query in data.queries]
        _print(name, rows[name], time.process_time() - started)
    figures = _figures(rows) + _links(rows, halves)
    table: dict[str, Any] = {"table": _table(rows)}
    if not options.quick:
        together = await mixed(folder, embedder)
        table["mixed"] = _table(together)
        print("one index of all English documents, linked minus hybrid:")
        figures += _unharmed(together)
    common.finish("retrieval", figures, options, **table)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _print(name: str, row: dict[str, Any], seconds: float) -> None:
    said = "  ".join(
        f"{kind} {_mean(part['ndcg']):.3f}/{_mean(part['recall']):.3f}" for kind, part in row.items()
    )
    print(f"{name:22} n={len(row['bm25s']['ndcg']):4}  {said}  ({seconds:.0f} CPU s)", flush=True)


def _table(rows: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {kind: {m: round(_mean(v), 4) for m, v in part.items()} for kind, part in row.items()}
        for name, row in rows.items()
    }


def _gain(rows: dict[str, Any], names: list[str], kind: str) -> dict[str, list[float]]:
    return {
        name: [a - b for a, b in zip(rows[name][kind]["ndcg"], rows[name]["bm25s"]["ndcg"], strict=True)]
        for name in names
    }


def _links(rows: dict[str, Any], halves: dict[str, list[str]]) -> list[Figure]:
    """Return what the default gains over BM25, and its links over the hybrid, by halves and for multi-hop sets."""
    figures, worse = [], []
    for part in ("dev", "test", "all"):
        gains: dict[str, dict[str, list[float]]] = {"bm25s": {}, "hybrid": {}}
        for under, by_set in gains.items():
            for name in rows:
                pairs = zip(
                    rows[name]["linked"]["ndcg"], rows[name][under]["ndcg"], halves[name], strict=True
                )
                by_set[name] = [one - other for one, other, where in pairs if part in (where, "all")]
            english = [gain for name, gain in by_set.items() if name in ENGLISH]
            mean, low, high = common.interval(english)
            print(f"linked over {under}, {part}: macro English nDCG@10 {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
            figures.append(Figure(f"linked_over_{under}_{part}", mean))
        if part == "all":
            for under, by_set in gains.items():
                for name, gain in by_set.items():
                    found = estimate_difference(gain)
                    print(
                        f"  {name:22} over {under:6} {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
                    )
                    worse += [name] * (found.high < 0)
        for name in MULTIHOP:
            figures += _all_gold(name, rows, halves, part)
    return [*figures, Figure("sets_significantly_worse", len(worse), "<= 0", not worse)]


def _all_gold(name: str, rows: dict[str, Any], halves: dict[str, list[str]], part: str) -> list[Figure]:
    figures: list[Figure] = []
    for kind in ("linked", "recursive", "linked + recursive") if name in rows else ():
        pairs = zip(rows[name][kind]["all"], rows[name]["hybrid"]["all"], halves[name], strict=True)
        gain = estimate_difference([one - other for one, other, where in pairs if part in (where, "all")])
        said = f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        print(f"  {name} {part}: all-gold@10 of {kind} over the hybrid {said}")
        if kind != "linked + recursive":
            figures.append(Figure(f"{name[:-3]}_all_gold_{kind}_{part}", gain.mean))
    return figures


def _unharmed(rows: dict[str, Any]) -> list[Figure]:
    """Return the worst set among those that need one document, all sets asked in one index."""
    found = {}
    for name, row in rows.items():
        pairs = zip(row["linked"]["ndcg"], row["hybrid"]["ndcg"], strict=True)
        found[name] = estimate_difference([one - other for one, other in pairs])
        gold = _mean(row["linked"]["all"]) - _mean(row["hybrid"]["all"])
        said = f"{found[name].mean:+.4f} [{found[name].low:+.4f}, {found[name].high:+.4f}]"
        print(f"  {name:22} nDCG@10 {said}  all-gold@10 {gold:+.3f}")
    worst = min(found, key=lambda name: found[name].mean)
    good = found[worst].mean >= -0.01
    return [Figure("mixed_worst", found[worst].mean, ">= -.01", good)]


def _figures(rows: dict[str, Any]) -> list[Figure]:
    english = [name for name in rows if name in ENGLISH]
    chinese = [name for name in rows if name in CHINESE]
    figures = []
    for kind in ("hybrid", "linked", "hybrid split", "linked split"):
        if kind not in rows[english[0]]:
            continue
        gains = _gain(rows, english, kind)
        mean, low, high = common.interval(gains.values())
        worst = min(gains, key=lambda name: _mean(gains[name]))
        print(
            f"{kind}: macro English nDCG@10 {mean:+.4f} [{low:+.4f}, {high:+.4f}] over bm25s; worst set {worst}"
        )
        gate = kind in ("hybrid", "linked")
        least = 0.07 if kind == "linked" else 0.045
        figures += [
            Figure(
                f"{kind}_gain".replace(" ", "_"), mean, f">= {least}" if gate else "", not gate or mean >= least
            ),
            Figure(
                f"{kind}_worst".replace(" ", "_"), _mean(gains[worst]), ">= -.01" if gate else "",
                not gate or _mean(gains[worst]) >= -0.01,
            ),
        ]  # fmt: skip
    if chinese:
        worst_zh = min(_mean(gain) for gain in _gain(rows, chinese, "linked").values())
        figures.append(Figure("chinese_worst", worst_zh, ">= 0", worst_zh >= 0))
    if across := [name for name in rows if name in ACROSS]:
        value = _mean([_mean(rows[name]["hybrid"]["ndcg"]) for name in across])
        figures.append(Figure("across_ndcg", value))
    apart = {name: _mean(row["lexical"]["ndcg"]) - _mean(row["bm25f"]["ndcg"]) for name, row in rows.items()}
    macro = abs(_mean(list(apart.values())))
    print("lexical minus exact BM25F: " + " ".join(f"{name} {gap:+.4f}" for name, gap in apart.items()))
    figures.append(Figure("bm25f_gap", macro, "<= .005", macro <= 0.005))
    return figures


if __name__ == "__main__":
    common.run(main)
