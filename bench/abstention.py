"""Risk and coverage of the answers that are given, and a threshold that keeps a promised risk.

Every question of sets with unanswerable ones is answered without a threshold; right is an answerable question with
a gold answer in the text or, where gold answers are whole paragraphs (clapnq, mtrag), with a citation of a gold
passage. The risk is the share of wrong ones among the answers given; which risk is promised is chosen on the
development half: the least, in steps of .05, at which half of the questions are answered on average over parts of
it. Then 100 times the groups (questions on one passage, turns of one conversation) are split at random: the threshold
is found on one half by Learn then Test (delta .05) and its risk read on the other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import common
import numpy as np
from common import Figure

from lyceum.app import corpora
from lyceum.app.session import opened
from lyceum.app.settings import current, load, overlaid
from lyceum.core.types import Answer, Example, Query
from lyceum.evals import examples, risk
from lyceum.evals.metrics import METRICS, cites

SETS = ("squad_v2_abstain_en", "clapnq_en", "mtrag_un_en")
LONG = ("clapnq_en", "mtrag_un_en")  # gold answers are paragraphs
MOST, QUICK = 700, 120
DELTA, ROUNDS, PARTS, LEAST = 0.05, 100, 20, 0.4


@dataclass(frozen=True)
class Told:
    """A question's confidence, whether its answer is wrong, what it fails together with, its half."""

    sure: float
    wrong: bool
    group: str
    half: str


def right(name: str, example: Example, answer: Answer) -> bool:
    """Say whether an answer is right by the rule of its set."""
    if not example.answerable or answer.abstained:
        return False
    if name in LONG:
        return any(cites(one, gold) for one in answer.citations for gold in example.gold)
    return (METRICS["correct"](example, answer).value or 0.0) == 1.0


async def told(folder: Path, home: Path, most: int) -> list[Told]:
    """Answer the questions of a set."""
    asked = [one for one in examples.read(folder) if one.gold or not one.answerable]
    asked = sorted(asked, key=lambda one: sha256(one.id.encode()).digest())[:most]
    settings = overlaid(
        load(str(home), current()), {"answerer": {"kind": "answer.extractive", "threshold": 0.0}}, ""
    )
    made = []
    async with opened(await corpora.home_of(folder, settings)) as platform:
        for one in asked:
            answer = await platform.answerer(Query(text=one.question, history=one.history))
            good = right(folder.name, one, answer)
            made.append(Told(answer.confidence, not good, risk.group(one), one.half))
    return made


def found(rows: Sequence[Told], level: float, ahead: int = 0) -> risk.Threshold | None:
    """Return the threshold that Learn then Test finds."""
    sure, wrong = [one.sure for one in rows], [one.wrong for one in rows]
    return risk.threshold(sure, wrong, [one.group for one in rows], level, DELTA, ahead, LEAST)


def promised(rows: Sequence[Told]) -> float:
    """Return the least risk that can be promised on the development half while half of it is answered.

    A single threshold may be found by luck: it is the mean over random four fifths of that half's groups that counts,
    where finding none answers nothing.
    """
    dev = [one for one in rows if one.half == "dev"]
    groups = sorted({one.group for one in dev})
    random = np.random.default_rng(5)
    parts = []
    for _ in range(PARTS):
        chosen = set(random.permutation(groups)[: len(groups) * 4 // 5].tolist())
        parts.append([one for one in dev if one.group in chosen])
    for step in range(1, 20):
        results = [found(part, step / 20, len(groups)) for part in parts]
        if np.mean([one.coverage if one is not None else 0.0 for one in results]) >= 0.5:
            return step / 20
    return 0.95


def resampled(rows: Sequence[Told], level: float) -> dict[str, float]:
    """Return how often the risk was kept on the half that did not choose, and what was answered there."""
    random = np.random.default_rng(4)
    groups = sorted({one.group for one in rows})
    kept, coverage, risks = 0, [], []
    for _ in range(ROUNDS):
        chosen = set(random.permutation(groups)[: len(groups) // 2].tolist())
        mine = [one for one in rows if one.group in chosen]
        others = [one for one in rows if one.group not in chosen]
        threshold = found(mine, level, len(groups) - len(chosen))
        given = [one.wrong for one in others if threshold is not None and one.sure >= threshold.value]
        seen = sum(given) / len(given) if given else 0.0
        kept += seen <= level
        coverage.append(len(given) / len(others))
        risks.append(seen)
    return {"kept": kept / ROUNDS, "coverage": float(np.mean(coverage)), "risk": float(np.mean(risks))}


async def main() -> None:
    options = common.arguments(__doc__)
    folder = common.shared(options)
    names = SETS[:1] if options.quick else SETS
    print("sets: " + ", ".join(names))
    figures: list[Figure] = []
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        for name in names:
            rows = await told(folder / "data" / name, Path(home), QUICK if options.quick else MOST)
            test = [one for one in rows if one.half == "test"]
            sure, wrong = [one.sure for one in test], [one.wrong for one in test]
            shares = {f"risk_at_{share}": at(sure, wrong, share) for share in (20, 40, 60, 80, 100)}
            level = promised(rows)
            held = resampled(rows, level)
            table[name] = {
                "n": len(rows),
                "area": risk.area(sure, wrong),
                **shares,
                "promised": level,
                **held,
            }
            print(name, {key: round(value, 3) for key, value in table[name].items()}, flush=True)
            gated = not options.quick
            short = name.split("_")[0]
            figures += [
                Figure(f"{short}_promised", level),
                Figure(f"{short}_kept", held["kept"], ">= .93" if gated else "", not gated or held["kept"] >= 0.93),
                Figure(
                    f"{short}_answered", held["coverage"], ">= .40" if gated else "",
                    not gated or held["coverage"] >= LEAST,
                ),
            ]  # fmt: skip
    common.finish("abstention", figures, options, table=table)


def at(sure: Sequence[float], wrong: Sequence[bool], share: int) -> float:
    """Return the risk when the most confident `share` percent are answered."""
    points = risk.curve(sure, wrong)
    return points[max(0, round(len(points) * share / 100) - 1)][1]


if __name__ == "__main__":
    common.run(main)
