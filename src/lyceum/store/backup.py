"""A home's ledger to one file and back, while others read and write; knows no view: those rebuild themselves."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from lyceum.core.disk import on_disk, refused
from lyceum.core.errors import Busy, InvalidInput, NotFound
from lyceum.store import health
from lyceum.store.schema import migrate
from lyceum.store.state import sync_folder
from lyceum.store.store import write_lock

ASIDE = "ledger.db.before-restore"
STAGED = "ledger.db.restoring"


def backup(folder: Path, file: Path) -> dict[str, int]:
    """Write the ledger of a home, as it is at one instant, into a file; return what it holds."""
    ledger = folder / "ledger.db"
    if not ledger.exists():
        raise NotFound(f"There is no ledger in {folder}.", hint="Choose the home with --home.")
    if file.is_dir() or file.absolute() == ledger.absolute():
        raise InvalidInput(f"{file} cannot be the backup.", hint="Name a new file.")
    fresh = file.with_name(file.name + ".new")
    with on_disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copied(ledger, fresh)
            found = _verified(fresh)
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)
        sync_folder(file.absolute().parent)
    return found


def restore(folder: Path, file: Path, wait: float = 60.0) -> dict[str, int]:
    """Put a backup in the place of a home's ledger, which stays aside until the new one stands."""
    if not file.is_file():
        raise NotFound(f"There is no file {file}.", hint="`lyceum backup FILE` writes one.")
    found = _verified(file)
    lock = write_lock(folder, wait)
    try:
        with on_disk(folder):
            staged = folder / STAGED
            _copied(file, staged)
            _renamed(staged)
            _swap(folder, staged)
    finally:
        (folder / STAGED).unlink(missing_ok=True)
        lock.release()
    return found


def _copied(source: Path, target: Path) -> None:
    """Copy with SQLite's online backup, which sees one state of the source whoever writes meanwhile."""
    target.unlink(missing_ok=True)
    try:
        with closing(health.opened(source)) as db, closing(sqlite3.connect(target)) as copy:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as problem:
        full = getattr(problem, "sqlite_errorname", "").startswith("SQLITE_FULL")
        raise refused("disk_full" if full else "damaged", target if full else source, problem) from problem
    _synced(target)


def _verified(file: Path) -> dict[str, int]:
    if wrong := health.faults(file):
        raise refused("damaged", file, f"{len(wrong)} faults, the first: {wrong[0]}")
    return health.facts(file)


def _renamed(staged: Path) -> None:
    """Give the copy an identity of its own: views that went further than it must not believe they follow it."""
    with closing(sqlite3.connect(staged, isolation_level=None)) as db:
        migrate(db)
        db.execute("UPDATE identity SET ledger = lower(hex(randomblob(8)))")
    _synced(staged)


def _swap(folder: Path, staged: Path) -> None:
    """Exchange the files so that at every instant a whole ledger, or the old one, has the name."""
    ledger, aside = folder / "ledger.db", folder / ASIDE
    for left in folder.glob(f"{ASIDE}*"):
        left.unlink()
    if ledger.exists():
        _settled(ledger)
        os.link(ledger, aside)
        for name in ("-wal", "-shm"):  # a log left behind would be played into the new file
            if (file := Path(f"{ledger}{name}")).exists():
                file.rename(f"{aside}{name}")
    shutil.rmtree(folder / "views", ignore_errors=True)
    staged.replace(ledger)
    sync_folder(folder)
    health.facts(ledger)
    for left in folder.glob(f"{ASIDE}*"):
        left.unlink()


def _settled(ledger: Path) -> None:
    """Move a whole ledger's log into its file; a damaged one keeps its log beside it."""
    try:
        with closing(sqlite3.connect(ledger, timeout=30, isolation_level=None)) as db:
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.DatabaseError:
        return
    if busy:
        raise Busy(f"Another program holds {ledger}.", hint="Wait for it to end and try again.")


def _synced(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
