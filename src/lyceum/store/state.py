"""A view's small state file: how far it has come and what made it; replaced atomically, or taken as absent."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lyceum.core.errors import REBUILD, StoreError
from lyceum.core.types import Change


def read(folder: Path) -> dict[str, Any]:
    """Return the state, empty when the file is missing or broken: the view is then rebuilt."""
    try:
        state = json.loads((folder / "state.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write(folder: Path, state: dict[str, Any]) -> None:
    """Replace the state in one step that a crash cannot halve."""
    replaced(folder / "state.json", state)


def replaced(file: Path, value: Any) -> None:
    """Put a value in a file's place, as JSON: after a crash it holds the old one or the new one."""
    temporary = file.with_name(f"{file.name}.new")
    with temporary.open("w", encoding="utf-8") as out:
        json.dump(value, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)
    sync_folder(file.parent)


def must_begin(changes: Sequence[Change], name: str) -> None:
    """Refuse to go on in the middle of the log with a view that has just been emptied: the store replays it."""
    if changes[0].sequence > 1:
        raise StoreError(f"The view {name} starts again.", hint="Try again.", code=REBUILD)


def seal(files: Iterable[Path], known: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Return size, time and checksum of a view's files; those that stand in `known` unchanged are not read."""
    sealed = {}
    for file in sorted(files):
        found = file.stat()
        looks = [found.st_size, found.st_mtime_ns]
        before = known.get(file.name, [])
        sealed[file.name] = before if before[:2] == looks else [*looks, checksum(file)]
    return sealed


def broken(folder: Path, sealed: Mapping[str, list[int]], *, thorough: bool = False) -> list[str]:
    """Return the files that are not as they were sealed; those of equal size and time are believed."""
    wrong = []
    for name, (size, changed, check) in sealed.items():
        try:
            found = os.stat(folder / name)
            looks = (found.st_size, found.st_mtime_ns) == (size, changed)
            if looks and not thorough:
                continue
            if found.st_size != size or checksum(folder / name) != check:
                wrong.append(name)
        except OSError:
            wrong.append(name)
    return wrong


def checksum(file: Path) -> int:
    """Return the CRC-32 of a file."""
    value = 0
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def stamp(folder: Path) -> tuple[int, int]:
    """Return what changes whenever `write` has run, cheaply."""
    try:
        found = os.stat(folder / "state.json")
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
