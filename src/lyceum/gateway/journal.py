"""Calls under way, in a mapped file of each worker, so that a killed worker's calls are known; knows no database.

A record is open from when a call is let through until the usage book holds it; between the two it says what was
used. The file is locked while its worker lives: who can lock it has found a dead one's.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from lyceum.core.errors import ConfigError
from lyceum.gateway.counters import WORKERS

RECORDS, BYTES = 2048, 2048
FREE, OPEN, USED = 0, 1, 2


class Journal:
    """The first file in `folder` that no living worker holds, or memory alone where there is no folder.

    `worker` is its number, `left` are the rows that a dead worker left in it.
    """

    def __init__(self, folder: Path | None) -> None:
        self.worker, self.file = (0, -1) if folder is None else _first(folder)
        if self.file >= 0:
            try:
                os.posix_fallocate(
                    self.file, 0, RECORDS * BYTES
                )  # a hole that cannot be filled ends the process
                os.truncate(self.file, RECORDS * BYTES)
            except OSError:
                os.close(self.file)
                raise
        self.map = mmap.mmap(self.file, RECORDS * BYTES)
        found: dict[int, bytes] = dict(_records(self.map))
        self.left = list(found.values())
        self._old = list(found)
        self.free = deque(record for record in range(RECORDS) if record not in found)

    def begin(self, row: bytes) -> int:
        """Write down a call; return its record, -1 when there is room for no more."""
        return self._written(self.free.popleft(), OPEN, row) if self.free else -1

    def used(self, record: int, row: bytes) -> None:
        """Write down what a call used."""
        if record >= 0:
            self._written(record, USED, row)

    def end(self, record: int) -> None:
        """Forget a call that the usage book holds."""
        if record >= 0:
            self.map[record * BYTES] = FREE
            self.free.append(record)

    def emptied(self) -> None:
        """Forget what a dead worker left here; the usage book holds it."""
        while self._old:
            self.end(self._old.pop())
        self.left = []

    def close(self) -> None:
        """Let another worker have the file."""
        self.map.close()
        if self.file >= 0:
            os.close(self.file)

    def _written(self, record: int, state: int, row: bytes) -> int:
        # A new row goes beside the old one and counts once its state is written: a kill leaves one of the two.
        at = record * BYTES
        start = at + 4 + (BYTES // 2 if state == USED else 0)
        if len(row) > BYTES // 2 - 8:
            return record
        self.map[start : start + 2 + len(row)] = len(row).to_bytes(2, "little") + row
        self.map[at] = state
        return record


def _first(folder: Path) -> tuple[int, int]:
    """Return number and open file of the first that could be locked."""
    for worker in range(WORKERS):
        if (held := _held(folder / f"calls.{worker}")) is not None:
            return worker, held
    raise ConfigError(f"{WORKERS} workers serve this home.", hint="Start fewer workers.", code="workers")


def _held(path: Path) -> int | None:
    """Return the open file when its lock could be had."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _records(data: mmap.mmap) -> Iterator[tuple[int, bytes]]:
    for record in range(RECORDS):
        at = record * BYTES
        if (state := data[at]) in (OPEN, USED):
            start = at + 4 + (BYTES // 2 if state == USED else 0)
            size = int.from_bytes(data[start : start + 2], "little")
            yield record, data[start + 2 : start + 2 + size]


def dead(folder: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield number and rows of each worker that has gone; its file is emptied when the caller comes back."""
    for path in folder.glob("calls.*"):
        if path.suffix[1:].isdecimal() and path.stat().st_size and (file := _held(path)) is not None:
            try:
                if os.fstat(file).st_size == RECORDS * BYTES:
                    with mmap.mmap(file, RECORDS * BYTES) as data:
                        yield int(path.suffix[1:]), [row for _, row in _records(data)]
                os.truncate(file, 0)
            finally:
                os.close(file)
