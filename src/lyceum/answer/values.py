"""Short answers: when a question asks for a number or a date, the one value in the quote that fits. Pure."""

from __future__ import annotations

import re

_month = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?"
)
DATE = re.compile(
    rf"\d{{4}}\s?年(?:\s?\d{{1,2}}\s?月(?:\s?\d{{1,2}}\s?日)?)?|\d{{1,2}}\s?月(?:\s?\d{{1,2}}\s?日)|"
    rf"\d{{4}}-\d{{2}}-\d{{2}}|\d{{1,2}}\s{_month}(?:\s\d{{4}})?|{_month}\s\d{{1,2}}(?:,?\s\d{{4}})?|"
    rf"{_month}\s\d{{4}}|\b(?:19|20)\d{{2}}\b"
)
_unit = (
    r"(?:\s?(?:%|‰|°C|°F|℃|per cent|percent|(?:thousand|million|billion|hours?|days?|weeks?|months?|years?|minutes?|"
    r"seconds?|metres?|meters?|km|kg|g|mm|cm|m|kW|kWh|W|V|A|mAh|Ah|MB|GB|TB|EUR|USD|CNY|euros?|dollars?|yuan|"
    r"people|employees|units?|litres?|hPa|bar|dB|Hz|kHz|MHz|GHz)\b|"
    r"working days|business days|calendar days|"
    r"万元|亿元|元|万|亿|个工作日|工作日|个自然日|自然日|个月|个|天|日|年|月|周|小时|分钟|秒|人|台|件|次|米|公里|公斤|千克|克|毫米|厘米|度|"
    r"伏|瓦|安|升|吨|平方米|名|套|箱|倍|页|岁))*"
)
NUMBER = re.compile(rf"(?:[$€£¥]|(?:EUR|USD|CNY|RMB)\s)?[-−±+]?\d[\d,]*(?:\.\d+)?{_unit}")
_when = re.compile(r"\bwhen\b|\bwhat (?:date|year|day)\b|\bwhich (?:year|date|day|month)\b|\bsince what\b|"
                   r"何时|什么时候|哪天|哪一天|哪年|哪一年|几月|几号|什么日期|日期", re.I)  # fmt: skip
_how_many = re.compile(r"\bhow (?:much|many|long|far|often|old|big|large|heavy|high|fast|hot|cold|soon|late)\b|"
                       r"多少|几|多久|多长|多大|多高|多重|多远|上限|比例", re.I)  # fmt: skip


def asked_for(question: str) -> str:
    """Return "date", "number" or "" by the question's own words."""
    if _when.search(question):
        return "date"
    return "number" if _how_many.search(question) else ""


def value(question: str, quote: str) -> tuple[int, int] | None:
    """Return where the one fitting value stands in the quote; None when there is none or more than one.

    Values that the question itself names are not its answer. With several left only a guess would remain.
    """
    kind = asked_for(question)
    if not kind:
        return None
    dates = [match.span() for match in DATE.finditer(quote)]
    if kind == "date":
        spans = dates
    else:
        spans = [
            match.span()
            for match in NUMBER.finditer(quote)
            if not any(start < match.end() and match.start() < end for start, end in dates)
            and not (
                match.start() and quote[match.start() - 1].isalnum() and quote[match.start() - 1].isascii()
            )
        ]
    fresh = [(start, end) for start, end in spans if quote[start:end].strip() not in question]
    return fresh[0] if len(fresh) == 1 else None
