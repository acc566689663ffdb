"""Cells to values: numbers with separators, signs, units and scale, dates, times; words for comparing. Pure."""

from __future__ import annotations

import re
import unicodedata
from calendar import month_abbr

from lyceum.core.text import CJK

SCALES = {
    "thousand": 1e3, "million": 1e6, "billion": 1e9, "万": 1e4, "亿": 1e8,
}  # fmt: skip
_scale = re.compile(
    r"\b(thousand|million|billion)s?\b|[$€£¥]\s?['’]?(000)s?\b|(?<![\d.])(百万|万|亿|千)[元美股吨件人]|"
    r"(%|percent|per cent|百分)|[$€£¥]\s?(m|bn|k)\b",
    re.I,
)
_months = "|".join(month_abbr[1:])
_day = re.compile(
    rf"(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\s(?P<m1>{_months})[a-z]*\.?,?(?:\s(?P<y1>\d{{4}}))?|"
    rf"\b(?P<m2>{_months})[a-z]*\.?\s(?P<d2>\d{{1,2}})(?!\d)(?:st|nd|rd|th)?(?:,?\s(?P<y2>\d{{4}}))?|"
    rf"\b(?P<m3>{_months})[a-z]*\.?,?\s(?P<y3>\d{{4}})|"
    r"(?P<y4>\d{4})[-–/年.](?P<m4>\d{1,2})(?:[-–/月.](?P<d4>\d{1,2})日?|月|(?!\d))|"
    r"(?<!\d)(?P<m5>\d{1,2})[-–/](?P<d5>\d{1,2})[-–/](?P<y5>\d{4})",
    re.I,
)
_time = re.compile(r"(?<![\d:])(?:(\d{1,2}):)?(\d{1,3}):(\d{2}(?:\.\d+)?)(?![\d:])")
_number = re.compile(
    r"(?P<open>\()?(?P<sign>[-−–]\s?)?(?:[$€£¥]|US\$|RMB|EUR|USD|CNY)?\s?(?P<minus>[-−])?(?P<open2>\()?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:\s?(?P<scale>thousand|million|billion|万|亿))?(?P<percent>\s?%)?(?P<close>\s?\))?",
    re.I,
)
_note = re.compile(r"\[[^\]]{1,12}\]|[*†‡]+$")
_word = re.compile(rf"\d+(?:,\d{{3}})*(?:\.\d+)?|[{CJK}]|[^\W\d_{CJK}]+")
WRITTEN = dict(
    zip("zero one two three four five six seven eight nine ten eleven twelve".split(), range(13), strict=True)
) | dict(zip("零一二三四五六七八九十", range(11), strict=True))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, numbers without separators, Chinese characters singly."""
    text = unicodedata.normalize("NFKC", text).lower()
    return [word.replace(",", "") for word in _word.findall(text)]


def number(text: str) -> float | None:
    """Return a cell's first number; in parentheses or behind a minus it is negative, 3 million is multiplied."""
    found = _number.search(_note.sub("", text))
    if found is None:
        return None
    value = float(found["digits"].replace(",", "")) * SCALES.get((found["scale"] or "").lower(), 1.0)
    whole = found.group().strip(" %") == text.strip(" %")
    enclosed = (found["open"] or found["open2"]) and found["close"] and whole
    signed = found["minus"] or (found["sign"] and not text[: found.start()].strip())
    return -value if enclosed or signed else value


def date(text: str) -> float | None:
    """Return a date as year + (month - 1) / 12 + (day - 1) / 372, so that dates compare; year 0 when it has none."""
    found = _day.search(text)
    if found is None:
        return None
    part = {key: value for key, value in found.groupdict().items() if value}
    month = next((value for key, value in part.items() if key[0] == "m"), "1")
    place = int(month) if month.isdigit() else list(month_abbr).index(month[:3].title())
    day = next((int(value) for key, value in part.items() if key[0] == "d"), 1)
    year = next((int(value) for key, value in part.items() if key[0] == "y"), 0)
    return year + (place - 1) / 12 + (day - 1) / 372 if 1 <= place <= 12 and 1 <= day <= 31 else None


def seconds(text: str) -> float | None:
    """Return a time as seconds: 2:20.54 is 140.54."""
    found = _time.search(text)
    return int(found[1] or 0) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def value(text: str) -> float | None:
    """Return what a cell is compared by: its date, its time, or its number."""
    for read in (date, seconds, number):
        if (found := read(text)) is not None:
            return found
    return None


def scale(text: str) -> str:
    """Return the scale that a heading states ("in thousands", 万元, %), empty when it states none."""
    found = _scale.search(text)
    if found is None:
        return ""
    named, zeros, chinese, percent, letter = found.groups()
    if letter:
        return {"m": "million", "bn": "billion", "k": "thousand"}[letter.lower()]
    return "thousand" if zeros else "percent" if percent else (named or chinese).lower()


def shown(value: float) -> str:
    """Return a computed number as it is written in an answer."""
    return f"{round(value, 4):.10g}"
