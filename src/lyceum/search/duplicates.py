"""Hits without near copies of one another: of those that say the same in the same words one is left.

Runs of three words are compared (shingles and their Jaccard index; Broder 1997), exactly, for there are only some
fifty hits; numbers, dates and negations must be the same. The copy of the newest edition is kept, at the best
rank; the others stand in its `by` as "copy:SOURCE". All are the reader's own hits, so he loses no only copy.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from lyceum.core.dates import dated
from lyceum.core.protocols import Retriever
from lyceum.core.text import CJK
from lyceum.core.trace import span
from lyceum.core.types import Found, Hit, Query
from lyceum.search.checks import MOST_HITS

_word = re.compile(rf"[{CJK}]|[^\W{CJK}]+")
_exact = re.compile(r"\d|^(?:no|not|never|none|without|cannot|except|[不没無无未非])$")


class Distinct:
    """`same` is the share of common runs from which on two passages are copies; `more` hits are asked for."""

    def __init__(self, retriever: Retriever, same: float = 0.8, more: int = 10) -> None:
        assert 0 < same <= 1, same
        self.retriever, self.same, self.more = retriever, same, more

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the first `top_k` different hits."""
        hits = await self.retriever(replace(query, top_k=min(query.top_k + self.more, MOST_HITS)))
        with span("search.distinct", hits=len(hits)) as facts:
            groups: list[tuple[_Words, list[tuple[int, Hit]]]] = []
            for rank, hit in enumerate(hits, start=1):
                words = _Words(hit.chunk.text)
                group = next((held for other, held in groups if words.like(other) >= self.same), None)
                if group is None:
                    groups.append((words, group := []))
                group.append((rank, hit))
            facts["copies"] = len(hits) - len(groups)
            return [_kept(held) for _, held in groups[: query.top_k]]


class _Words:
    """The runs of a text, and what must be the same in a copy."""

    def __init__(self, text: str) -> None:
        words = _word.findall(text.lower())
        self.runs = set(zip(words, words[1:], words[2:], strict=False)) or {tuple(words)}
        self.exact = Counter(word for word in words if _exact.search(word))

    def like(self, other: _Words) -> float:
        """Return the Jaccard index of the runs; none where what must be the same is not."""
        if self.exact != other.exact:
            return 0.0
        return len(self.runs & other.runs) / len(self.runs | other.runs)


def _kept(copies: list[tuple[int, Hit]]) -> Hit:
    """Return the newest copy with the best score, and the others' names."""
    best = max(
        copies,
        key=lambda one: (float(one[1].document.meta.get("edition", 0)), dated(one[1].document), -one[0]),
    )
    others = tuple(
        Found(part=f"copy:{hit.document.source}", rank=rank, score=hit.score)
        for rank, hit in copies
        if hit is not best[1]
    )
    return replace(best[1], score=copies[0][1].score, by=(*best[1].by, *others))
