"""What the structure of documents gives: each technique against the default hybrid, on halves that chose nothing.

Retrieval: nDCG@10 on shared sets, one row a chunk, with the paired bootstrap interval of the difference and CPU ms a
query (vectors of sentences known; --cold says what the first question pays). Reading: rows of one text as one
document, cut by the shipped splitter; a question is right when its answer holds a gold one. Copies, conflicts and
dates: planted into squad_en, whose paragraphs have none: a copy under another title, with its number changed for
a conflict, and with a date for freshness. False alarms are counted on squad_en as it is and on the examples.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import common
import examples
from common import Dataset, Figure

from lyceum.answer.evidence import Evidence
from lyceum.answer.extractive import Extractive
from lyceum.core import ids
from lyceum.core.protocols import Retriever
from lyceum.core.types import Answer, Chunk, Document, Element, Hit, Query
from lyceum.evals.examples import half
from lyceum.evals.text_metrics import holds
from lyceum.ingest.splitter import Structured
from lyceum.search.analyzer import Standard
from lyceum.search.duplicates import Distinct
from lyceum.search.fresh import Fresh
from lyceum.search.hybrid import Hybrid
from lyceum.search.multivector import Sentences
from lyceum.search.parents import Parents
from lyceum.search.reranked import Reranked
from lyceum.search.tree import Tree
from lyceum.store.ledger import Ledger
from lyceum.store.postings import Postings
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors

SETS = ("squad_en", "rageval_finance_en", "hotpotqa_en", "cranfield_en", "mtrag_un_en")
GROUPED = {"squad_en": "title", "rageval_finance_en": "doc_id"}
PARTS = ("retrieval", "copies", "reading", "alarms", "planted", "cold")
QUICK = PARTS[:2]
MOST = 150  # questions of a set that are answered
Batch = Sequence[tuple[Document, Sequence[Element], Sequence[Chunk]]]
_number = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})*(?![\w.,]?\d)(?=\W|$)")


@dataclass
class Home:
    """A store with both views over a batch, and the default retriever."""

    folder: Path
    ledger: Ledger
    lexical: Postings
    dense: Vectors
    hybrid: Retriever


@asynccontextmanager
async def filled(batch: Batch, embedder: Any) -> AsyncIterator[Home]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = Ledger(folder)
        store = Store(folder, ledger)
        lexical, dense = Postings(folder, Standard()), Vectors(folder, embedder, ledger, store.keep_vectors)
        store.views += [lexical, dense]
        for start in range(0, len(batch), 1000):
            await store.put(batch[start : start + 1000])
        yield Home(folder, ledger, lexical, dense, Hybrid(ledger, lexical, dense, embedder))
        await ledger.close()


def rows(hits: Sequence[Hit]) -> list[str]:
    return list(dict.fromkeys(hit.document.meta["row"] for hit in hits))


async def scored(
    retriever: Retriever, data: Dataset, asked: Sequence[dict[str, Any]]
) -> tuple[list[float], float]:
    """Return nDCG@10 of each question and CPU ms a question; all is asked once before it is timed."""
    for query in asked:
        await retriever(Query(text=query["text"]))
    started = time.process_time()
    found = [await retriever(Query(text=query["text"])) for query in asked]
    spent = (time.process_time() - started) / max(len(asked), 1) * 1000
    return [
        common.ndcg(rows(hits), data.gold[query["_id"]]) for hits, query in zip(found, asked, strict=True)
    ], spent


def halves(queries: Sequence[dict[str, Any]], which: str) -> list[dict[str, Any]]:
    return [query for query in queries if half(query["_id"]) == which]


def told(name: str, new: Sequence[float], old: Sequence[float], cost: str = "") -> tuple[float, float, float]:
    """Print a paired difference with its interval."""
    gain = common.interval([[a - b for a, b in zip(new, old, strict=True)]])
    mean = sum(new) / max(len(new), 1)
    print(f"  {name:28} {mean:.4f}  {gain[0]:+.4f} [{gain[1]:+.4f}, {gain[2]:+.4f}] {cost}", flush=True)
    return gain


async def retrieval(folder: Path, names: Sequence[str], embedder: Any, which: str) -> dict[str, list[Any]]:
    """Print a table a set; return the differences by technique."""
    found: dict[str, list[Any]] = {}
    for name in names:
        data = common.dataset(folder, name)
        asked = halves(data.queries, which)
        batch = [common.identity(row) for row in data.corpus]
        async with filled(batch, embedder) as home:
            base, spent = await scored(home.hybrid, data, asked)
            print(f"{name}, {which} half, n={len(asked)}: hybrid {sum(base) / len(base):.4f}, {spent:.1f} ms")
            for kind, retriever in techniques(home, embedder, which).items():
                new, cost = await scored(retriever, data, asked)
                told(kind, new, base, f"{cost:.1f} ms")
                found.setdefault(kind, []).append((new, base))
        bare = [(doc, e, [replace(c, title="", path=()) for c in chunks]) for doc, e, chunks in batch]
        async with filled([(replace(doc, title=""), e, chunks) for doc, e, chunks in bare], embedder) as home:
            new, cost = await scored(home.hybrid, data, asked)
            told("without title and headings", new, base, f"{cost:.1f} ms")
            found.setdefault("without headers", []).append((new, base))
    return found


def techniques(home: Home, embedder: Any, which: str) -> dict[str, Retriever]:
    """Return what is measured; on the development half with other numbers beside the chosen ones."""
    made: dict[str, Retriever] = {"distinct": Distinct(home.hybrid)}
    for weight in (0.2,) if which == "test" else (0.1, 0.2, 0.3, 0.5):
        made[f"sentences {weight}"] = Reranked(home.hybrid, Sentences(embedder, weight), 20)
    for weight in (0.25,) if which == "test" else (0.25, 0.5, 1.0, 2.0):
        made[f"tree {weight}"] = Tree(
            home.hybrid, home.ledger, home.dense, embedder, home.folder, weight=weight
        )
    return made


# --- reading -----------------------------------------------------------------------------------------------


def articles(data: Dataset, key: str) -> Batch:
    """Return the rows of one text as one document, cut by the shipped splitter."""
    texts: dict[str, list[dict[str, Any]]] = {}
    for row in data.corpus:
        texts.setdefault(str(row["title"] if key == "title" else row["metadata"][key]), []).append(row)
    batch = []
    for name, group in texts.items():
        document = Document(
            id=ids.document_id(name), source=name, version="1", title=group[0]["title"], meta={"row": name}
        )
        elements = [Element(doc_id=document.id, kind="text", text=row["text"]) for row in group]
        batch.append((document, elements, Structured()(document, elements)))
    return batch


def right(found: Answer, query: dict[str, Any]) -> float:
    return float(not found.abstained and any(holds(found.text, one) for one in query.get("answers", ())))


async def answered(retriever: Retriever, evidence: Evidence, asked: Sequence[dict[str, Any]]) -> list[Answer]:
    answerer = Extractive(retriever, evidence)
    return [await answerer(Query(text=query["text"])) for query in asked]


async def reading(folder: Path, embedder: Any, encoder: Any, which: str, most: int) -> dict[str, Any]:
    """Print what neighbours and sections give the reader."""
    found: dict[str, Any] = {}
    for name, key in GROUPED.items():
        data = common.dataset(folder, name)
        asked = [query for query in halves(data.queries, which) if query.get("answers")][:most]
        async with filled(articles(data, key), embedder) as home:
            evidence = Evidence(Standard(), encoder)
            readers: dict[str, Retriever] = {
                "hybrid": home.hybrid,
                "parents, one around": Parents(home.hybrid, home.ledger, 1),
                "parents, section": Parents(home.hybrid, home.ledger, 0),
            }
            base: list[float] = []
            for kind, retriever in readers.items():
                started = time.process_time()
                answers = await answered(retriever, evidence, asked)
                spent = (time.process_time() - started) / len(asked) * 1000
                new = [right(one, query) for one, query in zip(answers, asked, strict=True)]
                base = base or new
                gain = told(f"{name}: {kind}", new, base, f"{spent:.0f} ms, n={len(asked)}")
                found[f"{name}: {kind}"] = [sum(new) / len(new), *gain]
    return found


# --- planted -----------------------------------------------------------------------------------------------


def planted(row: dict[str, Any], name: str, text: str, date: str = "") -> Any:
    """Return a row under another source, as another text about the same matter."""
    document, _, (chunk,) = common.identity({**row, "text": text}, name)
    return replace(document, meta={**document.meta, **({"dated": date} if date else {})}), [], [chunk]


def changed(text: str, answer: str) -> str:
    """Return a text whose answer's number is another one; empty when the answer has none or stands there twice."""
    match = _number.search(answer)
    if match is None or text.count(answer) != 1:
        return ""
    other = str(int(match.group().replace(",", "")) + 7)
    return text.replace(answer, answer[: match.start()] + other + answer[match.end() :])


async def copies(folder: Path, embedder: Any, which: str) -> dict[str, Any]:
    """Every paragraph twice more, each under another source and with a line before it."""
    data = common.dataset(folder, "squad_en")
    asked = halves(data.queries, which)
    batch = [common.identity(row) for row in data.corpus]
    for number in (1, 2):
        batch += [
            planted(row, f"copy{number}/", f"Printed on page {'ab'[number - 1]}. {row['text']}")
            for row in data.corpus
        ]
    async with filled(batch, embedder) as home:
        recalls = []
        for retriever in (home.hybrid, Distinct(home.hybrid)):
            hits = [await retriever(Query(text=query["text"], top_k=5)) for query in asked]
            ranked = [rows(one) for one in hits]
            recalls.append(
                [common.recall(one, data.gold[q["_id"]], 5) for one, q in zip(ranked, asked, strict=True)]
            )
    print(f"squad_en with two copies of every paragraph, recall@5 of different ones, n={len(asked)}")
    told("hybrid", recalls[0], recalls[0])
    return {"copies": [sum(recalls[0]) / len(asked), *told("distinct", recalls[1], recalls[0])]}


async def squad_alarms(folder: Path, embedder: Any, encoder: Any, which: str) -> float:
    """Return the share of squad_en's questions that are said to be in conflict."""
    data = common.dataset(folder, "squad_en")
    asked = halves(data.queries, which)
    async with filled([common.identity(row) for row in data.corpus], embedder) as home:
        found = await answered(home.hybrid, Evidence(Standard(), encoder), asked)
    alarms = [one for one in found if one.conflicts]
    for one in alarms:
        print("  false alarm: " + one.text.replace("\n", " | ")[:300])
    print(f"squad_en as it is: {len(alarms)} of {len(asked)} questions said to be in conflict")
    return len(alarms) / len(asked)


async def planted_values(folder: Path, embedder: Any, encoder: Any, which: str) -> dict[str, float]:
    """Numbers changed in a copy: how often both are shown; and with dates, how often the newer comes first."""
    data = common.dataset(folder, "squad_en")
    texts = {row["_id"]: row for row in data.corpus}
    pairs = {}
    for query in halves(data.queries, which):
        row = texts[next(iter(data.gold[query["_id"]]))]
        if query["answers"] and (text := changed(row["text"], query["answers"][0])):
            pairs[row["_id"]] = (query, row, text)
    batch: list[Any] = [common.identity(row) for row in data.corpus if row["_id"] not in pairs]
    batch += [planted(row, "then/", row["text"], "2023-01-15") for _, row, _ in pairs.values()]
    batch += [planted(row, "now/", text, "2025-01-15") for _, row, text in pairs.values()]
    found: dict[str, float] = {}
    evidence = Evidence(Standard(), encoder)
    async with filled(batch, embedder) as home:
        for kind, retriever in {"hybrid": home.hybrid, "fresh": Fresh(home.hybrid)}.items():
            some = await answered(retriever, evidence, [query for query, _, _ in pairs.values()])
            cited = [one for one in some if one.citations]
            shown = [one for one in cited if one.conflicts]
            of_pair = [one for one in cited if one.citations[0].source.startswith(("now/", "then/"))]
            newer = [one for one in of_pair if one.citations[0].source.startswith("now/")]
            found |= {f"{kind}_shown": len(shown) / len(of_pair), f"{kind}_newer": len(newer) / len(of_pair)}
            print(
                f"{kind}: {len(pairs)} changed numbers, {len(of_pair)} answered from them: conflict {len(shown)},"
                f" newer first {len(newer)}"
            )
    return found


async def example_alarms() -> float:
    """Return the share of the example questions, both halves, that are said to be in conflict."""
    asked = examples.questions()
    found = await examples.answered(asked)
    for row, one in zip(asked, found, strict=True):
        if one.conflicts:
            print(f"  said to be in conflict: {row['question']} | {one.text}"[:400])
    share = sum(bool(one.conflicts) for one in found) / len(asked)
    print(f"examples: {share * len(asked):.0f} of {len(asked)} questions said to be in conflict")
    return share


async def cold(folder: Path, embedder: Any) -> float:
    """Return CPU ms a question of sentence vectors when none is known."""
    data = common.dataset(folder, "squad_en")
    asked = halves(data.queries, "test")[:20]
    async with filled([common.identity(row) for row in data.corpus], common.Cached(embedder)) as home:
        started = time.process_time()
        for query in asked:
            await Reranked(home.hybrid, Sentences(embedder), 20)(Query(text=query["text"]))
        return (time.process_time() - started) / len(asked) * 1000


async def measured(
    name: str, folder: Path, encoder: Any, which: str, quick: bool
) -> tuple[dict[str, Any], list[Figure]]:
    """Run one part; return its table and figures."""
    embedder = common.Cached(encoder)
    if name == "retrieval":
        runs = await retrieval(folder, SETS[:1] if quick else SETS, embedder, which)
        table = {}
        for kind, sets in runs.items():
            gain = table[kind] = common.interval([[a - b for a, b in zip(*one, strict=True)] for one in sets])
            print(f"macro {kind:28} {gain[0]:+.4f} [{gain[1]:+.4f}, {gain[2]:+.4f}]")
        return table, [Figure(kind.replace(" ", "_"), gain[0]) for kind, gain in table.items()]
    if name == "reading":
        return await reading(folder, embedder, encoder, which, MOST), []
    if name == "copies":
        found = await copies(folder, embedder, which)
        return found, [Figure("copies_gain", found["copies"][1], "> 0", found["copies"][2] > 0)]
    if name == "alarms":
        shares = {
            "squad": await squad_alarms(folder, embedder, encoder, which),
            "examples": await example_alarms(),
        }
        return {}, [
            Figure(f"{one}_false_alarms", share, "< .02", share < 0.02) for one, share in shares.items()
        ]
    if name == "planted":
        planted = await planted_values(folder, embedder, encoder, which)
        return {}, [Figure(one, share) for one, share in planted.items()]
    return {}, [Figure("sentences_cold_ms", await cold(folder, encoder))]


async def main() -> None:
    options = common.arguments(
        __doc__, {"dev": "the other half, with other weights; nothing is saved"}, only="one part"
    )
    folder, encoder = common.shared(options), common.encoder()
    if encoder is None:
        print("No encoder: lyceum models add minilm")
        raise SystemExit(77)
    options.no_save |= options.dev or bool(options.only)
    figures: list[Figure] = []
    table: dict[str, Any] = {}
    for name in QUICK if options.quick else PARTS:
        if options.only in (None, name):
            found, more = await measured(
                name, folder, encoder, "dev" if options.dev else "test", options.quick
            )
            table |= found
            figures += more
    common.finish("structure", figures, options, table=table)


if __name__ == "__main__":
    common.run(main)
