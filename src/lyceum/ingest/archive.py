"""ZIP, tar and gzip to the pages of the files inside; hidden files are passed over, links are never followed."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial

from lyceum.core.errors import ParseError
from lyceum.core.types import Document, Page
from lyceum.ingest.decode import decode
from lyceum.ingest.members import Load, read_members, taken
from lyceum.ingest.preflight import directory

CLUTTER = ("__MACOSX", "Thumbs.db", "desktop.ini")


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield the pages of every file inside, in the archive's order."""
    members = {"zip": _zip, "tar": _tar, "gz": _gz}[document.media](data, document)
    yield from read_members(((name, load) for name, load in members if not _hidden(name)), document)


def _hidden(name: str) -> bool:
    steps = (step for step in name.split("/") if step not in (".", ".."))
    return any(step in CLUTTER or step.startswith(".") for step in steps)


def _zip(data: bytes, document: Document) -> Iterator[tuple[str, Load]]:
    passwords = [str(one).encode() for one in document.meta.get("passwords", ())]
    with directory(data, document.source) as archive:
        for one in archive.infolist():
            if not one.is_dir():
                yield _name(one), partial(_unzipped, archive, one, passwords)


def _name(member: zipfile.ZipInfo) -> str:
    """Return a name as its writer meant it: without the flag of UTF-8 it is in the code page of some machine."""
    if not member.flag_bits & 0x800:
        for encoding in ("utf-8", "gb2312"):  # hardly a Western name is either of them by chance
            try:
                return member.filename.encode("cp437").decode(encoding)
            except UnicodeError:
                pass
    return member.filename


def _unzipped(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, passwords: Sequence[bytes], most: int
) -> bytes:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _link()
    if not member.flag_bits & 1:
        with archive.open(member) as file:
            return taken(file, most)
    for password in passwords:
        try:
            with archive.open(member, pwd=password) as file:
                return taken(file, most)
        except (RuntimeError, OSError, EOFError, zipfile.BadZipFile, zlib.error):
            continue  # a wrong password; one in 256 is noticed only by its rubbish
    hint = "Unpack the archive and add the files."
    raise ParseError("It is protected by a password.", hint=hint, code="password")


def _link() -> ParseError:
    return ParseError("It is a link.", hint="Add the file that it points to.", code="unsupported")


def _tar(data: bytes, document: Document) -> Iterator[tuple[str, Load]]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for one in archive:
            if not one.isdir():
                yield decode(one.name.encode("utf-8", "surrogateescape")), partial(_untarred, archive, one)


def _untarred(archive: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    if not member.isreg():
        raise _link()
    return taken(archive.extractfile(member), most)


def _gz(data: bytes, document: Document) -> Iterator[tuple[str, Load]]:
    name = document.source.rsplit("/", 1)[-1]
    inner = name[:-4] + ".tar" if name.endswith(".tgz") else name.removesuffix(".gz")
    yield inner, partial(taken, gzip.GzipFile(fileobj=io.BytesIO(data)))
