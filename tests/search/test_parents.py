"""Small pieces are found, more is read: neighbours of the same section, as one passage whose citations hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lyceum.answer.cite import cite
from lyceum.answer.statements import statements
from lyceum.core.types import Hit, Piece, Place, Query
from lyceum.search.parents import Parents
from tests.answer.made import hit, prose, staged, table
from tests.toys import ALL, Home, run

SECTION = ("Pumps",)
TEXTS = ("Open the red valve.", "Then start the pump. It hums.", "Wait for forty bar.", "Log the pressure.")


def printed(text: str, page: int) -> tuple[Piece, ...]:
    box = (10.0, 20.0 * page, 90.0, 20.0 * page + 9)
    return (Piece(start=0, end=len(text), place=Place(page=page, box=box)),)


def filled(folder: Path) -> Home:
    home = Home(folder)
    chunks = [replace(prose(t, path=SECTION), pieces=printed(t, n)) for n, t in enumerate(TEXTS, start=1)]
    other = prose("Lamps are trimmed.", path=("Lamps",))
    rows = table(("Pump", "Price"), ("P7", "12 EUR"))
    home_only = staged(
        "secret.md", prose("The pump starts at night.", path=SECTION), readers=frozenset({"boss"})
    )
    run(home.store.put([staged("manual.md", *chunks, other), home_only, staged("prices.csv", rows)]))
    return home


def found(home: Home, question: str, top_k: int = 1, **options: int) -> list[Hit]:
    return run(Parents(home.hybrid, home.ledger, **options)(Query(text=question, top_k=top_k)))


def test_neighbours_join_the_passage_and_other_sections_do_not(tmp_path: Path) -> None:
    home = filled(tmp_path)
    (one,) = found(home, "wait for forty bar")
    assert one.chunk.text == "\n\n".join(TEXTS[1:])
    assert one.chunk.number == 3
    (edge,) = found(home, "log the pressure")
    assert edge.chunk.text == "\n\n".join(TEXTS[2:])


def test_nothing_around_is_the_whole_section(tmp_path: Path) -> None:
    (one,) = found(filled(tmp_path), "log the pressure", around=0)
    assert one.chunk.text == "\n\n".join(TEXTS)


def test_a_budget_ends_the_window_before_it_is_over(tmp_path: Path) -> None:
    (one,) = found(filled(tmp_path), "wait for forty bar", around=0, tokens=12)
    assert one.chunk.text == "\n\n".join(TEXTS[2:])


def test_windows_that_touch_become_one_passage_at_the_best_rank(tmp_path: Path) -> None:
    hits = found(filled(tmp_path), "open the red valve and log the pressure", top_k=2)
    assert [one.chunk.text for one in hits] == ["\n\n".join(TEXTS)]


def test_citations_name_the_chunk_the_page_and_the_box_that_hold_the_words(tmp_path: Path) -> None:
    home = filled(tmp_path)
    (one,) = found(home, "wait for forty bar", around=0)
    (document,) = [d for d in run(home.ledger.documents(ALL)) if d.source == "manual.md"]
    chunks = {chunk.text: chunk.id for chunk in run(home.ledger.chunks(document.id))}
    cited = {made.quote: made for made in (cite(said, 1) for said in statements([one]))}
    assert list(cited) == ["Open the red valve.", "Then start the pump.", "It hums.", "Wait for forty bar.",
                           "Log the pressure."]  # fmt: skip
    for quote, page, text in (("It hums.", 2, TEXTS[1]), ("Log the pressure.", 4, TEXTS[3])):
        assert cited[quote].place.page == page
        assert cited[quote].boxes == (printed(text, page)[0].place.box,)
        assert cited[quote].chunk_id == chunks[text]


def test_rows_of_a_table_stay_alone(tmp_path: Path) -> None:
    (one,) = found(filled(tmp_path), "price of P7")
    assert one.chunk.kind == "table"
    assert "parts" not in one.chunk.meta


def test_what_another_reader_holds_or_an_old_version_held_is_no_neighbour(tmp_path: Path) -> None:
    home = filled(tmp_path)
    again = staged("manual.md", prose("Wait for sixty bar.", path=SECTION), prose("Log it.", path=SECTION))
    run(home.store.put([(replace(again[0], version="2"), *again[1:])]))
    (one,) = found(home, "wait for sixty bar", around=0)
    assert one.chunk.text == "Wait for sixty bar.\n\nLog it."
    assert all("secret" not in hit.document.source for hit in found(home, "pump", top_k=9, around=0))


def test_headings_inside_a_chunk_stay_headings(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first, second = (
        prose("Valve. Open it slowly.", "Valve.", path=SECTION),
        prose("Pump. It hums.", "Pump.", path=SECTION),
    )
    run(home.store.put([staged("a.md", first, second)]))
    (one,) = found(home, "open slowly")
    assert [said.quote for said in statements([one])] == ["Open it slowly.", "It hums."]


def test_nothing_found_is_nothing() -> None:
    async def empty(query: Query) -> list[Hit]:
        return []

    class Ledger:
        async def get(self, numbers: list[int], readers: frozenset[str]) -> dict[int, object]:
            return {}

    assert run(Parents(empty, Ledger())(Query(text="anything"))) == []  # type: ignore[arg-type]
    assert hit(prose("x")).chunk.text == "x"
