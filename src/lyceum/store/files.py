"""The originals of uploads, each once under its SHA-256: staged before a document is stored, gone when it goes.

A file becomes one of the library under the write lock, before its document does; `sweep` runs under the lock too,
so that nothing which a current document needs is ever dropped. It knows no format and no reader.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from lyceum.store.state import sync_folder

STALE = 3600  # seconds after which a staged file belongs to an upload that was killed
_hash = re.compile(r"[0-9a-f]{64}")


class Files:
    """HOME/files; names are made here and never come from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "files"

    def path(self, sha256: str) -> Path:
        """Return where an original lies if it was kept."""
        assert _hash.fullmatch(sha256), "a name is never made of what a user sent"
        return self.folder / sha256

    def stage(self, path: Path, sha256: str) -> None:
        """Copy an upload beside the originals, where no document refers to it yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        staged = self.path(sha256).with_suffix(".new")
        with path.open("rb") as source, staged.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())

    def settle(self, sha256: str) -> None:
        """Make a staged file an original; the caller holds the write lock."""
        staged = self.path(sha256).with_suffix(".new")
        if staged.exists():
            staged.replace(self.path(sha256))
            sync_folder(self.folder)

    def sweep(self, needed: Collection[str]) -> None:
        """Remove every original that no document needs; the caller holds the write lock."""
        for file in self._all():
            staged = file.suffix == ".new"
            try:
                dropped = time.time() - file.stat().st_mtime > STALE if staged else file.name not in needed
                if dropped:
                    file.unlink()
            except FileNotFoundError:
                continue

    def empty(self) -> bool:
        """Say whether nothing is kept here."""
        return not self._all()

    def _all(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []
