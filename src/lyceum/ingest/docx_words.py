"""The words of a DOCX paragraph as the reader of the final version sees them, and what hangs on it.

Inserted text stays, deleted text goes. Notes, comments, text boxes, pictures and drawings are collected, not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lyceum.ingest.omml import linear
from lyceum.ingest.ooxml import ALTERNATE, A, M, W, chosen

PICTURE = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
GRAPHIC = A + "graphicData"
SIGNS = {W + "tab": "\t", W + "ptab": "\t", W + "br": "\n", W + "cr": "\n", W + "noBreakHyphen": "-"}
UNREAD = frozenset((W + "pPr", W + "rPr", W + "sdtPr", W + "instrText", W + "rt", W + "tcPr"))
REFERENCES = {f"{W}{kind}Reference": kind for kind in ("footnote", "endnote", "comment")}


@dataclass(slots=True)
class Said:
    """What was gathered; `aside` holds (kind, what it is), in order: a node, a text, or (id, index in parts)."""

    parts: list[str] = field(default_factory=list)
    aside: list[tuple[str, Any]] = field(default_factory=list)
    equations: int = 0
    changed: bool = False

    @property
    def text(self) -> str:
        """Return the words."""
        return "".join(self.parts)

    @property
    def formula(self) -> bool:
        """Say whether equations are all there is."""
        return self.equations > 0 and sum(bool(part.strip()) for part in self.parts) == self.equations


def gather(node: Any, said: Said) -> Said:
    """Add the words below a node to `said`."""
    for child in node:
        tag = child.tag
        if tag == W + "t":
            said.parts.append(child.text or "")
        elif tag in SIGNS:
            said.parts.append(SIGNS[tag])
        elif tag in MAKERS:
            MAKERS[tag](child, said)
        elif tag not in UNREAD and isinstance(tag, str):
            gather(child, said)
    return said


def _deleted(node: Any, said: Said) -> None:
    said.changed = True


def _reference(node: Any, said: Said) -> None:
    said.aside.append((REFERENCES[node.tag], (node.get(W + "id", ""), len(said.parts))))
    said.parts.append("")  # room for a mark


def _equation(node: Any, said: Said) -> None:
    said.parts.append(linear(node))
    said.equations += bool(said.parts[-1].strip())


def _drawing(node: Any, said: Said) -> None:
    said.aside.append(("drawing", node))
    gather(node, said)


def _symbol(node: Any, said: Said) -> None:
    """Add a character given by number; those of symbol fonts have no meaning outside their font."""
    code = node.get(W + "char", "")
    if re.fullmatch("[0-9A-Fa-f]{1,4}", code) and not 0xD800 <= int(code, 16) <= 0xF8FF:
        said.parts.append(chr(int(code, 16)))


MAKERS: dict[str, Callable[[Any, Said], object]] = {
    **dict.fromkeys((W + "del", W + "moveFrom"), _deleted),
    **dict.fromkeys(REFERENCES, _reference),
    W + "sym": _symbol,
    M + "oMath": _equation,
    W + "txbxContent": lambda node, said: said.aside.append(("box", node)),
    GRAPHIC: _drawing,
    PICTURE: lambda node, said: said.aside.append(("picture", node.get("descr", ""))),
    ALTERNATE: lambda node, said: gather(chosen(node), said),
}
