"""Packed pages of the parsing process to a report: what was read, and a score (0-1) per page with its reasons.

Pure; it knows no format and no file. A page's score is the product of the factors of what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

# What may be wrong with a page: the factor it costs, and what it means to a person.
REASONS: dict[str, tuple[float, str]] = {
    "picture_without_text": (0.0, "a picture without recognised words"),
    "no_text": (0.5, "no text"),
    "unreadable": (0.3, "characters that stand for nothing"),
    "no_vowels": (0.3, "words without vowels: the font may have lost its letters"),
    "few_letters": (0.6, "few letters among the signs"),
    "columns": (0.5, "words side by side read as one after the other: columns or a table without lines"),
    "no_header": (0.9, "a table without a header"),
    "warning": (0.9, "the parser warns"),
}
LISTED, WARNINGS = 500, 50  # pages and warnings that a report names one by one
WORDS, SIGNS, STEPS = 20, 100, 6  # fewer words, signs or side steps say nothing

# Replacement and private-use characters, and the names that PDF readers give to glyphs without a letter.
_unreadable = re.compile("[\ufffd\ue000-\uf8ff]|\\(cid:\\d+\\)")
_leader = re.compile(r"(?:[.·_…-]\s?){4,}")  # of a table of contents
_word = re.compile(r"[^\W\d_]{4,}")
_latin = re.compile("[A-Za-z\u00c0-\u024f]+")
_vowel = re.compile(
    "[aeiouyAEIOUY\u00c0-\u00c6\u00c8-\u00cf\u00d2-\u00d6\u00d8-\u00dd\u00e0-\u00e6\u00e8-\u00ef\u00f2-\u00f6\u00f8-\u0113]"
)

Packed = Mapping[str, Any]


def report(pages: Sequence[Packed]) -> dict[str, Any]:
    """Return the counts of a document, and row by row only the pages that are not perfect or were recognised."""
    rows = [_page(number, page) for number, page in enumerate(pages, 1)]
    warnings = [str(warning) for page in pages for warning in page["warnings"]]
    listed = [row for row in rows if row["score"] < 1 or "ocr" in row]
    kept = sorted(sorted(listed, key=lambda row: row["score"])[:LISTED], key=lambda row: row["page"])
    return {
        "pages": len(rows),
        "characters": sum(row["characters"] for row in rows),
        "tables": sum(row["tables"] for row in rows),
        "ocr_pages": sum("ocr" in row for row in rows),
        "score": round(sum(row["score"] for row in rows) / max(len(rows), 1), 3),
        "warnings": warnings[:WARNINGS],
        "more_warnings": max(len(warnings) - WARNINGS, 0),
        "listed": [
            {name: value for name, value in row.items() if value != 0 or name == "score"} for row in kept
        ],
        "more_listed": len(listed) - len(kept),
    }


def _page(number: int, page: Packed) -> dict[str, Any]:
    elements = page["elements"]
    text = "\n".join(one["text"] for one in elements)
    reasons = _reasons(page, elements, text)
    score = 1.0
    for reason in reasons:
        score *= REASONS[reason][0]
    row = {
        "page": page["place"].get("page", number), "score": round(score, 2), "characters": len(text),
        "tables": sum(one["kind"] == "table" for one in elements),
    }  # fmt: skip
    row.update({name: page["place"][name] for name in ("part", "sheet") if name in page["place"]})
    return {**row, **({"ocr": True} if page["ocr"] else {}), **({"reasons": reasons} if reasons else {})}


def _reasons(page: Packed, elements: Sequence[Packed], text: str) -> list[str]:
    if not any(character.isalnum() for character in text):
        scan = page["pictured"] or any("text layer" in warning for warning in page["warnings"])
        return ["picture_without_text" if scan else "no_text"]
    prose = "\n".join(one["text"] for one in elements if one["kind"] not in ("table", "code", "formula"))
    found = {
        "unreadable": len(_unreadable.findall(text)) * 100 > len(text),
        "no_vowels": _without_vowels(prose),
        "few_letters": _few_letters(prose),
        "columns": _read_across(elements),
        "no_header": any(one["kind"] == "table" and not one["header"] for one in elements),
        "warning": bool(page["warnings"]),
    }
    return [name for name, holds in found.items() if holds]


def _without_vowels(text: str) -> bool:
    words = [word for word in _word.findall(text) if _latin.fullmatch(word)]
    return len(words) >= WORDS and sum(not _vowel.search(word) for word in words) * 3 > len(words)


def _few_letters(text: str) -> bool:
    signs = [character for character in _leader.sub("", text) if not character.isspace()]
    return len(signs) >= SIGNS and sum(character.isalnum() for character in signs) * 2 < len(signs)


def _read_across(elements: Sequence[Packed]) -> bool:
    """Say whether lines go on beside the line before, again and again, as when two columns are read as one."""
    boxes = [
        piece[2]["box"] for one in elements if one["kind"] == "text"
        for piece in one["pieces"] if piece[2] and "box" in piece[2]
    ]  # fmt: skip
    beside = sum(_beside(before, after) for before, after in pairwise(boxes))
    return beside >= STEPS and beside * 3 > len(boxes)


def _beside(before: Sequence[float], after: Sequence[float]) -> bool:
    """Say whether a box starts right of the one before, at the same height."""
    shared = min(before[3], after[3]) - max(before[1], after[1])
    height = min(before[3] - before[1], after[3] - after[1])
    return after[0] > before[2] + height and shared > height / 2
