"""References in passages: which are seen, which passages they mean, steps, circles, hidden documents."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum import wire
from lyceum.core.errors import StoreError
from lyceum.core.trace import tracing
from lyceum.core.types import Chunk, Query, Span
from lyceum.search.recursive import Recursive, bears, labels
from lyceum.search.single import Single
from tests.store.test_links import titled
from tests.toys import ALL, Home, ToyEncoder, run


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("see Table 4 and figure 2-1", ["Table 4", "Figure 2-1"]), ("as section 5.2 says.", ["Section 5.2"]),
        ("Appendix B, Annex IV", ["Appendix B", "Annex IV"]), ("a table of 4 rows; tables 4", []),
        ("chapter and verse; section a", []), ("详见表4，参见附录B和第三章", ["表4", "附录B", "第三章"]),
        ("第 5.2 节", ["第5.2节"]), ("shown before [12].", ["[12]"]), ("Table 4 Table 4", ["Table 4"]),
    ],
)  # fmt: skip
def test_references_that_are_seen(text: str, names: list[str]) -> None:
    assert [name for name, _ in labels(text)] == names


@pytest.mark.parametrize(
    ("reference", "path", "text", "meant"),
    [
        ("Table 4", (), "Prices\nTable 4: pumps", True), ("Table 4", (), "**Table 4** pumps", True),
        ("Table 4", (), "Table 41: pumps", False), ("Table 4", (), "as Table 4 says", False),
        ("Table 4", (), "Table 4.1: pumps", False), ("section 5.2", ("5 Rules", "5.2 Refunds"), "x", True),
        ("section 5.2", ("Section 5.2. Refunds",), "x", True), ("section 5.2", ("5.2.1 Late",), "x", False),
        ("section 5", (), "5 apples", False), ("Appendix B", ("Appendix B", "Forms"), "x", True),
        ("见表4", (), "表 4 水泵", True), ("见表4", (), "表40", False), ("第三章", ("第三章 付款",), "x", True),
        ("as said [3]", (), "[2] A\n[3] B", True), ("as said [3]", (), "so [3]", False),
    ],
)  # fmt: skip
def test_passages_that_are_meant(reference: str, path: tuple[str, ...], text: str, meant: bool) -> None:
    ((_, pattern),) = labels(reference)
    assert isinstance(pattern, re.Pattern)
    assert bears(Chunk(id="c", doc_id="d", text=text, path=path), pattern) is meant


LONG = " ".join(f"word{n}" for n in range(60))


def filled(folder: Path) -> Home:
    home = Home(folder)
    manual = titled(
        "manual.md", "Machine", "The warranty of the pump follows Table 4.", "Table 4: see section 5.2",
        "Twelve months after delivery.", "Colours and shapes.", "The warranty is in handbook.html and Old Rules.",
    )  # fmt: skip
    chunks = [replace(one, path=("5.2 Terms",)) if n == 2 else one for n, one in enumerate(manual[2])]
    batch = [
        (manual[0], manual[1], chunks), titled("other.md", "Other", "Table 4: bananas"),
        titled("handbook.html", "Handbook", f"warranty for guests {LONG}", "rooms"),
        titled("rules.md", "Old Rules", f"warranty {LONG} {LONG}"),
        titled("boss.md", "Secret Terms", "warranty", readers=frozenset({"boss"})),
    ]  # fmt: skip
    run(home.store.put(batch))
    return home


def recursive(home: Home, **more: Any) -> Recursive:
    return Recursive(home.ledger, home.links, home.lexical, Single(home.ledger, home.lexical), **more)


def told(home: Home, query: Query, **more: Any) -> dict[str, str]:
    return {hit.chunk.text: hit.by[-1].part for hit in run(recursive(home, **more)(query))}


def test_references_are_followed_within_the_document_and_to_others(tmp_path: Path) -> None:
    home = filled(tmp_path)
    query = Query(text="warranty pump follows")
    found = told(home, query)
    assert found["Table 4: see section 5.2"] == "Table 4"
    assert found["Twelve months after delivery."] == "Section 5.2", "over two steps"
    assert "Table 4: bananas" not in found
    assert "Colours and shapes." not in told(home, Query(text="warranty"))
    assert "Twelve months after delivery." not in told(home, query, steps=1)
    assert told(home, query, steps=0).keys() == {
        hit.chunk.text for hit in run(Single(home.ledger, home.lexical)(query))
    }
    by_file = told(home, Query(text="warranty told"))
    assert by_file[f"warranty for guests {LONG}"] == "handbook.html"
    assert by_file[f"warranty {LONG} {LONG}"] == "title"


def test_what_is_found_counts_less_than_who_refers_to_it(tmp_path: Path) -> None:
    hits = run(recursive(filled(tmp_path), share=0.5)(Query(text="warranty pump follows")))
    scores = {hit.chunk.text: hit.score for hit in hits}
    first = scores["The warranty of the pump follows Table 4."]
    assert [hit.score for hit in hits] == sorted(scores.values(), reverse=True)
    assert first > scores["Table 4: see section 5.2"] > scores["Twelve months after delivery."]


def test_circles_end_and_steps_are_bounded(tmp_path: Path) -> None:
    home = Home(tmp_path)
    run(
        home.store.put(
            [titled("a.md", "A b", "Table 1: see Table 2", "Table 2: see Table 1"), titled("b.md", "c", "x")]
        )
    )
    assert len(run(recursive(home, steps=5)(Query(text="table")))) == 2
    with pytest.raises(AssertionError):
        recursive(home, steps=6)


def test_readers_and_filters_hold(tmp_path: Path) -> None:
    home = filled(tmp_path)
    run(home.store.put([titled("list.md", "List", "warranty list: Secret Terms, boss.md, handbook.html")]))
    assert {"boss.md"} & {hit.document.source for hit in run(recursive(home)(Query(text="list")))} == set()
    boss = run(recursive(home)(Query(text="warranty list", readers=ALL | {"boss"})))
    assert "boss.md" in {hit.document.source for hit in boss}
    only = run(recursive(home)(Query(text="list", filters={"source": "list.md"})))
    assert {hit.document.source for hit in only} == {"list.md"}
    kind = run(recursive(home)(Query(text="list", filters={"type": "md"})))
    assert {hit.document.media for hit in kind} == {"md"}


def test_a_view_that_fails_leaves_the_hits(tmp_path: Path) -> None:
    home = filled(tmp_path)

    class Failing:
        async def find(self, *_: Any) -> list[tuple[int, float]]:
            raise StoreError("gone", code="disk_io")

    single = Single(home.ledger, home.lexical)
    broken = Recursive(home.ledger, home.links, Failing(), single)  # type: ignore[arg-type]
    spans: list[Span] = []
    with tracing(spans.append):
        hits = run(broken(Query(text="warranty pump")))
    assert hits == run(single(Query(text="warranty pump")))
    assert [one.facts["warning"] for one in spans if one.name == "search.references"] == [
        "not followed: disk_io"
    ]


def test_a_configuration_names_it(tmp_path: Path) -> None:
    tables = {"retriever": {"kind": "search.recursive", "steps": 1, "retriever": {"kind": "search.hybrid"}}}
    platform = wire.build(tables, tmp_path, replace={"encoder": ToyEncoder(), "spans": None})
    assert isinstance(platform.retriever, Recursive)
    assert run(platform.retriever(Query(text="anything"))) == []
    run(platform.close())
