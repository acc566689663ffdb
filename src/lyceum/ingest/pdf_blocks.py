"""Lines of a PDF page to headings and paragraphs in reading order; knows no file.

Keeps the order of the content stream, which is right where geometry does not contradict it (measured: sorting
by position breaks two-column pages).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lyceum.core.types import Element, Piece, Place
from lyceum.ingest.lines import no_space
from lyceum.ingest.pdf_headings import Style, Title, levels
from lyceum.ingest.pdf_layout import Line, around, blocks, continues

COLUMN = 120  # characters that make a block one of a column's rather than a label's
LONGEST_WORD = 60  # characters at the end of a text that are looked at for a word cut in two
MOVED = 300  # blocks above which a page is a drawing, whose order nobody reads
_tail, _head = re.compile(r"[^\W\d_]+-?$"), re.compile(r"[^\W\d_]+")


def ordered(lines: Sequence[Line]) -> list[Line]:
    """Return lines in reading order: a block moves up before what it must precede."""
    found = blocks(lines, continues)
    if len(found) > MOVED:
        return list(lines)
    placed: list[list[Line]] = []
    for block in found:
        long = sum(len(line.text) for line in block) >= COLUMN
        at = next((i for i, one in enumerate(placed) if _precedes(block, one)), None) if long else None
        placed.insert(len(placed) if at is None else at, block)
    return [line for block in placed for line in block]


def _precedes(block: Sequence[Line], other: Sequence[Line]) -> bool:
    """Say whether a block must be read before one that the stream has first: above it, or a column to its left."""
    if block[0].turn != other[0].turn:
        return False
    one, two = around([line.frame for line in block]), around([line.frame for line in other])
    across = min(one[2], two[2]) - max(one[0], two[0])
    down = min(one[3], two[3]) - max(one[1], two[1])
    if across > 0.5 * min(one[2] - one[0], two[2] - two[0]):
        return one[3] <= two[1]
    both = sum(len(line.text) for line in other) >= COLUMN
    return both and one[2] <= two[0] and down > 0.5 * min(one[3] - one[1], two[3] - two[1])


def compose(
    lines: Sequence[Line], look: Style, doc_id: str, page: int, titles: Sequence[Title] = ()
) -> list[Element]:
    """Return headings and paragraphs; neighbouring lines of one block are joined as they would be read."""

    def joins(last: tuple[Line, int], line: tuple[Line, int]) -> bool:
        return last[1] == line[1] and continues(last[0], line[0], heading=line[1] > 0)

    found = blocks(list(zip(lines, levels(lines, look, titles), strict=True)), joins)
    return [
        _element(part, look, doc_id, page, some[0][1])
        for some in found
        for part in _paragraphs([line for line, _ in some], heading=some[0][1] > 0)
    ]


def _paragraphs(block: list[Line], *, heading: bool) -> list[list[Line]]:
    edge = max(line.frame[2] for line in block)
    return [block] if heading else blocks(block, lambda last, line: not _ended(last, line, edge))


def _ended(last: Line, line: Line, edge: float) -> bool:
    """Say whether a paragraph ends with a line: before the block's edge it had room for the next one's first word."""
    word = len(line.text.split(maxsplit=1)[0]) / len(line.text) * (line.frame[2] - line.frame[0])
    room = edge - last.frame[2] - 2 * line.size
    return not last.soft and room > max(min(word, edge / 3), 2 * line.size)


def _element(block: Sequence[Line], look: Style, doc_id: str, page: int, level: int) -> Element:
    text = ""
    pieces: list[Piece] = []
    for last, line in zip([None, *block], block, strict=False):
        if last is not None:
            text = _joined(text, last, line, look)
            before = pieces[-1]
            pieces[-1] = Piece(start=before.start, end=min(before.end, len(text)), place=before.place)
        end = len(text) + len(line.text)
        pieces.append(Piece(start=len(text), end=end, place=Place(page=page, box=line.box)))
        text += line.text
    return Element(
        doc_id=doc_id, kind="heading" if level else "text", text=text, pieces=tuple(pieces), level=level,
        place=Place(page=page, box=around([line.box for line in block])),
    )  # fmt: skip


def _joined(text: str, last: Line, line: Line, look: Style) -> str:
    """Return a text ready for its next line: with a blank, without one, or with its hyphen taken away."""
    tail, head = _tail.search(text[-LONGEST_WORD:]), _head.match(line.text)
    cut = last.soft or (tail is not None and tail[0].endswith("-") and line.text[0].islower())
    if not cut:
        return text if no_space(text, line.text) else text + " "
    bare = text.removesuffix("-")
    known = (
        tail is not None
        and head is not None
        and f"{tail[0].rstrip('-')}-{head[0]}".lower() in look.hyphenated
    )
    return bare + "-" if known else bare
