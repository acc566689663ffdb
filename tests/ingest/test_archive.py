"""ZIP, tar and gzip: every file inside is read with its name at every place, and none of them can do harm."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from lyceum.core.errors import ParseError
from lyceum.core.types import Document, Element, Page
from lyceum.ingest import members
from lyceum.ingest.media import detect
from lyceum.ingest.preflight import check
from lyceum.ingest.reading import read

WORDS = b"The anchor weighs 40 kg."


def packed(*files: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return made.getvalue()


def tarred(*files: tuple[str, bytes], link: str = "") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo("link.txt")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return made.getvalue()


def book() -> bytes:
    made = openpyxl.Workbook()
    assert made.active is not None
    made.active.title = "Prices"
    made.active.append(["part", "price"])
    made.active.append(["anchor", 40])
    saved = io.BytesIO()
    made.save(saved)
    return saved.getvalue()


def pages(data: bytes, name: str = "a.zip", **meta: Any) -> list[Page]:
    media = detect(data, name)
    check(data, media, name)
    return list(read(data, Document(id="d", source=name, version="1", media=media, meta=meta)))


def elements(found: list[Page]) -> list[Element]:
    return [element for page in found for element in page.elements]


def warnings(found: list[Page]) -> str:
    return "\n".join(warning for page in found for warning in page.warnings)


def test_every_place_names_the_file_at_any_depth() -> None:
    found = elements(
        pages(packed(("notes.md", b"# Top\n\nWords."), ("offer.zip", packed(("list.xlsx", book())))))
    )
    headings = [(one.level, one.text) for one in found if one.kind == "heading"]
    assert headings == [(1, "notes.md"), (2, "Top"), (1, "offer.zip"), (2, "list.xlsx"), (3, "Prices")]
    (table,) = [one for one in found if one.table]
    assert table.table is not None
    assert {place.part for place in table.table.places} == {"offer.zip/list.xlsx"}
    assert [(piece.place.part, piece.place.sheet, piece.place.row) for piece in table.pieces] == [
        ("offer.zip/list.xlsx", "Prices", 1), ("offer.zip/list.xlsx", "Prices", 2),
    ]  # fmt: skip
    assert all(one.place.part for one in found)


def test_what_cannot_be_read_is_named_and_the_rest_stays() -> None:
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")
    found = pages(
        packed(("a.txt", WORDS), ("b.docx", locked), ("c.png", b"\x89PNG\r\n\x1a\n"), ("d.pdf", b"%PDF-1.4"))
    )
    assert [one.text for one in elements(found)] == ["a.txt", WORDS.decode()]
    told = warnings(found)
    assert "Left out (password): b.docx is protected" in told
    assert "c.png" in told
    assert "Left out (corrupt): d.pdf: The PDF is damaged" in told


def test_nothing_readable_is_an_error_with_the_first_reason() -> None:
    with pytest.raises(ParseError) as problem:
        pages(packed(("b.xlsx", book()[:200]), ("c.txt", b"")))
    assert (problem.value.code, "b.xlsx" in problem.value.message) == ("corrupt", True)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("../../etc/passwd", "etc/passwd"), ("/etc/passwd", "etc/passwd"), ("C:\\temp\\a.txt", "temp/a.txt"),
        ("a\u202egpj.txt", "agpj.txt"), ("./a/../b.txt", "a/b.txt"), ("..", "unnamed"), ("x" * 400, "x" * 200),
    ],
)  # fmt: skip
def test_a_name_is_only_a_name(name: str, part: str) -> None:
    found = elements(pages(packed((name, WORDS))))
    assert {one.place.part for one in found} == {part}


def test_nul_and_twins_in_names() -> None:
    assert members.shown("a\0b.txt") == "ab.txt"
    with pytest.warns(UserWarning, match="Duplicate"):
        data = packed(("a.txt", WORDS), ("a.txt", b"Other words."))
    assert [one.place.part for one in elements(pages(data))] == ["a.txt"] * 2 + ["a.txt (2)"] * 2


def test_names_written_in_a_chinese_code_page() -> None:
    info = zipfile.ZipInfo("x" * len("报价.txt".encode("gb18030")))
    data = packed((info, WORDS)).replace(info.filename.encode(), "报价.txt".encode("gb18030"))
    assert elements(pages(data))[0].text == "报价.txt"


def test_links_are_not_followed(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.txt")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    for data in (
        packed(("a.txt", WORDS), (info, b"/etc/passwd")),
        tarred(("a.txt", WORDS), link="/etc/passwd"),
    ):
        found = pages(data)
        assert "unsupported" in warnings(found)
        assert {one.place.part for one in elements(found)} == {"a.txt"}


def test_hidden_files_are_passed_over() -> None:
    found = pages(packed(("__MACOSX/._a.txt", WORDS), (".git/config", WORDS), ("a.txt", WORDS), ("f/", b"")))
    assert {one.place.part for one in elements(found)} == {"a.txt"}
    assert not warnings(found)


def test_depth_ends_at_three() -> None:
    data = packed(("deep.txt", WORDS))
    for name in ("3.zip", "2.zip"):
        data = packed(("here.txt", WORDS), (name, data))
    found = pages(data)
    texts = {one.place.part for one in elements(found) if one.kind == "text"}
    assert texts == {"here.txt", "2.zip/here.txt", "2.zip/3.zip/deep.txt"}
    found = pages(packed(("1.zip", data)))
    texts = {one.place.part for one in elements(found) if one.kind == "text"}
    assert texts == {"1.zip/here.txt", "1.zip/2.zip/here.txt"}
    assert "Left out (limit)" in warnings(found)


def test_what_all_members_unpack_to_is_counted() -> None:
    data = packed(("a.txt", b"word " * 15), ("b.txt", b"word " * 15), ("c.txt", WORDS))
    found = pages(data, budget=members.Budget(bytes=100, members=2))
    assert {one.place.part for one in elements(found)} == {"a.txt"}
    assert "Left out (limit): b.txt" in warnings(found)
    assert "were read" in warnings(found)


def test_tar_and_gzip() -> None:
    data = tarred(("folder/a.txt", WORDS), ("b.csv", b"part,kg\nanchor,40\n"))
    assert {one.place.part for one in elements(pages(data, "a.tar"))} == {"folder/a.txt", "b.csv"}
    found = elements(pages(gzip.compress(data), "all.tgz"))
    assert {one.place.part for one in found} == {"all.tar", "all.tar/folder/a.txt", "all.tar/b.csv"}
    (text,) = [one for one in elements(pages(gzip.compress(WORDS), "a.txt.gz")) if one.kind == "text"]
    assert (text.text, text.place.part) == (WORDS.decode(), "a.txt")
    with pytest.raises(ParseError) as problem:
        pages(gzip.compress(WORDS)[:-9], "a.txt.gz")
    assert problem.value.code == "corrupt"


# Made by `zip -P sesame`: Python reads such archives but cannot write them.
LOCKED = bytes.fromhex(
    "504b03040a0009000000e313795d208b54ba240000001800000005000000612e74787413161bfec6b6319b57954f6c1a0829"
    "3e04a0759e881acf6700891c2ed04eeca43822f079504b0708208b54ba2400000018000000504b01021e030a0009000000e3"
    "13795d208b54ba2400000018000000050000000000000001000000a48100000000612e747874504b05060000000001000100"
    "33000000570000000000"
)


def test_passwords() -> None:
    with pytest.raises(ParseError) as problem:
        pages(LOCKED)
    assert problem.value.code == "password"
    with pytest.raises(ParseError):
        pages(LOCKED, passwords=["wrong", "words"])
    assert elements(pages(LOCKED, passwords=["wrong", "sesame"]))[1].text == WORDS.decode()
