"""When not to answer: a calibrated confidence out of what the evidence shows, and the reason in words. Pure.

The weights are a logistic regression over development halves: of the example questions and of public sets with
other texts, answerable and not (figures: docs/decisions/answers.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lyceum.answer.asked import details
from lyceum.answer.evidence import Judged
from lyceum.core.text import language

THRESHOLD = 0.33
_token = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")

REASONS = {
    "en": {
        "nothing": "Nothing in the documents matches this question.",
        "weak": "The documents hold nothing that answers this question well enough.",
        "detail": "The documents speak of this, but not of {detail}.",
        "uncited": "The model's answer could not be tied to the documents.",
        "model": "The model found no answer in the documents.",
    },
    "zh": {
        "nothing": "文档中没有与此问题相关的内容。",
        "weak": "文档中没有足以回答此问题的内容。",
        "detail": "文档提到了相关内容，但没有提到{detail}。",
        "uncited": "模型的回答无法与文档对应。",
        "model": "模型没有在文档中找到答案。",
    },
}


def reason(question: str, kind: str, detail: str = "") -> str:
    """Return the reason in the question's language."""
    return REASONS[language(question)][kind].format(detail=detail)


def explained(question: str, judged: Sequence[Judged]) -> str:
    """Return the reason that fits what was found."""
    detail = next(iter(missing_details(question, judged[:3])), "")
    return reason(question, "nothing" if not judged else "detail" if detail else "weak", detail)


def missing_details(question: str, judged: Sequence[Judged]) -> list[str]:
    """Return those that neither the passages of the statements nor their headings hold."""
    near = " ".join(f"{one.statement.above} {one.statement.hit.chunk.text}" for one in judged)
    tokens = set(_token.findall(near.lower().replace(",", "")))
    tokens |= {part for token in tokens for part in re.split("[-.]", token)}
    return [word for word in details(question) if not _held(word.lower(), tokens)]


def _held(word: str, tokens: set[str]) -> bool:
    return word in tokens or (word.isalpha() and word.removesuffix("s") in tokens)


def features(question: str, judged: Sequence[Judged]) -> list[float]:
    """Return of the best: coverage, passage coverage, cosine, kind of value missing, share of details missing."""
    best, wanted = judged[0], details(question)
    missing = len(missing_details(question, judged[:1])) / max(len(wanted), 1)
    return [best.coverage, best.passage, best.cosine or 0.0, float(best.lacks), missing]


# Intercept and one weight a feature, fitted by examples/calibrate.py: with a cosine, and by words alone.
COMPARED = (-2.87, 1.52, 1.58, 3.01, -1.23, -0.96)
BY_WORDS = (-2.91, 3.97, 4.27, 0.00, -1.68, -1.63)


def confidence(question: str, judged: Sequence[Judged]) -> float:
    """Return the estimated probability, 0-1, that the best statement answers the question."""
    if not judged:
        return 0.0
    weights = BY_WORDS if judged[0].cosine is None else COMPARED
    values = features(question, judged)
    total = weights[0] + sum(weight * value for weight, value in zip(weights[1:], values, strict=True))
    return 1 / (1 + math.exp(-total))
