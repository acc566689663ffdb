"""Of several editions of one text only the one that the question means: the newest, unless it names another. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from lyceum.core.types import Document, Hit

_edition = re.compile(
    r"\b(?:version|edition|revision|rev|v)\.?\s*\d+(?:\.\d+)*|第\s*[一二三四五六七八九十\d]+\s*版|[\W_]+",
    re.I,
)
_older = re.compile(
    r"\b(?:old|older|earlier|previous|former|formerly|original|superseded|used to|in the past)\b|"
    r"旧|老版|以前|之前|原来|原先|上一版|过去",
    re.I,
)
_numerals = "零一二三四五六七八九十"


def current(question: str, hits: Sequence[Hit]) -> list[Hit]:
    """Return the hits without those of editions that the question does not mean.

    Documents are editions of one text when their titles differ in nothing but a version and each states a
    version number of its own. A date alone is not enough: the minutes of two meetings are two texts.
    """
    families: dict[str, dict[str, Document]] = {}
    for hit in hits:
        if "edition" in hit.document.meta:
            family = _edition.sub("", hit.document.title.lower())
            families.setdefault(family, {})[hit.document.id] = hit.document
    unmeant: set[str] = set()
    for members in families.values():
        editions = {float(one.meta["edition"]): one.id for one in members.values()}
        if len(editions) == len(members) > 1:
            unmeant |= set(members) - {editions[_meant(question, members.values())]}
    return [hit for hit in hits if hit.document.id not in unmeant]


def _meant(question: str, members: Collection[Document]) -> float:
    ordered = sorted(members, key=lambda one: float(one.meta["edition"]))
    named = [one for one in ordered if _named(question, one)]
    older = _older.search(question) is not None
    meant = named[0] if len(named) == 1 else ordered[-2] if older else ordered[-1]
    return float(meant.meta["edition"])


def _named(question: str, document: Document) -> bool:
    """Say whether the question gives a document's edition number or the year from which it holds."""
    number, year = float(document.meta["edition"]), str(document.meta.get("dated", ""))[:4]
    whole = f"{number:g}"
    spelled = _numerals[int(number)] if number.is_integer() and number <= 10 else whole
    edition = rf"(?:version|edition|revision|rev\.?|\bv|版本)\s*{re.escape(whole)}(?![\d.])"
    chinese = rf"第\s*(?:{whole}|{spelled})\s*版"
    return re.search(f"{edition}|{chinese}", question, re.I) is not None or (year != "" and year in question)
