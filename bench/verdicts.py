"""Compare on real rankings: BM25, dense and hybrid on sets where they differ, and on one where they hardly can.

The pipelines are those of `lyceum eval run --pipeline bm25`, dense and hybrid, over the same homes; their hits are
kept as answers without words, so that every question of a set is asked in minutes. What is right is known
beforehand from bench/retrieval.py: hybrid is above both of its parts on squad_en; on clapnq_en BM25 finds .99.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import common
from common import Figure

from lyceum.app import corpora, eval_identity, eval_run
from lyceum.app.session import opened
from lyceum.app.settings import current, load
from lyceum.core.types import Answer, Query
from lyceum.evals import compare, examples
from lyceum.evals.metrics import METRICS
from lyceum.evals.records import Run
from lyceum.evals.run import Evaluation

PIPELINES = ("bm25", "dense", "hybrid")
MEASURED = ("recall@10", "ndcg@10")


async def ranked(folder: Path, home: Path, limit: int | None) -> list[Run]:
    """Return a run of each pipeline."""
    settings = load(str(home), current())
    asked = [one for one in examples.read(folder) if one.gold][:limit]
    made = []
    for name in PIPELINES:
        configured = await corpora.home_of(folder, eval_run.pipeline(name, settings))
        async with opened(configured) as platform:

            async def answer(query: Query, platform: Any = platform) -> Answer:
                return Answer(text="", hits=tuple(await platform.retriever(query)))

            data = eval_identity.data(asked, [])
            head = eval_identity.head(folder.stem, name, configured.tables, platform, data, MEASURED)
            evaluation = Evaluation(answerer=answer, metrics={one: METRICS[one] for one in MEASURED})
            made.append(await evaluation(home / "runs" / head.id, head, asked))
    return made


async def main() -> None:
    options = common.arguments(__doc__)
    shared, told, verdicts = common.shared(options), {}, {}
    with tempfile.TemporaryDirectory() as home:
        for name, limit in (("squad_en", 300 if options.quick else None), ("clapnq_en", None)):
            found = compare.compare(await ranked(shared / "data" / name, Path(home), limit), MEASURED)
            told[name] = [compare.sentence(one, len(found)) for one in found]
            for one in found:
                key = f"{one.b.split('@')[0]} against {one.a.split('@')[0]}, {one.metric}"
                verdicts[f"{name}, {key}"] = one.verdict
            print("\n".join([f"\n{name}", *told[name]]), flush=True)
    squad = [verdicts[f"squad_en, hybrid against {part}, ndcg@10"] for part in ("bm25", "dense")]
    right = all(one == "better" for one in squad) if not options.quick else "worse" not in squad
    alike = [one for name, one in verdicts.items() if name.startswith("clapnq_en, hybrid against bm25")]
    figures = [
        Figure("hybrid_best_on_squad", float(right), "1", right),
        Figure("not_told_apart_on_clapnq", sum(one in ("no difference", "not proven") for one in alike)),
        Figure(
            "not_proven",
            list(verdicts.values()).count("not proven"),
            ">= 1",
            "not proven" in verdicts.values(),
        ),
    ]
    common.finish("verdicts", figures, options, verdicts=verdicts, sentences=told)


if __name__ == "__main__":
    common.run(main)
