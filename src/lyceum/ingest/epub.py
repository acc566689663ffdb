"""EPUB to a page a chapter in the order of its spine, each place naming the chapter's file inside the book."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from lyceum.core.errors import ParseError
from lyceum.core.text import clean, squeeze
from lyceum.core.types import Document, Page, Place
from lyceum.ingest.lines import line
from lyceum.ingest.members import moved
from lyceum.ingest.ooxml import xml
from lyceum.ingest.preflight import directory
from lyceum.ingest.reading import blamed, read

FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # hidden fonts are no lock
PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
LOCKS = "META-INF/encryption.xml"


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page a chapter; what the table of contents calls it stands above one without a heading."""
    book = _Book(data, document.source)
    title, problem, found = book.title, None, False
    for name in book.spine:
        try:
            with blamed(name):
                chapter = book.archive.read(name)
            for page in read(chapter, replace(document, media="html", source=name)):
                elements = page.elements
                if elements and all(one.kind != "heading" for one in elements):
                    label = line(document.id, book.labels.get(name, ""), Place(xpath="/html"), level=1)
                    elements = (*label, *elements)
                found = found or bool(elements)
                yield replace(moved(replace(page, elements=elements), name), title=title)
                title = ""
        except ParseError as raised:
            problem = problem or raised
            yield Page(elements=(), warnings=(f"Left out ({raised.code}): {name}: {raised}",))
    if problem is not None and not found:
        raise problem


class _Book:
    """A book's title, its chapters in reading order, and what its table of contents calls them."""

    def __init__(self, data: bytes, name: str) -> None:
        self.archive = directory(data, name)
        root = self._xml("META-INF/container.xml").find("{*}rootfiles/{*}rootfile")
        package = unquote(root.get("full-path", ""))
        opf = self._xml(package)
        folder = posixpath.dirname(package)
        self.title = squeeze(clean(opf.findtext("{*}metadata/{http://purl.org/dc/elements/1.1/}title") or ""))
        items = {one.get("id"): one for one in opf.findall("{*}manifest/{*}item")}
        refs = (items.get(one.get("idref")) for one in opf.findall("{*}spine/{*}itemref"))
        self.spine = [
            _path(one.get("href", ""), folder) for one in refs
            if one is not None and one.get("media-type") in PAGES and "nav" not in one.get("properties", "").split()
        ]  # fmt: skip
        if LOCKS in self.archive.namelist():
            self._refuse_locked()
        self.labels: dict[str, str] = {}
        for one in items.values():
            if one.get("media-type") == "application/x-dtbncx+xml":
                self._contents(_path(one.get("href", ""), folder))

    def _xml(self, name: str) -> Any:
        with blamed(name):
            return xml(self.archive.read(name))

    def _refuse_locked(self) -> None:
        for one in self._xml(LOCKS).iter("{*}EncryptedData"):
            method, file = one.find("{*}EncryptionMethod"), one.find(".//{*}CipherReference")
            font = method is not None and method.get("Algorithm") in FONTS
            if not font and file is not None and unquote(file.get("URI", "")) in self.spine:
                hint = "Get a copy without DRM."
                raise ParseError("The book is locked by its shop (DRM).", hint=hint, code="password")

    def _contents(self, name: str) -> None:
        try:
            points = list(self._xml(name).iter("{*}navPoint"))
        except ParseError:  # a book can be read without its table of contents
            return
        for point in points:
            label, content = point.findtext("{*}navLabel/{*}text"), point.find("{*}content")
            if label and content is not None:
                path = _path(content.get("src", ""), posixpath.dirname(name))
                self.labels.setdefault(path, squeeze(clean(label)))


def _path(href: str, folder: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(href.split("#")[0]))).lstrip("/")
