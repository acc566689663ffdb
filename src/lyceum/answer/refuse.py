"""When not to answer: a calibrated confidence out of what the evidence shows, and the reason in words. Pure.

The weights are a logistic regression over the development half of the example questions (see
docs/decisions/answers.md for figures and the command that fits them).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lyceum.answer.evidence import Judged
from lyceum.core.text import language

THRESHOLD = 0.5
_detail = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z-]*\d)[A-Za-z0-9]+(?:[-.][A-Za-z0-9]+)*|[A-Z]{2,}")

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


def missing_detail(question: str, judged: Sequence[Judged]) -> str:
    """Return a year, number or code that the question names and none of the best statements holds."""
    if not judged:
        return ""
    near = " ".join(f"{one.statement.above} {one.statement.hit.chunk.text}" for one in judged[:3]).lower()
    packed = near.replace(",", "").replace(" ", "")
    for match in _detail.finditer(question):
        word = match.group()
        if word.lower().replace(",", "") not in packed:
            return word
    return ""


def features(question: str, judged: Sequence[Judged]) -> list[float]:
    """Return coverage, cosine, joint best, margin, missing detail, and whether meaning was compared."""
    if not judged:
        return [0.0] * 5
    best = judged[0]
    cosine = best.cosine if best.cosine is not None else 0.0
    top = max(one.coverage for one in judged)
    return [
        best.coverage, cosine, top, float(bool(missing_detail(question, judged))), float(best.cosine is None),
    ]  # fmt: skip


# Intercept and one weight a feature; placeholders until the calibration has run would be a guess.
WEIGHTS = (-3.2, 5.0, 5.0, 0.0, -3.0, 1.6)


def confidence(question: str, judged: Sequence[Judged]) -> float:
    """Return the estimated probability, 0-1, that the best statement answers the question."""
    values = features(question, judged)
    total = WEIGHTS[0] + sum(weight * value for weight, value in zip(WEIGHTS[1:], values, strict=True))
    return 1 / (1 + math.exp(-total)) if judged else 0.0
