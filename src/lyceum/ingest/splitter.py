"""Elements to chunks along the document's structure: sections, sentences, table rows under their header. Pure.

Sizes are tokens of the weight-free counter, so that chunk ids do not depend on a model being installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lyceum.core.ids import digest
from lyceum.core.text import count_tokens, markdown_row, sentences
from lyceum.core.types import Chunk, Document, Element, Piece

SMALL = 40  # a section shorter than this may share a chunk with its neighbours under the same heading


@dataclass(slots=True)
class _Draft:
    """A chunk while it grows."""

    path: tuple[str, ...]
    kind: Any = "text"
    text: str = ""
    pieces: list[Piece] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def add(self, text: str, pieces: Sequence[Piece]) -> None:
        """Append text; `pieces` count from the text's own start."""
        if self.text:
            self.text += "\n"
        start = len(self.text)
        self.text += text
        for piece in pieces:
            self.pieces.append(Piece(start=start + piece.start, end=start + piece.end, place=piece.place))

    def head(self, heading: Element) -> None:
        """Append a heading; `meta["headings"]` keeps where each stands, for it says nothing by itself."""
        self.add(heading.text, heading.pieces)
        start = len(self.text) - len(heading.text)
        self.meta.setdefault("headings", []).append([start, len(self.text)])


class Structured:
    """`tokens` is the most a chunk may hold, headings above it not counted."""

    def __init__(self, tokens: int = 160) -> None:
        assert tokens >= SMALL, tokens
        self.tokens = tokens
        self.name = f"structured-3:{tokens}"

    def __call__(self, document: Document, elements: Sequence[Element]) -> list[Chunk]:
        """Return the chunks in order; the same elements give the same ids."""
        return [
            Chunk(
                id=digest(document.id, document.version, f"{number}:{len(draft.text)}", self.name),
                doc_id=document.id, text=draft.text, title=document.title, path=draft.path, kind=draft.kind,
                pieces=tuple(draft.pieces), meta=draft.meta,
            )
            for number, draft in enumerate(self._drafts(elements))
        ]  # fmt: skip

    def _drafts(self, elements: Sequence[Element]) -> Iterator[_Draft]:
        path: list[tuple[int, str]] = []
        draft: _Draft | None = None
        waiting: Element | None = None  # a heading that nothing has followed yet
        for element in elements:
            if element.kind == "heading":
                if draft is not None and count_tokens(draft.text) >= SMALL:
                    yield draft
                    draft = None
                if waiting is not None and element.level <= waiting.level:
                    draft = _headed(draft, waiting, path)
                path = [*(one for one in path if one[0] < element.level), (element.level, element.text)]
                waiting = element
                continue
            here = tuple(text for _, text in path)
            if element.table is not None:
                yield from [draft] if draft is not None else []
                yield from self._table(element, here)
                draft = waiting = None
                continue
            kind = "code" if element.kind == "code" else "text"
            for text, pieces in self._parts(element):
                sibling = waiting is not None and draft is not None and _siblings(draft.path, here)
                if draft is not None and not (
                    self._has_room(draft, text) and draft.kind == kind and (draft.path == here or sibling)
                ):
                    yield draft
                    draft = None
                draft = draft or _Draft(here, kind)
                if draft.path != here and waiting is not None:
                    draft.head(waiting)  # two short sections share a chunk: the second's heading stands in it
                draft.add(text, pieces)
                waiting = None
        if waiting is not None:
            draft = _headed(draft, waiting, path)
        yield from [draft] if draft is not None else []

    def _has_room(self, draft: _Draft, text: str) -> bool:
        return count_tokens(draft.text) + count_tokens(text) <= self.tokens

    def _parts(self, element: Element) -> Iterator[tuple[str, list[Piece]]]:
        """Yield an element whole, or cut at sentence ends, or hard where a sentence is too long."""
        if count_tokens(element.text) <= self.tokens:
            yield element.text, list(element.pieces)
            return
        start, end = 0, 0
        for left, right in self._cuts(element.text):
            if end > start and count_tokens(element.text[start:right]) > self.tokens:
                yield element.text[start:end], _within(element.pieces, start, end)
                start = left
            end = right
        yield element.text[start:end], _within(element.pieces, start, end)

    def _cuts(self, text: str) -> Iterator[tuple[int, int]]:
        for left, right in sentences(text):
            while count_tokens(text[left:right]) > self.tokens:
                middle = left + self.tokens  # a character is at most one token
                space = text.rfind(" ", left + 1, middle)
                middle = space if space > left + self.tokens // 2 else middle
                yield left, middle
                left = middle + (text[middle : middle + 1] == " ")
            if right > left:
                yield left, right

    def _table(self, element: Element, path: tuple[str, ...]) -> Iterator[_Draft]:
        """Yield rows in groups, each under the table's header."""
        table = element.table
        assert table is not None
        places = table.places or (element.place,) * len(table.rows)
        top = [
            (markdown_row(row), place) for row, place in zip(table.rows[: table.header], places, strict=False)
        ]
        columns = [
            " ".join(dict.fromkeys(cells)).strip() for cells in zip(*table.rows[: table.header], strict=False)
        ]

        def begun() -> _Draft:
            draft = _Draft(path, "table", meta={"columns": columns, "header": table.header})
            for line, place in top:
                draft.add(line, [Piece(start=0, end=len(line), place=place)])
            return draft

        draft, empty = begun(), True
        for row, place in zip(table.rows[table.header :], places[table.header :], strict=True):
            line = markdown_row(row)
            if not empty and not self._has_room(draft, line):
                yield draft
                draft = begun()
            draft.add(line, [Piece(start=0, end=len(line), place=place)])
            empty = False
        yield draft


def _headed(draft: _Draft | None, heading: Element, path: Sequence[tuple[int, str]]) -> _Draft:
    """Keep a heading that stands alone findable as text."""
    draft = draft or _Draft(tuple(text for _, text in path[:-1]))
    draft.head(heading)
    return draft


def _siblings(one: Sequence[str], other: Sequence[str]) -> bool:
    return len(one) == len(other) > 0 and one[:-1] == other[:-1]


def _within(pieces: Sequence[Piece], start: int, end: int) -> list[Piece]:
    """Return the pieces that touch a range, counted from its start."""
    return [
        Piece(start=max(piece.start, start) - start, end=min(piece.end, end) - start, place=piece.place)
        for piece in pieces
        if piece.start < end and piece.end > start
    ]
