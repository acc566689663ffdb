"""Values of cells as a person reads them: number formats of spreadsheets applied, dates in ISO. Pure."""

from __future__ import annotations

import datetime
import re
from decimal import ROUND_HALF_UP, Decimal

from lyceum.core.text import clean

# The pieces of one section of a number format (ECMA-376, 18.8.31): literals, currency, skipped, percent, digits.
_token = re.compile(
    r'"(?P<text>[^"]*)"|\\(?P<char>.)|\[\$(?P<sign>[^\-\]]*)[^\]]*\]|(?P<skip>\[(?:[A-Za-z]+\d*)\]|[_*].)'
    r"|(?P<percent>%)|(?P<digits>[#0?][#0?,]*(?:\.[#0?]*)?|\.[#0?]+)|(?P<other>.)"
)
_section = re.compile(r'((?:"[^"]*"|\\.|[^;"\\])*)(?:;|$)')
LITERAL = frozenset(" $€£¥₩₹+-()/:!'~{}<>=^&元円")


def shown(value: object, form: str = "") -> str:
    """Return a cell's value as text: ISO dates, percent, currency and grouping as formatted, no trailing ".0"."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        day = value.time() == datetime.time()
        return value.date().isoformat() if day else value.isoformat(" ", "minutes")
    if isinstance(value, datetime.timedelta):
        minutes = round(value.total_seconds() / 60)
        return f"{minutes // 60}:{minutes % 60:02}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int | float):
        plain = f"{value:.10g}" if isinstance(value, float) else str(value)
        made = formatted(value, form) if form else None
        return plain if made is None else made
    return clean(str(value))


def formatted(value: float, form: str) -> str | None:
    """Return a number under a format, None when the format is not one of plain digits."""
    # No nan, no inf, no digits that are not there; 255 is the most a format may have.
    if not abs(value) < 1e15 or len(form) > 255 or re.search(r"\[[<>=]", form):
        return None
    sections = _section.findall(form)[:-1] or [form]
    which = 1 if value < 0 and len(sections) > 1 else 2 if value == 0 and len(sections) > 2 else 0
    minus = "-" if value < 0 and which == 0 else ""
    tokens = list(_token.finditer(sections[which]))
    digits = [one["digits"] for one in tokens if one["digits"]]
    strange = any(one["other"] and one["other"] not in LITERAL for one in tokens)
    if strange or len(digits) > 1 or not (digits or any(one["text"] or one["char"] for one in tokens)):
        return None
    # Thousands or millions left out: the value says more. And no more digits than a Decimal has.
    if digits and (re.search(r",(?:\.|$)", digits[0]) or len(digits[0]) > 20):
        return None
    number = abs(Decimal(repr(value))) * (100 if any(one["percent"] for one in tokens) else 1)
    written = _digits(number, digits[0]) if digits else ""
    kept = ("text", "char", "sign", "percent", "other")
    parts = (written if one["digits"] else "".join(one[name] or "" for name in kept) for one in tokens)
    return minus * (written.strip("0.,") != "") + " ".join("".join(parts).split())


def _digits(number: Decimal, pattern: str) -> str:
    whole, _, part = pattern.partition(".")
    rounded = number.quantize(Decimal(1).scaleb(-len(part)), rounding=ROUND_HALF_UP)
    left, _, right = f"{rounded:f}".partition(".")
    while len(right) > part.count("0") and right.endswith("0"):
        right = right[:-1]
    left = left.zfill(whole.count("0"))
    grouped = f"{int(left):,}" if "," in whole and not left.startswith("0") else left
    return f"{grouped}.{right}" if right else grouped
