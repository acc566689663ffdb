"""What Word, PowerPoint and Excel files share: strict and macro variants made plain, XML read without entities.

It knows packages and relationships; what stands in a document, a slide or a sheet it does not know.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from lxml import etree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
ALTERNATE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"

STRICT = b"http://purl.oclc.org/ooxml/"
# A strict name is the transitional one without its year (ISO/IEC 29500-1, annex A); two are spelt otherwise.
_strict = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
SPELT = {b"extendedProperties": b"extended-properties", b"customProperties": b"custom-properties"}
# Macro files, templates and shows are read as the plain document each of them holds.
_variant = re.compile(
    rb"application/vnd\.(?:ms-(?:word|powerpoint)\.(?:document|template|presentation|slideshow)\.macroEnabled"
    rb"|openxmlformats-officedocument\.(?:wordprocessingml\.template|presentationml\.(?:template|slideshow)))"
    rb"(?=[.a-zA-Z0-9]*\.main\+xml)(?:Template|12)?"
)
_remark = re.compile(
    r"(?:Description automatically generated.*|AI-generated content may be incorrect\.|AI 生成的内容可能不正确。)\s*$"
)
_file = re.compile(r"\S*\.(?:png|jpe?g|gif|bmp|tiff?|svg|[ew]mf)", re.I)


def normal(data: bytes) -> bytes:
    """Return a package as the libraries expect it; macros are never run, they are only bytes here."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        types = _variant.sub(_plain, package.read("[Content_Types].xml"))
        strict = STRICT in package.read("_rels/.rels")
        if not strict and types == package.read("[Content_Types].xml"):
            return data
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as plain:
            for name in dict.fromkeys(package.namelist()):
                body = types if name == "[Content_Types].xml" else package.read(name)
                if strict and name.endswith((".xml", ".rels")):
                    body = _strict.sub(_transitional, body)
                plain.writestr(name, body)
    return made.getvalue()


def _plain(match: re.Match[bytes]) -> bytes:
    word = b"word" in match.group(0)
    kind = b"wordprocessingml.document" if word else b"presentationml.presentation"
    return b"application/vnd.openxmlformats-officedocument." + kind


def _transitional(match: re.Match[bytes]) -> bytes:
    first, second = match.groups()
    return b"http://schemas.openxmlformats.org/%s/2006/%s" % (first, SPELT.get(second, second))


def xml(data: bytes) -> Any:
    """Return the root of XML whose entities stay unread and whose depth and size are bounded."""
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))


def related(part: Any, kind: str) -> Any:
    """Return the root of the part that a relationship of this kind leads to, None when there is none."""
    for relation in part.rels.values():
        if relation.reltype.endswith("/" + kind) and not relation.is_external:
            return xml(relation.target_part.blob)
    return None


def graphic(node: Any, part: Any) -> Iterator[tuple[str, Any]]:
    """Yield ("chart" | "diagram", root) for what a drawing shows by reference."""
    for found in node.iter(C + "chart", DGM + "relIds"):
        chart = found.tag == C + "chart"
        relation = part.rels.get(found.get(R + ("id" if chart else "dm"), ""))
        if relation is None or relation.is_external:
            continue
        try:
            root = xml(relation.target_part.blob)
        except etree.XMLSyntaxError:  # a broken drawing does not stop the text round it
            continue
        yield "chart" if chart else "diagram", root


def diagram(root: Any) -> str:
    """Return the texts of a diagram's shapes, a line each."""
    texts = ("".join(one.text or "" for one in point.iter(A + "t")) for point in root.iter(DGM + "pt"))
    return "\n".join(f"- {text}" for text in texts if text.strip())


def described(text: str) -> str:
    """Return an alternative text without the program's own remarks; a file's name describes nothing."""
    text = _remark.sub("", text).strip()
    return "" if _file.fullmatch(text) else text


def on(node: Any, name: str) -> bool:
    """Say whether a child switch is there and not off."""
    found = node.find(W + name) if node is not None else None
    return found is not None and found.get(W + "val", "1") not in ("0", "false", "off")


def chosen(alternate: Any) -> Any:
    """Return the branch of an alternative that holds words: the newer one first."""
    words = (A + "t", W + "t", M + "t", C + "chart", DGM + "relIds")
    for branch in alternate:
        if next(branch.iter(*words), None) is not None:
            return branch
    return alternate[0] if len(alternate) else None
