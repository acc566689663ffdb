"""Retrieval quality against plain BM25 in the same run, over the shared evaluation sets.

Baseline: bm25s (Lucene, k1 1.2, b .75, title and text in one field, English stop words and Snowball stems,
Chinese words). Lyceum: the shipped analyzer, postings, vectors and fusion; each corpus row is one chunk.
The second table uses the shipped splitter and scores a document by its best chunk. All queries with gold
documents count; the sets chose nothing here (defaults are fixed in the code).
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
from lyceum.ingest.splitter import Structured
from lyceum.models.glossed import Glossed
from lyceum.search.analyzer import STOP_WORDS, Standard
from lyceum.search.gloss import Gloss
from lyceum.search.hybrid import Hybrid
from lyceum.search.single import Single
from lyceum.store.ledger import Ledger
from lyceum.store.postings import Postings
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors
from tests.exact import ExactBM25F

ACROSS = ("xquad_zh_to_en", "xquad_en_to_zh")  # questions in one language, passages in the other
QUICK = ("squad_en", "wikitablequestions_en", "rageval_finance_zh")
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
    """Index a batch in a home of its own; return the rankings of the lexical view and of the default hybrid."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        store = Store(Path(folder), ledger)
        lexical = Postings(Path(folder), Standard())
        dense = Vectors(Path(folder), embedder, ledger, store.keep_vectors)
        store.views += [lexical, dense]
        for start in range(0, len(batch), 1000):
            await store.put(batch[start : start + 1000])
        retrievers = {"lexical": Single(ledger, lexical), "hybrid": Hybrid(ledger, lexical, dense, embedder)}
        runs: dict[str, Run] = {}
        for name, retriever in retrievers.items():
            runs[name] = {}
            for query in data.queries:
                hits = await retriever(Query(text=query["text"], top_k=top_k))
                rows = dict.fromkeys(hit.document.meta["row"] for hit in hits)
                runs[name][query["_id"]] = list(rows)[:10]
        await ledger.close()
        return runs


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
    for name in names:
        started = time.process_time()
        data = common.dataset(folder, name)
        runs = {"bm25s": baseline(data), "bm25f": exact(data, analyzer)}
        runs |= await lyceum(data, embedder, [common.identity(row) for row in data.corpus], 10)
        if not options.quick:
            cut = [split(row, splitter) for row in data.corpus]
            chunked = await lyceum(data, embedder, cut, 60)
            runs |= {f"{kind} split": run for kind, run in chunked.items()}
        rows[name] = {
            kind: {
                "ndcg": [common.ndcg(run[q["_id"]], data.gold[q["_id"]]) for q in data.queries],
                "recall": [common.recall(run[q["_id"]], data.gold[q["_id"]]) for q in data.queries],
            }
            for kind, run in runs.items()
        }
        _print(name, rows[name], time.process_time() - started)
    common.finish("retrieval", _figures(rows), options, table=_table(rows))


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


def _figures(rows: dict[str, Any]) -> list[Figure]:
    english = [name for name in rows if name in ENGLISH]
    chinese = [name for name in rows if name in CHINESE]
    figures = []
    for kind in ("hybrid", "hybrid split"):
        if kind not in rows[english[0]]:
            continue
        gains = _gain(rows, english, kind)
        mean, low, high = common.interval(gains.values())
        worst = min(gains, key=lambda name: _mean(gains[name]))
        print(
            f"{kind}: macro English nDCG@10 {mean:+.4f} [{low:+.4f}, {high:+.4f}] over bm25s; worst set {worst}"
        )
        gate = kind == "hybrid"
        figures += [
            Figure(f"{kind}_gain".replace(" ", "_"), mean, ">= .045" if gate else "", not gate or mean >= 0.045),
            Figure(
                f"{kind}_worst".replace(" ", "_"), _mean(gains[worst]), ">= -.01" if gate else "",
                not gate or _mean(gains[worst]) >= -0.01,
            ),
        ]  # fmt: skip
    if chinese:
        worst_zh = min(_mean(gain) for gain in _gain(rows, chinese, "hybrid").values())
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
