"""A route for each question, learnt from runs: where search by words will do, the encoder is not asked.

With --cheap and --better (folders of `lyceum eval run` over the same questions) and --metric the model is learnt from
these runs; otherwise from rankings of search by words and of the hybrid over the shared sets, at most 150 questions
a half. A question counts as cheap when the cheap score is not lower. The model (logistic regression over what a
question looks like) is fitted on the development half; the threshold is the lowest that loses at most .002 there;
the test half is reported. --out FILE writes the model that `search.routed` reads.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import common
import numpy as np
from common import CHINESE, ENGLISH, Figure
from conversation import encoder, indexed, last, scores

from lyceum.core.types import Query
from lyceum.evals.examples import half
from lyceum.evals.records import read_run
from lyceum.search.routed import FEATURES, features

MOST, LOSS = 150, 0.002
QUICK = ("squad_en", "rageval_finance_zh")
Row = tuple[Query, str, float, float]  # a question, its half, the cheap score and the better one


def fit(values: np.ndarray, labels: np.ndarray, ridge: float = 1.0, rounds: int = 30) -> np.ndarray:
    """Return the weights of a logistic regression by Newton's method."""
    weights = np.zeros(values.shape[1])
    for _ in range(rounds):
        sure = 1 / (1 + np.exp(-values @ weights))
        slope = values.T @ (sure - labels) + ridge * weights
        bend = (values.T * (sure * (1 - sure))) @ values + ridge * np.eye(values.shape[1])
        weights -= np.linalg.solve(bend, slope)
    return weights


def of_runs(cheap: Path, better: Path, metric: str) -> list[Row]:
    """Return the questions that both runs scored."""
    known = {one.example.id: one for one in read_run(cheap).outcomes}
    rows = []
    for one in read_run(better).outcomes:
        pair = [run.scores[metric].value for run in (known[one.example.id], one) if metric in run.scores]
        if len(pair) == 2 and None not in pair:
            query = Query(text=one.example.question, history=one.example.history)
            rows.append((query, one.example.half, float(pair[0] or 0), float(pair[1] or 0)))
    return rows


async def of_sets(folder: Path, names: Any) -> list[Row]:
    """Return questions of the shared sets with nDCG@10 by words and by the hybrid."""
    embedder, rows = encoder(), list[Row]()
    for name in names:
        data = common.dataset(folder, name)
        chosen = [
            row for part in ("dev", "test") for row in [q for q in data.queries if half(q["_id"]) == part][:MOST]
        ]  # fmt: skip
        async with indexed(data, embedder) as home:
            cheap = await scores(home.single, chosen, data, last)
            better = await scores(home.hybrid, chosen, data, last)
        rows += [(last(row), half(row["_id"]), c, b) for row, c, b in zip(chosen, cheap, better, strict=True)]
        print(
            f"{name}: by words {cheap.mean():.3f}, hybrid {better.mean():.3f} (n={len(chosen)})", flush=True
        )
    return rows


async def main() -> None:
    options = common.arguments(
        __doc__, cheap="a run", better="a run", metric="its metric", out="the model's file"
    )
    if options.cheap:
        rows = of_runs(Path(options.cheap), Path(options.better), options.metric)
    else:
        rows = await of_sets(common.shared(options), QUICK if options.quick else (*ENGLISH, *CHINESE))
    parts = {part: [row for row in rows if row[1] == part] for part in ("dev", "test")}
    values = {part: np.array([features(row[0]) for row in some]) for part, some in parts.items()}
    gaps = {part: np.array([row[2] - row[3] for row in some]) for part, some in parts.items()}
    weights = fit(values["dev"], (gaps["dev"] >= 0).astype(float))
    sure = {part: 1 / (1 + np.exp(-some @ weights)) for part, some in values.items()}
    allowed = [
        one for one in np.arange(0.3, 1.0, 0.01)
        if np.where(sure["dev"] >= one, gaps["dev"], 0).mean() >= -LOSS
    ]  # fmt: skip
    enough = float(min(allowed, default=1.0))
    cheap = sure["test"] >= enough
    labels = gaps["test"] >= 0
    pairs = (sure["test"][labels][:, None] > sure["test"][~labels][None, :]).mean()
    lost, low, high = common.interval([np.where(cheap, gaps["test"], 0)])
    print(f"cheap will do for {labels.mean():.2f} of the test half; area under the curve {pairs:.3f}")
    print(
        f"threshold {enough:.2f}: {cheap.mean():.2f} by words alone, nDCG@10 {lost:+.4f} [{low:+.4f}, {high:+.4f}]"
    )
    if options.out:
        write(Path(options.out), weights, enough)
    figures = {"cheap_share": float(cheap.mean()), "loss": lost, "area": float(pairs)}
    common.finish("routing", [Figure(name, value) for name, value in figures.items()], options)


def write(file: Path, weights: np.ndarray, enough: float) -> None:
    """Write what `search.routed` reads; `enough` goes into its configuration."""
    told = {"features": FEATURES, "weights": weights.round(4).tolist(), "enough": round(enough, 2)}
    file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    common.run(main)
