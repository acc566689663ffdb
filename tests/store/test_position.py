"""The ledger's position as the gateway asks for it: it moves with every change, also of another process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from lyceum.store.position import Position
from tests.toys import Home, document, run


def test_it_moves_with_every_change(tmp_path: Path) -> None:
    async def play() -> None:
        position = Position(tmp_path)
        assert position() == ""
        home = Home(tmp_path)
        await home.store.put([document("a.txt", "one")])
        seen = [position(), position()]
        assert seen[0] == seen[1] != ""
        await home.store.put([document("a.txt", "two", version="2")])
        seen.append(position())
        await home.store.put([document("a.txt", "two", version="2", readers=frozenset({"staff"}))])
        seen.append(position())
        assert len(set(seen)) == 3
        write = (
            "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
            'db.execute("INSERT INTO changes SELECT MAX(sequence) + 1, kind, number FROM changes"); db.commit()'
        )
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", write, str(tmp_path / "ledger.db")], check=True
        )
        assert position() not in seen
        position.close()
        position.close()

    run(play())


def test_a_ledger_that_cannot_be_read_is_never_the_same_twice(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 100)
    position = Position(tmp_path)
    assert len({position() for _ in range(10)}) == 10
    position.close()
