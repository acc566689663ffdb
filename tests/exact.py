"""BM25F by its formula over whole collections: slow, plain, and what the postings view is held against."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

K1, B = 1.2, 0.75


class ExactBM25F:
    """Robertson and Zaragoza 2009, section 3.6: two fields, each with its own length normalisation.

    weight(t, d) = sum over fields of w_f tf / (1 - b + b len_f / average len_f);
    score = sum over terms of idf(t) weight / (k1 + weight), idf = ln(1 + (N - df + .5) / (df + .5)).
    """

    def __init__(
        self, documents: Sequence[tuple[Sequence[str], Sequence[str]]], title_weight: float = 3.0
    ) -> None:
        self.weights: dict[str, dict[int, float]] = defaultdict(dict)
        for field, weight in ((0, title_weight), (1, 1.0)):
            average = sum(len(document[field]) for document in documents) / max(len(documents), 1) or 1.0
            for number, document in enumerate(documents):
                norm = 1 - B + B * len(document[field]) / average
                for term, count in Counter(document[field]).items():
                    held = self.weights[term].get(number, 0.0)
                    self.weights[term][number] = held + weight * count / norm
        self.total = len(documents)

    def __call__(self, terms: Sequence[str], k: int) -> list[tuple[int, float]]:
        scores: dict[int, float] = defaultdict(float)
        for term, times in Counter(terms).items():
            postings = self.weights.get(term, {})
            idf = math.log(1 + (self.total - len(postings) + 0.5) / (len(postings) + 0.5))
            for number, weight in postings.items():
                scores[number] += times * idf * weight / (K1 + weight)
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
