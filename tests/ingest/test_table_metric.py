"""The adjacency relations by which tables are measured, worked out by hand (Göbel et al., ICDAR 2013)."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from lyceum.ingest.pdf_grid import Cell

sys.path.append(str(Path(__file__).parents[2] / "bench"))

from parsing_tables import counts, f1, relations, truth

# | Port   | Ships       |   "Ships" goes over two columns, the cell under "Port" is blank
# |        | 2024 | 2025 |
# | Bergen | 31   | 44   |
CELLS = (
    Cell(0, 0, 1, 1, "Port"), Cell(0, 1, 1, 2, "Ships"), Cell(1, 1, 1, 1, "2024"), Cell(1, 2, 1, 1, "2025"),
    Cell(2, 0, 1, 1, "Bergen"), Cell(2, 1, 1, 1, "31"), Cell(2, 2, 1, 1, "44"),
)  # fmt: skip
WANTED = {
    ("port", "ships", "right"), ("2024", "2025", "right"), ("bergen", "31", "right"), ("31", "44", "right"),
    ("port", "bergen", "below"), ("ships", "2024", "below"), ("ships", "2025", "below"),
    ("2024", "31", "below"), ("2025", "44", "below"),
}  # fmt: skip


def test_neighbours_skip_blanks_and_a_wide_cell_has_each_cell_below_it() -> None:
    assert relations(CELLS) == Counter(WANTED)


def test_a_cell_lost_costs_its_relations() -> None:
    found = relations(CELLS[:-1])
    assert counts(found, Counter(WANTED)) == (7, 7, 9)
    assert f1([(7, 7, 9)]) == pytest.approx(14 / 16)
    assert f1([(7, 7, 9), (0, 2, 0)]) == pytest.approx(14 / 18)


def test_columns_swapped_are_wrong() -> None:
    swapped = [Cell(c.row, 2 - c.column, c.rows, 1, c.text) for c in CELLS if c.text != "Ships"]
    right, found, wanted = counts(relations(swapped), Counter(WANTED))
    assert (right, wanted) == (3, 9), "port above bergen, 2024 above 31, 2025 above 44"
    assert found == 6


def test_the_ground_truth_is_read(tmp_path: Path) -> None:
    cells = "".join(
        f'<cell start-row="{c.row}" start-col="{c.column}" end-col="{c.column + c.columns - 1}">'
        f"<content>{c.text}</content></cell>"
        for c in CELLS
    )
    file = tmp_path / "a-str.xml"
    file.write_text(f"<document><table><region page='1'>{cells}</region></table></document>")
    assert truth(file) == Counter(WANTED)
