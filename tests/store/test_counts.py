"""How many chunks hold a term, as the lexical view counts them; broken files count nothing and raise nothing."""

from __future__ import annotations

from pathlib import Path

from tests.toys import Home, document, run


def test_counts(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        assert await home.lexical.counts(["pump"]) == (0, {"pump": 0})
        await home.store.put([document("a.md", "pump pump", "pump valve"), document("b.md", "motors")])
        assert await home.lexical.counts(["pump", "valv", "motor", "none"]) == (
            3, {"pump": 2, "valv": 1, "motor": 1, "none": 0},
        )  # fmt: skip
        for file in home.lexical.folder.glob("*.term"):
            file.write_bytes(b"")
        fresh = Home(tmp_path)
        assert (await fresh.lexical.counts(["pump"]))[1] == {"pump": 0}

    run(check())
