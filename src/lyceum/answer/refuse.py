"""When not to answer: a calibrated confidence out of what the evidence shows, and the reason in words. Pure.

The weights are a logistic regression over development halves: of the example questions and of public sets with
other texts, answerable and not (figures: docs/decisions/answers.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from lyceum.answer.asked import details
from lyceum.answer.evidence import Judged
from lyceum.core.text import has_cjk, language

THRESHOLD = 0.3
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
    The last says that some code stands nowhere in what was found.
    """
    best, wanted = judged[0], details(question)
    names = sum(word.isalpha() for word in wanted)
    lost = sum(word.isalpha() for word in best.missing)
    shares = [lost / max(names, 1), (len(best.missing) - lost) / max(len(wanted) - names, 1)]
    nowhere = any(not word.isalpha() and all(word in one.missing for one in judged) for word in best.missing)
    return [best.coverage, best.passage, best.cosine or 0.0, float(best.lacks), *shares, float(nowhere)]


# Intercept and one weight a feature, as examples/calibrate.py prints them: with a cosine, with the cosine of glosses,
# by words alone, and by words in the other script.
WEIGHTS = {
    "compared": (-1.83, 0.95, 0.93, 2.05, -1.09, -0.95, 0.00, -0.68),
    "glossed": (-3.82, 2.58, 3.36, 4.23, -1.09, -0.02, -0.32, -1.40),
    "by_words": (-1.75, 1.80, 2.42, 0.00, -1.42, -1.40, 0.00, -0.69),
    "across": (-3.54, 2.27, 1.93, 5.94, 0.00, -0.07, -0.63, -0.08),
}


def manner(best: Judged) -> str:
    """Return the key of WEIGHTS that says how a statement was compared."""
    if best.across:
        return "across"
    return "by_words" if best.cosine is None else "glossed" if has_cjk(best.statement.reading) else "compared"


def confidence(question: str, judged: Sequence[Judged]) -> float:
    """Return the estimated probability, 0-1, that the best statement answers the question."""
    if not judged:
        return 0.0
    intercept, *slopes = WEIGHTS[manner(judged[0])]
    total = intercept + sum(w * value for w, value in zip(slopes, features(question, judged), strict=True))
    return 1 / (1 + math.exp(-total))
