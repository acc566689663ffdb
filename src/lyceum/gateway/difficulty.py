"""Questions and how well several models answered them to a model of which one is enough; knows no run and no HTTP.

For each model but the last a logistic regression (Cox 1958) on a question's form tells whether it does as well as the
dearer ones. The threshold is chosen on one half of the questions, what it costs is measured on the other.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lyceum.core.errors import ConfigError, InvalidInput
from lyceum.gateway.call import Call
from lyceum.gateway.fit import texts
from lyceum.gateway.lane import Lane

LEAST = 100  # questions to learn from
RIDGE = 1.0  # on standardised features
ROUNDS = 1000  # of the bootstrap

CUES = {
    "what": r"\bwhat\b|什么",
    "who": r"\bwho(?:se|m)?\b|谁",
    "when": r"\bwhen\b|\bwhat year\b|何时|什么时候|哪年",
    "where": r"\bwhere\b|哪里|在哪",
    "which": r"\bwhich\b|哪[个些]",
    "why": r"\bwhy\b|为什么|为何",
    "how": r"\bhow\b|怎么|如何",
    "amount": r"\bhow (?:many|much)\b|多少|几",
    "yes or no": r"^(?:is|are|was|were|do|does|did|can|has|have)\b|是否|吗",
    "compare": r"\b(?:compare|difference|versus|both|than|between)\b|比较|区别|相比",
    "compute": r"\b(?:average|total|sum|ratio|percent\w*|change|increase|decrease)\b|平均|合计|总|比例|增长|下降",
    "list": r"\b(?:list|all|every|each)\b|列出|所有|哪些",
    "not": r"\b(?:not|no|never|without|except)\b|n't\b|不|没有|除了",
    "most": r"\b(?:most|least|first|last|\w+est)\b|最",
    "and": r"\b(?:and|or)\b|和|或",
}
PATTERNS = [re.compile(one, re.IGNORECASE) for one in CUES.values()]
NAMES = ("length", "longest word", "numbers", "names", "marks", "chinese", *CUES)


def features(text: str) -> list[float]:
    """Return what the form of a question shows, one number for each of NAMES."""
    words = text.split()
    chinese = sum("一" <= one <= "鿿" for one in text)
    return [
        math.log1p(len(words) + chinese / 2), math.log1p(max(map(len, words), default=0)),
        math.log1p(len(re.findall(r"\d+", text))), math.log1p(sum(one[0].isupper() for one in words[1:])),
        math.log1p(sum(text.count(one) for one in "?？,，;；:：")), float(chinese > len(text) / 4),
        *(float(bool(one.search(text))) for one in PATTERNS),
    ]  # fmt: skip


class Difficulty:
    """An order of lanes by a learnt model: the first that is likely enough, then the dearer ones, then the rest.

    The targets stand in the order of the runs that were learnt from, the cheapest first.
    """

    def __init__(self, learnt: dict[str, Any]) -> None:
        self.mean, self.scale = learnt["mean"], learnt["scale"]
        self.weights, self.threshold = learnt["weights"], learnt["threshold"]

    def __call__(self, lanes: Sequence[Lane], call: Call, now: float) -> list[Lane]:
        """Return the lanes in the order in which they are tried."""
        *_, last = ("", *texts(call.asked))
        first = self.chosen(last)
        cheaper = [one for one in lanes if one.number < first]
        return [*(one for one in lanes if one.number >= first), *reversed(cheaper)]

    def chosen(self, text: str) -> int:
        """Return the number of the first model that is likely to do as well as any after it."""
        row = [(x - m) / s for x, m, s in zip(features(text), self.mean, self.scale, strict=True)]
        for number, (bias, *weights) in enumerate(self.weights):
            score = bias + sum(w * x for w, x in zip(weights, row, strict=True))
            if 1 / (1 + math.exp(-max(-30.0, min(30.0, score)))) >= self.threshold:
                return number
        return len(self.weights)


def opened(file: Path, targets: int) -> Difficulty:
    """Read what was learnt, for a model with as many targets. Raises ConfigError."""
    hint = f"lyceum gateway difficulty RUN RUN --model {file.stem}"
    if not file.exists():
        raise ConfigError(f"Nothing was learnt for the model {file.stem!r}.", hint=hint)
    try:
        learnt = json.loads(file.read_text(encoding="utf-8"))
        made = Difficulty(learnt)
    except (ValueError, KeyError, TypeError) as problem:
        raise ConfigError(f"{file} holds no difficulty model.", hint=hint) from problem
    if learnt["features"] != list(NAMES) or len(made.weights) + 1 != targets:
        raise ConfigError(f"{file} was learnt for other targets or by another release.", hint=hint)
    return made


def learn(questions: Sequence[str], scores: Sequence[Sequence[float]], loss: float = 0.02) -> dict[str, Any]:
    """Return a model as JSON; `scores` are each question's, cheapest model first, `loss` the mean score to give up.

    `measured` is over questions that neither the weights nor the threshold have seen.
    """
    if len(questions) < LEAST:
        raise InvalidInput(
            f"{len(questions)} questions are too few, {LEAST} are needed.", hint="Run larger sets."
        )
    import numpy as np

    # The half hangs on the text: the same question never stands on both sides.
    side = np.array([blake2b(one.encode("utf-8", "replace")).digest()[0] % 2 for one in questions], bool)
    rows, right = np.array([features(one) for one in questions]), np.array(scores, float)
    mean, scale = rows[side].mean(axis=0), rows[side].std(axis=0)
    scale[scale == 0] = 1.0
    rows = (rows - mean) / scale
    enough = [
        right[:, at] >= right[:, at + 1 :].max(axis=1) - 1e-9 for at in range(right.shape[1] - 1)
    ]  # fmt: skip
    weights = [_fitted(rows[side], one[side]) for one in enough]
    threshold = _threshold(rows[side], [one[side] for one in enough], right[side], loss)
    chosen = _chosen(np.column_stack([_likely(rows, one) for one in weights]), threshold)
    return {
        "features": list(NAMES), "mean": mean.tolist(), "scale": scale.tolist(),
        "weights": [one.tolist() for one in weights], "threshold": threshold,
        "measured": _measured(right[~side], chosen[~side]),
    }  # fmt: skip


def _likely(rows: Any, weights: Any) -> Any:
    import numpy as np

    return 1 / (1 + np.exp(-np.clip(weights[0] + rows @ weights[1:], -30, 30)))


def _fitted(rows: Any, told: Any) -> Any:
    """Return bias and weights with a ridge, by Newton's method."""
    import numpy as np

    x = np.column_stack([np.ones(len(rows)), rows])
    ridge = np.diag([1e-6, *[RIDGE] * rows.shape[1]])
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        p = _likely(rows, weights)
        step = np.linalg.solve(
            (x.T * (p * (1 - p))) @ x + ridge, x.T @ (told - p) - ridge @ weights
        )  # fmt: skip
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def _chosen(likely: Any, threshold: float) -> Any:
    """Return the number of each question's model: the first that is likely enough, else the last."""
    import numpy as np

    return np.argmax(np.column_stack([likely >= threshold, np.ones(len(likely), bool)]), axis=1)


def _threshold(rows: Any, enough: Sequence[Any], right: Any, loss: float) -> float:
    """Return the lowest threshold that gives up at most `loss`; each fifth gets its likelihoods from the others."""
    import numpy as np

    likely = np.zeros((len(rows), len(enough)))
    for fold in range(5):
        out = np.arange(len(rows)) % 5 == fold
        for at, one in enumerate(enough):
            likely[out, at] = _likely(rows[out], _fitted(rows[~out], one[~out]))
    best = 1.01  # never a cheaper one
    for threshold in np.linspace(1, 0, 101):
        chosen = _chosen(likely, threshold)
        if right[:, -1].mean() - right[np.arange(len(right)), chosen].mean() > loss:
            break
        best = float(threshold)
    return best


def _measured(right: Any, chosen: Any) -> dict[str, Any]:
    """Return what the choice loses to the dearest model, and what chance would that sends as many to each."""
    at = range(len(right))
    lost = [float(right[row, -1] - right[row, chosen[row]]) for row in at]
    drawn = random.Random(1)
    means = sorted(sum(drawn.choices(lost, k=len(lost))) / len(lost) for _ in range(ROUNDS))
    shares = [float((chosen == number).mean()) for number in range(right.shape[1])]
    by_chance = float(right[:, -1].mean()) - sum(
        share * float(right[:, number].mean()) for number, share in enumerate(shares)
    )
    return {
        "questions": len(right), "scores": [float(one) for one in right.mean(axis=0)],
        "best": float(right.max(axis=1).mean()), "shares": shares, "loss": sum(lost) / len(lost),
        "loss_interval": [means[int(ROUNDS * 0.025)], means[int(ROUNDS * 0.975)]], "loss_by_chance": by_chance,
    }  # fmt: skip
