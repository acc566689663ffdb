"""Which edition of a document this is: its version number and date as its own first lines state them. Pure.

Two editions of one text contradict each other; the answer prefers the newer unless the question names one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lyceum.core.types import Element

OPENING = 1_500  # characters in which a document says of itself which edition it is
_months = {
    name: number
    for number, names in enumerate(
        "january jan,february feb,march mar,april apr,may,june jun,july jul,august aug,september sept sep,"
        "october oct,november nov,december dec".split(","),
        start=1,
    )
    for name in names.split()
}
_month = "|".join(sorted(_months, key=len, reverse=True))
_version = re.compile(
    r"(?:\bversion|\bedition|\brevision|\brev\.?|\bv|版本|第)\s*[:：]?\s*(\d{1,3}(?:\.\d{1,3})?)\s*(版)?",
    re.I,
)
_valid = re.compile(
    r"(?:valid|effective|in force|applies|applicable|issued|published|approved|dated|as of|from|since|date|生效|施行|"
    r"执行|实行|发布|修订|日期|起|自)", re.I
)  # fmt: skip
_date = re.compile(
    rf"(?P<y1>\d{{4}})\s?年\s?(?P<m1>\d{{1,2}})\s?月(?:\s?(?P<d1>\d{{1,2}})\s?日)?|"
    rf"(?P<y2>\d{{4}})-(?P<m2>\d{{2}})-(?P<d2>\d{{2}})|"
    rf"(?P<d3>\d{{1,2}})\s(?P<m3>{_month})\.?\s(?P<y3>\d{{4}})|"
    rf"(?P<m4>{_month})\.?\s(?P<d4>\d{{1,2}}),?\s(?P<y4>\d{{4}})",
    re.I,
)


def edition(name: str, elements: Sequence[Element]) -> dict[str, Any]:
    """Return {"edition": number, "dated": "YYYY-MM-DD"}, each only when the opening or file name states it."""
    opening = "\n".join(element.text for element in elements[:30])[:OPENING]
    found: dict[str, Any] = {}
    for text in (opening, re.sub(r"[_\-]", " ", name)):
        match = _version.search(text)
        if match and (match.group(2) or not match.group().startswith("第")):
            found["edition"] = float(match.group(1))
            break
    if dated := _dated(opening):
        found["dated"] = dated
    return found


def _dated(opening: str) -> str:
    """Return the first date whose line says that the document starts or was issued then."""
    for match in _date.finditer(opening):
        around = opening[max(0, match.start() - 40) : match.end() + 6]
        parts = {key[0]: value for key, value in match.groupdict().items() if value}
        month = parts["m"].lower().rstrip(".")
        number = int(month) if month.isdigit() else _months[month]
        if _valid.search(around) and 1 <= number <= 12:
            return f"{int(parts['y']):04d}-{number:02d}-{int(parts.get('d', 1)):02d}"
    return ""
