"""EPUB to a page a chapter in the order of its spine, each place naming the chapter's file inside the book."""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from lxml import etree

from lyceum.core.errors import ParseError
from lyceum.core.text import clean, squeeze
from lyceum.core.types import Document, Element, Page, Piece, Place
from lyceum.ingest.members import moved
from lyceum.ingest.preflight import directory
from lyceum.ingest.reading import read

FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # hidden fonts are no lock
PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page a chapter; what the table of contents calls it stands above one without a heading."""
    book = _Book(data, document.source)
    title, problem, found = book.title, None, False
    for name in book.spine:
        chapter = replace(document, media="html", source=name)
        try:
            for page in read(book.read(name), chapter):
                elements = page.elements
                label = book.labels.get(name, "")
                if elements and label and all(one.kind != "heading" for one in elements):
                    elements = (_heading(label, document.id), *elements)
                found = found or bool(elements)
                yield replace(moved(replace(page, elements=elements), name), title=title)
                title = ""
        except ParseError as raised:
            problem = problem or raised
            yield Page(elements=(), warnings=(f"Left out ({raised.code}): {name}: {raised}",))
    if problem is not None and not found:
        raise problem


def _heading(text: str, doc_id: str) -> Element:
    place = Place(xpath="/html")
    piece = Piece(start=0, end=len(text), place=place)
    return Element(doc_id=doc_id, kind="heading", text=text, place=place, pieces=(piece,), level=1)


class _Book:
    """A book's title, its chapters in reading order, and what its table of contents calls them."""

    def __init__(self, data: bytes, name: str) -> None:
        self.archive = directory(data, name)
        root = self._xml("META-INF/container.xml").find("{*}rootfiles/{*}rootfile")
        if root is None:
            raise _damaged()
        package = unquote(root.get("full-path", ""))
        self.folder = posixpath.dirname(package)
        opf = self._xml(package)
        self.title = squeeze(clean(opf.findtext("{*}metadata/{http://purl.org/dc/elements/1.1/}title") or ""))
        items = {one.get("id"): one for one in opf.findall("{*}manifest/{*}item")}
        refs = [items.get(one.get("idref")) for one in opf.findall("{*}spine/{*}itemref")]
        self.spine = [
            self._path(one.get("href", ""))
            for one in refs
            if one is not None
            and one.get("media-type") in PAGES
            and "nav" not in one.get("properties", "").split()
        ]
        self._refuse_locked()
        self.labels: dict[str, str] = {}
        for one in items.values():
            if one.get("media-type") == "application/x-dtbncx+xml":
                self._contents(self._path(one.get("href", "")))

    def read(self, name: str) -> bytes:
        """Return a file of the book; its size in the directory was checked and is never exceeded."""
        try:
            return self.archive.read(name)
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as problem:
            raise _damaged() from problem

    def _path(self, href: str, folder: str | None = None) -> str:
        inside = posixpath.join(self.folder if folder is None else folder, unquote(href.split("#")[0]))
        return posixpath.normpath(inside).lstrip("/")

    def _xml(self, name: str) -> Any:
        try:
            return etree.fromstring(self.read(name), etree.XMLParser(resolve_entities=False, no_network=True))
        except (etree.XMLSyntaxError, ValueError) as problem:
            raise _damaged() from problem

    def _refuse_locked(self) -> None:
        if "META-INF/encryption.xml" not in self.archive.namelist():
            return
        for one in self._xml("META-INF/encryption.xml").iter("{*}EncryptedData"):
            method, file = one.find("{*}EncryptionMethod"), one.find(".//{*}CipherReference")
            font = method is not None and method.get("Algorithm") in FONTS
            if not font and file is not None and unquote(file.get("URI", "")) in self.spine:
                raise ParseError(
                    "The book is locked by its shop (DRM).", hint="Get a copy without DRM.", code="password"
                )

    def _contents(self, name: str) -> None:
        try:
            points = list(self._xml(name).iter("{*}navPoint"))
        except ParseError:
            return
        for point in points:
            label, content = point.findtext("{*}navLabel/{*}text"), point.find("{*}content")
            if label and content is not None:
                path = self._path(content.get("src", ""), posixpath.dirname(name))
                self.labels.setdefault(path, squeeze(clean(label)))


def _damaged() -> ParseError:
    return ParseError("The e-book is damaged.", hint="Convert it again, or get another copy.")
