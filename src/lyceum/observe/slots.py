"""Numbers by name, in this process or in files that several workers share; knows not what they count.

Each process writes a file of its own, mapped into memory, so that to count is to add to a number and a killed
process's counts stay. Whoever reads adds up all files; those of a server that has gone are removed by the next one.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SIZE = 1 << 20  # bytes of a file; pages that nothing was written to take no room
Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]


class Slots:
    """`values` holds the numbers; `take` says where those of a name stand."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder, self.used = folder, 0
        self._guard = threading.Lock()
        self.places: dict[Key, tuple[int, int]] = {}
        if folder is None:
            self.values = _numbers(bytearray(SIZE))
            return
        folder.mkdir(parents=True, exist_ok=True)
        if not any(_alive(file) for file in folder.glob("*.values")):
            for file in (*folder.glob("*.values"), *folder.glob("*.names")):
                file.unlink(missing_ok=True)
        name = folder / f"{os.getpid()}-{time.time_ns()}"
        self.names = name.with_suffix(".names").open("a", encoding="utf-8")
        with name.with_suffix(".values").open("w+b") as made:
            made.truncate(SIZE)
            self.values = _numbers(mmap.mmap(made.fileno(), SIZE))

    def take(self, key: Key, count: int) -> int:
        """Return where the `count` numbers of a key begin; they are made where they are new."""
        with self._guard:
            if key in self.places:
                return self.places[key][0]
            place = self.used
            if place + count > len(self.values):
                raise MemoryError("There are too many names to count by.")
            if self.folder is not None:
                self.names.write(json.dumps([*key, place, count]) + "\n")
                self.names.flush()
            self.used += count
            self.places[key] = (place, count)
            return place

    def sums(self, now: frozenset[str] = frozenset()) -> dict[Key, list[float]]:
        """Return the numbers of every key, added up over all processes that share the folder; for the names in `now`
        over those that live.
        """
        found: dict[Key, list[float]] = {}
        for key, numbers, alive in self._all():
            if alive or key[0] not in now:
                held = found.setdefault(key, [0.0] * len(numbers))
                found[key] = [a + b for a, b in zip(held, numbers, strict=False)]
        return found

    def _all(self) -> Iterator[tuple[Key, list[float], bool]]:
        if self.folder is None:
            for key, (place, count) in list(self.places.items()):
                yield key, list(self.values[place : place + count]), True
            return
        for file in sorted(self.folder.glob("*.names")):
            try:
                lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
                values = _numbers(file.with_suffix(".values").read_bytes())
            except OSError:
                continue  # another server has just begun anew
            alive = _alive(file)
            for line in lines:
                if line.endswith("\n"):
                    name, labels, place, count = json.loads(line)
                    key = (name, tuple((a, b) for a, b in labels))
                    yield key, list(values[place : place + count]), alive

    def close(self) -> None:
        """Leave the file to those who still add it up."""
        if self.folder is not None:
            self.names.close()


def _numbers(data: bytes | bytearray | mmap.mmap) -> memoryview[float]:
    return memoryview(data).cast("d")


def _alive(file: Path) -> bool:
    try:
        os.kill(int(file.name.partition("-")[0]), 0)
    except (OSError, ValueError):
        return False
    return True
