"""How well each statement answers the question: words covered, meaning, the kind of value, its passage's score.

Score = OWN x (idf-weighted coverage of the question's words, `likeness` of them, cosine); FOREIGN_OWN in the other
script, where the likeness says all that the coverage does; without word vectors WORDS x coverage + (1 - WORDS) x
cosine; coverage alone where the encoder does not know the language. In Chinese half the coverage is of single
characters, for one thing has many words there (保修, 维修, 修). The cosine is the statement's own or, a little less,
the one that it has under its headings. A statement without the kind of value that is asked for loses KIND; one
from a passage that ranked lower loses RANKED for each unit of the retriever's score. It knows no chat model;
refusals and citations of every answerer rest on it. Figures: docs/decisions/answers.md.
"""

from __future__ import annotations

import math
import re
from calendar import month_name
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lyceum.answer.asked import details, kind, mismatch
from lyceum.answer.likeness import Words, likeness
from lyceum.answer.statements import Statement, statements
from lyceum.answer.values import value
from lyceum.core.protocols import Analyzer, Embedder, Synonyms
from lyceum.core.text import has_cjk, headline, script
from lyceum.core.types import Hit, Query

LONGEST = 600  # characters of a question with its other words
REMEMBERED = 2_000  # texts with the vectors of their words, 34 MB
TERMS = 20_000  # words whose terms are remembered
ENCODED = 64  # statements that are compared by meaning; chosen by coverage and rank
ABOVE = 0.8  # what a word in the title or heading counts, compared with one in the statement itself
WORDS, KIND, RANKED = 0.4, 0.2, 0.04
OWN, FOREIGN_OWN = (0.2, 0.3, 0.5), (0.0, 0.8, 0.4)
ACROSS, REST = 0.9, 1.5  # what a share counts in the other script; what an unknown Chinese character weighs
SAME = 0.7  # what a word counts that stands there under another name
FOREIGN = 0.8  # what a score counts in the other script
UNDER = 0.9  # what a cosine counts that a statement has only together with its headings

# Words that ask but name nothing; they are not looked for in a statement.
ASKING = frozenset(
    """what which who whom whose when where why how do does did is are was were can could should would may
    might must i we you he she it they me us our your my his her have has had there any some please tell
    much many long often about from than up out get got need if so just really ever doing done been
    什么 哪些 哪个 哪里 哪儿 哪天 哪年 哪种 哪家 哪位 怎么 怎样 如何 为何 为什么 多少 多久 多长 多大 多高 几 谁
    请问 是 的 了 吗 呢 吧 啊 在 有 和 与 及 或 要 会 能 可以 需要 我 我们 你 您 他 她 它 他们 公司 这 那 个 把
    被 给 对 从 到 都 就 还 是否 应该 应""".split()
)
_three = re.compile(r"(?=([\u4e00-\u9fff]{3}))")
_token = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
# Names of columns whose plain numbers are money or durations.
UNITS = {
    "money": re.compile(
        r"price|cost|fee|charge|tariff|value|estimate|amount|rate|salary|rent|budget|total|[元价费款薪]|金额|工资|预算|成本",
        re.I,
    ),
    "duration": re.compile(
        r"day|week|month|year|hour|minute|time|period|interval|term|[天日周月年期]|时间|小时|分钟|间隔", re.I
    ),
}
MONTHS = tuple(month_name)[1:]
ASKING_LETTERS = frozenset(letter for word in ASKING for letter in word)


Known = Sequence[tuple[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A statement with what speaks for it.

    `coverage` and `passage` are the shares (0-1) of the question's words in the statement or its headings and in
    its whole passage; `cosine` is None when it cannot be compared, `likeness` also where words cannot; `lacks` says
    that the kind of value is missing, `across` that question and statement are in different scripts; `missing` are
    the codes, numbers and names of the question that the passage does not hold under any name.
    """

    statement: Statement
    coverage: float
    passage: float
    cosine: float | None
    likeness: float | None
    lacks: bool
    across: bool
    missing: tuple[str, ...]
    score: float


class Evidence:
    """Judges hits; without an embedder by words alone."""

    def __init__(
        self, analyzer: Analyzer, embedder: Embedder | None = None, synonyms: Synonyms | None = None
    ) -> None:
        self.analyzer, self.embedder, self.synonyms = analyzer, embedder, synonyms
        self._read: dict[str, tuple[npt.NDArray[np.float32], Words]] = {}
        self._terms: dict[str, str] = {}
        self.remembered = self.encoded = 0

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Judged]:
        """Return the statements of the hits, best first."""
        found = statements(hits)
        wanted = kind(query.text)
        best = max((hit.score for hit in hits), default=0.0)
        known = self.synonyms(query.text) if self.synonyms else ()
        covered = self._covered(query.text, found, known)
        missing = _missing(query.text, found, known)
        compared = await self._compared(query.text, found, covered[:, 0])
        judged = []
        for row, (statement, (coverage, passage)) in enumerate(zip(found, covered.tolist(), strict=True)):
            cosine, like = compared.get(row, (None, None))
            lacks = _lacks(query.text, wanted, statement)
            across = has_cjk(query.text) != has_cjk(statement.reading)
            score = _score(coverage, like, cosine, across)
            score -= KIND * lacks + RANKED * (best - statement.hit.score)
            judged.append(
                Judged(
                    statement=statement, coverage=coverage, passage=passage, cosine=cosine, likeness=like,
                    lacks=lacks, across=across, missing=missing[statement.rank], score=score,
                )
            )  # fmt: skip
        return sorted(judged, key=lambda one: -one.score)

    def mark(self, question: str, statement: Statement) -> tuple[int, int] | None:
        """Return where the short answer stands in a statement's quote, None when it cannot be told."""
        return value(question, kind(question), statement, self.analyzer)

    def wider(self, question: str) -> str:
        """Return the question with other words for what it names; empty when none is known."""
        others = [word for _, words in (self.synonyms(question) if self.synonyms else ()) for word in words]
        return " ".join([question, *others])[:LONGEST] if others else ""

    def news(self, question: str, statement: Statement) -> str:
        """Return the terms and codes of a statement that the question did not hold, plain numbers aside."""
        held = set(self.analyzer(question))
        terms = [term for term in self.analyzer(statement.quote) if term not in held and term[0] != "#"]
        codes = [word for word in details(statement.quote) if re.search(r"[A-Za-z].*\d", word)]
        return " ".join(dict.fromkeys([*terms, *codes]))

    def names(self, question: str, statement: Statement) -> list[str]:
        """Return codes and names that a statement adds to the question; in Chinese, any three new characters."""
        quote, pairs = statement.quote, {question[at : at + 2] for at in range(len(question) - 1)}
        found = [word for word in details(quote) if not word.isdigit()]
        new = [
            not pairs.intersection((quote[at - 1 : at + 1], quote[at : at + 2])) for at in range(len(quote))
        ]
        found += [match.group(1) for match in _three.finditer(quote) if all(new[slice(*match.span(1))])]
        return [word for word in dict.fromkeys(found) if word.lower() not in question.lower()]

    def asked(self, question: str) -> list[str]:
        """Return the question's terms that name something; all of them when none does."""
        words = self.analyzer(question)
        return [word for word in words if word not in self._asking] or words

    @cached_property
    def _asking(self) -> frozenset[str]:
        return ASKING.union(*(self.analyzer(word) for word in ASKING))

    def _covered(self, question: str, found: Sequence[Statement], known: Known) -> npt.NDArray[np.float64]:
        """Return the shares (statements x 2) of the question's words in each statement and in its passage."""
        words = [(set(self.analyzer(one.reading)), set(self.analyzer(one.above))) for one in found]
        others = [(phrase, tuple(frozenset(self.analyzer(one)) for one in same)) for phrase, same in known]
        wanted = self.asked(question)
        covered = _coverages(wanted, words, found, self.analyzer, others, words)
        if letters := _letters(question):
            held = [(set(_letters(one.reading)), set(_letters(one.above))) for one in found]
            covered = (covered + _coverages(letters, held, found, _letters, others, words)) / 2
        foreign = np.array([has_cjk(one.reading) != bool(letters) for one in found], np.bool_)
        if foreign.any():
            across = _across(question, wanted, found, others, words)
            covered[foreign] = ACROSS * across[foreign]
        return covered

    async def _compared(
        self, question: str, found: Sequence[Statement], coverages: npt.NDArray[np.float64]
    ) -> dict[int, tuple[float, float | None]]:
        """Return cosine and likeness of those statements that the encoder compares with the question."""
        if self.embedder is None or not self._speaks(question):
            return {}
        order = sorted(range(len(found)), key=lambda i: -(coverages[i] - 0.05 * found[i].rank))
        chosen = [i for i in order if self._speaks(found[i].reading)][:ENCODED]
        if not chosen:
            return {}
        above = [f"{found[i].above}: {found[i].reading}" for i in chosen]
        read = await self._encoded([question, *(found[i].reading for i in chosen), *above])
        vectors, words = np.stack([vector for vector, _ in read]), [words for _, words in read]
        alone, under = np.split(vectors[1:] @ vectors[0], 2)
        cosines = np.maximum(alone, UNDER * under).tolist()
        likenesses = likeness(words[0], words[1 : len(chosen) + 1], words[len(chosen) + 1 :])
        shares = [None] * len(chosen) if likenesses is None else likenesses.tolist()
        return dict(zip(chosen, zip(cosines, shares, strict=True), strict=True))

    async def _encoded(self, texts: Sequence[str]) -> list[tuple[npt.NDArray[np.float32], Words]]:
        """Return vectors and words; the same statements come up within a question and between questions."""
        # A copy of one's own: another question may empty the memory while this one waits for the encoder.
        known = {text: self._read[text] for text in texts if text in self._read}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        self.remembered, self.encoded = self.remembered + len(known), self.encoded + len(missing)
        if missing:
            made = await self._made(missing)
            known.update(zip(missing, made, strict=True))
            if len(self._read) + len(missing) > REMEMBERED:
                self._read.clear()
            self._read.update(known)
        return [known[text] for text in texts]

    async def _made(self, texts: Sequence[str]) -> list[tuple[npt.NDArray[np.float32], Words]]:
        """Return vectors, and the words that name something where the encoder gives vectors of words."""
        assert self.embedder is not None
        if (read := getattr(self.embedder, "read", None)) is None:
            none = Words(terms=(), vectors=np.empty((0, self.embedder.dimension), np.float16))
            return [(vector, none) for vector in np.asarray(await self.embedder(texts), np.float32)]
        made = []
        for one in await read(texts):
            held = [(row, term) for row, word in enumerate(one.words) if (term := self._term(word))]
            words = Words(
                terms=tuple(term for _, term in held), vectors=one.vectors[[row for row, _ in held]]
            )
            made.append((np.asarray(one.vector, np.float32), words))
        return made

    def _term(self, word: str) -> str:
        """Return the term of a word; empty when it names nothing."""
        if word not in self._terms:
            if len(self._terms) > TERMS:
                self._terms.clear()
            self._terms[word] = next((t for t in self.analyzer(word) if t not in self._asking), "")
        return self._terms[word]

    def _speaks(self, text: str) -> bool:
        assert self.embedder is not None
        return script(text) in self.embedder.languages


def _score(coverage: float, like: float | None, cosine: float | None, across: bool) -> float:
    """Return the weighted sum of what could be compared."""
    if cosine is None:
        score = coverage
    elif like is None:
        score = WORDS * coverage + (1 - WORDS) * max(cosine, 0.0)
    else:
        covered, alike, meant = FOREIGN_OWN if across else OWN
        score = covered * coverage + alike * like + meant * max(cosine, 0.0)
    return score * (FOREIGN if across else 1.0)


def _missing(question: str, found: Sequence[Statement], known: Known) -> dict[int, tuple[str, ...]]:
    """Return for every passage the details of the question that neither it nor its headings hold."""
    others = dict(known)
    missing: dict[int, tuple[str, ...]] = {}
    for one in found:
        if one.rank not in missing:
            text = f"{one.hit.chunk.text} {headline(one.hit.chunk)}".lower().replace(",", "")
            tokens = {part for token in _token.findall(text) for part in (token, *re.split("[-.]", token))}
            missing[one.rank] = tuple(
                word for word in details(question)
                if word.lower() not in tokens
                and not (word.isalpha() and word.lower().removesuffix("s") in tokens)
                and not any(other in text for other in others.get(word.lower(), ()))
                and not (word in MONTHS and re.search(rf"-{MONTHS.index(word) + 1:02}\b", text))
            )  # fmt: skip
    return missing


Terms = Sequence[tuple[set[str], set[str]]]  # of each statement and of what stands above it


def _coverages(
    wanted: Sequence[str], held: Terms, found: Sequence[Statement], read: Callable[[str], Collection[str]],
    known: Sequence[tuple[str, tuple[frozenset[str], ...]]], words: Terms,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return for every statement the idf-weighted shares of the wanted terms in it (or above it), in its passage.

    A term that stands there by another word for its phrase (`known`) counts SAME; words are looked up in `words`.
    """
    seen = Counter(term for body, _ in held for term in body)
    weights = {term: math.log(1 + (len(found) + 1) / (seen[term] + 0.5)) for term in dict.fromkeys(wanted)}
    total = sum(weights.values()) or 1.0
    phrases = [(weights.keys() & set(read(phrase)), others) for phrase, others in known]
    shares = np.zeros((len(found), 2))
    best: dict[int, dict[str, float]] = {}
    for row, (one, (body, above)) in enumerate(zip(found, held, strict=True)):
        counts = {term: 1.0 if term in body else ABOVE if term in above else 0.0 for term in weights}
        every = words[row][0] | words[row][1]
        for terms, others in phrases:
            if any(counts[term] < SAME for term in terms) and any(other <= every for other in others):
                counts.update((term, max(counts[term], SAME)) for term in terms)
        shares[row, 0] = sum(weight * counts[term] for term, weight in weights.items())
        passage = best.setdefault(one.rank, dict.fromkeys(weights, 0.0))
        passage.update(
            (term, max(passage[term], 1.0 if counts[term] > SAME else counts[term])) for term in weights
        )
    for row, one in enumerate(found):
        shares[row, 1] = sum(weight * best[one.rank][term] for term, weight in weights.items())
    return shares / total


def _across(
    question: str, wanted: Sequence[str], found: Sequence[Statement],
    known: Sequence[tuple[str, tuple[frozenset[str], ...]]], words: Terms,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return the shares of what a question names, for statements in the other script.

    What can be found there: phrases with a word for them in that language, and Latin words and numbers as they
    stand. The rest of the question counts little, for it cannot be compared.
    """
    inside = " ".join(phrase for phrase, _ in known)
    translated = set(inside.split())
    neutral = [term for term in dict.fromkeys(wanted) if not has_cjk(term) and term not in translated]
    units = [*(others for _, others in known), *((frozenset((term,)),) for term in neutral)]
    if not units:
        return np.zeros((len(found), 2))
    holds = np.array(
        [[any(other <= (body | above) for other in others) for others in units] for body, above in words],
        np.float64,
    )
    weights = np.log(1 + (len(found) + 1) / (holds.sum(axis=0) + 0.5))
    rest = sum(letter not in inside for letter in _letters(question))
    total = weights.sum() + REST * rest
    passages = np.array([one.rank for one in found])
    whole = np.zeros_like(holds)
    for rank in set(passages.tolist()):
        whole[passages == rank] = holds[passages == rank].max(axis=0)
    shares: npt.NDArray[np.float64] = np.stack([holds @ weights, whole @ weights], axis=1) / total
    return shares


def _letters(text: str) -> list[str]:
    """Return the Chinese characters that do not belong to question words."""
    return [letter for letter in text if has_cjk(letter) and letter not in ASKING_LETTERS]


def _lacks(question: str, wanted: str, statement: Statement) -> bool:
    """Say that a statement holds no value of the wanted kind; a table often has its unit in a column's name."""
    if statement.row and wanted in UNITS and UNITS[wanted].search(statement.reading):
        wanted = "number"
    return mismatch(wanted, statement.reading, question)
