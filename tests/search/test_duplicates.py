"""Near copies: one is left, the others are named; numbers and negations make two texts of two."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.core.types import Hit, Query
from lyceum.search.duplicates import Distinct
from tests.answer.made import hit, prose, staged
from tests.toys import Home, document, run

RULE = (
    "All pumps of the harbour are inspected in spring and their seals are renewed by the fitters of the yard."
)


def left(*hits: Hit, top_k: int = 10) -> list[Hit]:
    async def given(query: Query) -> list[Hit]:
        return list(hits)[: query.top_k]

    return run(Distinct(given)(Query(text="pumps", top_k=top_k)))


def test_a_copy_goes_and_is_named() -> None:
    copy = RULE.replace("the yard", "our yard").upper()
    one, other = left(
        hit(prose(RULE, title="one")),
        hit(prose(copy, title="two"), 0.5),
        hit(prose("Lamps.", title="x"), 0.2),
    )
    assert (one.document.source, one.score) == ("one", 1.0)
    assert [(by.part, by.rank, by.score) for by in one.by] == [("copy:two", 2, 0.5)]
    assert other.by == ()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (RULE + " In 2024.", RULE + " In 2025."), (RULE, RULE.replace("are renewed", "are not renewed")),
        (RULE, RULE.split(" and ")[0]), ("Lamps.", "Pumps."),
        ("泵每年春季检查，密封件由船厂装配工更换，记录保存于办公室。",
         "泵每年春季不检查，密封件由船厂装配工更换，记录保存于办公室。"),
    ],
)  # fmt: skip
def test_what_differs_in_what_matters_stays(one: str, two: str) -> None:
    assert len(left(hit(prose(one, title="a")), hit(prose(two, title="b")))) == 2


def test_the_newest_edition_is_kept_at_the_best_rank() -> None:
    old, new = hit(prose(RULE, title="a"), 0.9, edition=1.0), hit(prose(RULE, title="b"), 0.4, edition=2.0)
    (kept,) = left(old, new)
    assert (kept.document.source, kept.score) == ("b", 0.9)
    (kept,) = left(
        hit(prose(RULE, title="a"), dated="2025-01-01"), hit(prose(RULE, title="b"), 0.4, dated="2024-01-01")
    )
    assert kept.document.source == "a"


def test_a_reader_keeps_the_only_copy_that_he_may_see(tmp_path: Path) -> None:
    home = Home(tmp_path)
    secret = staged("a-secret.md", prose(RULE), readers=frozenset({"boss"}), edition=9.0)
    run(home.store.put([secret, staged("open.md", prose(RULE)), document("other.md", "pumps")]))
    search = Distinct(home.hybrid)
    seen = run(search(Query(text="pumps inspected")))
    assert [one.document.source for one in seen] == ["open.md", "other.md"]
    assert all("secret" not in by.part for one in seen for by in one.by)
    boss = run(search(Query(text="pumps inspected", readers=frozenset({"boss", "*"}))))
    assert boss[0].document.source == "a-secret.md"


def test_places_of_copies_are_filled() -> None:
    copies = [hit(prose(RULE, title=f"copy {n}")) for n in range(4)]
    others = [hit(prose(f"{word} are sold.", title=word)) for word in ("Lamps", "Nets", "Ropes")]
    assert [one.document.source for one in left(*copies, *others, top_k=3)] == ["copy 0", "Lamps", "Nets"]
