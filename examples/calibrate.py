"""Fits the confidence of answers and prints weights, ready for lyceum/answer/refuse.py, with what they would do.

Only development halves are used: the example questions', and, where LYCEUM_SHARED holds them, those of SQuAD 2.0
(answerable and not), CMRC 2018 and XQuAD across the languages, each over its own passages. Questions of the first
two asked of the example documents are off-topic by construction; intercepts are moved so that OFF_TOPIC of them are
answered.
Run: python examples/calibrate.py
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import common  # noqa: E402
import examples as bench  # noqa: E402
import retrieval  # noqa: E402

from lyceum.answer import refuse  # noqa: E402
from lyceum.answer.extractive import Extractive, chosen  # noqa: E402
from lyceum.app import session, settings  # noqa: E402
from lyceum.core.text import language  # noqa: E402
from lyceum.core.types import Query  # noqa: E402
from lyceum.ingest.pipeline import jobs  # noqa: E402

Row = tuple[str, str, list[float], bool]  # group, weights, features, right
OFF_TOPIC = 0.035
SIGNS = np.array(
    [0, 1, 1, 1, -1, -1, -1, -1]
)  # of the weights, in the order of refuse.features; the intercept first
WEIGHT = {"examples": 2.0, "unanswerable": 0.15}


async def rows_of(
    answerer: Extractive, group: str, asked: list[tuple[str, Callable[[str], bool]]]
) -> list[Row]:
    """Ask questions, each with what says whether a text answers it, and return their features."""
    found: list[Row] = []
    for question, good in asked:
        _, judged = await answerer.judged(Query(text=question))
        if judged:
            text = "\n".join(one.statement.quote for one in chosen(judged))
            found.append((group, refuse.manner(judged[0]), refuse.features(question, judged), good(text)))
    return found


def dev(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the development half of a public set's questions in a fixed random order."""
    rows = common._rows(folder / "data" / name / "queries.jsonl")
    rows = [row for row in rows if not hashlib.sha256(row["_id"].encode()).digest()[0] & 1]
    random.Random(7).shuffle(rows)
    return rows


def holds(answers: list[str]) -> Callable[[str], bool]:
    return lambda text: any(one.lower() in text.lower() for one in answers)


def of_example(row: dict[str, Any]) -> Callable[[str], bool]:
    parts = row["answers"]
    return lambda text: bool(parts) and all(any(bench.holds(text, one) for one in part) for part in parts)


async def harvest(encoder: bool = True) -> list[Row]:
    """Ask everything; without the encoder only what it would have understood."""
    found: list[Row] = []
    folder = Path(os.environ.get("LYCEUM_SHARED", str(ROOT.parent / "shared")))
    environment = {} if encoder else {"LYCEUM_ENCODER__KIND": "none"}
    languages = {"en", "zh"} if encoder else {"en"}
    with tempfile.TemporaryDirectory() as home:
        async with session.opened(settings.load(home, environment)) as platform:
            await platform.ingest(jobs([bench.EXAMPLES / "documents"]))
            answerer: Any = platform.answerer
            own = [
                (row["question"], of_example(row)) for row in bench.questions()
                if row["half"] == "dev" and language(row["question"]) in languages
            ]  # fmt: skip
            found += await rows_of(answerer, "examples", own)
            if not (folder / "data").is_dir():
                return found
            squad, cmrc = dev(folder, "squad_v2_abstain_en"), dev(folder, "cmrc2018_zh")
            other = [row["text"] for row in (*squad[-150:], *(cmrc[-150:] if encoder else ()))]
            found += await rows_of(answerer, "off-topic", [(text, lambda _: False) for text in other])
    sets = [("squad_v2_abstain_en", squad, 500 if encoder else 250)]
    if encoder:
        across = ("xquad_en_to_zh", "xquad_zh_to_en")
        sets += [("cmrc2018_zh", cmrc, 300), *((name, dev(folder, name), 200) for name in across)]
    for name, rows, count in sets:
        with tempfile.TemporaryDirectory() as home:
            async with session.opened(settings.load(home, environment)) as platform:
                made = [
                    retrieval.split(row, platform.splitter) for row in common.dataset(folder, name).corpus
                ]
                await platform.store.put(made)
                for group, some in (
                    ("answerable", [row for row in rows[:count] if row["answers"]]),
                    ("unanswerable", [row for row in rows[:count] if not row["answers"]]),
                ):
                    asked = [(row["text"], holds(row["answers"])) for row in some]
                    found += await rows_of(platform.answerer, group, asked)  # type: ignore[arg-type]
    return found


def fit(rows: list[Row], ridge: float = 1.0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return intercept and weights of a ridge logistic regression, by Newton's method.

    What is missing never speaks for an answer: a weight of the other sign is left out and the rest fitted again.
    """
    x = np.array([[1.0, *features] for _, _, features, _ in rows])
    y = np.array([float(right) for *_, right in rows])
    weight = np.array([WEIGHT.get(group, 1.0) for group, *_ in rows])
    penalty = ridge * np.diag([0.0, *[1.0] * (x.shape[1] - 1)])
    beta = np.zeros(x.shape[1])
    used = np.ones(x.shape[1], bool)
    while True:
        for _ in range(50):
            p = 1 / (1 + np.exp(-x @ beta))
            slope = (x.T @ (weight * (p - y)) + penalty @ beta)[used]
            curve = (x.T @ (x * (weight * p * (1 - p))[:, None]) + penalty)[np.ix_(used, used)]
            beta[used] -= np.linalg.solve(curve, slope)
        wrong = used & (beta * SIGNS < 0)
        if not wrong.any():
            return beta
        used &= ~wrong
        beta[wrong] = 0.0


def _shift(rows: list[Row], beta: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Return what lets OFF_TOPIC of the off-topic questions reach the threshold: the mix here is not the user's."""
    off = [np.dot([1.0, *features], beta) for group, _, features, _ in rows if group == "off-topic"]
    wanted = math.log(refuse.THRESHOLD / (1 - refuse.THRESHOLD))
    return wanted - float(np.quantile(off, 1 - OFF_TOPIC))


def main() -> None:
    rows = asyncio.run(harvest()) + asyncio.run(harvest(encoder=False))
    for name in refuse.WEIGHTS:
        some = [row for row in rows if row[1] == name]
        beta = fit(some)
        beta[0] += _shift(some, beta)
        print(f'    "{name}": ({", ".join(f"{value:.2f}" for value in beta)}),')
        for group in dict.fromkeys(group for group, *_ in some):
            own = [row for row in some if row[0] == group]
            p = 1 / (1 + np.exp(-np.array([[1.0, *features] for _, _, features, _ in own]) @ beta))
            right = np.array([row[3] for row in own])
            told = "  ".join(
                f"{t:.2f}: {np.mean(p >= t):.2f} answered, {np.mean((p >= t) & right):.2f} rightly"
                for t in (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
            )
            print(f"  {group:13} {len(own):3}  {told}")


if __name__ == "__main__":
    main()
