"""Each question by the cheap retriever where that will do, by the better one elsewhere; learnt from runs.

A logistic model over what a question looks like says how likely the cheap one finds as much. Its file is written by
bench/routing.py out of two runs over the same questions. What it gained stands in docs/log.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from lyceum.core.errors import ConfigError
from lyceum.core.protocols import Retriever
from lyceum.core.text import has_cjk
from lyceum.core.trace import span
from lyceum.core.turns import content
from lyceum.core.types import Hit, Query
from lyceum.search.checks import check

FEATURES = (
    "one",
    "words",
    "characters",
    "digits",
    "capitals",
    "quotes",
    "cjk",
    "asks_who",
    "asks_how",
    "turns",
)


class Routed:
    """`model` is the file, `enough` the probability from which on the `cheap` retriever answers."""

    def __init__(self, retriever: Retriever, cheap: Retriever, model: Path, enough: float = 0.9) -> None:
        assert 0 < enough <= 1, enough
        self.retriever, self.cheap, self.enough = retriever, cheap, enough
        self.weights = weights(model)

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the one or the other."""
        check(query)
        with span("search.route") as facts:
            sure = probability(self.weights, features(query))
            facts.update(sure=round(sure, 3), cheap=sure >= self.enough)
        return await (self.cheap if sure >= self.enough else self.retriever)(query)


def weights(file: Path) -> list[float]:
    """Read the weights of a model whose features are ours."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if tuple(told["features"]) == FEATURES and len(told["weights"]) == len(FEATURES):
            found = [float(one) for one in told["weights"]]
            if all(map(math.isfinite, found)):
                return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ConfigError(f"{file} holds no routing model.", hint="Make it: bench/routing.py --out FILE")


def features(query: Query) -> list[float]:
    """Return what a question looks like, each value about 0 to 1."""
    text, words = query.text, content(query.text)
    low = text.lower()
    return [
        1.0, min(len(words), 20) / 20, min(len(text), 300) / 300, float(any(one.isdigit() for one in text)),
        sum(word[0].isupper() for word in words) / max(len(words), 1), float('"' in text or "“" in text),
        float(has_cjk(text)), float("who" in low or "谁" in low), float("how" in low or "多少" in low),
        float(bool(query.history)),
    ]  # fmt: skip


def probability(model: Sequence[float], values: Sequence[float]) -> float:
    """Return the logistic function of the weighted features."""
    total = sum(weight * value for weight, value in zip(model, values, strict=True))
    return 1 / (1 + math.exp(-max(min(total, 50.0), -50.0)))
