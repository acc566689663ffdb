"""A document to its date: the one that it states, else the one in its file's name. Pure; knows no clock."""

from __future__ import annotations

import re

from lyceum.core.types import Document

_named = re.compile(
    r"(?<![0-9A-Za-z])((?:19|20)\d\d)(?:[-_.]?(0[1-9]|1[0-2])(?:[-_.]?(0[1-9]|[12]\d|3[01]))?)?(?![0-9A-Za-z])"
)


def dated(document: Document) -> str:
    """Return "YYYY-MM-DD", or as much of it as is known; empty where nothing tells."""
    if stated := str(document.meta.get("dated", "")):
        return stated
    found = _named.search(document.source.replace("\\", "/").rsplit("/", 1)[-1])
    return "-".join(filter(None, found.groups())) if found else ""
