"""Documents to their dates, and whether a question means what was before. Pure; knows no clock."""

from __future__ import annotations

import re

from lyceum.core.types import Document

_named = re.compile(
    r"(?<![0-9A-Za-z])((?:19|20)\d\d)(?:[-_.]?(0[1-9]|1[0-2])(?:[-_.]?(0[1-9]|[12]\d|3[01]))?)?(?![0-9A-Za-z])"
)

_older = re.compile(
    r"\b(?:old|older|earlier|previous|former|superseded|original)\s(?:\w+\s)?"
    r"(?:versions?|editions?|polic(?:y|ies)|rules?|handbooks?|terms|regulations?|guides?|manuals?|limits?|rates?)\b"
    r"|\b(?:used to|previously|formerly)\b|"
    r"旧[版规的]|老版|老的|(?:以前|之前|原来|原先|过去)的|^(?:以前|原来|原先|过去)|上一版",
    re.I,
)


def dated(document: Document) -> str:
    """Return "YYYY-MM-DD", or as much of it as is known: what it states, else what its file's name says."""
    if stated := str(document.meta.get("dated", "")):
        return stated
    found = _named.search(document.source.replace("\\", "/").rsplit("/", 1)[-1])
    return "-".join(filter(None, found.groups())) if found else ""


def of_the_past(question: str) -> bool:
    """Say whether a question asks for an older edition or for what was."""
    return _older.search(question) is not None
