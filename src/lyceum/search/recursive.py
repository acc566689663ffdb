"""A retriever that follows what its first hits refer to: tables, sections, appendices, entries, files and titles.

"See Table 4", "section 5.2", "Appendix B", 见表4, 第三章, "[12]" lead to the passages of the same document that have
such a heading or begin so; a file's name or address to the passages of that file; a title (links view) to its
document. What is found goes in with a share of the score of who refers to it, and says so. It knows no index.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Ledger, Links, Retriever, View
from lyceum.core.trace import span
from lyceum.core.types import Chunk, Found, Hit, Query
from lyceum.search.checks import check

FIRST, REFERENCES, PASSAGES = (
    5,
    4,
    2,
)  # hits that are followed a step, references of a hit, passages of a reference
LOOKED = 20  # passages of a document among which the one that a reference means is looked for
NUMBER = r"(?P<number>\d+(?:[.-]\d+)*|[A-Z](?:[.-]?\d+)*|[IVX]+)(?![\w-]|\.\d)"
_label = re.compile(
    rf"(?i:\b(?P<word>table|figure|section|chapter|appendix|annex|exhibit|schedule))\s+{NUMBER}"
)
_chinese = re.compile(
    r"(?:表|图|附录|附件|附表)\s*(?:\d+(?:[.-]\d+)*|[A-Z]|[一二三四五六七八九十]+)|第\s*[\d.一二三四五六七八九十百]+\s*[章节条]"
)
_entry = re.compile(r"\[\d{1,3}\]")
_file = re.compile(r"[\w.%-]+\.(?:pdf|docx|xlsx|pptx|odt|md|html?|txt|csv|eml)\b", re.I)
_space = re.compile(r"\s+")


class Recursive:
    """`steps` times the best that the last step has added are followed; each step keeps `share` of the score."""

    def __init__(
        self,
        ledger: Ledger,
        links: Links,
        lexical: View,
        retriever: Retriever,
        steps: int = 2,
        share: float = 0.4,
    ) -> None:
        assert 0 < share <= 1, share
        assert 0 <= steps <= 5, steps
        self.ledger, self.links, self.lexical, self.retriever = ledger, links, lexical, retriever
        self.steps, self.share = steps, share

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits with those that they refer to; as they were, with a warning in the trace, if that fails."""
        check(query)
        hits = await self.retriever(query)
        with span("search.references") as facts:
            try:
                found = await self._followed(query, hits)
            except LyceumError as problem:
                facts["warning"] = f"not followed: {problem.code}"
                return hits
            facts["found"] = len(found) - len(hits)
        return sorted(found.values(), key=lambda hit: -hit.score)[: query.top_k]

    async def _followed(self, query: Query, hits: Sequence[Hit]) -> dict[int, Hit]:
        """Return all hits by number; none is followed twice, so that references in a circle end."""
        found = {hit.chunk.number: hit for hit in hits}
        low = min((hit.score for hit in hits), default=0.0)
        todo = list(hits)
        for _ in range(self.steps):
            known = set(found)
            for hit in sorted(todo, key=lambda hit: -hit.score)[:FIRST]:
                score = low + self.share * (hit.score - low)
                async for name, numbers in self._referred(query, hit):
                    await self._add(query, found, name, numbers, score)
            todo = [hit for number, hit in found.items() if number not in known]
        return found

    async def _add(
        self, query: Query, found: dict[int, Hit], name: str, numbers: Sequence[int], score: float
    ) -> None:
        by = Found(part=name, rank=None, score=score)
        fresh = await self.ledger.get([one for one in numbers if one not in found], query.readers)
        for number, (chunk, document) in fresh.items():
            found[number] = Hit(chunk=chunk, document=document, score=score, by=(by,))
        for hit in [found[one] for one in numbers if one in found and one not in fresh]:
            if hit.score < score:
                found[hit.chunk.number] = replace(hit, score=score, by=(*hit.by, by))

    async def _referred(self, query: Query, hit: Hit) -> AsyncIterator[tuple[str, Sequence[int]]]:
        """Yield what a passage refers to, by name, each with the passages that are meant, the likeliest first."""
        own = hit.chunk
        for name, pattern in labels(own.text):
            within = {**query.filters, "document": hit.document.id}
            looked = await self._found(replace(query, text=name, filters=within, terms=None), LOOKED)
            chunks = [one for one, _ in (await self.ledger.get(looked, query.readers)).values()]
            meant = {one.number for one in chunks if one.number != own.number and bears(one, pattern)}
            yield name, [number for number in looked if number in meant][:PASSAGES]
        if "source" not in query.filters:  # one that is asked for stays the only one
            for name in list(dict.fromkeys(_file.findall(own.text)))[:REFERENCES]:
                yield (
                    name,
                    await self._found(replace(query, filters={**query.filters, "source": name}), PASSAGES),
                )
        near = (await self.links.around(query, [own.number])).get(own.number, {})
        yield "title", await self._found(query, REFERENCES, list(near))

    async def _found(self, query: Query, k: int, among: Sequence[int] | None = None) -> list[int]:
        return [number for number, _ in await self.lexical.find(query, k, among)]


def labels(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the first references within a document, each with how a heading or line begins that is meant."""
    found: dict[str, str] = {}
    for match in _label.finditer(text):
        word, number = match["word"].lower(), re.escape(match["number"])
        bare = f"|# {number}" if word in ("section", "chapter") else ""
        found[f"{word.title()} {match['number']}"] = rf"(?:(?:# )?(?i:{word})\s+{number}{bare})(?![\w-]|\.\d)"
    for match in (*_chinese.finditer(text), *_entry.finditer(text)):
        name = _space.sub("", match.group())
        found[name] = (
            r"(?:# )?" + r"\s*".join(map(re.escape, name)) + r"(?![\w-]|\.\d)" * (name[0] not in "第[")
        )
    for name in list(found)[:REFERENCES]:
        yield name, re.compile(rf"^[\W_]*?{found[name]}", re.M)


def bears(chunk: Chunk, pattern: re.Pattern[str]) -> bool:
    """Say whether a heading above a chunk or a line of it begins as a pattern says."""
    return any(pattern.search(text) for text in (*(f"# {heading}" for heading in chunk.path), chunk.text))
