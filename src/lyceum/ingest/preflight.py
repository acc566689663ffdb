"""Bytes of a file to a refusal before any parser sees them: archives that unpack to too much, XML that grows.

It inflates only the first bytes of members and believes no header: what it cannot see, limits of the worker stop.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib

from lyceum.core.errors import ParseError

ENTRIES = 10_000
UNPACKED = 512_000_000
RATIO, LARGE = 100, 10_000_000  # only a large member is judged by its ratio: small ones are often well packed
ENTRY = b"PK\x01\x02"
OFFICE = frozenset({"docx", "pptx", "xlsx"})
PROLOG = 65_536
_root = re.compile(rb"<[A-Za-z_]")
_skipped = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.S)


def check(data: bytes, media: str, name: str) -> None:
    """Raise ParseError when a file of this kind must not reach its parser; an ordinary one takes under 5 ms."""
    if media not in OFFICE and media not in ("epub", "zip"):
        return
    archive = directory(data, name)
    members = archive.infolist()
    if sum(one.file_size for one in members) > UNPACKED:
        raise _limit(name, f"unpacks to over {UNPACKED // 1_000_000} MB")
    if media == "zip":  # its members are counted while they are inflated and judged one by one
        return
    for one in members:
        if one.file_size > LARGE and one.file_size > RATIO * one.compress_size:
            raise _limit(name, f"packs {one.file_size // 1_000_000} MB over {RATIO} times")
        if _declares(archive, one, b"<!ENTITY" if media == "epub" else b"<!DOCTYPE"):
            said = f"{name} declares entities in {one.filename[:100]}, which no office program writes."
            raise ParseError(said, hint="Get another copy of it.", code="corrupt")


def directory(data: bytes, name: str) -> zipfile.ZipFile:
    """Open an archive whose entries have been counted: a directory of millions costs gigabytes to read.

    They are counted in the whole file, those of archives inside with them: the records that say where the
    directory lies can be made to mean one place here and another for the library.
    """
    if data.count(ENTRY) > ENTRIES:
        raise _limit(name, f"holds over {ENTRIES:,} files")
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OverflowError) as problem:
        hint = "Save it again in its program, or copy it once more."
        raise ParseError(f"{name} is a damaged archive.", hint=hint, code="corrupt") from problem


def _limit(name: str, what: str) -> ParseError:
    return ParseError(f"{name} {what}.", hint="Split it into smaller files.", code="limit")


def _declares(archive: zipfile.ZipFile, member: zipfile.ZipInfo, word: bytes) -> bool:
    """Say whether a member is XML that holds the word before its root, in whatever two-byte encoding."""
    head = b""
    for most in (1024, PROLOG):
        head = _head(archive, member, most)
        if not head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<"):
            return False
        head = _skipped.sub(b"", head)
        if root := _root.search(head):
            return word in head[: root.start()]
    return word in head or len(head) >= PROLOG // 2


def _head(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Return the first bytes of a member; nothing when it is damaged, which its parser will say."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return b""
    try:
        with archive.open(member) as file:
            return file.read(most).replace(b"\0", b"")
    except (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, ValueError, EOFError, OSError):
        return b""
