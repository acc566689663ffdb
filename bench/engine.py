"""What the engine costs at 6,000 and 100,000 chunks: indexing, size, memory, opening, and CPU a query.

Text is real: the shared corpora cut to about 116 tokens and, beyond them, halves of real chunks spliced. Real
vectors come from the encoder for a sample; the others are stand-ins (a real vector plus noise), said here and
in the result. Recall of the int8 scan is measured on real vectors alone. A query's CPU is the process's CPU
time over all threads, without encoding the question, with the hits' text. Readers: 1-4 of 60 principals a
document, a query sees 6, about one chunk in ten.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import common
import numpy as np
from common import Figure

from lyceum.core import ids
from lyceum.core.text import dense_text
from lyceum.core.types import Chunk, Document, Query
from lyceum.search.analyzer import Standard
from lyceum.search.hybrid import Hybrid
from lyceum.search.linked import Linked
from lyceum.search.single import Single
from lyceum.store.ledger import Ledger
from lyceum.store.links import Links
from lyceum.store.postings import Postings
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors

REAL, FEW = 4000, 1000  # real vectors, in the long and in the short form
WORDS = 90
EVERYBODY = frozenset(f"p{n}" for n in range(60))
SETS = (
    "squad_en",
    "hotpotqa_en",
    "rageval_finance_en",
    "ottqa_en",
    "cranfield_en",
    "rageval_finance_zh",
    "cmrc2018_zh",
)
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Prepared:
    """A stand-in encoder that knows each text's vector already, so that indexing costs no encoding."""

    dimension = 384
    languages: ClassVar[dict[str, float]] = {"en": 1.0}

    def __init__(self, name: str, known: dict[str, Floats]) -> None:
        self.name, self.known = name, known

    async def __call__(self, texts: list[str]) -> Floats:
        return np.array([self.known[text] for text in texts], np.float32)


def pieces(folder: Path, count: int) -> list[tuple[str, str]]:
    """Return (title, text): real text first, then spliced halves."""
    found: list[tuple[str, str]] = []
    for name in SETS:
        for row in common.dataset(folder, name).corpus:
            words = row["text"].split(" ")
            step = WORDS if len(words) > 5 else 1
            for start in range(0, len(words), step):
                text = " ".join(words[start : start + step])[:700]
                if len(text) > 80:
                    found.append((row.get("title") or "", text))
    rng = random.Random(5)
    rng.shuffle(found)
    real = len(found)
    while len(found) < count:
        (title, one), (_, two) = found[rng.randrange(real)], found[rng.randrange(real)]
        found.append((title, one[: len(one) // 2] + " " + two[len(two) // 2 :]))
    return found[:count]


def batches(texts: list[tuple[str, str]], per: int = 10) -> list[Any]:
    """Return documents of ten chunks with random readers."""
    rng = random.Random(9)
    made = []
    for start in range(0, len(texts), per):
        source = f"d{start}"
        document = Document(
            id=ids.document_id(source), source=source, version="1", title=texts[start][0], media="txt",
            readers=frozenset(rng.sample(sorted(EVERYBODY), rng.randint(1, 2))),
        )  # fmt: skip
        chunks = [
            Chunk(id=ids.digest(source, str(n)), doc_id=document.id, text=text, title=document.title)
            for n, (_, text) in enumerate(texts[start : start + per])
        ]
        made.append((document, [], chunks))
    return made


async def vectors_of(made: list[Any], encoder: Any, real_count: int) -> tuple[dict[str, Floats], float]:
    """Return a vector for every chunk, and how many chunks a CPU second the real encoder made."""
    texts = [dense_text(chunk) for _, _, chunks in made for chunk in chunks]
    sample = texts[:200]
    started = time.process_time()
    await encoder(sample)
    rate = len(sample) / (time.process_time() - started)
    real = await common.Cached(encoder)(texts[:real_count])
    rng = np.random.default_rng(2)
    known = dict(zip(texts[:real_count], real, strict=True))
    for text in texts[real_count:]:
        vector = real[rng.integers(0, len(real))] + rng.normal(0, 0.04, 384).astype(np.float32)
        known[text] = vector / np.linalg.norm(vector)
    return known, rate


async def recall(home: tuple[Any, ...], asked: Floats, readers: frozenset[str]) -> float:
    """Return recall@10 of the int8 scan against float32 over the real vectors of the chunks one may read."""
    ledger, _, dense, truth = home
    visible = await ledger.get(list(range(1, len(truth) + 1)), readers)
    numbers = np.array(sorted(visible))
    matrix = truth[numbers - 1]
    total = 0.0
    for vector in asked:
        best = set(numbers[np.argsort(-(matrix @ vector))[:10]].tolist())
        found = await dense.find(Query(text="x", vector=tuple(vector), readers=readers), 10, numbers.tolist())
        total += len(best & {number for number, _ in found}) / len(best)
    return total / len(asked)


async def timed(retriever: Any, queries: list[Query], callers: int) -> tuple[float, float]:
    """Return CPU ms a query and queries a wall second."""
    waiting = list(queries)

    async def caller() -> None:
        while waiting:
            await retriever(waiting.pop())

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / len(queries) * 1e3, len(queries) / wall


async def measure(
    folder: Path, home: Path, count: int, encoder: Any, queries: int, real_count: int
) -> dict[str, float]:
    """Build a home of `count` chunks and measure it."""
    made = batches(pieces(folder, count))
    known, encode_rate = await vectors_of(made, encoder, real_count)
    prepared = Prepared("bench", known)
    ledger = Ledger(home)
    store = Store(home, ledger)
    lexical, dense = Postings(home, Standard()), Vectors(home, prepared, ledger, store.keep_vectors)
    links = Links(home)
    store.views += [lexical, dense, links]
    started = time.process_time()
    for start in range(0, len(made), 200):
        await store.put(made[start : start + 200])
    rate = count / (time.process_time() - started)
    links_size = sum(file.stat().st_size for file in links.folder.iterdir())
    size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file())  # noqa: ASYNC240
    asked = [
        row["text"] for name in ("squad_en", "hotpotqa_en") for row in common.dataset(folder, name).queries
    ]
    random.Random(4).shuffle(asked)
    vectors = await common.Cached(encoder)(asked[:queries])
    few, all_of = frozenset(f"p{n}" for n in range(4)), EVERYBODY
    figures = {"index_per_cpu_s": rate, "encode_per_cpu_s": encode_rate, "bytes_per_chunk": size / count}
    figures["links_bytes_per_chunk"] = links_size / count
    truth = np.array(list(known.values())[:real_count])
    for name, readers in (("", all_of), ("_readers", few)):
        figures[f"recall{name}"] = await recall((ledger, lexical, dense, truth), vectors[:100], readers)
    share = len(await ledger.get(list(range(1, 2001)), few)) / 2000
    print(
        f"{count} chunks; readers see {share:.2f} of them; real vectors {min(real_count, count)}, the rest stand-ins"
    )
    parts = {
        "lexical": Single(ledger, lexical),
        "vector": Single(ledger, dense, "vectors"),
        "hybrid": Hybrid(ledger, lexical, dense),
        "linked": Linked(ledger, links, Standard(), Hybrid(ledger, lexical, dense)),
        "linked_always": Linked(ledger, links, Standard(), Hybrid(ledger, lexical, dense), least=0),
    }
    for part, retriever in parts.items():
        for suffix, readers in (("", all_of), ("_readers", few)):
            todo = [
                Query(text=text, vector=tuple(vector.tolist()), readers=readers)
                for text, vector in zip(asked[:queries], vectors, strict=True)
            ]
            await timed(retriever, todo[:10], 1)
            for callers in (1, 8):
                cpu, throughput = await timed(retriever, todo, callers)
                figures[f"{part}{suffix}_x{callers}_ms"] = cpu
                print(
                    f"  {part + suffix:18} {callers} callers: {cpu:6.2f} CPU ms a query, {throughput:5.0f} a second"
                )
    await ledger.close()
    return figures


OPEN = """
import asyncio, json, resource, sys, time
from pathlib import Path
from lyceum.core.types import Query
from lyceum.search.analyzer import Standard
from lyceum.search.hybrid import Hybrid
from lyceum.search.linked import Linked
from lyceum.store.ledger import Ledger
from lyceum.store.links import Links
from lyceum.store.postings import Postings
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors
class Prepared:
    name, dimension, languages = "bench", 384, {"en": 1.0}
    async def __call__(self, texts): raise AssertionError("nothing is encoded here")
async def main():
    home = Path(sys.argv[1]); started = time.process_time()
    ledger = Ledger(home); store = Store(home, ledger)
    views = [Postings(home, Standard()), Vectors(home, Prepared(), ledger, store.keep_vectors)]
    links = Links(home); store.views += [*views, links]
    await store.catch_up()
    hybrid = Linked(ledger, links, Standard(), Hybrid(ledger, *views), least=0)
    vector = tuple([0.05] * 384); readers = frozenset({f"p{n}" for n in range(60)})
    await hybrid(Query(text="history of the university", vector=vector, readers=readers))
    opened = time.process_time() - started
    for n in range(100):
        await hybrid(Query(text=f"history of the university {n}", vector=vector, readers=readers))
    lines = Path("/proc/self/status").read_text().splitlines()
    rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
    print(json.dumps({"open_cpu_s": opened, "resident_mb": rss}))
asyncio.run(main())
"""


def opening(home: Path) -> dict[str, float]:
    """Return CPU seconds to open and answer once, and the resident memory after 100 queries."""
    done = subprocess.run([sys.executable, "-c", OPEN, str(home)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def starting(home: Path) -> dict[str, float]:
    """Return CPU seconds of whole processes: import, help, and a cold ask of the examples (best of three)."""
    lyceum = [sys.executable, "-m", "lyceum.app.cli"]
    documents = str(common.ROOT / "examples" / "documents")
    subprocess.run([*lyceum, "ingest", "--home", str(home), documents], capture_output=True, check=True)
    question = "How long does the battery of the PolarNode P7 last?"
    commands = {
        "import_cpu_s": [sys.executable, "-c", "import lyceum"],
        "help_cpu_s": [*lyceum, "--help"],
        "ask_cpu_s": [*lyceum, "ask", "--home", str(home), question],
    }
    figures = {}
    for name, command in commands.items():
        times = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        figures[name] = min(times)
    return figures


def query_encoding(encoder: Any) -> float:
    """Return CPU ms to encode one question."""
    encoder.encode(["warm"])
    started = time.process_time()
    for n in range(100):
        encoder.encode([f"How long does the warranty of pump {n} last after delivery?"])
    return (time.process_time() - started) * 10


TARGETS = {
    "lexical_x1_ms": (2.5, "<="), "vector_x1_ms": (3.5, "<="), "hybrid_x1_ms": (6, "<="),
    "hybrid_readers_x1_ms": (8, "<="), "linked_always_x1_ms": (15, "<="), "recall": (0.97, ">="),
    "recall_readers": (0.97, ">="), "open_cpu_s": (1, "<="), "resident_mb": (500, "<="),
    "bytes_per_chunk": (6000, "<="), "index_per_cpu_s": (2000, ">="), "encode_query_ms": (4, "<="),
}  # fmt: skip


async def main() -> None:
    options = common.arguments(__doc__)
    folder = common.shared(options)
    encoder = common.encoder()
    if encoder is None:
        print("No encoder: lyceum models add minilm")
        raise SystemExit(77)
    sizes = (6000,) if options.quick else (6000, 100_000)
    print(f"sizes: {sizes}")
    everything: dict[str, dict[str, float]] = {}
    for count in sizes:
        with tempfile.TemporaryDirectory() as work:
            home = Path(work)
            figures = await measure(
                folder, home, count, encoder, 60 if options.quick else 200, FEW if options.quick else REAL
            )
            figures |= opening(home)
            if count == sizes[-1]:
                figures |= {**starting(home / "examples"), "encode_query_ms": query_encoding(encoder)}
            everything[str(count)] = figures
            print(
                "  " + "  ".join(f"{name}={value:.4g}" for name, value in figures.items() if "_x" not in name)
            )
    last = everything[str(sizes[-1])]
    figures_out = []
    for name, value in last.items():
        bound, sign = TARGETS.get(name, (0.0, ""))
        good = not sign or (value <= bound if sign == "<=" else value >= bound)
        figures_out.append(Figure(name, value, f"{sign} {bound}" if sign else "", good))
    common.finish("engine", figures_out, options, sizes=everything)


if __name__ == "__main__":
    common.run(main)
