"""When not to answer: a calibrated confidence out of what the evidence shows, and the reason in words. Pure.

The weights are a logistic regression over development halves: of the example questions and of public sets with
other texts, answerable and not (figures: docs/decisions/answers.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lyceum.answer.asked import details
from lyceum.answer.evidence import Judged
from lyceum.core.text import language

THRESHOLD = 0.3
LEAD = 9  # the statement, counted from 0, over which the best one leads
ABOUT = 0.4  # the share of the question's words from which on a passage is about its matter

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
    about = bool(judged) and judged[0].passage >= ABOUT
    missed = [word for word in judged[0].missing if about or not word.isalpha()] if judged else []
    detail = next((word for word in missed if all(word in one.missing for one in judged)), "")
    return reason(question, "nothing" if not judged else "detail" if detail else "weak", detail)


def features(question: str, judged: Sequence[Judged]) -> list[float]:
    """Return of the best: coverage, passage coverage, cosine, kind missing, shares missing of names and codes.

    A code (a part number, a year, a version) is what it is or another; a name may stand there in other words.
    Then whether some code stands nowhere in what was found, the share of readers (words, meaning, like words) that
    put the same statement first, its lead over the tenth best, and the cosine of its whole passage.
    """
    best, wanted = judged[0], details(question)
    names = sum(word.isalpha() for word in wanted)
    lost = sum(word.isalpha() for word in best.missing)
    shares = [lost / max(names, 1), (len(best.missing) - lost) / max(len(wanted) - names, 1)]
    nowhere = any(not word.isalpha() and all(word in one.missing for one in judged) for word in best.missing)
    lead = best.score - sorted((one.score for one in judged), reverse=True)[: LEAD + 1][-1]
    # Where the passage was found by words alone, the statement's own cosine is the best guess at it.
    told = (found.score for found in best.statement.hit.by if found.part == "vectors")
    passage = next(told, best.cosine or 0.0)
    return [
        best.coverage, best.passage, best.cosine or 0.0, float(best.lacks), *shares, float(nowhere),
        _agreed(judged), lead, passage,
    ]  # fmt: skip


def _agreed(judged: Sequence[Judged]) -> float:
    """Return the share of the readers that see anything and to which no other statement is better than the first."""
    told = zip(*((one.coverage, one.cosine or 0.0, one.likeness or 0.0) for one in judged), strict=True)
    return sum(bool(values[0] == max(values) > 0) for values in told) / 3


# Intercept and one weight a feature, fitted as examples/calibrate.py does (log of 2026-11-25): with a cosine, by
# words alone, and by words in the other script.
WEIGHTS = {
    "compared": (-3.43, 0.30, 0.90, 0.81, -0.89, -0.62, 0.00, -1.46, 0.70, 2.50, 2.38),
    "by_words": (-2.46, 2.10, 2.35, 0.00, -0.97, -1.52, -0.27, -0.48, 0.00, 0.00, 0.00),
    "across": (-4.58, 0.30, 0.64, 1.42, 0.00, -0.13, -1.12, 0.00, 2.09, 1.86, 3.57),
}


def manner(best: Judged) -> str:
    """Return the key of WEIGHTS that says how a statement was compared."""
    return "across" if best.across else "by_words" if best.cosine is None else "compared"


def confidence(question: str, judged: Sequence[Judged]) -> float:
    """Return the estimated probability, 0-1, that the best statement answers the question."""
    if not judged:
        return 0.0
    intercept, *slopes = WEIGHTS[manner(judged[0])]
    total = intercept + sum(w * value for w, value in zip(slopes, features(question, judged), strict=True))
    return 1 / (1 + math.exp(-total))
