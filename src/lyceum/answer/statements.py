"""Hits to statements: the sentences and table rows that an answer can quote, each with its place in the chunk.

Pure. A row is read as "title: column is value; …", so that words of the question may fall on its columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lyceum.core.text import headline, sentences, squeeze, table_rows
from lyceum.core.types import Hit

SHORTEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Characters `start` to `end` of a hit's chunk; `quote` as shown, `reading` as compared, `above` its context.

    `cells` are a table row's (column, start, end) inside the quote.
    """

    hit: Hit
    rank: int
    start: int
    end: int
    quote: str
    reading: str
    above: str
    row: bool = False
    cells: tuple[tuple[str, int, int], ...] = ()


def statements(hits: Sequence[Hit]) -> list[Statement]:
    """Return every statement of the hits, in their order."""
    found: list[Statement] = []
    for rank, hit in enumerate(hits):
        found.extend(_rows(hit, rank) if hit.chunk.kind == "table" else _sentences(hit, rank))
    return found


def _sentences(hit: Hit, rank: int) -> list[Statement]:
    """Return the sentences; a heading inside the chunk is none, it stands above those that follow it."""
    text, above = hit.chunk.text, headline(hit.chunk)
    found = []
    at = 0
    for head, tail in [*hit.chunk.meta.get("headings", ()), (len(text), len(text))]:
        for start, end in sentences(text[at:head]):
            quote = squeeze(text[at + start : at + end])
            if len(quote) >= SHORTEST:
                found.append(
                    Statement(
                        hit=hit, rank=rank, start=at + start, end=at + end, quote=quote, reading=quote, above=above
                    )
                )  # fmt: skip
        above, at = f"{headline(hit.chunk)} {text[head:tail]}", tail
    return found


def whole(hit: Hit, rank: int = 0) -> Statement:
    """Return a passage as one statement: a citation needs words even where all are headings."""
    text, quote = hit.chunk.text, squeeze(hit.chunk.text)
    return Statement(
        hit=hit, rank=rank, start=0, end=len(text), quote=quote, reading=quote, above=headline(hit.chunk)
    )


def _rows(hit: Hit, rank: int) -> list[Statement]:
    columns = [str(column) for column in hit.chunk.meta.get("columns", ())]
    above = headline(hit.chunk)
    found = []
    for start, end, values in table_rows(hit.chunk):
        held = [(c, v) for c, v in zip([*columns, *[""] * len(values)], values, strict=False) if v]
        quote = " | ".join(value for _, value in held)
        named = [f"{column} {value}" if column not in ("", value) else value for column, value in held]
        found.append(
            Statement(
                hit=hit, rank=rank, start=start, end=end, quote=quote, reading="; ".join(named), above=above,
                row=True, cells=_placed(held),
            )
        )  # fmt: skip
    return found


def _placed(held: Sequence[tuple[str, str]]) -> tuple[tuple[str, int, int], ...]:
    places, start = [], 0
    for column, value in held:
        places.append((column, start, start + len(value)))
        start += len(value) + len(" | ")
    return tuple(places)
