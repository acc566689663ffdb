"""Short answers: the one value or table cell in a quote that the question asks for. Pure.

Values that the question itself names are not its answer; where several are left only a guess would remain, and
none is marked.
"""

from __future__ import annotations

import re

from lyceum.answer.asked import DATE, NUMERIC, mismatch
from lyceum.answer.statements import Statement
from lyceum.core.protocols import Analyzer

_unit = (
    r"(?:\s?(?:%|‰|°C|°F|℃|per cent|percent|(?:thousand|million|billion|hours?|days?|weeks?|months?|years?|minutes?|"
    r"seconds?|metres?|meters?|km|kg|g|mm|cm|m|kW|kWh|W|V|A|mAh|Ah|MB|GB|TB|EUR|USD|CNY|euros?|dollars?|yuan|"
    r"people|employees|units?|litres?|hPa|bar|dB|Hz|kHz|MHz|GHz)\b|"
    r"working days|business days|calendar days|"
    r"万元|亿元|元|万|亿|个工作日|工作日|个自然日|自然日|个月|个|天|日|年|月|周|小时|分钟|秒|人|台|件|次|米|公里|公斤|千克|克|毫米|厘米|度|"
    r"伏|瓦|安|升|吨|平方米|名|套|箱|倍|页|岁))*"
)
NUMBER = re.compile(rf"(?:[$€£¥]|(?:EUR|USD|CNY|RMB)\s)?[-−±+]?\d+(?:,\d{{3}})*(?:\.\d+)?{_unit}")


def value(question: str, kind: str, statement: Statement, analyzer: Analyzer) -> tuple[int, int] | None:
    """Return where the short answer stands in the quote, None when there is none or more than one.

    `kind` is what `asked.kind` says of the question.
    """
    if statement.row:
        return _cell(question, kind, statement, analyzer)
    quote = statement.quote
    dates = [match.span() for match in DATE.finditer(quote)]
    if kind == "date":
        spans = dates
    elif kind in NUMERIC:
        spans = [
            match.span()
            for match in NUMBER.finditer(quote)
            if not any(start < match.end() and match.start() < end for start, end in dates)
            and not re.match(r"[A-Za-z0-9]", quote[match.start() - 1 : match.start()])
        ]
    else:
        spans = []
    fresh = [span for span in spans if not _stands(quote[slice(*span)].strip(), question)]
    return _only([span for span in fresh if not mismatch(kind, quote[slice(*span)])])


def _stands(word: str, question: str) -> bool:
    """Say whether a value stands in the question, not as part of a longer number or word."""
    return re.search(rf"(?<![\w.]){re.escape(word)}(?!\w|\.\d)", question, re.A) is not None


def _cell(question: str, kind: str, statement: Statement, analyzer: Analyzer) -> tuple[int, int] | None:
    """Return the cell whose column shares most words with the question, else the only one of the kind asked for."""
    asked = set(analyzer(question))
    fresh = [
        (len(asked.intersection(analyzer(column))), (start, end))
        for column, start, end in statement.cells
        if not asked.issuperset(analyzer(statement.quote[start:end]) or {statement.quote[start:end]})
    ]
    most = max((shared for shared, _ in fresh), default=0)
    if most:
        return _only([span for shared, span in fresh if shared == most])
    strict = kind == "date" or kind in NUMERIC - {"number", "phone"}
    return _only([span for _, span in fresh if strict and not mismatch(kind, statement.quote[slice(*span)])])


def _only(spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    return spans[0] if len(spans) == 1 else None
