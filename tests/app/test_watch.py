"""What a look at watched folders finds, and what following does when the home itself fails for a while."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from lyceum.app import watch
from lyceum.app.watch import Folders, follow
from lyceum.core.errors import Busy
from lyceum.ingest.pipeline import Job, Outcome
from tests.app.served import LIBRARY, library
from tests.toys import Home, document, run


def looked(folders: Folders, settle: float = 0.0) -> tuple[list[str], list[str]]:
    """Return the names of files to read and of those gone, and take all of it as handled."""
    todo, gone = folders.look(settle)
    for source in (*(job.source for job in todo), *gone):
        folders.done(source)
    return sorted(job.name for job in todo), sorted(Path(source).name for source in gone)


def test_looks(tmp_path: Path) -> None:
    files = library(tmp_path / "files")
    folders = Folders([files], None, [])
    assert looked(folders) == (sorted(LIBRARY), [])
    assert looked(folders) == ([], [])
    (files / "prices.csv").write_text("part,price\nvalve V7,43 EUR\n")
    (files / "new.txt").write_text("new")
    (files / ".hidden").write_text("hidden")
    assert looked(folders, settle=60) == ([], []), "not before they are still"
    assert looked(folders) == (["new.txt", "prices.csv"], [])
    same = (files / "new.txt").stat()
    (files / "other").write_text("wen")
    (files / "other").rename(files / "new.txt")
    os.utime(files / "new.txt", ns=(same.st_atime_ns, same.st_mtime_ns))
    assert looked(folders) == (["new.txt"], []), "time and size are the same, the file is another"
    (files / "new.txt").unlink()
    assert looked(folders) == ([], ["new.txt"])
    assert looked(folders) == ([], [])


def test_sources_of_earlier_runs_and_single_files(tmp_path: Path) -> None:
    files = library(tmp_path / "files")
    known = [
        f"{files}/absent.txt",
        f"{files}/prices.csv",
        f"{tmp_path}/filesystem.txt",
        "elsewhere/absent.txt",
    ]
    assert looked(Folders([files], None, known)) == (sorted(LIBRARY), ["absent.txt"])
    single = Folders([files / "prices.csv"], None, known)
    assert looked(single) == (["prices.csv"], [])
    (files / "prices.csv").unlink()
    assert looked(single) == ([], ["prices.csv"])


def test_a_folder_without_files_is_unmounted(tmp_path: Path) -> None:
    files, rest = library(tmp_path / "files"), library(tmp_path / "rest")
    folders = Folders([files, rest], None, [])
    looked(folders)
    files.rename(tmp_path / "away")
    (rest / "prices.csv").unlink()
    assert looked(folders) == ([], ["prices.csv"])
    (tmp_path / "away").rename(files)
    assert looked(folders) == ([], [])


def test_following_goes_on_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "POLL", 0.01)
    monkeypatch.setattr(watch, "SETTLE", 0.0)
    monkeypatch.setattr(Folders.look, "__defaults__", (0.0,))
    files = library(tmp_path / "files")
    home = Home(tmp_path / "home")
    tries: list[int] = []
    told: list[tuple[str, str]] = []

    async def ingest(todo: Sequence[Job]) -> list[Outcome]:
        tries.append(len(todo))
        if len(tries) == 1:
            raise Busy("Another process is writing.", hint="Wait.")
        retryable = len(tries) == 2
        return [
            Outcome(source=job.source, status="failed" if retryable else "added", retryable=retryable)
            for job in todo
        ]

    async def work() -> None:
        gone = f"{files.resolve()}/gone.txt"
        await home.store.put([document(gone, "words"), document(f"{gone}2", "words", readers=frozenset())])
        folders = Folders([files], None, [gone, f"{gone}2"])

        def hear(outcome: Outcome) -> None:
            told.append((Path(outcome.source).name, outcome.status))

        following = asyncio.create_task(follow(folders, home.store, ingest, hear, delete=True))
        await asyncio.sleep(1.0)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    run(work())
    assert tries == [3, 3, 3], "after the second failure of the files, and no more after that"
    assert told[0] == ("", "failed")
    assert sorted(told[1:4]) == [(name, "failed") for name in sorted(LIBRARY)]
    rest = [one for one in told[4:] if one[1] != "added"]
    assert sorted(rest) == [("gone.txt", "removed"), ("gone.txt2", "gone")]
