"""Tables of PDF files: cells side by side against ICDAR 2013, tables found where there are none, CPU time.

The figure is the F1 of adjacency relations (Göbel, Hassan, Oro, Orsi: ICDAR 2013 Table Competition): each pair
of filled cells that are neighbours in a row or a column, blank cells skipped, is one relation (text, text,
direction); texts are compared without white space and case. The relations of all tables of a document are one
multiset. The pooled figure sums over documents, the other is the mean of theirs. Where the ground truth has two
readings the first is taken. Constants were chosen on the development half (a bit of the SHA-256 of the file's
name); the main figures are of the other. On papers in columns each table beyond those that were counted by eye
is false. Time is that of `find` on reference manuals, the page already open.
"""

from __future__ import annotations

import hashlib
import re
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import common
import pypdfium2
from common import Figure

from lyceum.ingest.pdf_grid import Cell
from lyceum.ingest.pdf_tables import find

Relations = Counter[tuple[str, str, str]]
Counts = tuple[int, int, int]
_space = re.compile(r"\s+")


# Tables by page, counted by eye; the two papers of the survey first.
PAPERS: dict[str, dict[int, int]] = {
    "MinerU__demo2.pdf": {4: 1, 5: 1},
    "MinerU__demo3.pdf": {1: 2, 3: 1, 5: 1, 6: 2, 7: 2, 8: 2},
    "MinerU__demo1.pdf": {5: 1, 6: 2, 8: 1, 9: 1},
    "docling-parse__ligatures_01.pdf": {4: 1},
    "docling__amt_handbook_sample.pdf": {},
    "kreuzberg__ts_application_to_large_scale_comparison_and_radix_sort_sigmod14_i.pdf": {},
    "pdfplumber__federal-register-2020-17221.pdf": {},
    "sample-files__multicolumn.pdf": {3: 1},
}


def relations(cells: Sequence[Cell]) -> Relations:
    """Return the pairs of filled cells that are neighbours, with their direction."""
    at = {
        (row, column): cell
        for cell in cells
        if _key(cell.text)
        for row in range(cell.row, cell.row + cell.rows)
        for column in range(cell.column, cell.column + cell.columns)
    }
    found: dict[tuple[int, int, str], tuple[str, str, str]] = {}
    for direction, line in (("right", 0), ("below", 1)):
        places = sorted(at, key=lambda place: (place[line], place[1 - line]))
        for here, there in pairwise(places):
            one, other = at[here], at[there]
            if here[line] == there[line] and one is not other:
                found[id(one), id(other), direction] = (_key(one.text), _key(other.text), direction)
    return Counter(found.values())


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


def counts(found: Relations, wanted: Relations) -> Counts:
    """Return how many relations are right, found and wanted."""
    return (found & wanted).total(), found.total(), wanted.total()


def f1(several: Sequence[Counts]) -> float:
    """Return the F1 of counts taken together."""
    good, found, wanted = (sum(column) for column in zip(*several, strict=True))
    return 2 * good / (found + wanted) if found + wanted else 1.0


def half(path: Path) -> str:
    """Return the half to which a document belongs."""
    return "test" if hashlib.sha256(path.name.encode()).digest()[0] & 1 else "dev"


def pages(path: Path) -> Iterator[Any]:
    """Yield the open pages of a document."""
    pdf = pypdfium2.PdfDocument(path)
    for index in range(len(pdf)):
        page = pdf[index]
        yield page
        page.close()
    pdf.close()


def scores(folder: Path, quick: bool) -> dict[str, list[Counts]]:
    """Return the counts of each document by half."""
    found: dict[str, list[Counts]] = {"dev": [], "test": []}
    for path in sorted((folder / "icdar2013").rglob("*.pdf"))[:: 2 if quick else 1]:
        mine: Relations = Counter()
        for page in pages(path):
            for grid in find(page):
                mine += relations(grid.cells)
        found[half(path)].append(counts(mine, truth(path.with_name(f"{path.stem}-str.xml"))))
    return found


def false_tables(path: Path, real: dict[int, int]) -> int:
    """Return how many tables are found beyond the real ones, page by page."""
    return sum(max(0, len(find(page)) - real.get(number, 0)) for number, page in enumerate(pages(path), 1))


def milliseconds(paths: Sequence[Path]) -> float:
    """Return the mean CPU time of finding tables on a page, in milliseconds."""
    spent, count = 0.0, 0
    for page in (page for path in paths for page in pages(path)):
        started = time.process_time()
        find(page)
        spent += time.process_time() - started
        count += 1
    return 1000 * spent / max(1, count)


def figures(folder: Path, quick: bool) -> list[tuple[str, float, float, bool, str]]:
    """Return (name, value, target, higher is better, note) for the documents in a folder."""
    by_half = scores(folder, quick)
    both = by_half["dev"] + by_half["test"]
    mean = {
        name: sum(f1([one]) for one in some) / len(some) for name, some in (*by_half.items(), ("all", both))
    }
    false = [false_tables(folder / "pdf" / name, real) for name, real in PAPERS.items()]
    manuals = sorted((folder / "cut").glob("*.pdf"))[:: 3 if quick else 1]
    note = f"test half, {len(by_half['test'])} documents; development half"
    return [
        ("tables_f1", f1(by_half["test"]), 0.8, True, f"{note} {f1(by_half['dev']):.3f}"),
        ("tables_f1_doc", mean["test"], 0.7, True, f"{note} {mean['dev']:.3f}"),
        ("tables_f1_all", f1(both), 0.8, True, f"{len(both)} documents; xberg 1.3.9 .795"),
        ("tables_f1_doc_all", mean["all"], 0.7, True, "xberg 1.3.9 .637"),
        ("tables_false", sum(false[:2]), 5, False, "two papers in columns; xberg 1.3.9 10"),
        ("tables_false_all", sum(false), 10, False, f"{len(false)} documents in columns"),
        ("tables_ms", milliseconds(manuals), 10, False, "CPU time a page, reference manuals"),
    ]


def main() -> None:
    options = common.arguments(__doc__)
    folder = Path(options.shared) / "documents"
    if not (folder / "icdar2013").is_dir():
        print(f"No documents in {folder}: give --shared DIR or LYCEUM_SHARED.")
        raise SystemExit(77)
    found = []
    for name, value, target, higher, note in figures(folder, options.quick):
        good = value >= target if higher else value <= target
        found.append(Figure(name, value, f"{'>=' if higher else '<='} {target:g}", good))
        print(f"{name:18} {value:8.3f}  {note}")
    common.finish("parsing_tables", found, options)


if __name__ == "__main__":
    main()
