"""A view's small state file: how far it has come and what made it; replaced atomically, or taken as absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read(folder: Path) -> dict[str, Any]:
    """Return the state, empty when the file is missing or broken: the view is then rebuilt."""
    try:
        state = json.loads((folder / "state.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write(folder: Path, state: dict[str, Any]) -> None:
    """Replace the state in one step that a crash cannot halve."""
    temporary = folder / "state.json.new"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / "state.json")
    sync_folder(folder)


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
