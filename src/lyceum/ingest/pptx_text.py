"""The words of a slide's paragraph and its bullet, looked for in paragraph, shape, layout and master."""

from __future__ import annotations

from typing import Any

from lyceum.ingest.docx_styles import written
from lyceum.ingest.omml import linear
from lyceum.ingest.ooxml import ALTERNATE, A, M, chosen

FORMS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}
KINDS = tuple(A + name for name in ("buNone", "buChar", "buBlip", "buAutoNum"))
BODY = "{http://schemas.openxmlformats.org/presentationml/2006/main}bodyStyle"


def words(paragraph: Any) -> str:
    """Return a paragraph's words; equations on one line."""
    parts = []
    for child in paragraph:
        if child.tag in (A + "r", A + "fld"):
            parts.append(child.findtext(A + "t") or "")
        elif child.tag == A + "br":
            parts.append("\n")
        elif child.tag == ALTERNATE:
            parts.append(words(chosen(child)))
        elif next(child.iter(M + "*"), None) is not None:
            parts.append(linear(child))
    return "".join(parts)


class Bullets:
    """The marks of one shape's paragraphs, numbers counted; `listed` when its kind takes those of the master."""

    def __init__(self, shape: Any, slide: Any, *, listed: bool) -> None:
        self.shape, self.slide, self.listed = shape, slide, listed
        self.counts: dict[int, int] = {}

    def mark(self, paragraph: Any, body: Any) -> str:
        """Return "- ", "2. " or nothing."""
        properties = paragraph.find(A + "pPr")
        depth = int(properties.get("lvl", "0")) if properties is not None else 0
        for deeper in [one for one in self.counts if one > depth]:
            del self.counts[deeper]
        found = self._found(properties, body, depth)
        if found is None or found.tag == A + "buNone":
            self.counts.pop(depth, None)
            return ""
        if found.tag != A + "buAutoNum":
            return "- "
        form = found.get("type", "")
        self.counts[depth] = self.counts.get(depth, int(found.get("startAt", "1")) - 1) + 1
        number = written(self.counts[depth], FORMS.get(form[:7], "decimal"))
        return number + (") " if "Paren" in form else ". ")

    def _found(self, properties: Any, body: Any, depth: int) -> Any:
        """Return what decides on the bullet, the nearest first."""
        level = f"{A}lvl{depth + 1}pPr"
        holders = [properties, body.find(f"{A}lstStyle/{level}")]
        shape = self.shape
        for _ in range(2):  # layout, master
            try:
                shape = getattr(shape, "_base_placeholder", None)
            except KeyError:  # a kind of placeholder that masters do not have
                break
            if shape is not None:
                holders.append(shape._element.find(f".//{A}lstStyle/{level}"))
        if self.listed:
            holders += self.slide.slide_layout.slide_master.element.iterfind(f".//{BODY}/{level}")
        known = (holder for holder in holders if holder is not None)
        return next((one for holder in known for one in holder.iterchildren(*KINDS)), None)
