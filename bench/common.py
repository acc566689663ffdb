"""What the benches share: the evaluation sets, cached vectors, metrics with intervals, and the last line."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import math
import os
import platform
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
HERE = str(Path(__file__).parent)
# The benches' own folder comes last: bench/statistics.py must not hide the library's module of that name.
sys.path[:] = [str(ROOT), *(one for one in sys.path if one != HERE), HERE]

from lyceum.core import ids  # noqa: E402
from lyceum.core.protocols import Embedder  # noqa: E402
from lyceum.core.types import Chunk, Document  # noqa: E402
from lyceum.models.minilm import open_encoder  # noqa: E402
from lyceum.models.weights import models_home  # noqa: E402

ENGLISH = (
    "hotpotqa_en", "ottqa_en", "tatqa_en", "wikitablequestions_en", "financebench_en",
    "rageval_finance_en", "cranfield_en", "mtrag_un_en", "squad_en", "clapnq_en",
)  # fmt: skip
CHINESE = ("rageval_finance_zh", "rgb_zh_refine", "cmrc2018_zh")


@dataclass(frozen=True)
class Dataset:
    """A corpus, its questions that have gold documents, and the gold with grades."""

    name: str
    corpus: list[dict[str, Any]]
    queries: list[dict[str, Any]]
    gold: dict[str, dict[str, float]]


def arguments(text: str | None, flags: Mapping[str, str] | None = None, **more: Any) -> argparse.Namespace:
    """Return the options every bench has; `more` adds options and `flags` switches as name=help."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer sets or rounds, within 45 seconds")
    parser.add_argument("--shared", default=os.environ.get("LYCEUM_SHARED", str(ROOT.parent / "shared")))
    parser.add_argument("--no-save", action="store_true", help="do not write bench/results")
    for name, help_text in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=help_text)
    for name, help_text in (flags or {}).items():
        parser.add_argument(f"--{name}", help=help_text, action="store_true")
    return parser.parse_args()


def shared(options: argparse.Namespace) -> Path:
    """Return the folder of evaluation sets, or stop with a clear reason."""
    folder = Path(options.shared)
    if not (folder / "data").is_dir():
        print(f"No evaluation sets in {folder}: give --shared DIR or LYCEUM_SHARED.")
        raise SystemExit(77)
    return folder


def dataset(folder: Path, name: str) -> Dataset:
    """Read one set of the BEIR-like layout."""
    base = folder / "data" / name
    corpus = (
        _rows(base / "corpus.jsonl") if (base / "corpus.jsonl").exists() else _rows(base / "corpus.jsonl.gz")
    )
    gold: dict[str, dict[str, float]] = {}
    for line in (base / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        gold.setdefault(query, {})[document] = float(grade)
    queries = [row for row in _rows(base / "queries.jsonl") if row["_id"] in gold]
    return Dataset(name, corpus, queries, gold)


def _rows(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def identity(row: dict[str, Any], source: str = "") -> tuple[Document, list[Any], list[Chunk]]:
    """Return a corpus row as one document with one chunk: the identity splitter."""
    meta = row.get("metadata") or {}
    table = meta.get("kind") == "table" or "header" in meta
    columns = meta.get("header") or (meta.get("rows") or [[]])[0] if table else []
    document = Document(
        id=ids.document_id(source + row["_id"]), source=source + row["_id"], version="1",
        title=row.get("title") or "", media="text", meta={"row": row["_id"]},
    )  # fmt: skip
    chunk = Chunk(
        id=ids.digest(document.id, "1"), doc_id=document.id, text=row["text"], title=document.title,
        path=(meta["section"],) if meta.get("section") else (), meta={"columns": columns} if columns else {},
        kind="table" if columns else "text",
    )  # fmt: skip
    return document, [], [chunk]


class Cached:
    """An encoder that remembers vectors outside the repository, by encoder and text."""

    def __init__(self, encoder: Embedder) -> None:
        self.encoder, self.name, self.dimension = encoder, encoder.name, encoder.dimension
        self.languages = encoder.languages
        folder = Path.home() / ".cache" / "lyceum-bench"
        folder.mkdir(parents=True, exist_ok=True)
        safe = hashlib.sha256(encoder.name.encode()).hexdigest()[:12]
        self.db = sqlite3.connect(folder / f"vectors-{safe}.db", check_same_thread=False)
        self.db.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")

    async def __call__(self, texts: Sequence[str]) -> Any:
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        known = {}
        for key in keys:
            row = self.db.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
            if row:
                known[key] = np.frombuffer(row[0], np.float32)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        todo = list(missing.items())
        for start in range(0, len(todo), 256):
            some = todo[start : start + 256]
            made = await self.encoder([text for _, text in some])
            known.update((key, vector) for (key, _), vector in zip(some, made, strict=True))
            with self.db:
                self.db.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                    [(key, known[key].astype(np.float32).tobytes()) for key, _ in some],
                )
        return np.array([known[key] for key in keys], np.float32)

    async def read(self, texts: Sequence[str]) -> Any:
        """Return the words' vectors, which are not cached: where they are used their cost is measured."""
        return await self.encoder.read(texts)  # type: ignore[attr-defined]


def encoder() -> Embedder | None:
    """Return the local encoder, None when it is not installed."""
    return open_encoder(models_home(os.environ.get("LYCEUM_MODELS", "")))


def ingest_command(home: Path | str, files: Iterable[Path]) -> list[str]:
    """Return the command line that reads files into a home and prints their outcomes as JSON."""
    program = [sys.executable, "-m", "lyceum.app.cli", "ingest", "--json", "--home", str(home)]
    return [*program, *map(str, files)]


def ndcg(ranked: Sequence[str], gold: dict[str, float], k: int = 10) -> float:
    """Return nDCG@k with linear gain (Järvelin and Kekäläinen 2002), 0 when nothing was found."""
    gained = sum(gold.get(one, 0.0) / math.log2(rank + 2) for rank, one in enumerate(ranked[:k]))
    best = sum(g / math.log2(rank + 2) for rank, g in enumerate(sorted(gold.values(), reverse=True)[:k]))
    return gained / best if best else 0.0


def recall(ranked: Sequence[str], gold: dict[str, float], k: int = 10) -> float:
    """Return the share of gold documents among the first k."""
    wanted = {one for one, grade in gold.items() if grade > 0}
    return len(wanted & set(ranked[:k])) / len(wanted) if wanted else 0.0


def interval(groups: Iterable[Sequence[float]], rounds: int = 1000) -> tuple[float, float, float]:
    """Return the mean over groups of their means with a 95 % bootstrap interval, stratified by group."""
    arrays = [np.asarray(group, float) for group in groups if len(group)]
    rng = np.random.default_rng(1)
    draws = np.mean(
        [np.array([a[rng.integers(0, len(a), len(a))].mean() for _ in range(rounds)]) for a in arrays], axis=0
    )
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(np.mean([a.mean() for a in arrays])), float(low), float(high)


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    if not total:
        return 0.0, 1.0
    z, share = 1.959964, right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return middle - half, middle + half


@dataclass(frozen=True)
class Figure:
    """One figure of the last line; `good` says whether it meets its target."""

    name: str
    value: float
    target: str = ""
    good: bool = True

    def __str__(self) -> str:
        return f"{self.name}={self.value:.4g}" + (f" (target {self.target})" if self.target else "")


def finish(name: str, figures: Sequence[Figure], options: argparse.Namespace, **more: Any) -> None:
    """Write the result file, print the last line, exit 1 when a target is missed."""
    short = [figure.name for figure in figures if not figure.good]
    if not options.no_save:
        body = {
            "bench": name, "date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": _commit(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "quick": options.quick, "short": short,
            "figures": {figure.name: {"value": figure.value, "target": figure.target} for figure in figures},
            **more,
        }  # fmt: skip
        file = ROOT / "bench" / "results" / f"{name}{'-quick' if options.quick else ''}.json"
        file.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    said = " ".join(map(str, figures))
    print(f"bench {name}: {said} {'short: ' + ', '.join(short) if short else 'ok'}")
    raise SystemExit(1 if short else 0)


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or "none"


def run(main: Callable[[], Any]) -> None:
    """Run an async bench with a fixed seed."""
    random.seed(1)
    np.random.seed(1)
    asyncio.run(main())
