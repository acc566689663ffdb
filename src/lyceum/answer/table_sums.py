"""A question about an item over years to arithmetic on a sheet: change, percentage, average, sum, ratio. Pure.

Made for statements with items down one side and periods along the other, whichever way round.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from lyceum.answer.table_asked import Asked
from lyceum.answer.table_cells import words
from lyceum.answer.table_rules import MEANS, Plan

CHANGED = r"\b(?:change[ds]?|increase[ds]?|decrease[ds]?|growth|grew|grow|decline[ds]?|difference|differ|movement|variance|rise|rose|fell|drop(?:ped)?)\b|变化|变动|增加|减少|增长|下降|差额|差"
PERCENT = r"\bpercent(?:age)?\b|\bper cent\b|%|\bgrowth rate\b|\byear[- ]on[- ]year\b|百分|增长率|同比|增幅|降幅"
SHARE = r"\b(?:ratio|proportion|share|percent(?:age)?|divided by|fraction)\b|占|比例|比率"
TOLD = r"^(?:why|how (?:is|are|was|were|does|do|did the company)\b|what (?:caused|could|led|drove|might|method|factors?|reasons?)|describe|explain|为什么|为何)|\brespective(?:ly)?\b.*\b(?:june|december|march|september)\b"
LOST = r"\b(?:decrease[ds]?|decline[ds]?|fell|fall|drop(?:ped)?|reduced?)\b.{0,40}\bby\b|^(?:by )?how much did .*\b(?:decrease|decline|fall|drop)|减少了?多少|下降了?多少"
CONTRAST = re.compile(r"change|variance|difference|%|变动|增减", re.I)
WHICH = r"\b(?:which|what) (?:fiscal |financial )?(?:year|period|fy)\b|哪一?年"
YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
SPANNED = re.compile(r"((?:19|20)\d\d)\s?(?:-|–|to|through|至|到)\s?((?:19|20)\d\d)")
DOING = frozenset(
    """change increase decrease growth difference average mean percentage percent total sum ratio proportion value
    amount number year years fiscal fy company group respective following period end ended as at per respectively
    what which was were is are did do the in of for from to between and on by how much many difference""".split()
)
GOOD = 0.45  # how well an item must fit

Place = tuple[int, int]  # row and column, from 0


class Sums:
    """Tries to read a question as arithmetic over an item's periods."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.sheet = asked, asked.sheet
        text = asked.text
        self.years = list(dict.fromkeys(YEAR.findall(text)))
        self.labels = [
            words(f"{line.section} {line.cells[0]}" if line.section else line.cells[0]) for line in self.sheet.lines
        ]  # fmt: skip
        self.own = [words(line.cells[0]) for line in self.sheet.lines]
        self.heads = [words(name) for name in self.sheet.columns]
        self.down = self._along(self.own) > self._along(self.heads)  # the periods stand in the rows
        for first, last in SPANNED.findall(text):
            held = set(self._periods())
            inner = [str(y) for y in range(int(first), int(last) + 1) if str(y) in held]
            if re.search(MEANS, text) or re.search(r"\btotal\b|\bsum\b", text):
                self.years = list(dict.fromkeys([*self.years, *inner]))
        if not self.years and re.search(r"\b(?:years?|periods?|fys?|both|two|three|annual)\b|年", text):
            self.years = self._periods()
        self.fit, self.totalled = 0.0, False

    def __call__(self) -> Plan | None:
        """Return the plan of the first kind of sum that fits, None when none does."""
        text = self.asked.text
        if re.search(TOLD, text):
            return None
        changed, percent = re.search(CHANGED, text), re.search(PERCENT, text)
        if changed and len(self.years) == 2 and not re.search(MEANS, text):
            return self._change(bool(percent))
        if re.search(MEANS, text) and len(self.years) >= 2 and not changed:
            return self._over("average", "({}) / " + str(len(self.years)))
        if re.search(WHICH, text) and len(self._periods()) > 1:
            return self._which()
        if len(self.years) == 1 or not self.years:
            parts = self._parts()
            if parts and re.search(SHARE, text) and not changed:
                return self._two("share", parts, bool(percent))
            if parts and re.search(r"\bdifference\b|差", text):
                return self._two("minus", parts, False)
        if re.search(r"\btotal\b|\bsum\b|\bcombined\b|合计|总和|总共", text) and len(self.years) >= 2 and YEAR.search(text):
            plan = self._over("sum", "{}")
            if plan is not None and not self.totalled:
                return plan
        if self.years and YEAR.search(text) and not changed and not re.search(rf"{MEANS}|{PERCENT}|\bratio\b|\bhow many\b.*\b(?:exceed|above|below|more|less|over)", text):
            return self._look()
        return None

    # --- kinds ---------------------------------------------------------------------------------------------

    def _change(self, percent: bool) -> Plan | None:
        old, new = sorted(self.years)
        places = self._item(text=self.asked.text, years=[old, new])
        if places is None:
            return None
        before, after = map(_cell, places)
        if re.search(LOST, self.asked.text):
            before, after, over = after, before, after
        else:
            over = before
        sql = f"SELECT ({after} - {before}) * 100.0 / {over}" if percent else f"SELECT {after} - {before}"
        return self._plan("percent_change" if percent else "change", sql, "percent" if percent else self._unit(places))

    def _over(self, shape: str, form: str) -> Plan | None:
        places = self._item(text=self.asked.text, years=sorted(self.years))
        if places is None:
            return None
        return self._plan(shape, "SELECT " + form.format(" + ".join(map(_cell, places))), self._unit(places))

    def _two(self, shape: str, parts: tuple[str, str], percent: bool) -> Plan | None:
        found = [self._item(text=part, years=self.years or self._periods()[:1]) for part in parts]
        fits = self.fit
        if found[0] is None or found[1] is None or found[0][0] == found[1][0]:
            return None
        self.fit = fits
        one, two = _cell(found[0][0]), _cell(found[1][0])
        if shape == "minus":
            return self._plan(shape, f"SELECT {one} - {two}", self._unit([found[0][0]]))
        return self._plan(shape, f"SELECT {one} * {100.0 if percent else 1.0} / {two}", "percent" if percent else "none")

    def _which(self) -> Plan | None:
        largest = self.asked.has(r"\b(?:highest|largest|greatest|most|higher|larger|greater|more|maximum)\b|最高|最大|最多")
        least = self.asked.has(r"\b(?:lowest|smallest|least|lower|smaller|less|fewest|minimum)\b|最低|最小|最少")
        if not largest and not least:
            return None
        years = self.years if len(self.years) > 1 else self._periods()
        places = self._item(text=self.asked.text, years=years)
        if places is None or len(places) > 6:
            return None
        edge = f"{'MAX' if largest else 'MIN'}({', '.join(map(_cell, places))})"
        whens = [f"WHEN {_cell(place)} = {edge} THEN '{year}'" for year, place in zip(years, places, strict=True)]
        return self._plan("which_year", f"SELECT CASE {' '.join(whens)} END", "none")

    def _look(self) -> Plan | None:
        places = self._item(text=self.asked.text, years=self.years)
        if places is None:
            return None
        rows = ", ".join(dict.fromkeys(str(row + 1) for row, _ in places))
        shown = ", ".join(dict.fromkeys(f"c{column + 1}" for _, column in places))
        return self._plan("value" if len(places) == 1 else "values", f"SELECT {shown} FROM t WHERE row IN ({rows})", self._unit(places))

    def _plan(self, shape: str, sql: str, unit: str) -> Plan:
        return Plan(sql=sql, shape=shape, fit=self.fit, unit=unit)

    # --- parts ---------------------------------------------------------------------------------------------

    def _along(self, texts: Sequence[Sequence[str]]) -> int:
        wanted = self.years
        held = {word for text in texts for word in text if YEAR.fullmatch(word)}
        return len(held & set(wanted)) if wanted else len(held)

    def _periods(self) -> list[str]:
        """Return the years that stand along the side of the periods, each once."""
        side = self.own if self.down else self.heads[1:]
        return list(dict.fromkeys(word for text in side for word in text if YEAR.fullmatch(word)))

    def _parts(self) -> tuple[str, str] | None:
        """Return the two things that a question sets against each other."""
        for pattern in (
            r"difference between (?:the )?(.+?) and (?:the )?(.+)", r"(.+?) (?:as a (?:proportion|percentage|percent|ratio|share) of|divided by|over) (.+)",
            r"(?:ratio|proportion|percentage) of (.+?) (?:to|over|in|among|out of) (.+)", r"(.+?)占(.+?)的", r"(.+?)[与和](.+?)(?:的|之间|相)差",
        ):  # fmt: skip
            if found := re.search(pattern, self.asked.text):
                return found[1], found[2]
        return None

    def _item(self, *, text: str, years: Sequence[str]) -> list[Place] | None:
        """Return the cells of the item that a text names, one for each year; None when no item fits well enough."""
        wanted = {self.asked.stem(word) for word in words(text)} - DOING - set(years)
        across = self.heads if not self.down else self.own
        items = self.labels if not self.down else self.heads
        weights = _weights([{self.asked.stem(w) for w in item} for item in items])
        best: tuple[float, list[Place]] | None = None
        for number, item in enumerate(items):
            places = []
            for year in years:
                found = self._slot(number, year, across, wanted)
                if found is None:
                    break
                places.append(found)
            if len(places) == len(years) and places:
                fit = self._fits(item, self.own[number] if not self.down else item, wanted, weights)
                if best is None or fit > best[0]:
                    best = fit, places
        if best is None or best[0] < GOOD:
            return None
        self.fit = min(best[0], self.fit or 1.0)
        row, column = best[1][0]
        self.totalled = "total" in (self.heads[column] if self.down else self.labels[row])
        return best[1]

    def _slot(self, item: int, year: str, across: Sequence[Sequence[str]], wanted: set[str]) -> Place | None:
        """Return the cell of an item under a year; of several the one whose heading the question names most."""
        slots = []
        for number, side in enumerate(across):
            place = (number, item) if self.down else (item, number)
            if year in side and place[1] > 0 and self.sheet.values[place[0]][place[1]] is not None:
                shared = sum(self.asked.stem(word) in wanted for word in set(side))
                contrast = CONTRAST.search(self.sheet.columns[place[1]]) is not None
                slots.append((shared - 9 * contrast, -number, place))
        return max(slots)[2] if slots else None

    def _fits(self, item: Sequence[str], own: Sequence[str], wanted: set[str], weights: dict[str, float]) -> float:
        """Return how well a label fits: how much of it is named, how much of what is named it holds."""
        label = {self.asked.stem(word) for word in own} - {"the", "of", "and", "in"} - DOING
        whole = {self.asked.stem(word) for word in item}
        if not label & wanted:
            return 0.0
        heads = {self.asked.stem(word) for head in (self.heads if not self.down else self.own) for word in head}
        named = wanted & (whole | set(weights))
        rest = {word for word in wanted - heads if word not in named}
        held = sum(weights.get(w, 1.0) for w in label & wanted) / sum(weights.get(w, 1.0) for w in label)
        total = sum(weights.get(w, 1.0) for w in named - heads | whole & wanted) + 0.3 * len(rest)
        covered = sum(weights.get(w, 1.0) for w in whole & wanted) / total if total else 0.0
        return 0.5 * held + 0.5 * covered

    def _unit(self, places: Sequence[Place]) -> str:
        row, column = places[0]
        return "percent" if "%" in self.sheet.lines[row].cells[column] else ""


def _cell(place: Place) -> str:
    return f"(SELECT v{place[1] + 1} FROM t WHERE row = {place[0] + 1})"


def _weights(items: Sequence[set[str]]) -> dict[str, float]:
    seen = Counter(word for item in items for word in item)
    return {word: math.log(1 + len(items) / count) for word, count in seen.items()}
