"""Where entries are kept: in the process, in a file that workers share, in Redis for several hosts.

A layer takes and gives bytes by key and never fails a call: what it cannot read or write counts as absent. Only the
first, `Memory`, keeps entries themselves.
"""

from __future__ import annotations

import shutil
import time
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import lmdb

from lyceum.core.errors import ConfigError
from lyceum.gateway.entry import Entry

OVER = 200  # bytes that an entry takes beside its body
PARTS = 2  # generations of the shared file
DAMAGED = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)


class Layer(Protocol):
    """A cache that others share; metrics call it by its name."""

    name: str

    async def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes, seconds: float) -> None: ...

    def close(self) -> None: ...


class Memory:
    """At most `most` bytes of entries; the one that was not asked for longest goes first."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """Return an entry that is not too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until < time.time():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an entry, unless it takes more than an eighth of the whole."""
        self._drop(key)
        if (size := len(entry.body) + OVER) > self.most // 8:
            return
        self._entries[key] = entry
        self.bytes += size
        while self.bytes > self.most:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self.bytes -= len(entry.body) + OVER


class Shared:
    """Entries in `folder`, for all workers of a host, at most `most` bytes (LMDB).

    Two generations: when the younger one has half of the room, the older one is emptied and becomes the younger; what
    is asked for there moves over. Nothing is synced, so a folder is used only in the boot that made it: a power cut
    leaves nothing damaged behind.
    """

    name = "lmdb"

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder / _boot(), most
        self.failed = 0  # entries that were not kept or not read
        for other in folder.glob("boot-*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        try:
            self._open()
        except lmdb.Error:
            self._anew()

    def _anew(self) -> None:
        """Leave a damaged file to those who have it open, and make another: it is only a cache."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._open()

    def _open(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _whole(self.folder / "data.mdb")
            # Twice the room: pages that are freed can be used again only when no reader needs them.
            self.env = lmdb.open(
                str(self.folder), map_size=max(2 * self.most, 1 << 20), max_dbs=PARTS + 1, max_readers=1024,
                sync=False, metasync=False,
            )  # fmt: skip
        except (OSError, lmdb.DiskError) as problem:
            raise ConfigError(
                f"The cache in {self.folder} cannot be opened: {problem}.", hint="Make its folder writable."
            ) from problem
        self.env.reader_check()
        self._state = self.env.open_db(b"state")
        self._parts = [self.env.open_db(b"part%d" % at) for at in range(PARTS)]

    async def get(self, key: bytes) -> bytes | None:
        """Return what is kept."""
        try:
            with self.env.begin() as read:
                young = self._young(read)
                value: bytes | None = read.get(key, db=self._parts[young])
                old: bytes | None = None if value else read.get(key, db=self._parts[1 - young])
        except lmdb.Error as problem:
            self._failed(problem)
            return None
        if old is not None:
            self.put(key, old, 0)
        return value or old

    def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Keep a value; where there is no room, it is not kept. The entry itself knows when it is too old."""
        if len(value) > self.most // 8:
            return
        try:
            with self.env.begin(write=True) as write:
                young = self._young(write)
                if self._size(write, young) + len(value) > self.most // PARTS:
                    young = 1 - young
                    write.drop(self._parts[young], delete=False)
                    write.put(b"young", b"%d" % young, db=self._state)
                write.put(key, value, db=self._parts[young])
        except lmdb.Error as problem:
            self._failed(problem)

    def _failed(self, problem: lmdb.Error) -> None:
        """Begin anew where the file is damaged; else it was only too full."""
        self.failed += 1
        if isinstance(problem, DAMAGED):
            self.env.close()
            self._anew()

    def close(self) -> None:
        """Close the file."""
        self.env.close()

    def _young(self, transaction: lmdb.Transaction) -> int:
        return int(transaction.get(b"young", b"0", db=self._state) == b"1")

    def _size(self, transaction: lmdb.Transaction, part: int) -> int:
        told = transaction.stat(self._parts[part])
        pages = told["branch_pages"] + told["leaf_pages"] + told["overflow_pages"]
        return int(pages * told["psize"])


def _boot() -> str:
    """Return a name that changes when the machine starts; one name where the system has none."""
    try:
        return "boot-" + Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "boot-"


def _whole(file: Path) -> None:
    """Refuse a file that is shorter than its own account says: reading past its end would end the process."""
    if not file.exists():
        return
    with lmdb.open(str(file.parent), readonly=True, lock=False, max_dbs=PARTS + 1) as env:
        if (env.info()["last_pgno"] + 1) * env.stat()["psize"] > file.stat().st_size:
            raise lmdb.CorruptedError("data.mdb is cut off")
