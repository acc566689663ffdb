"""Of several editions of one text only the one that the question means: the newest, unless it names another. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lyceum.core.dates import of_the_past
from lyceum.core.types import Document, Hit

_edition = re.compile(
    r"\b(?:version|edition|revision|rev|v)\.?\s*\d+(?:\.\d+)*|第\s*[一二三四五六七八九十\d]+\s*版|[\W_]+",
    re.I,
)
_numerals = "零一二三四五六七八九十"


def current(question: str, hits: Sequence[Hit]) -> list[Hit]:
    """Return the hits without those of editions that the question does not mean.

    Documents are editions of one text when their titles differ in nothing but a version and each states a
    version number of its own. A date alone is not enough: the minutes of two meetings are two texts.
    """
    families: dict[str, dict[float, list[Document]]] = {}
    for document in {hit.document.id: hit.document for hit in hits}.values():
        family = _edition.sub("", document.title.lower())
        if family and "edition" in document.meta:
            number = float(document.meta["edition"])
            families.setdefault(family, {}).setdefault(number, []).append(document)
    unmeant: set[str] = set()
    for editions in families.values():
        meant = _meant(question, editions)
        unmeant |= {one.id for number, same in editions.items() if number not in meant for one in same}
    return [hit for hit in hits if hit.document.id not in unmeant]


def _meant(question: str, editions: Mapping[float, Sequence[Document]]) -> set[float]:
    named = {
        number for number, same in editions.items() if any(_named(question, number, one) for one in same)
    }
    older = len(editions) > 1 and of_the_past(question)
    return named or {sorted(editions)[-2 if older else -1]}


def _named(question: str, number: float, document: Document) -> bool:
    """Say whether the question gives an edition's number or the year from which it holds."""
    year = str(document.meta.get("dated", ""))[:4]
    whole = f"{number:g}"
    spelled = _numerals[int(number)] if number.is_integer() and number <= 10 else whole
    edition = rf"(?:version|edition|revision|rev\.?|\bv|版本)\s*{re.escape(whole)}(?![\d.])"
    chinese = rf"第\s*(?:{whole}|{spelled})\s*版"
    dated = rf"(?<!\d){year}(?!\d)" if year else chinese
    return re.search(f"{edition}|{chinese}|{dated}", question, re.I) is not None
