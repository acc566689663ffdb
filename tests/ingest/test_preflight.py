"""What is refused before a parser sees it, and that ordinary files pass quickly."""

from __future__ import annotations

import io
import os
import struct
import time
import zipfile
from pathlib import Path

import pytest

from lyceum.core.errors import ParseError
from lyceum.core.types import Document
from lyceum.ingest.preflight import check, directory
from lyceum.ingest.reading import read

TYPES = ("[Content_Types].xml", b"<Types/>")
SHARED = os.environ.get("LYCEUM_SHARED", "")


def packed(*members: tuple[str, bytes], level: int = 9) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


def refused(data: bytes, media: str) -> ParseError:
    with pytest.raises(ParseError) as problem:
        check(data, media, "file")
    return problem.value


def test_a_large_member_that_is_packed_too_well_is_refused() -> None:
    bomb = packed(TYPES, ("word/document.xml", b"<w>" + bytes(12_000_000)), level=1)
    assert refused(bomb, "docx").code == "limit"
    check(packed(TYPES, ("word/document.xml", b"<w>" + bytes(2_000_000)), level=1), "docx", "file")


def test_a_declared_total_over_the_limit_is_refused() -> None:
    data = bytearray(packed(("a.txt", b"words")))
    at = data.rfind(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 600_000_000)
    assert refused(bytes(data), "zip").code == "limit"


def test_a_directory_with_too_many_files_is_not_even_read() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(10_001):
            archive.writestr(str(number), b"")
    started = time.process_time()
    with pytest.raises(ParseError) as problem:
        directory(made.getvalue(), "many.zip")
    assert problem.value.code == "limit"
    assert time.process_time() - started < 0.05  # reading it takes several times as long
    lying = bytearray(made.getvalue())
    lying[-14:-10] = bytes(4)  # the record at its end says that it is empty
    with pytest.raises(ParseError, match="over 10,000"):
        directory(bytes(lying), "many.zip")


@pytest.mark.parametrize(
    "head",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]><w/>',
        b'<?xml version="1.0"?><!-- <w --><!DOCTYPE x [<!ENTITY a "b">]><w/>',
        b'<?a <b?>\n<!DOCTYPE x SYSTEM "http://example.com/x.dtd"><w/>',
        b"<!--" + b" " * 2000 + b'--><!DOCTYPE x [<!ENTITY a "b">]><w/>',
        '\ufeff<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "b">]><w/>'.encode("utf-16-le"),
        b"<!--" + b"x" * 70_000,
    ],
)
def test_entities_in_an_office_file_are_refused(head: bytes) -> None:
    assert refused(packed(TYPES, ("word/document.xml", head)), "docx").code == "corrupt"


def test_what_only_looks_like_an_entity_passes() -> None:
    text = b'<?xml version="1.0"?><w><!-- <!DOCTYPE --> &lt;!ENTITY</w>'
    check(packed(TYPES, ("word/document.xml", text), ("word/media/a.png", b"\x89PNG" * 999)), "docx", "file")
    check(packed(("a.xhtml", b"<!DOCTYPE html><html/>")), "epub", "file")


def test_a_size_that_lies_is_noticed_while_it_is_inflated() -> None:
    """The directory says 100 bytes, the stream has 40 million: no more than was declared is ever kept."""
    data = bytearray(packed(("a.txt", b"words " * 7_000_000)))
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.rfind(mark) + offset
        data[at : at + 4] = struct.pack("<I", 100)
    with pytest.raises(ParseError) as problem:
        list(read(bytes(data), Document(id="d", source="a.zip", version="1", media="zip")))
    assert problem.value.code == "corrupt"


@pytest.mark.skipif(not SHARED, reason="LYCEUM_SHARED names no folder with real files")
def test_real_files_pass_and_cost_little() -> None:
    seconds = []
    for path in sorted(Path(SHARED, "documents").glob("*/*")):
        if path.suffix not in (".docx", ".xlsx", ".pptx", ".epub") or path.parent.name == "hostile":
            continue
        data = path.read_bytes()
        started = time.process_time()
        check(data, path.suffix[1:], path.name)
        seconds.append(time.process_time() - started)
    assert len(seconds) > 25
    assert sorted(seconds)[len(seconds) // 2] < 0.005
