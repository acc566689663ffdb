"""Ranking metrics beside ir-measures and ranx: the same values, and the time that they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np

from lyceum.core.types import Answer, Chunk, Document, Example, Gold, Hit
from lyceum.evals.metrics import METRICS
from lyceum.evals.rankings import grades, ranking_metrics

Ranked = Mapping[str, Mapping[str, float]]  # query -> document -> score, or grade
RANX = "ranx==0.3.21"
NAMES = {  # ours -> ir-measures, ranx
    "recall@10": ("R@10", "recall@10"), "precision@10": ("P@10", "precision@10"),
    "hit@10": ("Success@10", "hit_rate@10"), "mrr": ("RR", "mrr"), "map": ("AP", "map"),
    "ndcg@10": ("nDCG@10", "ndcg@10"), "r-precision": ("Rprec", "r-precision"),
}  # fmt: skip
MEASURES = {ours: ir_measures.parse_measure(theirs) for ours, (theirs, _) in NAMES.items()}


def examples(gold: Ranked, run: Ranked) -> list[tuple[Example, Answer]]:
    """Return rankings as what metrics take, best first."""
    made = []
    for query, known in gold.items():
        wanted = tuple(Gold(document=name, grade=grade) for name, grade in known.items() if grade > 0)
        best = sorted(run.get(query, {}).items(), key=lambda one: -one[1])
        hits = tuple(
            Hit(
                chunk=Chunk(id=name, doc_id=name, text=""), score=score,
                document=Document(id=name, source=name, version=""),
            )
            for name, score in best
        )  # fmt: skip
        made.append((Example(id=query, question=query, gold=wanted), Answer(text="", hits=hits)))
    return made


def parity(gold: Ranked, run: Ranked) -> float:
    """Return the largest difference from ir-measures of any query's values, one by one and all at once."""
    whole = {query: {name: int(grade) for name, grade in one.items()} for query, one in gold.items()}
    known = {(one.query_id, str(one.measure)): one.value
             for one in ir_measures.iter_calc(MEASURES.values(), whole, run)}  # fmt: skip
    assert len(known) == len(gold) * len(MEASURES), "ir-measures has a value for each query and metric"
    at_once = ranking_metrics(*grades(run, gold))
    worst = 0.0
    for row, (example, answer) in enumerate(examples(gold, run)):
        for ours, measure in MEASURES.items():
            value = METRICS[ours](example, answer).value
            assert value is not None
            for one in (value, at_once[ours][row]):
                worst = max(worst, abs(one - known[example.id, str(measure)]))
    return worst


def made_up(queries: int, hits: int, grades: int = 1, seed: int = 3) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return gold and a ranking: each query has one to five gold documents, most of them among the hits."""
    random = np.random.default_rng(seed)
    gold, run = {}, {}
    for number in range(queries):
        names = [f"d{place}" for place in random.choice(hits * 4, hits, replace=False).tolist()]
        run[f"q{number}"] = {name: float(hits - rank) for rank, name in enumerate(names)}
        right = random.choice(int(hits * 1.2), int(random.integers(1, 6)), replace=False).tolist()
        wanted = [names[place] if place < hits else f"absent{place}" for place in right]
        gold[f"q{number}"] = {name: int(random.integers(1, grades + 1)) for name in wanted}
    return gold, run


def seconds(gold: Ranked, run: Ranked, *, cold: bool) -> dict[str, float]:
    """Return the CPU seconds of the same metrics by each, from the same dictionaries, per query and not averaged."""
    started = time.process_time()
    taken = grades(run, gold)
    between = time.process_time()
    ranking_metrics(*taken)
    ended = time.process_time()
    found = {"lyceum": ended - started, "lyceum, built before": ended - between}
    started = time.process_time()
    for _ in ir_measures.iter_calc(MEASURES.values(), gold, run):
        pass
    found["ir-measures"] = time.process_time() - started
    return {**found, **_ranx(gold, run, [theirs for _, theirs in NAMES.values()], cold)}


def _ranx(gold: Ranked, run: Ranked, names: list[str], cold: bool) -> dict[str, float]:
    """Return ranx's seconds, the first call and the second, or nothing and a line that says why.

    The first call compiles; numba keeps what it compiled, unless `cold` gives it an empty folder.
    """
    home = Path.home() / ".cache" / "lyceum-bench" / "ranx"
    python = home / "bin" / "python"
    if not python.exists():
        print(f"Installing {RANX} into {home} (700 MB, once).", flush=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", RANX]
        for command in ([sys.executable, "-m", "venv", str(home)], pip):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"ranx is left out, it cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
                return {}
    with tempfile.TemporaryDirectory() as empty, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"gold": gold, "run": run, "names": names}, file)
        file.flush()
        environment = {**os.environ, **({"NUMBA_CACHE_DIR": empty} if cold else {})}
        command = [str(python), "-c", ASKED, file.name]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        print(f"ranx is left out, it does not run: {done.stderr.strip().splitlines()[-1:]}")
        return {}
    return dict(json.loads(done.stdout.splitlines()[-1]))


ASKED = """
import json, sys, time
from ranx import Qrels, Run, evaluate
told = json.load(open(sys.argv[1]))
found = {}
for name in ("ranx cold", "ranx warm"):
    started = time.process_time()
    gold, run = Qrels(told["gold"]), Run(told["run"])
    built = time.process_time()
    evaluate(gold, run, told["names"], return_mean=False)
    found[name] = time.process_time() - started
    found[name + ", built before"] = time.process_time() - built
print(json.dumps(found))
"""
