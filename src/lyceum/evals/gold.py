"""Where gold words stand: in elements, chunks and citations, compared without space, case and marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import PurePath

from lyceum.core.ids import document_id
from lyceum.core.text import count_tokens, markdown_row, sentences, squeeze
from lyceum.core.types import Answer, Chunk, Document, Element, Example, Gold, Piece, Place, Table
from lyceum.evals.metrics import correct, holds, named
from lyceum.evals.stages import Subject

ROOM = 160  # tokens of an ideal chunk, as many as the house's splitter allows
SHORT = 60  # characters; a longer line is a paragraph
MOST = 6  # neighbouring chunks over which gold words may be scattered
Pages = Sequence[tuple[int | None, str]]
_marks = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """One piece of gold with its document, and where its words are: in the parsed text, in which chunks."""

    gold: Gold
    document: Document | None = None
    elements: Sequence[Element] = ()
    chunks: Sequence[Chunk] = ()
    parsed: bool = False
    held: Sequence[Chunk] = ()


async def stand(subject: Subject, example: Example, gold: Gold) -> Stand:
    """Return where a piece of gold stands in a pipeline's ledger."""
    document = await subject.document(gold.document)
    if document is None:
        return Stand(gold=gold)
    elements, chunks = await subject.elements(document), await subject.chunks(document)
    wanted, held = needles(example, gold), holding(example, gold, chunks)
    there = (
        not wanted or bool(held) or any(parsed(needle, elements, answers_of(example)) for needle in wanted)
    )
    return Stand(gold=gold, document=document, elements=elements, chunks=chunks, parsed=there, held=held)


def needed(example: Example, stands: Sequence[Stand]) -> list[Stand]:
    """Return the gold whose words hold an answer; all where none is known to."""
    answers = answers_of(example)
    held = [one for one in stands if any(holds(one.gold.text, text) for text in answers)]
    return held or list(stands)


def lost(example: Example, gold: Gold, pages: Pages) -> Document:
    """Return a document that was lost as a whole; its first heading is its title."""
    titles = re.findall(r"^# (.+)", "\n".join(text for _, text in pages), re.M)
    return Document(
        id=document_id(gold.document), source=gold.document, version="repaired", readers=example.readers,
        title=titles[0] if titles else PurePath(gold.document).stem,
    )  # fmt: skip


def squashed(text: str) -> str:
    """Return letters and digits alone, in one case and one form."""
    return _marks.sub("", unicodedata.normalize("NFKC", text).casefold())


def answers_of(example: Example) -> list[str]:
    """Return every spelling of every part of the answer."""
    return [text for part in example.answers for text in part]


def needles(example: Example, gold: Gold) -> list[str]:
    """Return the gold words to look for: a row or sentence whole, of a longer text the sentences with an answer."""
    ranges = [] if " | " in gold.text else sentences(gold.text)
    held = [
        gold.text[a:b] for a, b in ranges if any(holds(gold.text[a:b], one) for one in answers_of(example))
    ]
    return held or ([gold.text] if gold.text.strip() else [])


def stands(needle: str, texts: Sequence[str], answers: Sequence[str] = ()) -> bool:
    """Say whether gold words stand in one of the texts; a row's in one line, its answers not run into others."""
    row, wanted = " | " in needle, squashed(needle)
    kept = [answer for answer in answers if row and holds(needle, answer)]
    lines = (line for text in texts for line in (text.split("\n") if row else [text]))
    return any(wanted in squashed(line) and all(holds(line, answer) for answer in kept) for line in lines)


def parsed(needle: str, elements: Sequence[Element], answers: Sequence[str]) -> bool:
    """Say whether gold words stand in what a parser made: a row in one row, a sentence even across elements."""
    if " | " not in needle:
        return stands(needle, ["".join(one.text for one in elements)])
    rows = [" | ".join(map(squeeze, row)) for one in elements if one.table for row in one.table.rows]
    return stands(needle, [*rows, *(squeeze(one.text) for one in elements if not one.table)], answers)


def holding(example: Example, gold: Gold, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks that hold the gold words; without such words those that hold an answer, or else all."""
    wanted, answers = needles(example, gold), answers_of(example)
    if wanted:
        return [one for one in chunks if any(stands(needle, [one.text], answers) for needle in wanted)]
    held = [one for one in chunks if any(holds(one.text, answer) for answer in answers)]
    return held or list(chunks)


def cited(example: Example, answer: Answer) -> bool:
    """Say whether a citation lies on a gold place and, where answers are known, quotes one or the gold words."""
    answers = answers_of(example)
    return any(
        named(one.source, gold.document)
        and (gold.page is None or one.place.page in (None, gold.page))
        and (not answers or any(holds(one.quote, text) for text in answers)
             or any(stands(needle, [one.quote]) for needle in needles(example, gold)))
        for one in answer.citations for gold in example.gold
    )  # fmt: skip


def right(example: Example, answer: Answer) -> bool:
    """Say whether the text is right; an example without answers asks for its gold document alone."""
    return not answer.abstained and correct(example, answer).value in (1.0, None)


def mended(example: Example, answer: Answer) -> bool:
    """Say whether an answer is right and cites gold, or refuses where that is right."""
    if not example.answerable:
        return answer.abstained
    return right(example, answer) and cited(example, answer)


def quotes(answer: Answer, texts: Iterable[str]) -> bool:
    """Say whether a line of the answer, its marks aside, stands in one of the texts."""
    lines = [re.sub(r"\s*\[\d+\]", "", line) for line in answer.text.split("\n")]
    said = [squashed(part) for line in lines for part in (line, line.partition(" — ")[2]) if part.strip()]
    known = [squashed(text) for text in texts]
    return any(part in text for part in said for text in known if part)


def source(needle: str, pages: Pages, page: int | None) -> tuple[str, list[str]]:
    """Return from a source the heading over gold words and the lines under it; nothing where they do not stand."""
    wanted = [squashed(cell) for cell in needle.split(" | ")]
    found: tuple[int, str, list[str]] = (0, "", [])
    for number, text in pages:
        sections = f"\n\n{text}".split("\n# ") if page in (None, number) or number is None else []
        for section in sections:  # the first one has no heading
            heading, *lines = section.split("\n")
            held = squashed("".join(lines))
            if (share := sum(cell in held for cell in wanted)) > found[0]:
                found = (share, heading, lines)
    return found[1:]


def ideal(document: Document, needle: str, pages: Pages, place: Place) -> list[Element]:
    """Return gold words as a parser should give them: a row in its table, or a paragraph, each under its heading."""
    heading, lines = source(needle, pages, place.page)
    above = []
    if heading:
        above.append(Element(doc_id=document.id, kind="heading", level=1, text=heading, place=place))
    if " | " not in needle:
        text = next((line for line in lines if stands(needle, [line])), needle)
        pieces = (Piece(start=0, end=len(text), place=place),)
        return [*above, Element(doc_id=document.id, kind="text", text=text, place=place, pieces=pieces)]
    gold = cells(needle)
    printed = [cells(line) for line in lines if line.strip()]
    first = next((at for at, row in enumerate(printed) if len(row) > 1), 0)
    # What stands over a table in one short cell is of its header.
    over, printed = [row for row in printed[:first][-2:] if len(row[0]) < SHORT], printed[first:]
    if printed and len(printed[0]) == len(gold) - 1:  # nothing is printed above a column of names
        printed[0] = ("", *printed[0])
    rows = [row for row in printed if len(row) == len(gold)]
    if gold not in rows:
        rows.append(gold)
    blank = sum(1 for _ in takewhile(lambda row: not row[0], rows))
    header = min(max(blank, 1), rows.index(gold))
    rows[:0] = [tuple("" if n == 0 else row[0] for n in range(len(gold))) for row in over]
    table = Table(rows=tuple(rows), header=header + len(over), places=(place,) * len(rows))
    text = "\n".join(map(markdown_row, rows))
    return [*above, Element(doc_id=document.id, kind="table", text=text, place=place, table=table)]


def cells(line: str) -> tuple[str, ...]:
    """Return the cells of a row, Markdown or gold words."""
    inner = line.strip().strip("|") if line.startswith("|") else line
    return tuple(cell.strip() for cell in inner.split("|"))


def resembling(needle: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the tables' chunks with a row that shares half of the gold row's cells: the same row, read wrong."""
    gold = set(cells(needle))
    return [
        one for one in chunks
        if " | " in needle
        and (stands(needle, [one.text])
             or any(2 * len(gold & set(cells(line))) >= len(gold) for line in one.text.split("\n")))
    ]  # fmt: skip


def joined(
    needle: str, chunks: Sequence[Chunk], elements: Sequence[Element]
) -> tuple[Chunk | None, list[Chunk]]:
    """Return neighbouring chunks as one, and those: the fewest that hold the words, more as far as there is room."""
    source = "\n".join(one.text for one in elements)
    for size in range(2, MOST + 1):
        for start in range(len(chunks) - size + 1):
            some = list(chunks[start : start + size])
            if stands(needle, [_glued(some, source).text]):
                end = start + size
                while end < len(chunks) and _fits([*some, chunks[end]], source):
                    some.append(chunks[end])
                    end += 1
                while start and _fits([chunks[start - 1], *some], source):
                    start -= 1
                    some.insert(0, chunks[start])
                return _glued(some, source), some
    return None, []


def _fits(chunks: Sequence[Chunk], source: str) -> bool:
    same = len({(one.path, one.kind) for one in chunks}) == 1
    return same and count_tokens(_glued(chunks, source).text) <= ROOM


def _glued(chunks: Sequence[Chunk], source: str) -> Chunk:
    """Return chunks one after the other; what was cut within a line comes together."""
    text, pieces = "", []
    for one in chunks:
        text += "" if not text or text[-8:] + one.text[:8] in source else "\n"
        pieces += [
            replace(piece, start=len(text) + piece.start, end=len(text) + piece.end) for piece in one.pieces
        ]
        text += one.text
    return replace(chunks[0], text=text, pieces=tuple(pieces))
