"""What of a hit can be quoted: sentences under their headings, table rows with their columns."""

from __future__ import annotations

from itertools import pairwise

from lyceum.answer.statements import statements
from lyceum.core.text import cells, squeeze
from tests.answer.made import hit, prose, table

TEXT = (
    "The depot opens at six.\nIt closes\nat ten.\nParking\nTrucks park behind the depot.\n"
    "Washing\nOnly on Fridays."
)
SECTIONS = hit(prose(TEXT, "Parking", "Washing", title="Depot rules", path=["Opening"]))
STAFF = hit(
    table(
        ("Name", "Post", "Extension"), ("Ingrid Dahl", "Head", "4471"), ("Per Moe", "", "4472"), title="Staff"
    )
)


def test_sentences_are_quoted_without_line_breaks() -> None:
    assert [one.quote for one in statements([SECTIONS])] == [
        "The depot opens at six.",
        "It closes at ten.",
        "Trucks park behind the depot.",
        "Only on Fridays.",
    ]


def test_a_sentence_stands_in_its_chunk_where_it_says() -> None:
    found = statements([SECTIONS])
    assert [squeeze(TEXT[one.start : one.end]) for one in found] == [one.quote for one in found]
    assert all(one.end <= after.start for one, after in pairwise(found))
    assert [one.reading for one in found] == [one.quote for one in found]


def test_a_heading_inside_the_chunk_stands_above_what_follows_it() -> None:
    opening, closing, parking, washing = statements([SECTIONS])
    assert opening.above == closing.above == "Depot rules Opening"
    assert parking.above == "Depot rules Opening Parking"
    assert washing.above.endswith(" Washing")
    assert "Parking" not in washing.above


def test_a_chunk_of_nothing_but_headings_has_no_statement() -> None:
    assert statements([hit(prose("Parking", "Parking"))]) == []
    assert statements([hit(prose(""))]) == []


def test_chinese_sentences() -> None:
    found = statements([hit(prose("保修\n保修期为十二个月。退货应在七天内提出。", "保修", title="售后"))])
    assert [(one.quote, one.above) for one in found] == [
        ("保修期为十二个月。", "售后 保修"),
        ("退货应在七天内提出。", "售后 保修"),
    ]


def test_rows_are_read_with_their_columns() -> None:
    first, second = statements([STAFF])
    assert first.quote == "Ingrid Dahl | Head | 4471"
    assert first.reading == "Name Ingrid Dahl; Post Head; Extension 4471"
    assert second.quote == "Per Moe | 4472", "an empty cell is left out"
    assert second.reading == "Name Per Moe; Extension 4472"
    assert first.row
    assert first.above == "Staff Name Post Extension"


def test_the_header_is_no_statement() -> None:
    assert statements([hit(table(("Name", "Post")))]) == []
    ruled = table(("Name", "Post"), ("---", ":-:"), ("Per Moe", "Driver"))
    assert [one.quote for one in statements([hit(ruled)])] == ["Per Moe | Driver"]


def test_a_row_stands_in_its_chunk_where_it_says() -> None:
    lines = STAFF.chunk.text.split("\n")
    assert [STAFF.chunk.text[one.start : one.end] for one in statements([STAFF])] == lines[1:]


def test_cells_lie_inside_the_quote() -> None:
    for one in statements([STAFF]):
        assert " | ".join(one.quote[start:end] for _, start, end in one.cells) == one.quote
    assert [
        [(column, one.quote[start:end]) for column, start, end in one.cells] for one in statements([STAFF])
    ] == [
        [("Name", "Ingrid Dahl"), ("Post", "Head"), ("Extension", "4471")],
        [("Name", "Per Moe"), ("Extension", "4472")],
    ]


def test_an_escaped_pipe_belongs_to_its_cell() -> None:
    (one,) = statements([hit(table(("Part", "Size"), ("Valve A|B", "40")))])
    assert [one.quote[start:end] for _, start, end in one.cells] == ["Valve A|B", "40"]
    assert cells("| Valve A\\|B | 40 |") == ["Valve A|B", "40"]


def test_rows_without_column_names_are_read_as_they_are() -> None:
    (one,) = statements([hit(table(("", ""), ("Fan", "90 EUR")))])
    assert one.reading == "Fan; 90 EUR"


def test_the_hits_keep_their_order() -> None:
    found = statements([STAFF, SECTIONS])
    assert [one.rank for one in found] == [0, 0, 1, 1, 1, 1]
    assert {one.hit.chunk.id for one in found if one.rank == 1} == {SECTIONS.chunk.id}
