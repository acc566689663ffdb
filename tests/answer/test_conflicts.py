"""Sources that disagree: shown with both citations, and only when they speak of the same thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.answer.conflicts import _amount, _differ, _parts
from lyceum.answer.evidence import Evidence
from lyceum.answer.extractive import Extractive
from lyceum.core.types import Answer, Query
from tests.answer.made import prose, staged, table
from tests.toys import Home, Staged, run

QUESTION = "How much is the daily allowance for meals in Norway?"
ONE = staged("travel.md", prose("The daily allowance for meals is 51 EUR in Norway. It is paid monthly."))


def asked(
    folder: Path, question: str, *documents: Staged, readers: frozenset[str] = frozenset({"*"})
) -> Answer:
    home = Home(folder)
    run(home.store.put(documents))
    answerer = Extractive(home.hybrid, Evidence(home.lexical.analyzer), threshold=0.0)
    return run(answerer(Query(text=question, readers=readers)))


def test_both_are_cited_and_the_text_says_so(tmp_path: Path) -> None:
    other = staged("faq.md", prose("In Norway the daily allowance for meals is 60 EUR."))
    found = asked(tmp_path, QUESTION, ONE, other)
    assert found.conflicts == ((1, 2),)
    assert {cited.source for cited in found.citations} == {"travel.md", "faq.md"}
    first, second, said = found.text.split("\n")
    assert (first.split(" — ")[0], second.split(" — ")[0]) in (("51 EUR", "60 EUR"), ("60 EUR", "51 EUR"))
    assert said == f"The sources disagree: {first.split(' — ')[0]} [1], {second.split(' — ')[0]} [2]."


def test_in_chinese(tmp_path: Path) -> None:
    one = staged("手册.md", prose("新员工期满转正的奖金为5000元。"))
    two = staged("问答.md", prose("新员工期满转正的奖金为6000元。"))
    found = asked(tmp_path, "新员工期满转正的奖金是多少元？", one, two)
    assert found.conflicts == ((1, 2),)
    assert found.text.split("\n")[-1].startswith("来源不一致：")


@pytest.mark.parametrize(
    ("source", "said", "meta"),
    [
        ("faq.md", "The daily allowance for meals is 51 EUR in Norway.", {}),  # the same
        ("faq.md", "The daily allowance for meals is 60 EUR in Sweden.", {}),  # another thing
        ("faq.md", "The daily allowance for meals is 51.00 EUR in Norway.", {}),
        ("faq.md", "The daily allowance for meals is 600 NOK in Norway.", {}),  # another unit
        ("faq.md", "The daily allowance for meals of guests who stay with friends is 20 EUR in all of Norway.", {}),
        ("travel 2019.md", "The daily allowance for meals is 45 EUR in Norway.", {}),  # of another year
        ("faq.md", "The daily allowance for meals is between 40 EUR and 60 EUR in Norway.", {}),
    ],
)  # fmt: skip
def test_what_is_no_conflict(tmp_path: Path, source: str, said: str, meta: dict[str, float]) -> None:
    assert asked(tmp_path, QUESTION, ONE, staged(source, prose(said), **meta)).conflicts == ()


@pytest.mark.parametrize(
    ("one", "two", "conflict"),
    [
        (
            "Of 400 pumps 30 are red and 12 are blue.",
            "Of 400 pumps 30 are red and 14 are blue.",
            ("12", "14"),
        ),
        ("Of 400 pumps 30 are red and 12 are blue.", "Of 500 pumps 30 are red and 14 are blue.", None),
        (
            "In 2019 30 pumps of type P7 are blue, 5 red.",
            "In 2020 30 pumps of type P7 are blue, 5 red.",
            None,
        ),
        ("All 30 pumps of type P7 are blue, 5 red.", "All 30 pumps of type P9 are blue, 5 red.", None),
    ],
)
def test_statements_that_are_the_same_but_for_one_value(
    tmp_path: Path, one: str, two: str, conflict: tuple[str, str] | None
) -> None:
    found = asked(
        tmp_path, "How many pumps are blue?", staged("one.md", prose(one)), staged("two.md", prose(two))
    )
    assert bool(found.conflicts) == bool(conflict)
    if conflict:
        assert all(f"{value} [" in found.text.split("\n")[-1] for value in conflict)


def test_editions_do_not_conflict(tmp_path: Path) -> None:
    made = [
        staged(f"policy v{n}.md", prose(f"A hotel night may cost {100 + n} EUR."), edition=float(n))
        for n in (1, 2)
    ]
    found = asked(tmp_path, "How much may a hotel night cost?", *made)
    assert found.conflicts == ()
    assert "102 EUR" in found.text


def test_one_document_and_rows_about_two_things_do_not_conflict(tmp_path: Path) -> None:
    rows = staged("prices.csv", table(("Code", "Price"), ("PX-7", "12 EUR"), ("PX-9", "15 EUR")))
    twice = staged(
        "note.md", prose("The pump PX-7 has a price of 12 EUR. The pump PX-7 has a price of 13 EUR.")
    )
    assert asked(tmp_path / "a", "What is the price of the pump PX-7?", rows).conflicts == ()
    assert asked(tmp_path / "b", "What is the price of the pump PX-7?", twice).conflicts == ()


def test_who_may_not_read_the_other_source_hears_of_no_conflict(tmp_path: Path) -> None:
    secret = staged(
        "s.md", prose("The daily allowance for meals is 60 EUR in Norway."), readers=frozenset({"boss"})
    )
    assert asked(tmp_path / "a", QUESTION, ONE, secret).conflicts == ()
    assert asked(tmp_path / "b", QUESTION, ONE, secret, readers=frozenset({"*", "boss"})).conflicts == (
        (1, 2),
    )


@pytest.mark.parametrize(
    ("one", "two", "differ"),
    [
        ("3 March 2024", "March 2024", False), ("3 March 2024", "4 March 2024", True),
        ("2024-03-03", "3 Mar 2024", False),
        ("2024年3月", "2024年4月", True), ("2024", "3 March 2024", False), ("51 EUR", "EUR 51", False),
        ("51 EUR", "EUR 60", True), ("1,200 pallets", "1200 pallets", False), ("6 years", "6 year", False),
        ("6 years", "6 months", False), ("March 2024", "6 years", False),
    ],
)  # fmt: skip
def test_values(one: str, two: str, differ: bool) -> None:
    assert _differ(one, two) == _differ(two, one) == differ


def test_parts_of_values() -> None:
    assert _parts("3 March 2024") == {"day": 3, "month": 3, "year": 2024}
    assert _parts("5月12日") == {"month": 5, "day": 12}
    assert _amount("EUR 1,200.50") == (1200.5, "eur")
    assert _amount("pallets") is None
