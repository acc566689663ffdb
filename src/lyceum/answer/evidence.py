"""How well each statement answers the question: words covered, meaning, and the rank of its chunk.

Score = .5 cosine + .5 idf-weighted coverage of the question's words; coverage alone where the encoder does
not know the language. It knows no chat model; refusals and citations of every answerer rest on it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lyceum.answer.statements import Statement, statements
from lyceum.core.protocols import Analyzer, Embedder
from lyceum.core.text import has_cjk, language
from lyceum.core.types import Hit, Query

ENCODED = 32  # statements that are compared by meaning; chosen by coverage and rank
ABOVE = 0.6  # what a word in the title or heading counts, compared with one in the statement itself

# Words that ask but name nothing; they are not looked for in a statement.
ASKING = frozenset(
    """what which who whom whose when where why how do does did is are was were can could should would may
    might must i we you he she it they me us our your my his her have has had there any some please tell
    much many long often about from than up out get got need if so just really ever doing done been
    什么 哪些 哪个 哪里 哪儿 哪天 哪年 哪种 哪家 哪位 怎么 怎样 如何 为何 为什么 多少 多久 多长 多大 多高 几 谁
    请问 是 的 了 吗 呢 吧 啊 在 有 和 与 及 或 要 会 能 可以 需要 我 我们 你 您 他 她 它 他们 公司 这 那 个 把
    被 给 对 从 到 都 就 还 是否 应该 应""".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A statement with its parts: coverage in 0-1, cosine (None when not comparable), and their mix."""

    statement: Statement
    coverage: float
    cosine: float | None
    score: float


class Evidence:
    """Judges hits; without an embedder by words alone."""

    def __init__(self, analyzer: Analyzer, embedder: Embedder | None = None) -> None:
        self.analyzer, self.embedder = analyzer, embedder

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Judged]:
        """Return the statements of the hits, best first."""
        found = statements(hits)
        wanted = self.asked(query.text)
        coverages = self._coverages(wanted, found)
        cosines = await self._cosines(query.text, found, coverages)
        judged = [
            Judged(
                statement=statement,
                coverage=coverage,
                cosine=cosine,
                score=self._mix(coverage, cosine) - 0.02 * statement.rank,
            )
            for statement, coverage, cosine in zip(found, coverages, cosines, strict=True)
        ]
        return sorted(judged, key=lambda one: -one.score)

    def asked(self, question: str) -> list[str]:
        """Return the question's terms that name something; all of them when none does."""
        words = self.analyzer(question)
        asking = {term for word in ASKING for term in self.analyzer(word)} | ASKING
        return [word for word in words if word not in asking] or words

    def _mix(self, coverage: float, cosine: float | None) -> float:
        return coverage if cosine is None else 0.5 * coverage + 0.5 * max(cosine, 0.0)

    def _coverages(self, wanted: Sequence[str], found: Sequence[Statement]) -> list[float]:
        bodies = [set(self.analyzer(one.reading)) for one in found]
        headings = [set(self.analyzer(one.above)) for one in found]
        seen = Counter(term for terms in bodies for term in terms)
        weights = {
            term: math.log(1 + (len(found) + 1) / (seen[term] + 0.5)) for term in dict.fromkeys(wanted)
        }
        total = sum(weights.values()) or 1.0
        return [
            sum(
                weight * (1.0 if term in body else ABOVE if term in heading else 0.0)
                for term, weight in weights.items()
            )
            / total
            for body, heading in zip(bodies, headings, strict=True)
        ]

    async def _cosines(
        self, question: str, found: Sequence[Statement], coverages: Sequence[float]
    ) -> list[float | None]:
        cosines: list[float | None] = [None] * len(found)
        if self.embedder is None or not self._speaks(question):
            return cosines
        order = sorted(range(len(found)), key=lambda i: -(coverages[i] - 0.05 * found[i].rank))
        chosen = [i for i in order if self._speaks(found[i].reading)][:ENCODED]
        if chosen:
            texts = [question, *(_in_context(found[i]) for i in chosen)]
            vectors = np.asarray(await self.embedder(texts), np.float32)
            for i, cosine in zip(chosen, vectors[1:] @ vectors[0], strict=True):
                cosines[i] = float(cosine)
        return cosines

    def _speaks(self, text: str) -> bool:
        assert self.embedder is not None
        return (language(text) if has_cjk(text) else "en") in self.embedder.languages


def _in_context(statement: Statement) -> str:
    return f"{statement.above}: {statement.reading}" if statement.row else statement.reading
