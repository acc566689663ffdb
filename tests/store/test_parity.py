"""Two views of one ledger are compared chunk by chunk: each way to differ is found and named."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from lyceum.core.errors import StoreError
from lyceum.core.types import Query
from lyceum.store import parity
from lyceum.store.vectors import Vectors
from tests import databases
from tests.databases import run
from tests.toys import Home, ToyEncoder, document


async def both(folder: Path) -> tuple[Home, Vectors]:
    home = Home(folder)
    batch = [
        document(f"d{n}.md", f"pump {n}", f"valve {n}", readers=frozenset({f"p{n % 3}"})) for n in range(300)
    ]
    await home.store.put(batch)
    second = Vectors(folder / "second", home.encoder, home.ledger, home.store.keep_vectors)
    await parity.follow(home.store, second)
    return home, second


async def compared(home: Home, second: Vectors) -> parity.Parity:
    return await parity.compare(home.ledger, home.dense, second, ToyEncoder())


def test_equal_views_are_equal(tmp_path: Path) -> None:
    async def check() -> None:
        found = await compared(*await both(tmp_path))
        assert (found.first, found.second, found.compared, found.questions) == (600, 600, 600, 50)
        assert found.good
        assert found.same == 1.0

    run(check())


@pytest.mark.parametrize("fault", ["lost", "strange", "off", "closed", "opened"])
def test_each_fault_is_found(tmp_path: Path, fault: str) -> None:
    async def check() -> None:
        home, second = await both(tmp_path)
        view = second if fault in ("lost", "off", "closed") else home.dense
        rows = next(view.folder.glob("*.rows"))
        table = np.fromfile(rows, "V1").view(np.uint8).copy()
        from lyceum.store.vectors import ROW

        records = table.view(ROW)
        if fault in ("lost", "strange"):
            records["number"][7] = 0
        elif fault == "off":
            records["scale"][7] *= 1.5
        else:  # in one of the two nobody may read it
            known = (view.folder / "state.json").read_text()
            (view.folder / "state.json").write_text(known.replace('["p0"]', '["nobody"]'))
        rows.write_bytes(records.tobytes())
        view._snapshot = None
        found = await compared(home, second)
        assert not found.good
        wrong = {"closed": "lost", "opened": "strange"}.get(fault, fault)
        assert getattr(found, wrong), found

    run(check())


def test_equal_scores_are_as_good_and_others_are_not() -> None:
    best = [(1, 0.9), (2, 0.5)]
    assert parity.agreement(best, [(1, 0.9), (3, 0.5)]) == 1.0
    assert parity.agreement(best, [(1, 0.9), (3, 0.4)]) == 0.5
    assert parity.agreement([], []) == 1.0
    assert parity.agreement([], best) == 0.0


@pytest.mark.parametrize("name", databases.NAMES)
def test_a_store_takes_over_where_it_was_stopped(tmp_path: Path, name: str) -> None:
    """Stopped in the middle it goes on from its mark; what is written again is neither twice nor lost."""

    class Stopped(Exception):
        pass

    async def check() -> None:
        home = Home(tmp_path)
        rng = random.Random(1)
        texts = [" ".join(f"word{rng.randrange(500)}" for _ in range(8)) for _ in range(1_200)]
        await home.store.put([document("big.md", *texts)])
        view = databases.view(name, home)
        write, calls = view.database.write, []

        def stopping(rows, gone, mark):  # type: ignore[no-untyped-def]
            calls.append(mark["position"])
            if len(calls) == 2:
                raise Stopped
            return write(rows, gone, mark)

        if name == "pgvector":

            async def waiting(*given):  # type: ignore[no-untyped-def]
                return await stopping(*given)

            view.database.write = waiting
        else:
            view.database.write = stopping
        with pytest.raises((Stopped, StoreError)):
            await parity.follow(home.store, view)
        assert await view.position() == calls[0] == 500
        view.database.write = write
        await parity.follow(home.store, view)
        found = await parity.compare(home.ledger, home.dense, view, ToyEncoder())
        assert found.good
        assert len(await view.find(Query(text="word1 word2"), 20)) == 20

    run(check())
