"""Plain text and code to paragraphs with line numbers; headings only where they are obvious."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lyceum.core.text import CJK, clean
from lyceum.core.types import Document, Element, Page, Piece, Place
from lyceum.ingest.decode import decode

_numbered = re.compile(r"^(\d{1,2}(?:\.\d{1,2}){0,3})[.、]?\s+\S")
_chinese = re.compile(r"^(?:第[一二三四五六七八九十百\d]+([章节条部])|([一二三四五六七八九十]{1,3})、)")
_rule = re.compile(r"^([=\-~])\1{2,}\s*$")
_ends = ("。", ".", "；", ";", ",", "，", ":", "：", "!", "?", "！", "？")
SHORT = 60


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page with the whole file."""
    lines = clean_lines(decode(data))
    if document.media == "code":
        yield Page(elements=tuple(_blocks(lines, document.id, "code")))
        return
    elements = list(_blocks(lines, document.id, "text"))
    first = next((element.text for element in elements if element.kind == "heading"), "")
    yield Page(elements=tuple(elements), title=first)


def clean_lines(text: str) -> list[str]:
    """Return cleaned lines; their numbers stay those of the file."""
    return [
        clean(line) if line.strip() else ""
        for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    ]


def _blocks(lines: list[str], doc_id: str, kind: str) -> Iterator[Element]:
    block: list[tuple[int, str]] = []
    skip = 0
    for number, line in enumerate(lines, start=1):
        after = lines[number] if number < len(lines) else ""
        before = lines[number - 2] if number > 1 else ""
        if skip:
            skip -= 1
            continue
        level = 0 if kind == "code" else _level(line, before, after, number)
        if level or not line:
            yield from _paragraph(block, doc_id, kind)
            block = []
        if level:
            skip = int(bool(_rule.match(after)))
            place = Place(line=number)
            pieces = (Piece(start=0, end=len(line), place=place),)
            yield Element(doc_id=doc_id, kind="heading", text=line, place=place, pieces=pieces, level=level)
        elif line and not _rule.match(line):
            block.append((number, line))
    yield from _paragraph(block, doc_id, kind)


def _level(line: str, before: str, after: str, number: int) -> int:
    """Return the level of a heading line, 0 when it is none."""
    if not line or len(line) > SHORT or line.endswith(_ends) or line.startswith(("-", "*", "•", "|")):
        return 0
    if match := _rule.match(after):
        return 1 if match.group(1) == "=" else 2
    alone = not before and not after
    if (match := _chinese.match(line)) and (alone or not before):
        return 2 if match.group(1) in (None, "节", "条") else 1
    if (match := _numbered.match(line)) and not before:
        return 1 + match.group(1).count(".") if alone or not re.search(rf"[{CJK}a-z]{{30}}", line) else 0
    if number == 1 and not after:
        return 1
    return 2 if not before and line.isupper() and len(line) > 3 else 0


def _paragraph(block: list[tuple[int, str]], doc_id: str, kind: str) -> Iterator[Element]:
    """Yield one element of lines; their breaks are kept, because lists and addresses live from them."""
    if not block:
        return
    text, pieces = "", []
    for number, line in block:
        pieces.append(Piece(start=len(text), end=len(text) + len(line), place=Place(line=number)))
        text += line + "\n"
    place = Place(line=block[0][0])
    made = "code" if kind == "code" else "text"
    yield Element(doc_id=doc_id, kind=made, text=text[:-1], place=place, pieces=tuple(pieces))  # type: ignore[arg-type]
