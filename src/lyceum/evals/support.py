"""Statements and the texts they rest on to the probability that they are supported, without a language model.

A statement is compared with each sentence of a text, alone and with the next: words and pairs of words in common,
numbers and names that are missing, exchanged words, a "not" on one side alone, and an encoder's cosine. The weights
are a logistic regression over labelled pairs (bench/support.py); figures and limits: docs/decisions/evaluation.md.
It reads words, not meaning: who needs more asks `judge`. The four measures are those of RAGAS (Es et al., 2024).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from difflib import SequenceMatcher
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lyceum.core.protocols import Embedder, Judge
from lyceum.core.text import script, sentences
from lyceum.core.types import Answer, Example, Score
from lyceum.evals.text_metrics import LONG, quantities, same_quantity, statements, tokens

SUPPORTED = 0.5
CANDIDATES = 2  # sentences of a text that are compared by meaning
SPELLINGS = 3  # of a gold answer that are looked for
Claim = tuple[str, str]  # a question and its answer; or nothing and a statement
FEATURES = "words pairs answer exchanged rival negated numbers words-all numbers-all names-all cosine".split()
# bias and FEATURES, by the claim's script, whether it is a question with its answer, and whether there is a cosine
WEIGHTS: dict[tuple[str, bool, bool], tuple[float, ...]] = {
    ("en", True, True): (-5.70, 1.44, 0.69, 5.22, -1.53, -3.09, -0.16, 0.30, -0.07, 0.01, 0.58, 1.44),
    ("en", True, False): (-4.96, 1.64, 0.77, 5.25, -1.46, -3.27, -0.20, 0.30, 0.02, -0.01, 0.48),
    ("en", False, True): (-2.11, 0.02, -0.20, 0.02, -3.33, 0.00, -4.07, -0.24, 3.63, -1.64, -3.70, 1.08),
    ("en", False, False): (-1.88, 0.17, 0.09, 0.17, -3.31, 0.00, -4.05, -0.18, 3.85, -1.66, -3.72),
    ("zh", True, True): (-5.02, 1.43, 0.30, 5.02, -1.59, -3.57, -0.14, -0.24, -0.03, -0.17, -0.41, 0.86),
    ("zh", True, False): (-4.79, 1.57, 0.43, 5.09, -1.49, -3.56, -0.19, -0.31, 0.04, -0.14, -0.40),
    ("zh", False, True): (-2.26, 0.41, -0.66, 0.41, -3.39, 0.00, -2.55, 1.00, 2.23, -6.76, -0.65, 1.94),
    ("zh", False, False): (-1.78, 0.77, -0.21, 0.77, -3.50, 0.00, -2.54, 1.06, 2.47, -6.66, -0.68),
}  # fmt: skip
_negation = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot)\b|n't\b|[不没無无未非勿]"
)
_suffix = re.compile(r"(?<=...)(?:ing|ed|es|s|ly)$")
_name = re.compile(r"(?<=\w )[A-Z][\w-]+")
STOP = frozenset(
    """of in on at to for by with from as and or is are was were be been it its this that these those which who
    whom what when where why how did do does has have had his her their he she they i you we than
    的 了 是 在 和 与 及 于 为""".split()
)


class Part:
    """A statement or a piece of a text, read once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.terms = [_suffix.sub("", word) for word in tokens(text) if word not in STOP]
        self.words, self.pairs = set(self.terms), set(pairwise(self.terms))
        self.numbers = quantities(text)
        self.names = {_suffix.sub("", name.lower()) for name in _name.findall(text)}
        self.negations = len(_negation.findall(text.lower()))


def windows(text: str) -> list[Part]:
    """Return the sentences and rows of a text, each alone and with the next one."""
    parts = [text[a:b] for line in text.split("\n") for a, b in sentences(line)]
    return [Part(one) for one in dict.fromkeys([*parts, *map(" ".join, pairwise(parts))])]


def shared(words: set[str], text: Part) -> float:
    """Return the share of words that stand in a text."""
    return len(words & text.words) / (len(words) or 1)


def features(
    claim: Part, answer: Part, sentence: Part, text: Part, best: float, twist: float
) -> tuple[float, ...]:
    """Return FEATURES without the cosine; `best` is the share of the question that another sentence has."""
    return (
        shared(claim.words, sentence),
        len(claim.pairs & sentence.pairs) / (len(claim.pairs) or 1),
        shared(answer.words, sentence),
        twist,
        best - shared(claim.words - answer.words, sentence),
        float((claim.negations - sentence.negations) % 2),
        _missing(claim, sentence),
        shared(claim.words, text),
        _missing(claim, text),
        len(claim.names - text.words) / (len(claim.names) or 1),
    )


def _missing(claim: Part, text: Part) -> float:
    lost = [one for one in claim.numbers if not any(same_quantity(it, one) for it in text.numbers)]
    return len(lost) / (len(claim.numbers) or 1)


def _exchanged(claim: Part, sentence: Part) -> float:
    """Return the share that both have in the same order, cubed, where other words stand in a gap; 0 for none."""
    steps = SequenceMatcher(None, claim.terms, sentence.terms, autojunk=False).get_opcodes()
    gap = any(
        kind == "replace" and {*claim.terms[a:b]} - sentence.words and {*sentence.terms[c:d]} - claim.words
        and d - c <= 4 * (b - a) for kind, a, b, c, d in steps
    )  # fmt: skip
    same = sum(b - a for kind, a, b, _, _ in steps if kind == "equal")
    return (same / len(claim.terms)) ** 3 if gap else 0.0


def _stands(said: str, text: str) -> bool:
    """Say whether a text holds a statement word by word."""
    return f" {' '.join(tokens(said))} " in f" {' '.join(tokens(text))} "


class Support:
    """Compares statements with texts; without an encoder, or in a language it does not know, by words alone."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self.embedder = embedder

    async def __call__(self, claims: Sequence[Claim], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return probabilities, claims x texts."""
        made = np.zeros((len(claims), len(texts)))
        for claim, text, row in await self.rows(claims, texts):
            question, said = claims[claim]
            weights = WEIGHTS[script(question + said), bool(question), not np.isnan(row[-1])]
            chance = 1 / (1 + np.exp(-np.dot(weights, [1.0, *row][: len(weights)])))
            made[claim, text] = max(made[claim, text], chance)
        quoted = [[_stands(said, text) for text in texts] for _, said in claims]
        asked = np.array([[bool(question)] for question, _ in claims], bool).reshape(-1, 1)
        return np.where(np.array(quoted, bool).reshape(made.shape) & ~asked, 1.0, made)

    async def rows(
        self, claims: Sequence[Claim], texts: Sequence[str]
    ) -> list[tuple[int, int, tuple[float, ...]]]:
        """Return (claim, text, FEATURES) of the likeliest sentences; the cosine is nan where it is not known."""
        read = [(windows(text), Part(text)) for text in texts]
        found = []
        for number, (question, said) in enumerate(claims):
            claim, answer = Part(f"{question} {said}".strip()), Part(said)
            for at, (parts, text) in enumerate(read):
                best = max((shared(claim.words - answer.words, one) for one in parts), default=0.0)
                twist = max((_exchanged(claim, one) for one in parts), default=0.0)
                told = [
                    (features(claim, answer, one, text, best, twist), claim.text, one.text) for one in parts
                ]
                told.sort(key=lambda one: -sum(one[0][:3]))  # a "not" there must not send us elsewhere
                found += [(number, at, *one) for one in told[:CANDIDATES]]
        cosines = await self.cosines([(claim, sentence) for *_, claim, sentence in found])
        return [(n, at, (*made, one)) for (n, at, made, *_), one in zip(found, cosines, strict=True)]

    async def cosines(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the cosines of texts, nan where the encoder does not know the language of one."""
        known = self.embedder.languages if self.embedder else {}
        texts = [
            one for one in dict.fromkeys(text for pair in pairs for text in pair) if script(one) in known
        ]
        if self.embedder is None or not texts:
            return [float("nan")] * len(pairs)
        made = dict(zip(texts, await self.embedder(texts), strict=True))
        return [float(made[a] @ made[b]) if {a, b} <= made.keys() else float("nan") for a, b in pairs]


def rests_on(answer: Answer) -> tuple[list[tuple[str, list[int]]], list[str]]:
    """Return an answer's statements, each with the places of its texts, and these: what it cites, else every hit."""
    told = [] if answer.abstained else statements(answer.text)
    hits = {hit.chunk.id: hit.chunk.text for hit in answer.hits if hit.chunk.text}
    texts = list(hits.values())
    cited = {one.number: hits.get(one.chunk_id) or one.quote for one in answer.citations}
    texts += [text for text in cited.values() if text not in texts]
    places = [sorted(texts.index(cited[n]) for n in {*numbers} & cited.keys()) for _, numbers in told]
    return [(one, at or [*range(len(texts))]) for (one, _), at in zip(told, places, strict=True)], texts


async def faithfulness(support: Support, example: Example, answer: Answer) -> Score:
    """Return the share of the answer's statements that their texts support."""
    told, texts = rests_on(answer)
    if not told:
        return Score(reason="nothing is stated")
    used = sorted({place for _, places in told for place in places})
    found = await support([("", one) for one, _ in told], [texts[place] for place in used])
    good = [
        any(found[n, used.index(place)] >= SUPPORTED for place in places)
        for n, (_, places) in enumerate(told)
    ]
    lost = [one[:80] for (one, _), fine in zip(told, good, strict=True) if not fine]
    return Score(value=sum(good) / len(good), reason=f"not supported: {' | '.join(lost)}" if lost else "")


async def answer_relevance(support: Support, example: Example, answer: Answer) -> Score:
    """Return how near the nearest statement is to the question: mean of words in common and cosine."""
    told = [] if answer.abstained else [one for one, _ in statements(answer.text)]
    if not told:
        return Score(reason="nothing is stated")
    words = Part(example.question).words
    cosines = await support.cosines([(example.question, one) for one in told])
    covered = [shared(words, Part(one)) for one in told]
    return Score(
        value=max(np.nanmean([a, max(b, 0.0)]) for a, b in zip(covered, cosines, strict=True)).item()
    )


def claims_of(example: Example) -> list[list[Claim]]:
    """Return what the gold answer says in its spellings: a long one by statement, a short one with the question."""
    found: list[list[Claim]] = []
    for part in example.answers if example.answerable else ():
        if len(tokens(part[0])) >= LONG:
            found += [[("", one)] for one, _ in statements(part[0])]
        else:
            found.append([(example.question, one) for one in part[:SPELLINGS]])
    return found


async def _useful(support: Support, example: Example, answer: Answer) -> npt.NDArray[np.bool_] | Score:
    """Return which claim of the gold answer which hit supports."""
    claims = claims_of(example)
    texts = [hit.chunk.text for hit in answer.hits]
    if not claims or not texts:
        return Score(value=0.0, reason="nothing was found") if claims else Score(reason="no gold answer")
    rows = [await support(spelt, texts) for spelt in claims]
    return np.array([row.max(axis=0) >= SUPPORTED for row in rows])


async def context_precision(support: Support, example: Example, answer: Answer) -> Score:
    """Return the average precision of the hits, of which those are right that support the gold answer."""
    found = await _useful(support, example, answer)
    return (
        found
        if isinstance(found, Score)
        else Score(value=average_precision([bool(one.any()) for one in found.T]))
    )


async def context_recall(support: Support, example: Example, answer: Answer) -> Score:
    """Return the share of what the gold answer says that a hit supports."""
    found = await _useful(support, example, answer)
    return found if isinstance(found, Score) else Score(value=float(found.any(axis=1).mean()))


def average_precision(right: Sequence[bool]) -> float:
    """Return the mean, over what is right, of the precision down to there."""
    places = [place for place, good in enumerate(right, 1) if good]
    return sum(n / place for n, place in enumerate(places, 1)) / (len(places) or 1)


def _made(figure: Callable[..., Coroutine[Any, Any, Score]]) -> Callable[[Embedder | None], Judge]:
    def maker(embedder: Embedder | None = None) -> Judge:
        return partial(figure, Support(embedder))

    return maker


SUPPORT: dict[str, Callable[[Embedder | None], Judge]] = {
    "faithfulness": _made(faithfulness), "answer-relevance": _made(answer_relevance),
    "context-precision": _made(context_precision), "context-recall": _made(context_recall),
}  # fmt: skip
