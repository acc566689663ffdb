"""What Word, PowerPoint and Excel files share: strict and macro variants made plain, XML read without entities.

It knows packages and relationships; what stands in a document, a slide or a sheet it does not know.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from lxml import etree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
ALTERNATE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
WORDS = (A + "t", W + "t", M + "t", C + "chart", DGM + "relIds")  # what words come from

# A strict name is the transitional one without its year (ISO/IEC 29500-1, annex A).
_strict = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
# Macro files, templates and shows are read as the plain document each of them holds.
_main = re.compile(rb"application/vnd\.[\w.-]*?(word|powerpoint|presentation)[\w.-]*\.main\+xml")
PLAIN = b"application/vnd.openxmlformats-officedocument.%s.main+xml"
_remark = re.compile(
    r"(?:Description automatically generated.*|AI-generated content may be incorrect\.|AI 生成的内容可能不正确。)\s*$"
)
_file = re.compile(r"\S*\.(?:png|jpe?g|gif|bmp|tiff?|svg|[ew]mf)", re.I)


def normal(data: bytes) -> io.BytesIO:
    """Return a package as the libraries expect it; macros are never run, they are only bytes here."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        given = package.read("[Content_Types].xml")
        types = _main.sub(_plain, given)
        strict = _strict.search(package.read("_rels/.rels"))
        if types == given and not strict:
            return io.BytesIO(data)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as plain:
            for name in dict.fromkeys(package.namelist()):
                body = types if name == "[Content_Types].xml" else package.read(name)
                if strict and name.endswith((".xml", ".rels")):
                    body = _strict.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", body)
                plain.writestr(name, body)
    return made


def _plain(kind: re.Match[bytes]) -> bytes:
    return PLAIN % (b"wordprocessingml.document" if kind[1] == b"word" else b"presentationml.presentation")


def xml(data: bytes) -> Any:
    """Return the root of XML whose entities stay unread and whose depth and size are bounded."""
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))


def chosen(alternate: Any) -> Any:
    """Return the branch of an alternative that holds words, the newer one first; else any."""
    for branch in alternate:
        if next(branch.iter(*WORDS), None) is not None:
            return branch
    return alternate[0] if len(alternate) else ()


def described(text: str) -> str:
    """Return an alternative text without the program's own remarks; a file's name describes nothing."""
    text = _remark.sub("", text).strip()
    return "" if _file.fullmatch(text) else text


def whole(text: str | None, default: int) -> int:
    """Return the number that an attribute holds; the default when it holds none."""
    return int(text) if text and text.isdecimal() and len(text) < 10 else default
