"""Fits the confidence of answers and prints weights, ready for lyceum/answer/refuse.py, with what they would do.

Only development halves are used: the example questions' and the second collection's, and, where LYCEUM_SHARED holds
them, those of public sets (SETS), each over its own passages; every set weighs the same. Questions of one set asked
of another's documents are off-topic by construction; intercepts are moved so that OFF_TOPIC of them are answered.
Run: python examples/calibrate.py
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import examples as bench  # noqa: E402

from lyceum.answer import refuse  # noqa: E402
from lyceum.answer.extractive import Extractive, chosen  # noqa: E402
from lyceum.app import corpora, session, settings  # noqa: E402
from lyceum.core.text import language  # noqa: E402
from lyceum.core.types import Example, Query  # noqa: E402
from lyceum.evals.examples import read  # noqa: E402
from lyceum.evals.text_metrics import holds, overlaps  # noqa: E402
from lyceum.ingest.pipeline import jobs  # noqa: E402

Row = tuple[str, str, str, list[float], bool, bool]  # set, group, weights, features, right, doubted
Asked = list[tuple[str, str, Callable[[str], bool]]]  # group, question, what says whether a text answers it
OFF_TOPIC = 0.02
SIGNS = np.array([0, 1, 1, 1, -1])  # of the weights, the intercept first (see refuse.features)
UNANSWERABLE = 0.15  # what a question of SQuAD 2.0 without an answer weighs: those are meant to deceive
COLLECTIONS = {
    folder.name: folder for folder in (ROOT / "examples", ROOT / "bench" / "second") if folder.is_dir()
}
# How many questions of a set are asked, and of which others how many off-topic ones.
SETS = {
    "squad_v2_abstain_en": 400, "cmrc2018_zh": 200, "drcd_zh_hant": 120, "tatqa_en": 120, "rageval_finance_en": 150,
    "rageval_finance_zh": 120, "xquad_en_to_zh": 150, "xquad_zh_to_en": 150,
}  # fmt: skip
STRANGE = {
    "examples": {"squad_v2_abstain_en": 150, "cmrc2018_zh": 150, "clapnq_en": 50},
    "second": {"squad_v2_abstain_en": 60, "cmrc2018_zh": 60},
    "rageval_finance_en": {"squad_v2_abstain_en": 60}, "rageval_finance_zh": {"cmrc2018_zh": 60},
}  # fmt: skip
LONG = (
    "rageval_finance_en",
    "rageval_finance_zh",
)  # answers of several sentences: one of the gold ones is enough


async def rows_of(answerer: Extractive, name: str, asked: Asked) -> list[Row]:
    """Ask questions and return their features."""
    found: list[Row] = []
    for group, question, good in asked:
        _, judged = await answerer.judged(Query(text=question))
        if judged:
            text = "\n".join(one.statement.quote for one in chosen(judged))
            told = refuse.features(question, judged), good(text), refuse.doubted(question, judged)
            found.append((name, group, refuse.manner(judged[0]), *told))
    return found


def dev(folder: Path, name: str) -> list[Example]:
    """Return the development half of a public set's questions in a fixed random order."""
    rows = [row for row in read(folder / "data" / name) if row.half == "dev"]
    random.Random(7).shuffle(rows)
    return rows


def never(_: str) -> bool:
    return False


def held(parts: Any) -> Callable[[str], bool]:
    return lambda text: bool(parts) and all(any(holds(text, one) for one in part) for part in parts)


def quoted(golds: list[str]) -> Callable[[str], bool]:
    return lambda text: any(overlaps(line, gold) for line in text.split("\n") for gold in golds)


def of_set(folder: Path, name: str) -> Asked:
    asked: Asked = []
    for row in dev(folder, name)[: SETS[name]]:
        good = quoted([gold.text for gold in row.gold if gold.text]) if name in LONG else held(row.answers)
        asked.append(("answerable" if row.answerable else "unanswerable", row.question, good))
    return asked


def of_collection(name: str, languages: set[str]) -> Asked:
    return [
        (
            "unanswerable" if "unanswerable" in row["tags"] else "answerable",
            row["question"],
            held(row["answers"]),
        )
        for row in bench.questions(COLLECTIONS[name])
        if (row["half"] == "dev" or name == "second") and language(row["question"]) in languages
    ]


async def harvest(encoder: bool = True) -> list[Row]:
    """Ask everything; without the encoder only what it would have understood."""
    found: list[Row] = []
    folder = Path(os.environ.get("LYCEUM_SHARED", str(ROOT.parent / "shared")))
    languages = {"en", "zh"} if encoder else {"en"}
    public = [one for one in SETS if encoder or one.endswith("finance_en") or one.startswith("squad")]
    for name in [*COLLECTIONS, *(public if (folder / "data").is_dir() else ())]:
        with tempfile.TemporaryDirectory() as home:
            plain = {"LYCEUM_COMPUTED__KIND": "none"}  # what is computed has a confidence of its own
            opened = settings.load(home, plain if encoder else {**plain, "LYCEUM_ENCODER__KIND": "none"})
            if name in SETS:
                opened = await corpora.home_of(folder / "data" / name, opened)
            async with session.opened(opened) as platform:
                if name in COLLECTIONS:
                    await platform.ingest(jobs([COLLECTIONS[name] / "documents"]))
                asked = of_set(folder, name) if name in SETS else of_collection(name, languages)
                strange = STRANGE.get(name, {}) if (folder / "data").is_dir() else {}
                for other, count in strange.items():
                    rows = [row.question for row in dev(folder, other)[-count:]]
                    asked += [("off-topic", row, never) for row in rows if language(row) in languages]
                found += await rows_of(platform.answerer, name, asked)  # type: ignore[arg-type]
    return found


def fit(rows: list[Row], ridge: float = 1.0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return intercept and weights of a ridge logistic regression over rows not doubted, by Newton's method.

    What is missing never speaks for an answer: a weight of the other sign is left out and the rest fitted again.
    """
    rows = [row for row in rows if not row[5]]
    x = np.array([[1.0, *features] for *_, features, _, _ in rows])
    y = np.array([float(right) for *_, right, _ in rows])
    counts = Counter(name for name, *_ in rows)
    weight = np.array(
        [
            (UNANSWERABLE if group == "unanswerable" and name.startswith("squad") else 1.0)
            * 200
            / max(counts[name], 50)
            for name, group, *_ in rows
        ]
    )
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
    off = [
        -math.inf if doubted else float(np.dot([1.0, *features], beta))
        for _, group, _, features, _, doubted in rows
        if group == "off-topic"
    ]
    wanted = math.log(refuse.THRESHOLD / (1 - refuse.THRESHOLD))
    return wanted - float(np.quantile(off, 1 - OFF_TOPIC))


def main() -> None:
    rows = asyncio.run(harvest()) + asyncio.run(harvest(encoder=False))
    for name in refuse.WEIGHTS:
        some = [row for row in rows if row[2] == name]
        beta = fit(some)
        beta[0] += _shift(some, beta)
        print(f'    "{name}": ({", ".join(f"{value:.2f}" for value in beta)}),')
        for group in dict.fromkeys(row[:2] for row in some):
            own = [row for row in some if row[:2] == group]
            p = 1 / (1 + np.exp(-np.array([[1.0, *row[3]] for row in own]) @ beta))
            p *= [refuse.DOUBTED if row[5] else 1.0 for row in own]
            right = np.array([row[4] for row in own])
            told = "  ".join(
                f"{t:.2f}: {np.mean(p >= t):.2f} answered, {np.mean((p >= t) & right):.2f} rightly"
                for t in (0.2, 0.3, 0.4)
            )
            print(f"  {' '.join(group):34} {len(own):3}  {np.mean(right):.2f}  {told}")


if __name__ == "__main__":
    main()
