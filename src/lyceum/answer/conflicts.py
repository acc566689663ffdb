"""Judged statements to the one whose source gives another value for what is asked than the best one's. Pure.

Conservative: a question for a number or a date; two documents; statements that fit the question equally well, are
made of the same words and names, and stand under the same codes and years; one value in each, of one unit, or all
the same but for one value. What two editions of a text say is no conflict: `current` has kept one of them.
"""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Sequence

from lyceum.answer.asked import DATE, NUMERIC, details, kind, mismatch
from lyceum.answer.evidence import Evidence, Judged
from lyceum.answer.values import NUMBER
from lyceum.core.text import has_cjk, language

FIT = 0.85  # the share of the best score that a statement needs to fit equally well
COVERED, APART = 0.5, 0.15  # of the question's words: held at least, and by how much the two may differ
ALIKE = 0.5  # common words of the two statements, their values aside
SAID = {"en": "The sources disagree: {}.", "zh": "来源不一致：{}。"}
_figure = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_months = {name[:3].lower(): number for number, name in enumerate(month_name) if name}


def conflicting(question: str, judged: Sequence[Judged], evidence: Evidence) -> tuple[Judged, str] | None:
    """Return the statement that contradicts the best one, and the sentence that says so; None where none does."""
    asked = kind(question)
    if asked not in NUMERIC and asked != "date":
        return None
    best = judged[0]
    for other in judged[1:]:
        if other.score < FIT * best.score:
            break
        if not _comparable(best, other):
            continue
        mine, theirs = (_value(question, one, evidence) for one in (best, other))
        if not (mine and theirs):
            mine, theirs = _difference(asked, best.statement.quote, other.statement.quote)
        if _differ(mine, theirs) and _alike(best, mine, other, theirs, evidence):
            said = SAID[language(question)]
            return other, said.format(
                ("；" if has_cjk(said) else ", ").join((f"{mine} [1]", f"{theirs} [2]"))
            )
    return None


def _value(question: str, one: Judged, evidence: Evidence) -> str:
    """Return the only value in a statement that can be the answer; empty when there is none or more than one."""
    mark = evidence.mark(question, one.statement)
    return one.statement.quote[slice(*mark)].strip() if mark else ""


def _difference(asked: str, one: str, other: str) -> tuple[str, str]:
    """Return the values in which two statements differ that are the same but for these, empty ones else."""
    found = []
    for quote in (one, other):
        spans = [match.span() for match in DATE.finditer(quote)]
        if asked != "date":
            spans = [
                match.span()
                for match in NUMBER.finditer(quote)
                if not any(start < match.end() and match.start() < end for start, end in spans)
                and not quote[: match.start()][-1:].isalnum()
            ]
        ends = [0, *(end for span in spans for end in span), len(quote)]
        between = [quote[a:b].lower() for a, b in zip(ends[::2], ends[1::2], strict=True)]
        found.append((between, [quote[a:b].strip() for a, b in spans]))
    (frame, mine), (other_frame, theirs) = found
    pairs = [pair for pair in zip(mine, theirs, strict=False) if pair[0] != pair[1]]
    same = frame == other_frame and len(pairs) == 1 and not any(mismatch(asked, value) for value in pairs[0])
    return pairs[0] if same else ("", "")


def _comparable(best: Judged, other: Judged) -> bool:
    """Say whether two statements of two documents fit the question equally well."""
    one, two = best.statement, other.statement
    return (
        one.hit.document.id != two.hit.document.id
        and not other.lacks
        and best.across == other.across
        and best.missing == other.missing
        and min(best.coverage, other.coverage) >= COVERED
        and abs(best.coverage - other.coverage) <= APART
        and _codes(one.above) == _codes(two.above)
    )


def _codes(text: str) -> set[str]:
    return {word for word in details(text) if not word.isalpha()}


def _alike(best: Judged, mine: str, other: Judged, theirs: str, evidence: Evidence) -> bool:
    """Say whether two statements say the same but for their values: the names and most of the words."""
    texts = [one.statement.quote.replace(value, " ", 1) for one, value in ((best, mine), (other, theirs))]
    if set(details(texts[0])) != set(details(texts[1])):
        return False
    one, two = (set(evidence.analyzer(text)) for text in texts)
    return len(one & two) >= ALIKE * len(one | two)


def _differ(mine: str, theirs: str) -> bool:
    """Say whether two values contradict: dates in a part that both state, numbers of one unit in their amount."""
    if DATE.fullmatch(mine) and DATE.fullmatch(theirs):
        days, others = _parts(mine), _parts(theirs)
        return any(days[name] != others[name] for name in days.keys() & others.keys())
    one, two = _amount(mine), _amount(theirs)
    return one is not None and two is not None and one[0] != two[0] and one[1] == two[1]


def _amount(value: str) -> tuple[float, str] | None:
    """Return the figure and all else, in lower case and the singular; None for what is no number."""
    found = _figure.search(value) if NUMBER.fullmatch(value) else None
    if found is None:
        return None
    unit = " ".join((value[: found.start()] + " " + value[found.end() :]).lower().split())
    return float(found.group().replace(",", "")), unit.removesuffix("s")


def _parts(value: str) -> dict[str, int]:
    """Return year, month and day of a date, those that it states."""
    word = re.search(r"[A-Za-z]{3}", value)
    numbers = [int(number) for number in re.findall(r"\d+", value)]
    found = {"month": _months[word.group().lower()]} if word else {}
    year = next((number for number in numbers if number > 31), None)
    rest = [number for number in numbers if number != year]
    if year is not None:
        found["year"] = year
    names = ("day",) if word else ("month", "day")
    return {**found, **dict(zip(names, rest, strict=False))}
