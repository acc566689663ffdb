"""A question about an item over periods to arithmetic on a sheet: change, percentage, average, sum, ratio. Pure.

Made for statements with items down one side and periods along the other, whichever way round. A change is the later
period less the earlier one; a percentage is of the earlier one as it stands, whatever its sign (as in TAT-QA).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lyceum.answer.table_asked import Asked
from lyceum.answer.table_cells import words
from lyceum.answer.table_rules import MEANS, Plan

CHANGED = (
    r"\b(?:change[ds]?|increase[ds]?|decrease[ds]?|growth|grew|grow|decline[ds]?|difference|differ|movement|variance|"
    r"rise|rose|fell|drop(?:ped)?)\b|变化|变动|增加|减少|增长|下降|差"
)
PERCENT = (
    r"\bpercent(?:age)?\b|\bper cent\b|%|\bgrowth rate\b|\byear[- ]on[- ]year\b|百分|增长率|同比|增幅|降幅"
)
SHARE = r"\b(?:ratio|proportion|share|percent(?:age)?|divided by|fraction)\b|占|比例|比率"
TOTALS = r"\btotal\b|\bsum\b|\bcombined\b|合计|总和|总共"
WHICH = r"\b(?:which|what) (?:fiscal |financial )?(?:year|period|fy)\b|哪一?年"
# Decreases that are asked for without their sign.
LOST = (
    r"\b(?:decrease[ds]?|decline[ds]?|fell|fall|drop(?:ped)?|reduced?)\b.{0,40}\bby\b|减少了?多少|下降了?多少"
)
LIMITED = r"\bratio\b|\bhow many\b.*\b(?:exceed|above|below|more|less|over)"
LARGEST = r"\b(?:highest|largest|greatest|most|higher|larger|greater|more|maximum)\b|最高|最大|最多"
LEAST = r"\b(?:lowest|smallest|least|lower|smaller|less|fewest|minimum)\b|最低|最小|最少"
PAIRS = (
    r"difference between (?:the )?(.+?) and (?:the )?(.+)", r"(.+?)占(.+?)的", r"(.+?)[与和](.+?)(?:的|之间|相)差",
    r"(?:ratio|proportion|percentage) of (.+?) (?:to|over|in|among|out of) (.+)",
    r"(.+?) (?:as a (?:proportion|percentage|percent|ratio|share) of|divided by|over) (.+)",
)  # fmt: skip
YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
SPANNED = re.compile(r"((?:19|20)\d\d)\s?(?:-|–|to|through|至|到)\s?((?:19|20)\d\d)")
CONTRAST = re.compile(r"change|variance|difference|%|变动|增减", re.I)
DOING = frozenset(
    """change increase decrease growth difference average mean percentage percent total sum ratio proportion value
    amount number year fiscal fy company group respective period end ended as at per respectively what which was were
    is are did do the in of for from to between and on by how much many""".split()
)
GOOD = 0.45  # how well an item must fit
MOST = 8  # periods that are compared or added

Place = tuple[int, int]  # row and column, from 0


class Sums:
    """Tries to read a question as arithmetic over an item's periods."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.sheet = asked, asked.sheet
        text = asked.text
        self.labels = [words(line.cells[0]) for line in self.sheet.lines]
        self.heads = [words(name) for name in self.sheet.columns]
        self.years = list(dict.fromkeys(YEAR.findall(text)))
        self.down = self._along(self.labels) > self._along(self.heads)  # the periods stand in the rows
        self.periods = list(dict.fromkeys(
            word for side in (self.labels if self.down else self.heads[1:]) for word in side if YEAR.fullmatch(word)
        ))  # fmt: skip
        if re.search(f"{MEANS}|{TOTALS}", text):
            inner = {year for a, b in SPANNED.findall(text) for year in self.periods if a <= year <= b}
            self.years = sorted({*self.years, *inner})
        if not self.years and re.search(r"\b(?:years?|periods?|fys?|both|two|three|annual)\b|年", text):
            self.years = self.periods
        self.fit, self.totalled = 1.0, False

    def __call__(self) -> Plan | None:
        """Return the plan of the first kind of sum that fits, None when none does."""
        text, years = self.asked.text, len(self.years)
        changed, mean = re.search(CHANGED, text), re.search(MEANS, text)
        if changed and years == 2 and not mean:
            return self._change()
        if mean and years >= 2 and not changed:
            return self._added("average", f" / {years}")
        if re.search(WHICH, text) and len(self.periods) > 1:
            return self._which()
        pairs = [pair for one in PAIRS if years <= 1 and (pair := re.search(one, text))]
        twos = (self._two(pair[1], pair[2], bool(re.search(SHARE, text))) for pair in pairs)
        if plan := next(filter(None, twos), None):
            return plan
        if not YEAR.search(text):
            return None
        if re.search(TOTALS, text) and years >= 2 and (plan := self._added("sum", "")) and not self.totalled:
            return plan
        return None if re.search(f"{CHANGED}|{MEANS}|{PERCENT}|{LIMITED}", text) else self._look()

    def _change(self) -> Plan | None:
        places = self._item(self.asked.text, sorted(self.years))
        if places is None:
            return None
        before, after = map(_cell, places)
        first, last = (after, before) if re.search(LOST, self.asked.text) else (before, after)
        if re.search(PERCENT, self.asked.text):
            return self._plan("percent_change", f"({last} - {first}) * 100.0 / {before}", "percent")
        return self._plan("change", f"{last} - {first}", self._unit(places))

    def _added(self, shape: str, rest: str) -> Plan | None:
        places = self._item(self.asked.text, self.years)
        return (
            self._plan(shape, f"({' + '.join(map(_cell, places))}){rest}", self._unit(places))
            if places
            else None
        )

    def _two(self, first: str, second: str, share: bool) -> Plan | None:
        years = self.years or self.periods[:1]
        one, two = self._item(first, years), self._item(second, years)
        if not one or not two or one == two:
            return None
        if not share:
            return self._plan("minus", f"{_cell(one[0])} - {_cell(two[0])}", self._unit(one))
        percent = re.search(PERCENT, self.asked.text)
        times = "100.0" if percent else "1.0"
        return self._plan(
            "share", f"{_cell(one[0])} * {times} / {_cell(two[0])}", "percent" if percent else "none"
        )

    def _which(self) -> Plan | None:
        edge = "MAX" if self.asked.has(LARGEST) else "MIN" if self.asked.has(LEAST) else ""
        years = self.years if len(self.years) > 1 else self.periods
        places = self._item(self.asked.text, years) if edge else None
        if places is None:
            return None
        best = f"{edge}({', '.join(map(_cell, places))})"
        whens = [
            f"WHEN {_cell(place)} = {best} THEN '{year}'" for year, place in zip(years, places, strict=True)
        ]
        return self._plan("which_year", f"CASE {' '.join(whens)} END", "none")

    def _look(self) -> Plan | None:
        places = self._item(self.asked.text, self.years)
        if places is None:
            return None
        rows = ", ".join(dict.fromkeys(str(row + 1) for row, _ in places))
        shown = ", ".join(dict.fromkeys(f"c{column + 1}" for _, column in places))
        name = "value" if len(places) == 1 else "values"
        return self._plan(name, f"{shown} FROM t WHERE row IN ({rows})", self._unit(places))

    def _plan(self, shape: str, result: str, unit: str) -> Plan:
        return Plan(sql=f"SELECT {result}", shape=shape, fit=self.fit, unit=unit)

    def _along(self, side: Sequence[Sequence[str]]) -> int:
        held = {word for text in side for word in text if YEAR.fullmatch(word)}
        return len(held & set(self.years)) if self.years else len(held)

    def _item(self, text: str, years: Sequence[str]) -> list[Place] | None:
        """Return the cells of the item that a text names, one for each period; None when no item fits well enough."""
        wanted = {self.asked.stem(word) for word in words(text)} - DOING - set(years)
        items = self.heads if self.down else self.labels
        best, fit = None, 0.0
        for number, item in enumerate(items):
            places = [self._slot(number, year, wanted) for year in years]
            section = [] if self.down else words(self.sheet.lines[number].section)
            if places and None not in places and (fits := self._fits(item, section, wanted)) > fit:
                best, fit = number, fits
        if best is None or fit < GOOD or len(years) > MOST:
            return None
        self.fit, self.totalled = min(fit, self.fit), "total" in items[best]
        return [place for year in years if (place := self._slot(best, year, wanted))]

    def _slot(self, item: int, year: str, wanted: set[str]) -> Place | None:
        """Return an item's cell of a year; of several the one whose heading the question names most."""
        slots = []
        for number, side in enumerate(self.labels if self.down else self.heads):
            row, column = (number, item) if self.down else (item, number)
            if year in side and column and self.sheet.values[row][column] is not None:
                shared = sum(self.asked.stem(word) in wanted for word in set(side))
                contrast = CONTRAST.search(self.sheet.columns[column]) is not None
                slots.append((shared - 9 * contrast, -number, (row, column)))
        return max(slots)[2] if slots else None

    def _fits(self, item: Sequence[str], section: Sequence[str], wanted: set[str]) -> float:
        """Return how well a label fits: how much of it is named, how much of what is named it holds."""
        stem = self.asked.stem
        label = {stem(word) for word in item} - DOING
        if not label & wanted:
            return 0.0
        known = {stem(word) for one in (*self.labels, *self.heads) for word in one}
        sides = {stem(word) for side in (self.labels if self.down else self.heads) for word in side}
        mine = wanted & (label | {stem(word) for word in section} | ({stem(word) for word in item}))
        others = wanted & known - sides - mine
        covered = len(mine) / (len(mine) + len(others) + 0.3 * len(wanted - known))
        return 0.5 * len(label & wanted) / len(label) + 0.5 * covered

    def _unit(self, places: Sequence[Place]) -> str:
        row, column = places[0]
        return "percent" if "%" in self.sheet.lines[row].cells[column] else ""


def _cell(place: Place) -> str:
    return f"(SELECT v{place[1] + 1} FROM t WHERE row = {place[0] + 1})"
