"""Markdown to headings, paragraphs, lists, code and tables, each with its lines in the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt

from lyceum.core.text import clean
from lyceum.core.types import Document, Element, Page, Place
from lyceum.ingest.decode import decode
from lyceum.ingest.lines import block
from lyceum.ingest.tables import table

_markdown = MarkdownIt("commonmark").enable("table")


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page with the whole file."""
    text = decode(data)
    offset = 0
    if text.startswith("---\n") and "\n---\n" in text[4:]:  # front matter is about the file, not of it
        end = text.index("\n---\n", 4) + 5
        offset, text = text[:end].count("\n"), text[end:]
    elements = list(_walk(_markdown.parse(text), document.id, offset))
    title = next((one.text for one in elements if one.kind == "heading"), "")
    yield Page(elements=tuple(elements), title=title)


def _walk(tokens: list[Any], doc_id: str, offset: int) -> Iterator[Element]:
    rows: list[list[str]] = []
    places: list[Place] = []
    bullet = ""
    for i, token in enumerate(tokens):
        line = offset + (token.map[0] + 1 if token.map else 1)
        if token.type == "tr_open":
            rows.append([])
            places.append(Place(line=line))
        elif token.type == "inline" and tokens[i - 1].type in ("th_open", "td_open"):
            rows[-1].append(_plain(token))
        elif token.type == "table_close":
            if found := table(doc_id, rows, places, header=1):
                yield found
            rows, places = [], []
        elif token.type == "list_item_open":
            bullet = f"{token.info}. " if token.info else "- "
        elif token.type == "inline":
            level = int(tokens[i - 1].tag[1]) if tokens[i - 1].type == "heading_open" else 0
            yield from _element(doc_id, "text", bullet + _plain(token), line, level)
            bullet = ""
        elif token.type in ("fence", "code_block"):
            yield from _element(doc_id, "code", token.content, line + (token.type == "fence"), 0)


def _plain(token: Any) -> str:
    """Return the words of an inline token; a link keeps its text, an image its description."""
    parts = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type in ("text", "code_inline", "image"):
            parts.append(child.content)
    return "".join(parts)


def _element(doc_id: str, kind: Any, text: str, line: int, level: int) -> Iterator[Element]:
    """Yield an element with a piece a line."""
    if text := clean(text):
        parts = [(part, Place(line=number)) for number, part in enumerate(text.split("\n"), start=line)]
        yield block(doc_id, parts, kind=kind, level=level)
