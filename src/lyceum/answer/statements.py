"""Hits to statements: the sentences and table rows that an answer can quote, each with its place in the chunk.

Pure. A row is read as "title: column is value; …", so that words of the question may fall on its columns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lyceum.core.text import headline, sentences, squeeze
from lyceum.core.types import Hit

SHORTEST = 2
_rule = re.compile(r"^[\s|:\-]+$")
_cell = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Characters `start` to `end` of a hit's chunk; `quote` as shown, `reading` as compared, `above` its context."""

    hit: Hit
    rank: int
    start: int
    end: int
    quote: str
    reading: str
    above: str
    row: bool = False


def statements(hits: Sequence[Hit]) -> list[Statement]:
    """Return every statement of the hits, in their order."""
    found: list[Statement] = []
    for rank, hit in enumerate(hits):
        found.extend(_rows(hit, rank) if hit.chunk.kind == "table" else _sentences(hit, rank))
    return found


def _sentences(hit: Hit, rank: int) -> list[Statement]:
    text, above = hit.chunk.text, headline(hit.chunk)
    found = []
    for start, end in sentences(text) or [(0, len(text))]:
        quote = squeeze(text[start:end])
        if len(quote) >= SHORTEST:
            found.append(
                Statement(hit=hit, rank=rank, start=start, end=end, quote=quote, reading=quote, above=above)
            )
    return found


def cells(line: str) -> list[str]:
    """Return the cells of one Markdown table row."""
    return [squeeze(cell.replace("\\|", "|")) for cell in _cell.split(line.strip().strip("|"))]


def _rows(hit: Hit, rank: int) -> list[Statement]:
    columns = [str(column) for column in hit.chunk.meta.get("columns", ())]
    above = headline(hit.chunk)
    found = []
    start = 0
    for line in hit.chunk.text.split("\n"):
        end = start + len(line)
        values = cells(line)
        if line.strip() and not _rule.match(line) and values != columns:
            named = [
                f"{column} {value}" if column and column != value else value
                for column, value in zip([*columns, *[""] * len(values)], values, strict=False)
                if value
            ]
            found.append(
                Statement(
                    hit=hit,
                    rank=rank,
                    start=start,
                    end=end,
                    quote=" | ".join(v for v in values if v),
                    reading="; ".join(named),
                    above=above,
                    row=True,
                )
            )
        start = end + 1
    return found
