"""HTML to headings, paragraphs, lists, code and tables, each with its xpath; menus and scripts left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lxml import html

from lyceum.core.errors import ParseError
from lyceum.core.text import clean, squeeze
from lyceum.core.types import Document, Element, Page, Place
from lyceum.ingest.decode import decode
from lyceum.ingest.lines import block
from lyceum.ingest.tables import table

DROPPED = frozenset("script style noscript template nav footer aside form button svg iframe head".split())
BLOCKS = frozenset(
    "p div section article main header li dt dd blockquote figcaption address ul ol dl td th tr body".split()
)
DEPTH = 200
_tag = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)[^>]*?(/?)>")
_charset = re.compile(rb"<meta[^>]+charset=[\"']?\s*([\w-]+)", re.I)
VOID = frozenset(b"br hr img input meta link area base col embed source track wbr".split())


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page with the whole file."""
    _guard_depth(data)
    root = html.document_fromstring(_decoded(data), parser=html.HTMLParser(huge_tree=False))
    titles = root.xpath("//title/text()")
    body = root.find("body")
    elements = list(_walk(body if body is not None else root, _Paths(), document.id))
    first = next((one.text for one in elements if one.kind == "heading"), "")
    yield Page(elements=tuple(elements), title=squeeze(titles[0]) if titles else first)


def _decoded(data: bytes) -> str:
    """Return the characters of a page; a mark at its start weighs more than what it says of itself."""
    declared = _charset.search(data[:2048])
    text = ""
    if declared and not data.startswith(b"\xef\xbb\xbf"):
        try:
            text = data.decode(declared.group(1).decode())
        except (LookupError, UnicodeDecodeError):
            pass
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text or decode(data))


def _guard_depth(data: bytes) -> None:
    """Refuse nesting beyond what people write; lxml would drop the rest without a word."""
    depth = 0
    for closing, name, empty in _tag.findall(data):
        lowered = name.lower()
        if lowered in VOID or empty or lowered in (b"p", b"li", b"td", b"tr", b"th"):
            continue
        depth = max(0, depth - 1) if closing else depth + 1
        if depth > DEPTH:
            raise ParseError(
                f"The HTML is nested over {DEPTH} levels.", hint="Simplify the page.", code="limit"
            )


class _Paths:
    """A node to its xpath. Children are counted once a parent: lxml's own counts them anew for every child."""

    def __init__(self) -> None:
        self._counted: dict[Any, dict[Any, str]] = {}

    def __call__(self, node: Any) -> str:
        parent = node.getparent()
        if parent is None:
            return f"/{node.tag}"
        if parent not in self._counted:
            seen: Counter[str] = Counter()
            steps = self._counted[parent] = {}
            for child in parent:
                if isinstance(child.tag, str):
                    seen[child.tag] += 1
                    steps[child] = f"{child.tag}[{seen[child.tag]}]"
        return f"{self(parent)}/{self._counted[parent][node]}"


def _walk(node: Any, paths: _Paths, doc_id: str) -> Iterator[Element]:
    """Yield elements in document order; text between blocks becomes paragraphs of its own."""
    loose: list[str] = [node.text or ""]
    for child in node:
        tag = child.tag if isinstance(child.tag, str) else ""
        if tag in DROPPED or not tag:
            loose.append(child.tail or "")
            continue
        if not _is_block(child, tag):
            loose.append(squeezed(child) if tag != "br" else "\n")
            loose.append(child.tail or "")
            continue
        yield from _text(doc_id, "".join(loose), node, paths)
        loose = [child.tail or ""]
        yield from _block(child, tag, paths, doc_id)
    yield from _text(doc_id, "".join(loose), node, paths)


def _is_block(node: Any, tag: str) -> bool:
    special = tag == "pre" or re.fullmatch("h[1-6]", tag)
    return bool(special) or any(one.tag in BLOCKS or one.tag == "table" for one in node.iter())


def _block(node: Any, tag: str, paths: _Paths, doc_id: str) -> Iterator[Element]:
    if re.fullmatch("h[1-6]", tag):
        yield from _text(doc_id, squeezed(node), node, paths, level=int(tag[1]))
    elif tag == "pre":
        yield from _text(doc_id, node.text_content(), node, paths, kind="code")
    elif tag == "table":
        yield from _table(node, paths, doc_id)
    elif tag == "li" and not any(one.tag in BLOCKS for one in node.iterdescendants()):
        yield from _text(doc_id, "- " + squeezed(node), node, paths)
    else:
        yield from _walk(node, paths, doc_id)


def squeezed(node: Any) -> str:
    """Return the words of a node without those of dropped ones."""
    parts = [node.text or ""]
    for child in node:
        if isinstance(child.tag, str) and child.tag not in DROPPED:
            parts.append(" " if child.tag == "br" else squeezed(child))
        parts.append(child.tail or "")
    return re.sub(r"\s+", " ", "".join(parts))


def _text(
    doc_id: str, text: str, node: Any, paths: _Paths, *, kind: Any = "text", level: int = 0
) -> Iterator[Element]:
    text = clean(text) if kind == "code" else squeeze(clean(text))
    if text:
        yield block(doc_id, [(text, Place(xpath=paths(node)))], kind=kind, level=level)


def _table(node: Any, paths: _Paths, doc_id: str) -> Iterator[Element]:
    """Yield a table; spanning cells are repeated, so that every row can be read alone."""
    for caption in node.findall("caption"):
        yield from _text(doc_id, squeezed(caption), caption, paths)
    rows: list[list[str]] = []
    places: list[Place] = []
    header = 0
    pending: dict[int, tuple[int, str]] = {}
    for row in node.iter("tr"):
        cells: list[str] = []
        found = [cell for cell in row if cell.tag in ("td", "th")]
        for cell in [*found, None]:
            while (held := pending.get(len(cells))) and held[0] > 0:
                pending[len(cells)] = (held[0] - 1, held[1])
                cells.append(held[1])
            if cell is None:
                break
            for _ in range(_span(cell, "colspan")):
                pending[len(cells)] = (_span(cell, "rowspan") - 1, squeezed(cell))
                cells.append(squeezed(cell))
        if found and all(cell.tag == "th" for cell in found) and len(rows) == header:
            header += 1
        rows.append(cells)
        places.append(Place(xpath=paths(row)))
    made = table(doc_id, rows, places, header=header or None)
    if made:
        yield made


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "1")
    return min(max(int(value), 1), 100) if value.isdigit() else 1
