"""Formulas over rankings and answers."""

from __future__ import annotations

import re

from lyceum.core.protocols import Metric
from lyceum.core.types import Answer, Example, Gold, Hit, Score


def found_in(hit: Hit, gold: Gold) -> bool:
    """Say whether a hit is of the gold document: its source, or a path that ends with it."""
    return hit.document.source == gold.document or hit.document.source.endswith("/" + gold.document)


def recall_at_10(example: Example, answer: Answer) -> Score:
    """Return the share of gold documents among the first ten documents."""
    if not example.gold:
        return Score(reason="no gold document")
    documents = list(dict.fromkeys(hit.document.id for hit in answer.hits))[:10]
    best = [hit for hit in answer.hits if hit.document.id in documents]
    gold = {one.document: one for one in example.gold}
    return Score(value=sum(any(found_in(hit, one) for hit in best) for one in gold.values()) / len(gold))


def holds(text: str, wanted: str) -> bool:
    """Say whether a text holds the wanted words, not as part of a longer word or number."""
    plain = " ".join(wanted.lower().split()).strip(" .,;:。，")
    left = r"(?<![a-z0-9.])" if re.match(r"[a-z0-9]", plain) else ""
    right = r"(?![a-z0-9]|\.\d)" if re.search(r"[a-z0-9]$", plain) else ""
    return re.search(left + re.escape(plain) + right, " ".join(text.lower().split())) is not None


def correct(example: Example, answer: Answer) -> Score:
    """Return 1 for an answer that holds every part, or for a refusal where there is no answer."""
    if not example.answerable:
        return Score(value=float(answer.abstained))
    if not example.answers:
        return Score(reason="no gold answer")
    good = all(any(holds(answer.text, one) for one in part) for part in example.answers)
    return Score(value=float(good and not answer.abstained))


METRICS: dict[str, Metric] = {"correct": correct, "recall@10": recall_at_10}
