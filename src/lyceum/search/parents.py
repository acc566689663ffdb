"""Hits to hits with what stands around them: neighbours in the same section, or the whole section, as one passage.

Small pieces are found, more is read (Liu 2023, "small-to-big"). Chunks of one version have numbers in a row, so
neighbours are asked of the ledger by number, which leaves out what is not current or not for this reader. Windows
that touch become one passage at the best one's rank; `pieces` still place every character, and `meta["parts"]`
says which chunk each part is, so that a citation names a real one. Rows of tables stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lyceum.core.protocols import Ledger, Retriever
from lyceum.core.text import count_tokens
from lyceum.core.trace import span
from lyceum.core.types import Chunk, Hit, Piece, Query

BETWEEN = "\n\n"  # no sentence goes over it, so each can be cited from one chunk
FARTHEST = 30  # chunks of a section on either side


class Parents:
    """`around` is how many neighbours are read on each side, 0 for the section; `tokens` the most in a passage."""

    def __init__(self, retriever: Retriever, ledger: Ledger, around: int = 1, tokens: int = 800) -> None:
        assert around >= 0, around
        self.retriever, self.ledger = retriever, ledger
        self.around, self.tokens = around or FARTHEST, tokens

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the passages by the rank of their best hit."""
        hits = await self.retriever(query)
        with span("search.parents", hits=len(hits)) as facts:
            near = range(-self.around, self.around + 1)
            asked = {hit.chunk.number + step for hit in hits if hit.chunk.kind == "text" for step in near}
            known = {
                number: chunk
                for number, (chunk, _) in (await self.ledger.get([*asked], query.readers)).items()
            }
            windows: list[tuple[Hit, set[int]]] = []
            for hit in hits:
                window = self._window(hit.chunk, known)
                touched = [one for one in windows if _touch(one[0].chunk, one[1], hit.chunk, window)]
                for other, numbers in touched[1:]:
                    touched[0][1].update(numbers)
                    windows.remove((other, numbers))
                if touched:
                    touched[0][1].update(window)
                else:
                    windows.append((hit, window))
            found = [
                replace(hit, chunk=joined(hit.chunk, [known.get(n, hit.chunk) for n in sorted(numbers)]))
                for hit, numbers in windows
            ]
            facts["passages"] = len(found)
            return found

    def _window(self, chunk: Chunk, known: Mapping[int, Chunk]) -> set[int]:
        """Return the numbers around a chunk, nearest first as long as there is room."""
        window, left, steps = {chunk.number}, self.tokens - count_tokens(chunk.text), {-1, 1}
        for distance in range(1, self.around + 1):
            for step in sorted(steps):
                other = known.get(chunk.number + step * distance)
                size = count_tokens(other.text) if other else 0
                if other is None or not _same(chunk, other) or size > left:
                    steps.discard(step)
                else:
                    window.add(other.number)
                    left -= size
        return window


def _same(one: Chunk, other: Chunk) -> bool:
    """Say whether two chunks are prose of one section."""
    return (one.doc_id, one.path) == (other.doc_id, other.path) and one.kind == other.kind == "text"


def _touch(chunk: Chunk, numbers: set[int], other: Chunk, window: set[int]) -> bool:
    return _same(chunk, other) and any(number + step in numbers for number in window for step in (-1, 0, 1))


def joined(best: Chunk, chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks in a row as one, which keeps the id of the `best`."""
    if len(chunks) == 1:
        return best
    pieces: list[Piece] = []
    headings: list[list[int]] = []
    parts: list[tuple[int, int, str]] = []
    start = 0
    for chunk in chunks:
        pieces += (replace(piece, start=piece.start + start, end=piece.end + start) for piece in chunk.pieces)
        headings += ([left + start, right + start] for left, right in chunk.meta.get("headings", ()))
        parts.append((start, start + len(chunk.text), chunk.id))
        start += len(chunk.text) + len(BETWEEN)
    meta = {**best.meta, "parts": parts, **({"headings": headings} if headings else {})}
    text = BETWEEN.join(chunk.text for chunk in chunks)
    return replace(best, text=text, pieces=tuple(pieces), meta=meta)
