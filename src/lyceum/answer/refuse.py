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
from lyceum.core.text import has_cjk, language

THRESHOLD = 0.3
DOUBTED = 0.3  # what a confidence counts then: a quarter of these were right, however sure the rest looked
_year = re.compile(r"(?<!\d)(?:1\d{3}|20\d\d)(?!\d)")
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
    """Return of the best: coverage, its passage's, cosine, share of the question's names that its passage lacks."""
    best = judged[0]
    names = sum(word.isalpha() for word in details(question))
    lost = sum(word.isalpha() for word in best.missing)
    return [best.coverage, best.passage, best.cosine or 0.0, lost / max(names, 1)]


def doubted(question: str, judged: Sequence[Judged]) -> bool:
    """Say that the best is likely about something else: no value of the kind asked for, another code or year.

    A code that no passage of the best one's document holds is another thing. Years may go without saying: they
    must all be missing, and another one stand in the statement or above it.
    """
    best = judged[0]
    same = [one for one in judged if one.statement.hit.document.id == best.statement.hit.document.id]
    codes = {w for w in best.missing if not w.isalpha() and all(w in one.missing for one in same)}
    years = {word for word in details(question) if _year.fullmatch(word)}
    other = (
        bool(years) and years <= codes and _year.search(f"{best.statement.reading} {best.statement.above}")
    )
    return best.lacks or bool(codes - years) or bool(other)


# Intercept and one weight a feature, as examples/calibrate.py prints them: with a cosine, with the cosine of glosses,
# by words alone, and by words in the other script.
WEIGHTS = {
    "compared": (-1.96, 0.77, 0.85, 2.11, -1.07),
    "glossed": (-4.22, 2.82, 3.34, 4.36, -0.09),
    "by_words": (-1.81, 1.87, 2.62, 0.00, -1.52),
    "across": (-3.89, 2.55, 1.73, 6.02, -0.17),
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
    return (DOUBTED if doubted(question, judged) else 1.0) / (1 + math.exp(-total))
