"""Tables of PDF files against ICDAR 2013: cells side by side found, tables found where there are none, time.

The figure is the F1 of adjacency relations (Göbel, Hassan, Oro, Orsi: ICDAR 2013 Table Competition): each pair
of filled cells that are neighbours in a row or a column, blank cells skipped, is one relation (text, text,
direction); texts are compared without white space and case. The relations of a document's tables are one
multiset; pooled F1 sums over documents, the other is the mean of the documents'. Constants were chosen on the
development half (a bit of the SHA-256 of the file's name). The two-column papers hold no table on the pages
counted, so each table found there is false.
"""

from __future__ import annotations

import hashlib
import re
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import common
import pypdfium2
from common import Figure

from lyceum.ingest.pdf_grid import Cell
from lyceum.ingest.pdf_tables import find

Relations = Counter[tuple[str, str, str]]
_space = re.compile(r"\s+")


def relations(cells: Sequence[Cell]) -> Relations:
    """Return the pairs of filled cells that are neighbours, with their direction."""
    at = {}
    for cell in cells:
        if _key(cell.text):
            for row in range(cell.row, cell.row + cell.rows):
                for column in range(cell.column, cell.column + cell.columns):
                    at[row, column] = cell
    found = set()
    for direction, sort in (("right", lambda p: (p[0], p[1])), ("below", lambda p: (p[1], p[0]))):
        line = None
        before = None
        for place in sorted(at, key=sort):
            here = sort(place)[0]
            cell = at[place]
            if here == line and before is not cell:
                found.add((id(before), id(cell), _key(before.text), _key(cell.text), direction))
            line, before = here, cell
    return Counter((one, other, direction) for _, _, one, other, direction in found)


def _key(text: str) -> str:
    return _space.sub("", text).casefold()


def truth(path: Path) -> Relations:
    """Return the relations of a document's ground truth."""
    total: Relations = Counter()
    for region in ElementTree.parse(path).getroot().iter("region"):
        cells = []
        for one in region.iter("cell"):
            row, column = int(one.get("start-row", 0)), int(one.get("start-col", 0))
            rows = int(one.get("end-row", row)) - row + 1
            columns = int(one.get("end-col", column)) - column + 1
            cells.append(Cell(row, column, rows, columns, one.findtext("content") or ""))
        total += relations(cells)
    return total


def right(found: Relations, wanted: Relations) -> tuple[int, int, int]:
    """Return how many relations are right, found and wanted."""
    return (found & wanted).total(), found.total(), wanted.total()


def f1(counts: tuple[int, int, int]) -> float:
    good, found, wanted = counts
    return 2 * good / (found + wanted) if found + wanted else 0.0


def half(path: Path) -> str:
    return "test" if hashlib.sha256(path.name.encode()).digest()[0] & 1 else "dev"
