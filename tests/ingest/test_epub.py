"""EPUB: chapters in the order of the spine, titles from the contents, books that are locked or broken."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from lyceum.core.errors import ParseError
from tests.ingest.test_archive import elements, packed, pages, warnings

CONTAINER = (
    b"<container xmlns='urn:oasis:names:tc:opendocument:xmlns:container'><rootfiles>"
    b"<rootfile full-path='OEBPS/book.opf'/></rootfiles></container>"
)
OPF = """<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>The Anchor</dc:title></metadata><manifest>
<item id="two" href="t%%20wo.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="gone" href="gone.xhtml" media-type="application/xhtml+xml"/>
<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>
<spine><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/>%s</spine></package>"""
NCX = b"""<!DOCTYPE ncx><ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Weights</text>
</navLabel><content src="t%20wo.xhtml#a"/></navPoint></navMap></ncx>"""
ONE = (
    '<?xml version="1.0" encoding="utf-8"?><html><head><meta charset="utf-8"/><title/></head>'
    "<body><h1>Début</h1></body></html>"
)
TWO = "<html xmlns='http://www.w3.org/1999/xhtml'><body><a id='a'/><p>It weighs 40 kg.</p></body></html>"


def made(*more: tuple[str, bytes], spine: str = "", two: str = TWO) -> bytes:
    return packed(
        ("mimetype", b"application/epub+zip"), ("META-INF/container.xml", CONTAINER),
        ("OEBPS/book.opf", (OPF % spine).encode()), ("OEBPS/toc.ncx", NCX), ("OEBPS/nav.xhtml", b"<p>Contents</p>"),
        ("OEBPS/one.xhtml", ONE.encode()), ("OEBPS/t wo.xhtml", two.encode()), *more,
    )  # fmt: skip


def locked(algorithm: str, file: str) -> tuple[str, bytes]:
    return "META-INF/encryption.xml", (
        "<encryption xmlns='urn:oasis:names:tc:opendocument:xmlns:container'"
        " xmlns:e='http://www.w3.org/2001/04/xmlenc#'><e:EncryptedData>"
        f"<e:EncryptionMethod Algorithm='{algorithm}'/><e:CipherData><e:CipherReference URI='{file}'/>"
        "</e:CipherData></e:EncryptedData></encryption>"
    ).encode()


def test_chapters_in_order_with_titles_and_places() -> None:
    found = pages(made(), "b.epub")
    assert [page.title for page in found] == ["The Anchor", ""]
    assert [(one.kind, one.text, one.place.part) for one in elements(found)] == [
        ("heading", "Début", "OEBPS/one.xhtml"), ("heading", "Weights", "OEBPS/t wo.xhtml"),
        ("text", "It weighs 40 kg.", "OEBPS/t wo.xhtml"),
    ]  # fmt: skip


def test_a_chapter_that_is_missing_is_named() -> None:
    found = pages(made(spine="<itemref idref='gone'/>"), "b.epub")
    assert len(elements(found)) == 3
    assert "gone.xhtml" in warnings(found)


def test_a_locked_book_says_so_and_hidden_fonts_are_no_lock() -> None:
    with pytest.raises(ParseError, match="DRM") as problem:
        pages(made(locked("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OEBPS/one.xhtml")), "b.epub")
    assert problem.value.code == "password"
    font = locked("http://www.idpf.org/2008/embedding", "OEBPS/font.otf")
    assert len(elements(pages(made(font), "b.epub"))) == 3


def test_entities_in_a_chapter_are_refused() -> None:
    with pytest.raises(ParseError, match="entities"):
        pages(made(two='<!DOCTYPE html [<!ENTITY a "b">]><html><body>&a;</body></html>'), "b.epub")


def test_a_real_book_reads_as_its_text() -> None:
    """Word and word-pair F1 against the text that its publisher ships: .988 and .985 when this was written."""
    shared = os.environ.get("LYCEUM_SHARED")
    if not shared:
        pytest.skip("LYCEUM_SHARED names no folder with real files")
    folder = Path(shared, "documents")
    found = elements(pages((folder / "epub" / "debian__developers-reference.epub").read_bytes(), "b.epub"))
    mine = re.findall(r"\w+", " ".join(one.text for one in found).lower())
    theirs = re.findall(r"\w+", (folder / "txt" / "debian__developers-reference.txt").read_text().lower())
    for width in (1, 2):
        a, b = (Counter(zip(*(words[i:] for i in range(width)), strict=False)) for words in (mine, theirs))
        assert 2 * (a & b).total() / (a.total() + b.total()) > 0.98
