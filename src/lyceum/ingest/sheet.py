"""Rows of a sheet to its elements: gaps cut tables apart, merged cells are spread, header rows counted. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from lyceum.core.errors import ParseError
from lyceum.core.types import Element, Place
from lyceum.ingest.lines import line
from lyceum.ingest.tables import grid

CELLS = 2_000_000
COLUMNS = 1_000
Row = tuple[int, dict[int, str]]  # number, text by column
Merge = tuple[int, int, int, int]  # top, left, bottom, right; all inside
SPREAD = 1_000_000  # cells that merges may fill in all
DEEPEST = 6  # rows a header may have
LOOKED = 3  # rows at the top of a region among which its column names are looked for
_year = re.compile(r"(?:FY\s*)?(?:19|20)\d\d(?:/\d\d)?")


def too_many() -> ParseError:
    """Return the error of a file with more cells than are read."""
    return ParseError(f"It has over {CELLS:,} cells.", hint="Split it into files.", code="limit")


def elements(rows: list[Row], merges: Sequence[Merge], sheet: str, doc_id: str) -> Iterator[Element]:
    """Yield the sheet's name as a heading, then by region: single cells above as text, and the table."""
    if rows:
        yield from line(doc_id, sheet, Place(sheet=sheet, row=1), level=1)
    merges = sorted(merges)
    for region in regions(rows, merges):
        start = 0
        while start < len(region) and len(region[start][1]) == 1:
            number, texts = region[start]
            yield from line(doc_id, next(iter(texts.values())), Place(sheet=sheet, row=number))
            start += 1
        block = region[start:]
        header = header_rows(block, merges) if block else None
        used = sorted({column for _, texts in block for column in texts})
        cells = [[texts.get(column, "") for column in used] for _, texts in block]
        yield from grid(doc_id, cells, [Place(sheet=sheet, row=number) for number, _ in block], header)


def regions(rows: list[Row], merges: Sequence[Merge]) -> Iterator[list[Row]]:
    """Yield blocks of rows without a gap; columns without a cell part two tables that stand side by side."""
    spread(rows, merges)
    start = 0
    for index in range(1, len(rows) + 1):
        if index < len(rows) and rows[index][0] == rows[index - 1][0] + 1:
            continue
        run, start = rows[start:index], index
        parts = _side_by_side(run)
        if len(parts) == 1:
            yield run
            continue
        of = {column: index for index, part in enumerate(parts) for column in part}
        apart: list[dict[int, dict[int, str]]] = [{} for _ in parts]
        for number, texts in run:
            for column, text in texts.items():
                apart[of[column]].setdefault(number, {})[column] = text
        for part in apart:
            yield from regions(list(part.items()), ())


def spread(rows: list[Row], merges: Sequence[Merge]) -> None:
    """Repeat a cell that is merged over rows in each of those that hold anything else."""
    numbers = [number for number, _ in rows]
    left_over = SPREAD
    for top, left, bottom, _ in merges:
        first, last = bisect_left(numbers, top), bisect_right(numbers, bottom)
        if bottom == top or first == len(numbers) or numbers[first] != top:
            continue
        text = rows[first][1].get(left)
        left_over -= last - first
        if text is None or left_over < 0:
            continue
        for _, texts in rows[first + 1 : last]:
            texts.setdefault(left, text)


def _side_by_side(run: list[Row]) -> list[list[int]]:
    """Return the columns of each table in a run; a gap alone is none, the right one must name its columns."""
    used = sorted({column for _, texts in run for column in texts})
    groups: list[list[int]] = []
    for column in used:
        if groups and column == groups[-1][-1] + 1:
            groups[-1].append(column)
        else:
            groups.append([column])
    parts = groups[:1]
    for group in groups[1:]:
        if len(parts[-1]) > 1 and _named(run, group):
            parts.append(group)
        else:
            parts[-1] += group
    return parts


def _named(run: list[Row], columns: Sequence[int]) -> bool:
    """Say whether one of the first rows has a word for every column."""
    if len(columns) < 2:
        return False
    filled = (texts for _, texts in run if any(column in texts for column in columns))
    first = list(islice(filled, LOOKED))
    return any(all(column in texts and is_name(texts[column]) for column in columns) for texts in first)


def is_name(text: str) -> bool:
    """Say whether a text may name a column: words, or a year."""
    return any(one.isalpha() for one in text) or _year.fullmatch(text.strip()) is not None


def header_rows(block: list[Row], merges: Sequence[Merge]) -> int | None:
    """Return how many first rows name the columns when (sorted) merges tell, else None; spreads names.

    A row is followed by another of the header when a cell over columns stands in it and the next row only
    names what is below such cells, or what comes down from above.
    """
    numbers = [number for number, _ in block]
    first, last = numbers[0], numbers[0] + DEEPEST
    near = [
        one for one in merges[bisect_left(merges, (first,)) : bisect_left(merges, (last,))] if one[2] < last
    ]
    depth = 1
    while depth < len(block) and _goes_on(block[depth - 1], block[depth], near):
        depth += 1
    wide = [one for one in near if one[3] > one[1] and one[0] in numbers[:depth]]
    if depth == 1 and not (wide and all(map(is_name, block[0][1].values()))):
        return None
    for top, left, bottom, right in wide:
        for number, texts in block[:depth]:
            if top <= number <= bottom and left in texts:
                texts.update((column, texts[left]) for column in range(left, min(right, left + 1000) + 1))
    return depth if len(block) > depth else None


def _goes_on(row: Row, following: Row, merges: Sequence[Merge]) -> bool:
    number, texts = row
    covered: set[int] = set()
    wide = False
    for top, left, bottom, right in merges:
        if left in texts and top <= number and (bottom > number or (bottom == number and right > left)):
            covered.update(range(left, min(right, left + 1000) + 1))
            wide = wide or (bottom == number and right > left)
    names = following[1]
    return wide and all(column in covered and is_name(text) for column, text in names.items())
