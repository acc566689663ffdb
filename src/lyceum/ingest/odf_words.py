"""The words of an OpenDocument paragraph and the marks of its lists; what hangs on it is collected, not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lyceum.ingest.docx_styles import written

_urn = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
OFFICE, TEXT, TABLE, DRAW, STYLE, PRESENTATION, SVG = (
    _urn % name for name in ("office", "text", "table", "drawing", "style", "presentation", "svg-compatible")
)
DC = "{http://purl.org/dc/elements/1.1/}"
UNREAD = frozenset((TEXT + "ruby-text", TEXT + "tracked-changes", TEXT + "note-citation"))
SIGNS = {TEXT + "tab": "\t", TEXT + "line-break": "\n"}
FORMS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}


@dataclass(slots=True)
class Said:
    """What was gathered: `aside` holds (mark, node): "[1]" for a note, "comment", "frame"."""

    parts: list[str] = field(default_factory=list)
    aside: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the words."""
        return "".join(self.parts)


def gather(node: Any, said: Said) -> Said:
    """Add the words of a node to `said`; deleted text is not in it, it stands elsewhere in the file."""
    said.parts.append(node.text or "")
    for child in node:
        tag = child.tag
        if tag == TEXT + "s":
            said.parts.append(" ")
        elif tag in SIGNS:
            said.parts.append(SIGNS[tag])
        elif tag == TEXT + "note":
            mark = f"[{child.findtext(TEXT + 'note-citation') or '*'}]"
            said.parts.append(mark)
            said.aside.append((mark, child))
        elif tag == OFFICE + "annotation":
            said.aside.append(("comment", child))
        elif isinstance(tag, str) and tag.startswith(DRAW):
            said.aside.append(("frame", child))
        elif isinstance(tag, str) and tag not in UNREAD:
            gather(child, said)
            said.parts.append(" " if tag == TEXT + "number" else "")
        said.parts.append(child.tail or "")
    return said


def words(node: Any) -> str:
    """Return the words of all paragraphs below a node, a line each."""
    texts = (gather(one, Said()).text for one in node.iter(TEXT + "p", TEXT + "h"))
    return "\n".join(text for text in texts if text.strip())


class Lists:
    """The marks of list items by the style of their list."""

    def __init__(self, *roots: Any) -> None:
        self.numbered: dict[tuple[str, str], str] = {}
        for root in roots:
            for one in root.iter(TEXT + "list-level-style-number"):
                name = one.getparent().get(STYLE + "name", "")
                self.numbered[name, one.get(TEXT + "level", "1")] = one.get(STYLE + "num-format", "")

    def items(self, node: Any, style: str, depth: int) -> Iterator[tuple[Any, str]]:
        """Yield a list's items, each with its mark."""
        form = self.numbered.get((style, str(depth)), "")
        count = 0
        for item in node.iterchildren(TEXT + "list-item", TEXT + "list-header"):
            start = item.get(TEXT + "start-value", "")
            count = int(start) if start.isdigit() else count + 1
            header = item.tag == TEXT + "list-header"
            yield item, "" if header else f"{written(count, FORMS.get(form, 'decimal'))}. " if form else "- "
