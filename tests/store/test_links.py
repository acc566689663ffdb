"""Title links: what counts as named, both directions, late titles, hidden texts, bounds, and removal."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.core.types import Query
from lyceum.store.links import MOST, Links, title_words
from tests.toys import ALL, Home, Staged, document, run


def titled(source: str, title: str, *texts: str, readers: frozenset[str] = ALL) -> Staged:
    made, _, chunks = document(source, *texts, readers=readers)
    return replace(made, title=title), [], [replace(chunk, title=title) for chunk in chunks]


async def edges(home: Home, numbers: list[int], **more: object) -> dict[int, dict[int, float]]:
    found = await home.links.around(Query(text="x", **more), numbers)  # type: ignore[arg-type]
    return {number: {one: round(share, 3) for one, share in near.items()} for number, near in found.items()}


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Lilu (mythology)", "lilu"), ("(What's the Story) Morning Glory?", "what s the story morning glory"),
        ("(untitled)", "untitled"), ("ＮＡＳＡ", "nasa"), ("差旅报销制度", "差 旅 报 销 制 度"), ("制度", ""),
        ("", ""), ("one " * 17, ""), ("a_b-c", "a b c"),
    ],
)  # fmt: skip
def test_words_of_a_title(title: str, words: str) -> None:
    assert title_words(title) == words


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("who wrote the travel policy of Oxford", {1, 2}), ("Oxford has a library", set()), ("at oxford", set()),
        ("TRAVEL POLICY", {1}), ("policy of travel", set()), ("请看差旅报销制度第三条", {3}), ("差旅报销", set()),
    ],
)  # fmt: skip
def test_titles_in_a_question(tmp_path: Path, question: str, named: set[int]) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        batch = [titled("a.md", "Travel Policy", "x"), titled("b.md", "Oxford (city)", "x")]
        await home.store.put([*batch, titled("c.md", "差旅报销制度", "住宿")])
        assert {number for number, _ in await home.links.find(Query(text=question), 10)} == named

    run(check())


def test_links_go_both_ways_and_share_by_how_many_bear_the_title(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put(
            [
                titled("a.md", "Travel Policy", "one", "two", "three", "four"),
                titled("b.md", "Memo", "as the travel policy says", "nothing"),
            ]
        )
        assert await edges(home, [5]) == {5: dict.fromkeys((1, 2, 3, 4), 0.5)}
        assert await edges(home, [1, 6]) == {1: {5: 0.5}}
        assert dict(await home.links.find(Query(text="our travel policy"), 9)) == dict.fromkeys(
            (1, 2, 3, 4), 0.5
        )

    run(check())


def test_a_title_of_one_word_is_a_name(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put(
            [titled("b.md", "M", "the kelvin scale"), titled("c.md", "N", "Lord Kelvin spoke")]
        )
        await home.store.put(
            [titled("a.md", "Kelvin", "born in Belfast")]
        )  # comes after the texts that name it
        await home.store.put([titled("d.md", "O", "Kelvin"), titled("e.md", "P", "kelvin")])
        assert await edges(home, [3]) == {3: {2: 1.0, 4: 1.0}}

    run(check())


def test_in_whatever_order_documents_come_the_links_are_the_same(tmp_path: Path) -> None:
    rng = random.Random(3)
    names = [
        "Red Pump",
        "Blue Pump",
        "Oslo",
        "Pump",
        "Old Red Pump",
        "The Red",
        "Valve (part)",
        "手册第三版本",
        "Ö_Z",
    ]
    words = [
        "red",
        "Pump",
        "blue",
        "Oslo",
        "oslo",
        "old",
        "Valve",
        "the",
        "手册第三版本",
        "Ö_z",
        "Red",
        "pump.",
    ]
    batch = [
        titled(f"{n}.md", rng.choice(names), *(" ".join(rng.choices(words, k=6)) for _ in range(2)))
        for n in range(40)
    ]

    async def found(folder: Path, batches: list[list[Staged]]) -> dict[str, set[tuple[str, float]]]:
        home = Home(folder)
        for some in batches:
            await home.store.put(some)
        for source in ("3.md", "17.md"):
            await home.store.remove(document(source)[0].id, ALL)
        known = await home.ledger.get(list(range(1, 121)), ALL)
        around = await edges(home, list(known))
        name = {number: f"{one.source} {chunk.text}" for number, (chunk, one) in known.items()}
        return {name[one]: {(name[n], share) for n, share in near.items()} for one, near in around.items()}

    async def check() -> None:
        whole = await found(tmp_path / "a", [batch])
        assert sum(map(len, whole.values())) > 100
        mixed = rng.sample(batch, len(batch))
        assert await found(tmp_path / "b", [[one] for one in mixed]) == whole
        assert await found(tmp_path / "c", [mixed[:20], mixed[20:]]) == whole

    run(check())


def test_titles_that_many_name_link_nothing_and_long_documents_link_their_beginning(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([titled("a.md", "Travel Policy", "x"), titled("b.md", "Big Book", *"y" * 500)])
        texts = [f"travel policy {n}" for n in range(MOST)]
        await home.store.put([titled("c.md", "Memo", *texts, "big book")])
        assert len((await edges(home, [1]))[1]) == MOST
        near = (await edges(home, [502 + MOST]))[502 + MOST]
        assert list(near) == list(range(2, 2 + MOST))
        assert set(near.values()) == {round(500**-0.5, 3)}
        await home.store.put([titled("d.md", "One", "travel policy once more")])
        assert await edges(home, [1]) == {}
        await home.store.remove(document("d.md")[0].id, ALL)
        assert len((await edges(home, [1]))[1]) == MOST

    run(check())


def test_what_may_not_be_seen_links_nothing(tmp_path: Path) -> None:
    boss = frozenset({"boss"})

    async def check() -> None:
        home = Home(tmp_path)
        hidden = [f"the travel policy {n}" for n in range(MOST + 5)]
        await home.store.put(
            [
                titled("a.md", "Travel Policy", "see the pay list"), titled("b.pdf", "Memo", "travel policy"),
                titled("c.md", "Pay List", "x", readers=boss), titled("d.md", "Secret", *hidden, readers=boss),
            ]
        )  # fmt: skip
        assert await edges(home, [1]) == {1: {2: 1.0}}, "hidden texts neither link nor count as many"
        assert await edges(home, [3, 4]) == {}, "nor does one find what is around them"
        assert set((await edges(home, [1], readers=ALL | boss))[1]) == {3}, "too many name the policy"
        assert await home.links.find(Query(text="our pay list"), 10) == []
        assert await edges(home, [1], filters={"type": "md"}) == {}
        assert await edges(home, [1], filters={"type": "pdf"}) == {}
        assert await edges(home, [1], readers=frozenset()) == {}
        await home.store.set_readers(document("c.md")[0].id, ALL)
        assert set((await edges(home, [1]))[1]) == {2, 3}

    run(check())


def test_nothing_of_a_removed_document_is_left(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put(
            [titled("a.md", "Travel Policy", "zzyzx road"), titled("b.md", "Memo", "travel policy")]
        )
        assert b"zzyzx" in home.links.file.read_bytes()
        await home.store.remove(document("a.md")[0].id, ALL)
        content = home.links.file.read_bytes().lower()
        assert b"zzyzx" not in content
        assert b"a.md" not in content
        assert await edges(home, [2]) == {}
        assert await home.links.find(Query(text="the travel policy"), 10) == []
        await home.store.put([titled("e.md", "Zzyzx Road", "x")])
        assert await edges(home, [3]) == {}
        await home.store.put([titled("f.md", "Travel policy", "x")])
        assert await edges(home, [2]) == {2: {4: 1.0}}, "a title that comes again finds who names it"

    run(check())


def test_another_process_that_has_written_is_seen(tmp_path: Path) -> None:
    async def check() -> None:
        one, two = Home(tmp_path), Home(tmp_path)
        await one.store.put([titled("a.md", "Travel Policy", "x")])
        await two.store.put([titled("b.md", "Pay List", "x")])
        await one.store.put([titled("c.md", "Memo", "pay list and travel policy")])
        assert await edges(two, [3]) == {3: {1: 1.0, 2: 1.0}}

    run(check())


def test_a_read_only_home_answers(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([titled("a.md", "Travel Policy", "x")])
        home.links.folder.chmod(0o555)
        try:
            assert await Links(tmp_path).find(Query(text="the travel policy"), 10) == [(1, 1.0)]
        finally:
            home.links.folder.chmod(0o755)

    run(check())
