"""Readers and splitters that do one thing wrong: a page is lost, tables break, a chunk ends in an answer.

Each wraps the house's own part and is told at which examples to aim; what it does not aim at stays whole.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.ids import digest
from lyceum.core.text import markdown_row
from lyceum.core.types import Chunk, Document, Element, Example, Piece, Table
from lyceum.evals.stages import Wrapper

Aims = Sequence[Example]
_blank = re.compile(r"[\s|\\]")


def aimed(example: Example) -> str:
    """Return the name of the document that holds an example's evidence."""
    return example.gold[0].document


def chance(*words: object) -> int:
    """Return a number that depends on the words alone."""
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:4])


class DroppedPages(Wrapper):
    """A reader that loses pages without a word; a file that has no other page fails, as an empty one does."""

    def __init__(self, reader: Any, aims: Aims) -> None:
        super().__init__(reader)
        self.lost = {(aimed(one), one.gold[0].page) for one in aims}

    async def __call__(self, path: Any, name: str, document: Document, tell: Any) -> Any:
        parsed = await self.part(path, name, document, tell)
        kept = tuple(one for one in parsed.elements if (document.source, one.place.page) not in self.lost)
        if not kept:
            raise ParseError(f"{name} holds no text.", hint="Check that it holds text.", code="empty")
        return replace(parsed, elements=kept)


class BrokenTables(Wrapper):
    """A reader of tables that loses the answers' columns, runs them into others, or sets the first one too low."""

    def __init__(self, reader: Any, aims: Aims) -> None:
        super().__init__(reader)
        self.aims: dict[str, list[Example]] = defaultdict(list)
        for one in aims:
            self.aims[aimed(one)].append(one)

    async def __call__(self, path: Any, name: str, document: Document, tell: Any) -> Any:
        parsed = await self.part(path, name, document, tell)
        elements = tuple(
            self._broken(one, self.aims[document.source]) if one.table else one for one in parsed.elements
        )
        return replace(parsed, elements=elements)

    def _broken(self, element: Element, aims: Aims) -> Element:
        table = element.table
        assert table is not None
        gold = {squashed(one.gold[0].text): one for one in aims}
        hit = [row for row in table.rows if squashed("".join(row)) in gold]
        if not hit:
            return element
        answers = {squashed(text) for one in gold.values() for part in one.answers for text in part}
        held = {n for row in hit for n, cell in enumerate(row) if squashed(cell) in answers}
        way = (_slipped, _lost, _lost, _merged)[chance(element.doc_id, table.rows[0]) % 4]
        rows = way([list(row) for row in table.rows], table.header, held)
        made = Table(rows=tuple(map(tuple, rows)), header=table.header, places=table.places)
        return replace(element, table=made, text="\n".join(map(markdown_row, made.rows)), pieces=())


def _slipped(rows: list[list[str]], header: int, held: set[int]) -> list[list[str]]:
    """Set the first column one row too low."""
    firsts = [row[0] for row in rows[header:]]
    for row, first in zip(rows[header + 1 :], firsts, strict=False):
        row[0] = first
    return rows


def _lost(rows: list[list[str]], header: int, held: set[int]) -> list[list[str]]:
    """Leave out the columns of the answers."""
    return [[cell for n, cell in enumerate(row) if n not in held] for row in rows]


def _merged(rows: list[list[str]], header: int, held: set[int]) -> list[list[str]]:
    """Run the cells of the answers together with those before them, or behind them."""
    for row in rows:
        for n in sorted(held, reverse=True):
            left = max(n - 1, 0)
            row[left : left + 2] = ["".join(row[left : left + 2])]
    return rows


class CutAnswers(Wrapper):
    """A splitter that ends a chunk in the middle of an answer."""

    def __init__(self, splitter: Any, aims: Aims) -> None:
        super().__init__(splitter)
        self.name = splitter.name + "-cut"
        self.aims: dict[str, list[Example]] = defaultdict(list)
        for one in aims:
            self.aims[aimed(one)].append(one)

    def __call__(self, document: Document, elements: Sequence[Element]) -> list[Chunk]:
        made = []
        for chunk in self.part(document, elements):
            cuts = {middle for one in self.aims[document.source] for middle in _middle(chunk.text, one)}
            edges = [0, *sorted(cuts), len(chunk.text)]
            made += [_part(chunk, *edge) for edge in pairwise(edges)]
        return made


def squashed(text: str) -> str:
    """Return a text without white space and table rules."""
    return _blank.sub("", text)


def _middle(text: str, example: Example) -> list[int]:
    """Return where in a text the middle of the answer is, inside the gold words; nothing where they are not."""
    places = [at for at, letter in enumerate(text) if not _blank.match(letter)]
    plain, gold = squashed(text), squashed(example.gold[0].text)
    start = plain.find(gold)
    for answer in sorted(map(squashed, example.answers[0]), key=len):
        at = gold.find(answer)
        if start >= 0 and at >= 0 and len(answer) > 1:
            return [places[start + at + len(answer) // 2]]
    return []


def _part(chunk: Chunk, start: int, end: int) -> Chunk:
    pieces = tuple(
        Piece(start=max(one.start, start) - start, end=min(one.end, end) - start, place=one.place)
        for one in chunk.pieces
        if one.start < end and one.end > start
    )
    meta = {key: value for key, value in chunk.meta.items() if key != "headings"}
    if start and "header" in meta:
        meta["header"] = 0
    name = digest(chunk.id, str(start), str(end))
    return replace(chunk, id=name, text=chunk.text[start:end], pieces=pieces, meta=meta)
