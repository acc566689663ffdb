"""RTF to headings, paragraphs and tables; a place is the line's number in the text.

Headings are known by the styles of the file; what is set aside in it (headers, footers, pictures) stays aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from striprtf.striprtf import rtf_to_text

from lyceum.core.types import Document, Element, Page, Place
from lyceum.ingest.docx_styles import LONGEST
from lyceum.ingest.lines import first_heading, line
from lyceum.ingest.tables import grid

# Signs of our own, from Unicode's private area, carry through the library what it would forget.
CELL, HEADING = "\uf6f0", 0xF6F1
_cell = re.compile(r"\\(?:nest)?cell(?![a-z])[ ]?")
_style = re.compile(r"\{\\s(\d+)\b[^{}]*?(?:heading|Heading|标题|berschrift|Titre)\s*([1-6]);")
_title = re.compile(r"\\title\s+([^{}\\]+)\}")


def parse(data: bytes, document: Document) -> Iterator[Page]:
    """Yield one page: RTF has none of its own before it is printed."""
    source = data.decode("latin-1")
    levels = {number: int(level) for number, level in _style.findall(source[: 1 << 20])}
    start = source.find("\\pard")
    marked = source[:start] + re.sub(
        r"(\\s(\d+)|\\outlinelevel([0-5]))(?![0-9a-z])[ ]?",
        lambda match: match[0].rstrip() + _mark(levels.get(match[2] or "", int(match[3] or -1) + 1)), source[start:],
    )  # fmt: skip
    text: str = rtf_to_text(_cell.sub(CELL, marked), errors="replace")  # type: ignore[no-untyped-call]
    title = _title.search(source[: 1 << 16])
    elements = tuple(_elements(text, document.id))
    yield Page(elements=elements, title=title[1].strip() if title else first_heading(elements))


def _mark(level: int) -> str:
    return f" {chr(HEADING + level)}" if level else " "


def _elements(text: str, doc_id: str) -> Iterator[Element]:
    rows: list[list[str]] = []
    for number, one in enumerate([*text.split("\n"), ""], start=1):
        if CELL in one:
            rows.append(one.split(CELL)[:-1])
            continue
        yield from grid(doc_id, rows, [Place(line=place) for place in range(number - len(rows), number)])
        rows = []
        marks = [ord(sign) - HEADING for sign in one if HEADING < ord(sign) <= HEADING + 6]
        plain = "".join(sign for sign in one if not CELL <= sign <= chr(HEADING + 6))
        level = marks[-1] if marks and len(plain) <= LONGEST else 0
        yield from line(doc_id, plain, Place(line=number), level=level)
