"""Originals of uploads: there when the document is, gone with it, whoever dies in between."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.store.files import STALE, Files
from lyceum.store.writes import remove
from tests.toys import ALL, Home, Staged, document, run


def kept(source: str, data: bytes, version: str = "1") -> tuple[Staged, str]:
    sha256 = hashlib.sha256(data).hexdigest()
    made, elements, chunks = document(source, f"text of {source} {version}", version=version)
    return (replace(made, meta={"sha256": sha256, "kept": True}), elements, chunks), sha256


async def put(home: Home, source: str, data: bytes, version: str = "1") -> str:
    staged, sha256 = kept(source, data, version)
    spooled = home.folder / "spooled"
    spooled.write_bytes(data)
    await home.store.keep_file(spooled, sha256)
    await home.store.put([staged])
    return sha256


def names(home: Home) -> list[str]:
    return sorted(file.name for file in (home.folder / "files").iterdir())


def test_kept_replaced_and_removed(tmp_path: Path) -> None:
    async def work() -> None:
        home = Home(tmp_path)
        first = await put(home, "a.pdf", b"one")
        assert home.store.files.path(first).read_bytes() == b"one"
        second = await put(home, "a.pdf", b"two", "2")
        assert names(home) == [second], "the version before is erased"
        await home.store.remove(document("a.pdf")[0].id, ALL)
        assert names(home) == []
        await home.ledger.close()

    run(work())


def test_two_documents_of_the_same_bytes_share_one_file(tmp_path: Path) -> None:
    async def work() -> None:
        home = Home(tmp_path)
        sha256 = await put(home, "a.pdf", b"same")
        assert await put(home, "b.pdf", b"same") == sha256
        await home.store.remove(document("a.pdf")[0].id, ALL)
        assert home.store.files.path(sha256).read_bytes() == b"same"
        await home.store.remove(document("b.pdf")[0].id, ALL)
        assert names(home) == []
        await home.ledger.close()

    run(work())


def test_what_a_killed_process_left_is_erased(tmp_path: Path) -> None:
    async def work() -> None:
        home = Home(tmp_path)
        sha256 = await put(home, "a.pdf", b"one")
        # Killed after the ledger's commit and before the file went.
        await home.ledger.write(lambda db: remove(db, document("a.pdf")[0].id))
        assert names(home) == [sha256]
        # Killed before the document was stored; one upload is still on its way.
        for name, age in (("b" * 64, 2 * STALE), ("c" * 64, 0)):
            home.store.files.stage(home.folder / "spooled", name)
            staged = home.folder / "files" / f"{name}.new"
            os.utime(staged, (time.time() - age, time.time() - age))
        await home.store.tidy()
        assert names(home) == ["c" * 64 + ".new"]
        await home.ledger.close()

    run(work())


@pytest.mark.parametrize("name", ["../ledger.db", "", "a" * 63, "A" * 64, "a" * 64 + "/x"])
def test_a_name_is_a_hash_or_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(AssertionError):
        Files(tmp_path).path(name)
