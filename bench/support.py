"""How often `evals.support` says with labelled pairs what is so: is a statement supported by a passage?

Pairs are made of the evaluation sets, as many supported as not. Supported: the sentence that holds the gold answer,
question and gold answer, sentences of answers that people (clapnq) or a model (rageval) wrote, each with its own
passage. Not supported: the same with the answer or a number exchanged, with a "not", with another passage of the
same article; question and answer with a passage that says otherwise (RGB). Weights were fitted on the dev half
(--fit prints them) and nothing else; what is printed is of the test half. A set's half is that of its article.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
from common import Dataset

from lyceum.core.text import has_cjk, sentences
from lyceum.evals.examples import half

MOST = 400  # questions of a set
SETS = (
    "squad_en",
    "clapnq_en",
    "rageval_finance_en",
    "rgb_en_fact",
    "cmrc2018_zh",
    "rageval_finance_zh",
    "rgb_zh_fact",
)
_year = re.compile(r"\d[\d,.]*\d|\d")
_be = re.compile(r"\b(is|was|are|were|has|had|can|will)\b")
_shi = re.compile("(?<![不但还可就])是|(?<![不成因认作以])为|(?<![没拥具含所享])有(?!限)")


@dataclass(frozen=True)
class Pair:
    """A statement with a passage, what is so, and where it comes from."""

    claim: tuple[str, str]
    text: str
    good: bool
    kind: str
    half: str


def sentence(text: str, start: int) -> str:
    """Return the sentence around a place."""
    return next((text[a:b] for a, b in sentences(text) if a <= start < b), "")


def changed(text: str) -> str:
    """Return a text with its first number exchanged; empty where it has none."""
    found = _year.search(text)
    if not found:
        return ""
    digits = found.group()
    other = str((int(digits[-1]) + random.choice((1, 2, 3, 7))) % 10)
    return text[: found.start()] + digits[:-1] + other + text[found.end() :]


def negated(text: str) -> str:
    """Return a text that says the contrary; empty where no verb is known."""
    if has_cjk(text):
        made = _shi.sub(lambda found: {"有": "没有"}.get(found.group(), f"不{found.group()}"), text, count=1)
    else:
        made = _be.sub(r"\1 not", text, count=1)
    return made if made != text else ""


def alike(one: str, other: str) -> bool:
    """Say whether two answers could be exchanged: both numbers or both names, and neither holds the other."""
    same = bool(_year.search(one)) == bool(_year.search(other)) and one[:1].isupper() == other[:1].isupper()
    return same and one.lower() not in other.lower() and other.lower() not in one.lower()


def spans(data: Dataset) -> Iterator[Pair]:
    """Pairs of questions whose answers stand in their passages: SQuAD, CMRC."""
    texts = {row["_id"]: row["text"] for row in data.corpus}
    group = {name: name.rpartition("-")[0] if data.name == "squad_en" else name for name in texts}
    by_group = defaultdict(list)
    for name, one in group.items():
        by_group[one if data.name == "squad_en" else ""].append(name)
    asked = [row for row in data.queries if row["metadata"].get("answer_starts")]
    answers = defaultdict(list)
    for row in asked:
        answers[row["metadata"]["context_id"]].append(row["answers"][0])
    for number, row in enumerate(random.sample(asked, min(MOST, len(asked)))):
        place, answer, question = row["metadata"]["context_id"], row["answers"][0], row["text"]
        text, part = texts[place], half(group[place])
        around = sentence(text, text.find(answer)) if answer in text else ""
        others = [one for one in answers[place] if alike(answer, one)]
        other = random.choice(others) if others else ""
        near = [name for name in by_group[group[place] if data.name == "squad_en" else ""] if name != place]
        elsewhere = texts[random.choice(near)]
        wrong = [
            ("exchanged", around.replace(answer, other) if other else "", text), ("number", changed(around), text),
            ("negated", negated(around), text), ("elsewhere", around, elsewhere),
        ][number % 4]  # fmt: skip
        if around and wrong[1] and wrong[1] != around:
            yield Pair(("", around), text, True, "quoted", part)
            yield Pair(("", wrong[1]), wrong[2], False, wrong[0], part)
        if other and answer not in elsewhere:
            yield Pair((question, answer), text, True, "asked", part)
            yield (
                Pair((question, other), text, False, "asked, exchanged", part)
                if number % 2
                else Pair((question, answer), elsewhere, False, "asked, elsewhere", part)
            )


def written(data: Dataset) -> Iterator[Pair]:
    """Pairs of written answers, sentence by sentence, with their passages: clapnq, rageval."""
    texts = {row["_id"]: row["text"] for row in data.corpus}
    for row in random.sample(data.queries, min(MOST, len(data.queries))):
        golds = [name for name in data.gold[row["_id"]] if name in texts]
        answer = row["answers"][0] if row["answers"] else ""
        text = "\n".join(texts[name] for name in golds)
        group = golds[0].rpartition("-")[0] or golds[0]
        for a, b in sentences(answer)[:3]:
            claim = answer[a:b]
            if len(claim) < (12 if has_cjk(claim) else 40):
                continue
            wrong = [one for one in (changed(claim), negated(claim)) if one]
            if wrong:
                chosen = random.choice(wrong)
                yield Pair(("", claim), text, True, "written", half(group))
                yield Pair(
                    ("", chosen),
                    text,
                    False,
                    f"written, {'number' if chosen == changed(claim) or len(chosen) == len(claim) else 'negated'}",
                    half(group),
                )


def facts(data: Dataset) -> Iterator[Pair]:
    """Pairs of RGB: passages as they were found, and with the fact exchanged."""
    texts = {row["_id"]: row["text"] for row in data.corpus}
    for row in data.queries:
        told, part = row["metadata"], half(row["_id"])
        real, fake = (row["text"], row["answers"][0]), (row["text"], told["fake_answer"])
        for good, bad in list(zip(told["positive"], told["positive_wrong"], strict=False))[:3]:
            yield Pair(real, texts[good], True, "fact", part)
            yield Pair(real, texts[bad], False, "fact, exchanged", part)
            yield Pair(fake, texts[bad], True, "fact", part)
            yield Pair(fake, texts[good], False, "fact, exchanged", part)


def pairs(folder: Path, names: Sequence[str]) -> dict[str, list[Pair]]:
    """Return the pairs of every set."""
    made = {}
    for name in names:
        random.seed(name)
        data = common.dataset(folder, name)
        maker = facts if name.startswith("rgb") else spans if name in ("squad_en", "cmrc2018_zh") else written
        made[name] = list(maker(data))
    return made


def auc(scores: Any, good: Any) -> float:
    """Return the chance that a supported pair has the higher score, ties counted half (Mann and Whitney, 1947)."""
    ranks = (scores[:, None] > scores[None, :]).sum(1) + ((scores[:, None] == scores[None, :]).sum(1) + 1) / 2
    n, m = good.sum(), (~good).sum()
    return float((ranks[good].sum() - n * (n + 1) / 2) / (n * m))


def kappa(said: Any, good: Any) -> float:
    """Return Cohen's kappa (1960)."""
    chance = said.mean() * good.mean() + (1 - said.mean()) * (1 - good.mean())
    return float(((said == good).mean() - chance) / (1 - chance))
