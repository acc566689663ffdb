"""How far a ledger has come, for who asks thousands of times a second: identity and number of its last change.

A question costs a look at the file's commit counter; only when that moved is the log read. It knows no view.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


class Position:
    """Of the ledger in `folder`; one thread asks."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "ledger.db")
        self._file: sqlite3.Connection | None = None
        self._seen, self._said = -1, ""

    def __call__(self) -> str:
        """Return it: empty while there is no ledger, and new each time where it cannot be read: nothing is shared."""
        try:
            if self._file is None:
                if not os.path.exists(self.path):
                    return ""
                address = f"file:{self.path}?mode=ro"
                self._file = sqlite3.connect(address, uri=True, timeout=0, check_same_thread=False)
            seen = self._file.execute("PRAGMA data_version").fetchone()[0]
            if seen != self._seen:
                told = self._file.execute("SELECT (SELECT ledger FROM identity), MAX(sequence) FROM changes")
                self._said, self._seen = ".".join(map(str, told.fetchone())), seen
        except sqlite3.Error:
            return os.urandom(8).hex()
        return self._said

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
