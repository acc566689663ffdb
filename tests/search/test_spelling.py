"""Misspelt words: what is put right, what is left alone, and whose words count."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lyceum.core.types import Hit, Query
from lyceum.search.spelling import Spelled, edits
from tests.toys import Home, document, run

TEXTS = [
    "The warehouse stores cooling pumps and pressure gauges.",
    "Insurance of machines: policy KX-42 and ISO9001.",
]


def test_edits_by_hand() -> None:
    found = set(edits("pump"))
    assert {"pmup", "pum", "pup", "pumps", "plump", "pomp", "pupm"} <= found
    assert not {"bump", "spump", "ump", "upmp", "pmpu"} & found
    assert len(list(edits("pump"))) == 4 * 26 + 3 + 3 * 25 + 2


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spelling")

    async def put() -> None:
        home = Home(folder)
        await home.store.put([
            *(document(f"{n}.md", one) for n, one in enumerate(TEXTS)),
            document("s.md", "the canary", readers=frozenset({"boss"})),
        ])  # fmt: skip
        await home.ledger.close()

    run(put())
    return folder


def searched(folder: Path, text: str, readers: frozenset[str] = frozenset({"*"})) -> str:
    async def check() -> str:
        home = Home(folder)
        kept: list[Query] = []

        async def noted(query: Query) -> list[Hit]:
            kept.append(query)
            return []

        await Spelled(noted, home.lexical.analyzer, home.lexical)(Query(text=text, readers=readers))
        return kept[0].text

    return run(check())


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Where are colling pmups stored?", "Where are cooling pumps stored?"),
        ("insurrance of machinnes", "insurance of machines"),
        ("insurnace policy", "insurance policy"),
    ],
)
def test_words_that_nobody_wrote_are_put_right(shelf: Path, wrong: str, right: str) -> None:
    assert searched(shelf, wrong) == right


@pytest.mark.parametrize(
    "text",
    [
        "Which pumps does the warehouse store?", "policy KX-43", "PMUPS", "pmups.txt", "ISO9002", "http://pmups/x",
        "水泵压力", "zzzzzzzz", "pum", "pmups42", "Pmups", "",
    ],
)  # fmt: skip
def test_codes_known_words_and_strangers_stay(shelf: Path, text: str) -> None:
    assert searched(shelf, text or "the") == (text or "the")


def test_the_words_of_others_change_nothing(shelf: Path) -> None:
    assert searched(shelf, "the canry") == "the canry"
    assert searched(shelf, "the canry", frozenset({"*", "boss"})) == "the canary"


def test_an_index_without_documents(tmp_path: Path) -> None:
    async def check() -> list[Hit]:
        home = Home(tmp_path)
        return await Spelled(home.hybrid, home.lexical.analyzer, home.lexical)(Query(text="pmups"))

    assert asyncio.run(check()) == []
