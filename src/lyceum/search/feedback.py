"""A question widened by what its own first hits say, or by other words for what it names; no model writes anything.

RM3: relevance model with interpolation (Lavrenko and Croft 2001; Abdul-Jaleel et al. 2004). Rocchio: the vector
moves towards those of the first hits (Rocchio 1971), or of their best sentences, which stands for HyDE without a
model (Gao et al. 2023). Each searches twice and sees what its reader may see.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Analyzer, Embedder, Retriever, Synonyms
from lyceum.core.text import dense_text, sentences
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query
from lyceum.search.checks import check

SENTENCES = 20  # of a passage, that are compared
# "Learn then Test (LTT)"; 《差旅管理办法》（以下简称“办法”）
_short = re.compile(r"((?:\b[A-Za-z]\w*[ -]){1,7})\(([A-Z][A-Za-z]{1,7}?)s?\)")
_short_zh = re.compile(
    r"([\w\u4e00-\u9fff]{3,20})[》”\"]?[（(](?:以下)?(?:简称|又称|也称)[：:]?[“\"《]?(\w{2,10})"
)


class RM3:
    """Adds the `words` most likely terms of the first `documents`; the question's own keep the share `own`."""

    def __init__(
        self, retriever: Retriever, analyzer: Analyzer, documents: int = 5, words: int = 20, own: float = 0.7
    ) -> None:
        assert 0 < own <= 1, own
        self.retriever, self.analyzer = retriever, analyzer
        self.documents, self.words, self.own = documents, words, own

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the widened question."""
        check(query)
        asked = query.terms if query.terms is not None else Counter(self.analyzer(query.text))
        with span("search.feedback", documents=self.documents) as facts:
            hits = await self.retriever(replace(query, top_k=self.documents))
            model = self.model(hits) if asked else {}
            facts["terms"] = len(model)
        if not model:
            return await self.retriever(query)
        total = sum(asked.values())
        terms = defaultdict(float, {term: self.own * weight / total for term, weight in asked.items()})
        for term, weight in model.items():
            terms[term] += (1 - self.own) * weight
        return await self.retriever(replace(query, terms={term: w * total for term, w in terms.items()}))

    def model(self, hits: Sequence[Hit]) -> dict[str, float]:
        """Return P(term | question) out of hits whose scores are taken for log likelihoods."""
        best = max((hit.score for hit in hits), default=0.0)
        found: defaultdict[str, float] = defaultdict(float)
        for hit in hits:
            counts = Counter(self.analyzer(dense_text(hit.chunk)))
            for term, count in counts.items():
                found[term] += math.exp(hit.score - best) * count / sum(counts.values())
        kept = sorted(found.items(), key=lambda item: (-item[1], item[0]))[: self.words]
        total = sum(weight for _, weight in kept)
        return {term: weight / total for term, weight in kept}


class Rocchio:
    """Moves the vector by `weight` towards the first hits: whole passages, or the best `sentences` of each."""

    def __init__(
        self,
        retriever: Retriever,
        embedder: Embedder,
        documents: int = 3,
        sentences: int = 0,
        weight: float = 0.5,
    ) -> None:
        self.retriever, self.embedder = retriever, embedder
        self.documents, self.sentences, self.weight = documents, sentences, weight

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the moved question; as it stands, with a warning in the trace, if that fails."""
        check(query)
        if self.embedder is None:
            return await self.retriever(query)
        with span("search.feedback", documents=self.documents) as facts:
            hits = await self.retriever(replace(query, top_k=self.documents))
            try:
                query = replace(query, vector=await self._moved(query, hits)) if hits else query
            except LyceumError as problem:
                facts["warning"] = f"searched as it stands: {problem.code}"
        return await self.retriever(query)

    async def _moved(self, query: Query, hits: Sequence[Hit]) -> tuple[float, ...]:
        texts = [[dense_text(hit.chunk)] for hit in hits]
        if self.sentences:
            texts = [
                [hit.chunk.text[a:b] for a, b in sentences(hit.chunk.text)[:SENTENCES]] or [hit.chunk.text]
                for hit in hits
            ]
        vectors = np.asarray(
            await self.embedder([query.text, *(one for some in texts for one in some)]), np.float32
        )
        own, rest = vectors[0] if query.vector is None else np.asarray(query.vector, np.float32), vectors[1:]
        middle = np.zeros_like(own)
        for some in texts:
            mine, rest = rest[: len(some)], rest[len(some) :]
            best = np.argsort(-(mine @ own), kind="stable")[: self.sentences or 1]
            middle += mine[best].mean(axis=0) / len(texts)
        moved = own + self.weight * middle
        return tuple((moved / max(float(np.linalg.norm(moved)), 1e-9)).tolist())


class Synonymous:
    """Adds other words at `weight`: of the thesaurus, and those that the first `documents` introduce as such."""

    def __init__(
        self, retriever: Retriever, analyzer: Analyzer, synonyms: Synonyms | None = None,
        weight: float = 0.3, documents: int = 3,
    ) -> None:  # fmt: skip
        self.retriever, self.analyzer, self.synonyms = retriever, analyzer, synonyms
        self.weight, self.documents = weight, documents

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the question with other words for what it names."""
        check(query)
        with span("search.synonyms") as facts:
            others = [
                word for _, same in (self.synonyms(query.text) if self.synonyms else ()) for word in same
            ]
            if self.documents:
                for hit in await self.retriever(replace(query, top_k=self.documents)):
                    others += introduced(query.text, hit.chunk.text)
            facts["words"] = len(others)
        if not others:
            return await self.retriever(query)
        own = query.terms if query.terms is not None else Counter(self.analyzer(query.text))
        added = {term: self.weight for word in others for term in self.analyzer(word)}
        return await self.retriever(replace(query, terms={**added, **own}))


def introduced(question: str, text: str) -> Iterator[str]:
    """Yield what a text gives as another name of something in the question: a short form or a long one."""
    pairs = [
        (" ".join(match[1].split(" ")[-len(match[2]) - 1 :]).strip(), match[2])
        for match in _short.finditer(text)
        if match[1].strip()
    ]
    pairs = [(long, short) for long, short in pairs if _stands_for(long, short)]
    pairs += [(match[1], match[2]) for match in _short_zh.finditer(text)]
    for long, short in pairs:
        if long.lower() in question.lower():
            yield short
        elif re.search(rf"(?<![A-Za-z]){re.escape(short)}(?![A-Za-z])", question):
            yield long


def _stands_for(long: str, short: str) -> bool:
    """Say whether the letters of a short form begin the words of the long one, small words left out at will."""
    heads = iter(re.sub(r"[^A-Za-z -]", "", long).lower().replace("-", " ").split())
    return all(any(word.startswith(letter) for word in heads) for letter in short.lower())
