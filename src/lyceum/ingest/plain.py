"""Plain text and code to paragraphs with line numbers; headings only where they are obvious."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lyceum.core.text import CJK, clean
from lyceum.core.types import Document, Element, Page, Place
from lyceum.ingest.decode import decode
from lyceum.ingest.lines import block

_numbered = re.compile(r"^(\d{1,2}(?:\.\d{1,2}){0,3})[.、]?\s+\S")
_chinese = re.compile(r"^(?:第[一二三四五六七八九十百\d]+([章节条部])|([一二三四五六七八九十]{1,3})、)")
_rule = re.compile(r"^([=\-~])\1{2,}\s*$")
_ends = ("。", ".", "；", ";", ",", "，", ":", "：", "!", "?", "！", "？")
SHORT = 60


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page with the whole file."""
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    lines = [clean(line) for line in text.split("\n")]
    elements = tuple(_blocks(lines, document.id, "code" if document.media == "code" else "text"))
    first = next((element.text for element in elements if element.kind == "heading"), "")
    yield Page(elements=elements, title=first)


def _blocks(lines: list[str], doc_id: str, kind: str) -> Iterator[Element]:
    """Yield elements of lines; their breaks are kept, because lists and addresses live from them."""
    held: list[tuple[str, Place]] = []
    skip = False
    for number, line in enumerate(lines, start=1):
        after = lines[number] if number < len(lines) else ""
        before = lines[number - 2] if number > 1 else ""
        if skip:
            skip = False
            continue
        level = 0 if kind == "code" else _level(line, before, after, number)
        if level or not line:
            yield from [block(doc_id, held, kind=kind)] if held else []
            held = []
        if level:
            skip = bool(_rule.match(after))
            yield block(doc_id, [(line, Place(line=number))], level=level)
        elif line and not _rule.match(line):
            held.append((line, Place(line=number)))
    yield from [block(doc_id, held, kind=kind)] if held else []


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
