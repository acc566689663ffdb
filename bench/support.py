"""How often `evals.support` says of labelled pairs what is so: is a statement supported by a passage?

Pairs are made of the evaluation sets, as many supported as not. Supported: the sentence that holds the gold answer,
question and gold answer, sentences of answers that people (clapnq, mtrag) or a model (rageval) wrote, each with its
own passage. Not supported: the same with the answer, a number or a name exchanged, with a "not", or with another
passage of the same article; question and answer with a passage that says otherwise (RGB).

The weights are fitted on the dev half of SETS (--fit prints them). Their test half was looked at while the features
were chosen; `more` are other questions of three of them, some of which were in an earlier sample; `unseen` are two
sets that were not looked at. Halves are of articles. Relevance: does the sentence that holds the answer score higher
than another sentence of its passage? It has nothing that was fitted.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import common
import numpy as np
from common import Dataset, Figure

from lyceum.core.protocols import Embedder
from lyceum.core.text import has_cjk, script, sentences
from lyceum.core.types import Answer, Example
from lyceum.evals.examples import half
from lyceum.evals.support import FEATURES, SUPPORT, SUPPORTED, WEIGHTS, Claim, Support
from lyceum.models.glossed import Glossed
from lyceum.search.gloss import Gloss

MOST = 400  # questions of a set
SETS = (
    "squad_en", "clapnq_en", "rageval_finance_en", "rgb_en_fact", "cmrc2018_zh", "rageval_finance_zh", "rgb_zh_fact",
)  # fmt: skip
UNSEEN = ("mtrag_un_en", "drcd_zh_hant")
MORE = (
    "squad_en",
    "cmrc2018_zh",
    "rageval_finance_zh",
)  # of which other questions than the first MOST are asked
MONTHS = "January February March April May June July August September October November December".split()
_digits = re.compile(r"\d[\d,.]*\d|\d")
_name = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}")
_be = re.compile(r"\b(is|was|are|were|has|had|can|will)\b")
_shi = re.compile("(?<![不但还可就])是|(?<![不成因认作以])为|(?<![没拥具含所享])有(?!限)")


@dataclass(frozen=True)
class Pair:
    """A claim with a passage, what is so, and how it was made."""

    claim: Claim
    text: str
    good: bool
    kind: str
    half: str

    @property
    def language(self) -> str:
        return script("".join(self.claim))


def sentence(text: str, start: int) -> str:
    """Return the sentence around a place."""
    return next((text[a:b] for a, b in sentences(text) if a <= start < b), "")


def renumbered(text: str) -> str:
    """Return a text with its first number exchanged; empty where it has none."""
    found = _digits.search(text)
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


def renamed(text: str, passage: str, pool: Sequence[str]) -> str:
    """Return a text with one of its names exchanged for one that the passage does not hold; empty for none."""
    found = [match for match in _name.finditer(text) if match.group() not in MONTHS]
    others = [name for name in random.sample(pool, min(20, len(pool))) if name not in passage]
    if not found or not others:
        return ""
    place = random.choice(found)
    return text[: place.start()] + others[0] + text[place.end() :]


def names(texts: Iterable[str]) -> list[str]:
    """Return the names in texts."""
    return sorted({name for text in texts for name in _name.findall(text)} - {*MONTHS})


def alike(one: str, other: str) -> bool:
    """Say whether two answers could be exchanged: both numbers or both names, and neither holds the other."""
    same = (
        bool(_digits.search(one)) == bool(_digits.search(other)) and one[:1].isupper() == other[:1].isupper()
    )
    return same and one.lower() not in other.lower() and other.lower() not in one.lower()


def spans(data: Dataset, rows: Sequence[Mapping[str, Any]]) -> Iterator[Pair]:
    """Pairs of questions whose answers stand in their passages: SQuAD, CMRC, DRCD."""
    texts = {row["_id"]: row["text"] for row in data.corpus}
    pool = names(texts.values())
    article = {name: name if data.name == "cmrc2018_zh" else name.rpartition("-")[0] for name in texts}
    near = defaultdict(list)
    for name, one in article.items():
        near["" if data.name == "cmrc2018_zh" else one].append(name)
    answers = defaultdict(list)
    for row in data.queries:
        answers[row["metadata"]["context_id"]].append(row["answers"][0])
    for number, row in enumerate(rows):
        place, answer, question = row["metadata"]["context_id"], row["answers"][0], row["text"]
        text, part = texts[place], half(article[place])
        around = sentence(text, text.find(answer)) if answer in text else ""
        others = [one for one in answers[place] if alike(answer, one)]
        other = random.choice(others) if others else ""
        beside = [
            name for name in near["" if data.name == "cmrc2018_zh" else article[place]] if name != place
        ]
        elsewhere = texts[random.choice(beside)] if beside else ""
        kind, said, passage = [
            ("exchanged", around.replace(answer, other) if other else "", text), ("number", renumbered(around), text),
            ("negated", negated(around), text), ("elsewhere", around, elsewhere),
            ("name", renamed(around, text, pool), text),
        ][number % 5]  # fmt: skip
        if around and said and passage and (said, passage) != (around, text):
            yield Pair(("", around), text, True, "quoted", part)
            yield Pair(("", said), passage, False, f"quoted, {kind}", part)
        if other and elsewhere and answer not in elsewhere:
            yield Pair((question, answer), text, True, "asked", part)
            if number % 2:
                yield Pair((question, other), text, False, "asked, exchanged", part)
            else:
                yield Pair((question, answer), elsewhere, False, "asked, elsewhere", part)


def written(data: Dataset, rows: Sequence[Mapping[str, Any]]) -> Iterator[Pair]:
    """Pairs of written answers, sentence by sentence, with their passages: clapnq, rageval, mtrag."""
    texts = {row["_id"]: row["text"] for row in data.corpus}
    pool = names(texts.values())
    for row in rows:
        golds = [name for name in data.gold[row["_id"]] if name in texts]
        if row["metadata"].get("answerability", "ANSWERABLE") != "ANSWERABLE" or not row["answers"]:
            continue
        text, answer = "\n".join(texts[name] for name in golds), row["answers"][0]
        part = half(golds[0].rpartition("-")[0] or golds[0])
        for claim in [answer[a:b] for a, b in sentences(answer)][:3]:
            if len(claim) < (12 if has_cjk(claim) else 40):
                continue
            wrong = {
                "number": renumbered(claim),
                "negated": negated(claim),
                "name": renamed(claim, text, pool),
            }
            kind = random.choice(["elsewhere", *(kind for kind, one in wrong.items() if one)])
            other = random.choice([name for name in texts if name not in golds])
            yield Pair(("", claim), text, True, "written", part)
            if kind == "elsewhere":
                yield Pair(("", claim), texts[other], False, "written, elsewhere", part)
            else:
                yield Pair(("", wrong[kind]), text, False, f"written, {kind}", part)


def facts(data: Dataset, rows: Sequence[Mapping[str, Any]]) -> Iterator[Pair]:
    """Pairs of RGB: passages as they were found, and with the fact exchanged."""
    texts = {row["_id"]: row["text"] for row in data.corpus}
    for row in rows:
        told, part = row["metadata"], half(row["_id"])
        real, fake = (row["text"], row["answers"][0]), (row["text"], told["fake_answer"])
        for good, bad in list(zip(told["positive"], told["positive_wrong"], strict=False))[:3]:
            yield Pair(real, texts[good], True, "fact", part)
            yield Pair(real, texts[bad], False, "fact, exchanged", part)
            yield Pair(fake, texts[bad], True, "fact", part)
            yield Pair(fake, texts[good], False, "fact, exchanged", part)


def pairs(data: Dataset, others: bool, most: int) -> list[Pair]:
    """Return the pairs of a set, of its first questions or of others."""
    random.seed(data.name)
    spanned = bool(data.queries[0]["metadata"].get("answer_starts"))
    rows = [row for row in data.queries if not spanned or row["metadata"]["answer_starts"]]
    random.shuffle(rows)
    if others and data.name in SETS:
        rows = rows[MOST:]
    maker = facts if data.name.startswith("rgb") else spans if spanned else written
    return list(maker(data, rows[:most]))


Told = list[tuple[Pair, Any]]  # pairs with the features of their likeliest sentences


async def told(some: Sequence[Pair], embedder: Embedder) -> Told:
    """Return the pairs with their features."""
    support, found = Support(embedder), []
    for one in some:
        rows = [row for _, _, row in await support.rows([one.claim], [one.text])]
        found.append((one, np.array(rows or [[0.0] * (len(FEATURES) - 1) + [np.nan]])))
    return found


def fitted(some: Told, cosine: bool) -> Any:
    """Return logistic regression weights; of a pair the sentence counts that was likeliest in the round before."""
    width = len(FEATURES) + cosine
    weights = np.array([0.0, 1, 1, 1] + [0.0] * (width - 4))
    good = np.array([one.good for one, _ in some], float)
    for _ in range(4):
        rows = [np.nan_to_num(row[:, : width - 1]) for _, row in some]
        data = np.array([[1.0, *row[np.argmax(row @ weights[1:])]] for row in rows])
        weights = np.zeros(width)
        for _ in range(30):
            chance = 1 / (1 + np.exp(-data @ weights))
            slope = data.T @ (chance - good) + weights * ([0.0] + [1.0] * (width - 1))
            weights -= np.linalg.solve((data.T * (chance * (1 - chance))) @ data + np.eye(width), slope)
    return weights


def auc(scores: Any, good: Any) -> float:
    """Return the chance that a right one has the higher score, ties counted half (Mann and Whitney 1947)."""
    lower = (scores[good][:, None] > scores[~good]).mean()
    return float(lower + (scores[good][:, None] == scores[~good]).mean() / 2)


def kappa(said: Any, good: Any) -> float:
    """Return Cohen's kappa (1960)."""
    chance = said.mean() * good.mean() + (1 - said.mean()) * (1 - good.mean())
    return float(((said == good).mean() - chance) / (1 - chance))


async def report(name: str, some: Sequence[Pair], embedder: Embedder | None) -> list[Figure]:
    """Print how far pairs are told apart and return accuracy, AUC and kappa."""
    support = Support(embedder)
    scores = np.array([(await support([one.claim], [one.text]))[0, 0] for one in some])
    good = np.array([one.good for one in some])
    said = scores >= SUPPORTED
    low, high = common.wilson(int((said == good).sum()), len(good))
    values = (float((said == good).mean()), auc(scores, good), kappa(said, good))
    what = name if embedder else f"{name} by words alone"
    print(f"{what:24} n={len(good):4} accuracy {values[0]:.3f} [{low:.3f}, {high:.3f}]", end=" ")
    print(f"AUC {values[1]:.3f} kappa {values[2]:.3f}")
    kinds = defaultdict(list)
    for one, right in zip(some, said == good, strict=True):
        kinds[one.kind].append(right)
    if embedder:
        for kind, right in sorted(kinds.items()):
            print(f"    {kind:20} {np.mean(right):.2f} of {len(right)}")
    return [
        Figure(f"{name}_{one}", value)
        for one, value in zip(("accuracy", "auc", "kappa"), values, strict=True)
    ]


async def relevance(data: Dataset, embedder: Embedder | None, most: int) -> float:
    """Return how often the sentence with the answer is more relevant than another one of its passage (AUC)."""
    random.seed(data.name)
    judge = SUPPORT["answer-relevance"](embedder)
    texts = {row["_id"]: row["text"] for row in data.corpus}
    scores, good = [], []
    for row in random.sample(data.queries, most):
        text, answer = texts[row["metadata"]["context_id"]], row["answers"][0]
        others = [text[a:b] for a, b in sentences(text) if answer not in text[a:b]]
        if answer not in text or not others:
            continue
        for said in (sentence(text, text.find(answer)), random.choice(others)):
            score = await judge(Example(id="-", question=row["text"]), Answer(text=said))
            scores.append(score.value or 0.0)
            good.append(answer in said)
    return auc(np.array(scores), np.array(good))


async def main() -> None:
    options = common.arguments(__doc__, {"fit": "print weights of the dev half"})
    folder, most = common.shared(options), 60 if options.quick else MOST
    encoder = common.encoder()
    if encoder is None:
        print("No encoder: lyceum models add minilm")
        raise SystemExit(77)
    gloss = Gloss()
    embedder = Glossed(common.Cached(encoder), gloss, gloss.name)
    known = [one for name in SETS for one in pairs(common.dataset(folder, name), False, most)]
    if options.fit:
        rows = await told([one for one in known if one.half == "dev"], embedder)
        for key in WEIGHTS:
            held = [row for row in rows if key[:2] == (row[0].language, bool(row[0].claim[0]))]
            weights = ", ".join(f"{one:.2f}" for one in fitted(held, key[2]))
            print(f'    ("{key[0]}", {key[1]}, {key[2]}): ({weights}),')
        return
    more, unseen = (
        [one for name in names for one in pairs(common.dataset(folder, name), True, most)]
        for names in (MORE, UNSEEN)
    )
    figures = []
    test = [one for one in known if one.half == "test"]
    for name, some in (("test", test), ("more", more), ("unseen", unseen)):
        for language in ("en", "zh"):
            spoken = [one for one in some if one.language == language]
            figures += await report(f"{name}_{language}", spoken, embedder)
            await report(f"{name}_{language}", spoken, None)
    for name in ("squad_en", "cmrc2018_zh"):
        data = common.dataset(folder, name)
        value, alone = await relevance(data, embedder, most), await relevance(data, None, most)
        print(f"relevance {name:16} AUC {value:.3f}, by words alone {alone:.3f}")
        figures.append(Figure(f"relevance_{name[-2:]}_auc", value))
    common.finish("support", figures, options)


if __name__ == "__main__":
    common.run(main)
