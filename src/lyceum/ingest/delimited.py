"""CSV and TSV to one table, each row with its line in the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from lyceum.core.errors import ParseError
from lyceum.core.types import Document, Page, Place
from lyceum.ingest.decode import decode
from lyceum.ingest.tables import table

DELIMITERS = ",;\t|"
CELLS = 2_000_000


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page with one table."""
    text = decode(data)
    csv.field_size_limit(1_000_000)
    reader = csv.reader(text.splitlines(keepends=True), _dialect(text))
    rows, places, count = [], [], 0
    try:
        for row in reader:
            count += len(row)
            if count > CELLS:
                raise ParseError("The table has over 2,000,000 cells.", hint="Split the file.", code="limit")
            rows.append(row)
            places.append(Place(row=reader.line_num))
    except csv.Error as problem:
        raise ParseError(
            f"The CSV is broken at line {reader.line_num}: {problem}.", hint="Correct that line."
        ) from problem
    found = table(document.id, rows, places)
    yield Page(elements=(found,) if found else ())


def _dialect(text: str) -> type[csv.Dialect]:
    """Return a dialect with the delimiter that cuts the first lines most evenly."""
    lines = [line for line in text.splitlines()[:20] if line.strip()]

    def evenness(delimiter: str) -> tuple[int, int]:
        counts = [line.count(delimiter) for line in lines]
        usual = max(set(counts), key=counts.count) if counts else 0
        return (counts.count(usual) if usual else 0, usual)

    class Chosen(csv.excel):
        delimiter = max(DELIMITERS, key=evenness)

    return Chosen
