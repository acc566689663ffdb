"""The system calls of a process, recorded with strace, to the states in which a power cut may leave its folder.

The model: what was written and not synced since may be there, or not, or in part (sectors of 512 bytes), in any
combination; a name that was made, moved or removed counts only when its folder was synced, in any combination
too. A file's sync does not save its name. A sync that failed saves nothing, and what it should have saved counts
as clean: only writing it anew brings it back. Blind to memory maps (SQLite's -shm, which is rebuilt).
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,fcntl,lseek,write,pwrite64,writev,pwritev,pwritev2,ftruncate,"
    "truncate,fallocate,copy_file_range,sendfile,rename,renameat,renameat2,unlink,unlinkat,link,linkat,mkdir,"
    "mkdirat,rmdir,fsync,fdatasync"
)
UNMODELLED = ("writev", "pwritev", "pwritev2", "fallocate", "copy_file_range", "sendfile", "truncate")
SECTOR = 512
_line = re.compile(
    r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*?)(?:\) += (-?\d+)(?: .*)?| <unfinished \.\.\.>)$"
)
_text = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def needs_strace() -> None:
    """Stop with a clear reason where calls cannot be recorded."""
    if shutil.which("strace") is None:
        print("strace is not installed. Run: apt install strace")
        raise SystemExit(77)
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False).returncode:
        print("strace may not trace here (ptrace is refused): allow SYS_PTRACE.")
        raise SystemExit(77)


def record(command: Sequence[str], file: Path, *more: str) -> int:
    """Run a command and write its calls into a file; `more` are options of strace."""
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-xx", "-s", "9000000", "-o", str(file)]
    options = [*strace, "-e", f"trace={CALLS}", *more]
    return subprocess.run([*options, sys.executable, *command], check=False).returncode


@dataclass(eq=False)
class Inode:
    """A file: what is safe, and what was done to it since its last sync."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | int]] = field(default_factory=list)  # (offset, data) or (-1, length)

    @property
    def size(self) -> int:
        found = len(self.safe)
        for offset, data in self.pending:
            found = data if isinstance(data, int) else max(found, offset + len(data))
        return found


@dataclass
class Handle:
    """An open file or folder."""

    path: str
    inode: Inode | None
    at: int = 0
    append: bool = False


class Disk:
    """A folder as the recorded process saw it (`names`), and what of it would survive now."""

    def __init__(self, root: Path, folders: bool = True) -> None:
        self.root, self.folders = str(root), folders  # without `folders` their syncs do nothing: a control
        self.names: dict[str, Inode | None] = {"": None}  # None is a folder
        self.safe_names: dict[str, Inode | None] = {"": None}
        self.entries: list[tuple[str, str, Inode | None, bool]] = []  # (path, removed path, inode, make)
        self.handles: dict[int, Handle] = {}
        self.failed_syncs = 0

    def inside(self, path: str, at: int | None = None) -> str | None:
        """Return a path relative to the folder, None when it lies elsewhere."""
        if not path.startswith("/"):
            if at not in self.handles:
                return None
            return f"{self.handles[at].path}/{path}".strip("/")
        return path[len(self.root) :].strip("/") if (path + "/").startswith(self.root + "/") else None

    def write(self, handle: Handle, offset: int, data: bytes) -> None:
        if handle.inode is not None:
            handle.inode.pending.append((offset, data))

    def link(self, path: str, inode: Inode | None, instead_of: str = "") -> None:
        self.names[path] = inode
        if instead_of:
            self.names.pop(instead_of, None)
        self.entries.append((path, instead_of, inode, True))

    def unlink(self, path: str) -> None:
        self.names.pop(path, None)
        self.entries.append((path, "", None, False))

    def sync(self, handle: Handle, since: int) -> None:
        """Make a file's content, or a folder's names, safe; `since` is how many waited when the sync began."""
        if handle.inode is not None:
            apply(handle.inode.safe, handle.inode.pending[:since])
            del handle.inode.pending[:since]
            return
        if not self.folders:
            return
        mine = [
            one
            for one in self.entries[:since]
            if _folder(one[0]) == handle.path or _folder(one[1]) == handle.path
        ]
        for one in mine:
            enter(self.safe_names, one)
            self.entries.remove(one)

    def fail_sync(self, handle: Handle, since: int) -> None:
        """The sync failed: what waited is lost unless it is written anew."""
        self.failed_syncs += 1
        if handle.inode is not None:
            del handle.inode.pending[:since]

    def pending(self, handle: Handle) -> int:
        return len(handle.inode.pending if handle.inode is not None else self.entries)

    def state(
        self, rng: random.Random, data: str, names: str
    ) -> tuple[dict[str, bytes | None], tuple[int, ...]]:
        """Return one state after a power cut as path -> content (None is a folder), and the choices made."""
        choices: list[int] = []
        table = dict(self.safe_names)
        for kept, entry in zip(_kept(rng, names, len(self.entries)), self.entries, strict=True):
            choices.append(kept)
            if kept:
                enter(table, entry)
        there: dict[str, bytes | None] = {}
        for path in sorted(table):
            inode = table[path]
            if _folder(path) not in there and path:
                continue  # its folder was lost
            if inode is None:
                there[path] = None
                continue
            content = bytearray(inode.safe)
            choices.append(len(inode.pending))
            for kept, (offset, what) in zip(_kept(rng, data, len(inode.pending)), inode.pending, strict=True):
                choices.append(kept)
                if kept and data == "torn" and not isinstance(what, int):
                    apply(content, _torn(rng, offset, what, choices))
                elif kept:
                    apply(content, [(offset, what)])
            there[path] = bytes(content)
        return there, tuple(choices)


def enter(table: dict[str, Inode | None], entry: tuple[str, str, Inode | None, bool]) -> None:
    """Make, move or remove a name."""
    path, gone, inode, make = entry
    if gone:
        table.pop(gone, None)
    if make:
        table[path] = inode
    else:
        table.pop(path, None)


def apply(content: bytearray, writes: Sequence[tuple[int, bytes | int]]) -> None:
    """Write into a file's content, or cut or lengthen it."""
    for offset, data in writes:
        end = data if isinstance(data, int) else offset + len(data)
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        if isinstance(data, int):
            del content[data:]
        else:
            content[offset:end] = data


def _kept(rng: random.Random, policy: str, number: int) -> list[bool]:
    if policy in ("none", "all"):
        return [policy == "all"] * number
    if policy == "prefix":
        most = rng.randint(0, number)
        return [n < most for n in range(number)]
    likely = rng.choice((0.15, 0.5, 0.85))
    return [rng.random() < likely for _ in range(number)]


def _torn(rng: random.Random, offset: int, data: bytes, choices: list[int]) -> list[tuple[int, bytes]]:
    """Return some of a write's sectors."""
    kept = []
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR - (offset + start) % SECTOR)
        choices.append(rng.random() < 0.6)
        if choices[-1]:
            kept.append((offset + start, data[start:end]))
        start = end
    return kept


def _folder(path: str) -> str:
    return path.rpartition("/")[0] if path else "-"


def replay(file: Path, root: Path, folders: bool = True) -> Iterator[tuple[Disk, str]]:
    """Yield the disk after every call that changed it, with the call's name; the disk is one, and goes on."""
    disk = Disk(root, folders)
    begun: dict[str, tuple[str, int]] = {}
    with file.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            found = _line.match(line.rstrip("\n"))
            if found is None:
                continue
            thread, name, arguments, result = found.groups()
            since = -1
            if "resumed>" in line[:60]:
                first, since = begun.pop(thread, ("", -1))
                arguments = first + arguments
            elif result is None:
                number = re.match(r"\d+", arguments)
                handle = disk.handles.get(int(number[0])) if number else None
                begun[thread] = (arguments, disk.pending(handle) if handle else -1)
                continue
            if _done(disk, name, arguments, int(result), since):
                yield disk, name


def _done(disk: Disk, name: str, arguments: str, result: int, since: int) -> bool:
    """Follow one call; say whether the folder changed."""
    if name in ("fsync", "fdatasync"):
        return _synced(disk, int(arguments.split(",")[0]), result, since)
    if result < 0:
        return False
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _text.findall(arguments)]
    head = arguments.split(",", 1)[0]
    if name in ("open", "openat", "creat"):
        return _opened(disk, head, arguments, texts[0].decode("utf-8", "replace"), result)
    if name in (
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "rmdir",
    ):
        return _named(disk, name, arguments, [text.decode("utf-8", "replace") for text in texts])
    return _handled(disk, name, int(head), arguments, texts, result)


def _synced(disk: Disk, number: int, result: int, since: int) -> bool:
    handle = disk.handles.get(number)
    if handle is None:
        return False
    since = disk.pending(handle) if since < 0 else since
    (disk.sync if result == 0 else disk.fail_sync)(handle, since)
    return True


def _opened(disk: Disk, head: str, arguments: str, path: str, result: int) -> bool:
    inside = disk.inside(path, int(head) if head.isdigit() else None)
    disk.handles.pop(result, None)
    if inside is None:
        return False
    new = inside not in disk.names
    if new:
        assert "O_CREAT" in arguments, arguments[-80:]
        disk.link(inside, Inode())
    inode = disk.names[inside]
    disk.handles[result] = Handle(inside, inode, append="O_APPEND" in arguments)
    if "O_TRUNC" in arguments and inode is not None and inode.size:
        inode.pending.append((-1, 0))
        return True
    return new


def _named(disk: Disk, name: str, arguments: str, texts: list[str]) -> bool:
    numbers = [int(one) if one.isdigit() else None for one in re.findall(r'(AT_FDCWD|\b\d+), "', arguments)]
    at = [*numbers, None, None]
    paths = [disk.inside(text, at[n]) for n, text in enumerate(texts)]
    if paths[0] is None:
        return False
    if name.startswith("rename"):
        assert paths[1] is not None
        disk.link(paths[1], disk.names[paths[0]], instead_of=paths[0])
    elif name.startswith("link"):
        assert paths[1] is not None
        disk.link(paths[1], disk.names[paths[0]])
    elif name.startswith("mkdir"):
        disk.link(paths[0], None)
    else:
        disk.unlink(paths[0])
    return True


def _handled(disk: Disk, name: str, number: int, arguments: str, texts: list[bytes], result: int) -> bool:
    if name == "close":
        disk.handles.pop(number, None)
        return False
    handle = disk.handles.get(number)
    if name.startswith("dup") or (name == "fcntl" and "F_DUPFD" in arguments):
        disk.handles.pop(result, None)
        if handle is not None:
            disk.handles[result] = handle
        return False
    if handle is None or name == "fcntl":
        return False
    assert name not in UNMODELLED, f"{name} is not modelled"
    if name == "lseek":
        handle.at = result
    elif name == "ftruncate":
        assert handle.inode is not None
        handle.inode.pending.append((-1, int(arguments.split(",")[1])))
        return True
    elif name == "pwrite64":
        disk.write(handle, int(arguments.rsplit(",", 1)[1]), texts[0][:result])
        return True
    elif name == "write":
        offset = handle.inode.size if handle.append and handle.inode else handle.at
        disk.write(handle, offset, texts[0][:result])
        handle.at = offset + result
        return True
    return False
