"""Random worlds of documents, readers with strange names, filters and changes: every view finds what may be seen.

The measure is plain: of all chunks those whose document one of the readers may read, and which pass the filters.
The control is a view whose condition on readers was taken away: it must be caught.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum.core.types import Query
from tests import databases
from tests.databases import run
from tests.toys import Home, document

WORLDS = int(os.environ.get("LYCEUM_WORLDS", "4"))
PRINCIPALS = ("ann", "it's", 'a"b', "c\\", "d' OR '1'='1", "人事", "{x}", "100%", "e,f", "*a", "$contains")
WORDS = tuple(f"word{n}" for n in range(12))
KINDS = ("md", "pdf", "txt")


def group(rng: random.Random) -> frozenset[str]:
    return frozenset(rng.choice([["*"], [], rng.sample(PRINCIPALS, 2), ["*", rng.choice(PRINCIPALS)]]))


async def world(home: Home, rng: random.Random, seed: int) -> None:
    """Fill a home, and change and remove some of it while views follow."""

    def made(n: int, version: str = "1") -> Any:
        texts = [" ".join(rng.choices(WORDS, k=5)) for _ in range(rng.randint(1, 3))]
        source = f"it's {seed}-{n}.{rng.choice(KINDS) if version == '1' else 'md'}"
        return document(source, *texts, readers=group(rng), version=version)

    batch = [made(n) for n in range(rng.randint(3, 8))]
    await home.store.put(batch)
    ids = [one.id for one, _, _ in batch]
    await home.store.set_readers(ids[0], group(rng))
    if batch[1][0].readers:  # nobody can remove what nobody may see
        await home.store.remove(ids[1], batch[1][0].readers)
    await home.store.put([made(n + 100, "2") for n in range(2)])


async def visible(home: Home, query: Query) -> set[int]:
    """Return the numbers that the ledger itself holds open, filtered by hand."""
    last = await home.ledger.sequence()
    found = await home.ledger.get(list(range(1, last + 1)), query.readers)
    kind, source = query.filters.get("type"), query.filters.get("source")
    return {
        number
        for number, (_, one) in found.items()
        if kind in (None, one.media) and source in (None, one.source)
    }


def question(rng: random.Random, home: Home, sources: list[str]) -> Query:
    readers = frozenset(rng.sample(PRINCIPALS, rng.randint(0, 3))) | ({"*"} if rng.random() < 0.7 else set())
    filters = rng.choice([{}, {}, {"type": rng.choice(KINDS)}, {"source": rng.choice(sources)}])
    return Query(text=" ".join(rng.sample(WORDS, 3)), readers=readers, filters=filters)


async def wrong(folder: Path, name: str, seed: int, *, open_to_all: bool = False) -> tuple[int, int]:
    """Return how many chunks a view showed that it must not, and how many it kept back."""
    rng = random.Random(seed)
    home = Home(folder)
    view = home.dense if name == "dense" else databases.view(name, home)
    home.store.views[:] = [home.dense, view] if name != "dense" else [view]
    await world(home, rng, seed)
    if open_to_all:
        asked = view._must
        everybody = ("readers", ("*", *PRINCIPALS))
        view._must = lambda query: replace(asked(query), groups=(everybody, *asked(query).groups[1:]))
    everyone = frozenset({"*", *PRINCIPALS})
    sources = [one.source for one in await home.ledger.documents(everyone)]
    shown = kept = 0
    for _ in range(6):
        query = question(rng, home, sources)
        allowed = await visible(home, query)
        found = dict(await view.find(query, 100))
        some = rng.sample(range(1, 40), 20)
        among = dict(await view.find(query, 100, some))
        shown += len(found.keys() - allowed) + len(among.keys() - (allowed & set(some)))
        kept += len(allowed - found.keys()) + len((allowed & set(some)) - among.keys())
        exact = dict(await home.dense.find(query, 100))
        assert all(abs(exact[number] - score) < 0.02 for number, score in found.items() if number in exact)
    await home.ledger.close()
    return shown, kept


@pytest.mark.parametrize("name", ["dense", *databases.NAMES])
def test_nothing_unreadable_shows_and_nothing_readable_is_kept_back(tmp_path: Path, name: str) -> None:
    for seed in range(WORLDS):
        assert run(wrong(tmp_path / str(seed), name, seed)) == (0, 0), seed


@pytest.mark.parametrize("name", databases.NAMES)
def test_control_a_view_without_the_condition_is_caught(tmp_path: Path, name: str) -> None:
    leaks = [run(wrong(tmp_path / str(seed), name, seed, open_to_all=True))[0] for seed in range(4)]
    assert sum(leaks) > 0
