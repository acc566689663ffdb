"""A question of a common shape to a query over one sheet: look up, count, add, compare, first and last. Pure.

Rules in English and Chinese, no model. Each gives SQL with a shape's name; how sure it is, is fitted elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lyceum.answer.table_asked import DATED, Asked, Bound, Cell
from lyceum.answer.table_cells import words

TOTAL = re.compile(r"^(?:(?:grand |sub)?totals?|all|overall|average|合计|总计|小计|总和|平均)\b|^(?:合计|总计|小计|平均)", re.I)
PERSON = re.compile(r"\b(?:name|player|driver|rider|winner|athlete|artist|swimmer|competitor|candidate|person|author|director|champion|skipper|manager|coach|president|minister|governor|mayor|member|representative|titular|incumbent|actor|singer|golfer|runner)s?\b|姓名|名字|人员|负责人|选手|球员", re.I)
PLACE = re.compile(r"\b(?:venue|location|place|site|city|country|town|county|stadium|destination|where)\b|地点|城市|地址|地区|国家", re.I)
RANKED = re.compile(r"^(?:pos(?:ition)?|rank(?:ing)?|place|#|no|排名|名次|序号)\b|^(?:排名|名次|序号)", re.I)
# A superlative or comparative: largest first?, and headings that it speaks of.
DEGREES: list[tuple[str, bool, str]] = [
    (r"fastest|quickest|faster|quicker", False, r"time|lap"), (r"slowest|slower", True, r"time"),
    (r"oldest|older", False, r"born|birth|built|opened|year|date|founded"), (r"youngest|younger|newest|newer", True, r"born|birth|built|opened|year|date"),
    (r"earliest|earlier|最早", False, r"date|year|日期|年"), (r"latest|most recent|most recently|最晚|最近", True, r"date|year|日期|年"),
    (r"longest|longer|最长", True, r"length|duration|time|distance|长度|时长"), (r"shortest|shorter|最短", False, r"length|duration|time|height|长度"),
    (r"tallest|taller", True, r"height|feet|metres"), (r"heaviest|heavier", True, r"weight"), (r"closest|closer|nearest", False, r"distance|km|miles"),
    (r"best|top|top-ranked|better", False, r"pos|rank|place|finish"), (r"worst", True, r"pos|rank|place|finish"),
    (r"most populous", True, r"population"), (r"cheapest|最便宜", False, r"price|cost|价"), (r"most expensive|最贵", True, r"price|cost|价"),
    (r"most|highest|largest|greatest|biggest|higher|larger|greater|bigger|more|maximum|max|最高|最多|最大|更高|更多|更大", True, r""),
    (r"least|lowest|smallest|fewest|lower|smaller|fewer|less|minimum|min|最低|最少|最小|更低|更少|更小", False, r""),
]  # fmt: skip
COUNTS = r"\bhow many\b|\bnumber of\b|\bhow often\b|\btotal amount of\b|\bcount of\b|多少[个家人次名种项]|几[个家人次名种项]|数量"
SUMS = r"\btotal\b|\bcombined\b|\baltogether\b|\bin all\b|\bsum\b|\badd\b|一共|总共|合计|总和|总计|总"
MEANS = r"\baverage\b|\bmean\b|\bon average\b|平均"
NEXT = r"(?:(?:listed|comes?|came|is|was|right|immediately|directly|just|the|place|name|ranked|finished) )*(?:after|below|following|behind|underneath)\b|之后|后面|下面|下一"
LAST = r"(?:(?:listed|comes?|came|is|was|right|immediately|directly|just|the|place|name|ranked) )*(?:before|above|prior to|previous to|ahead of)\b|之前|前面|上面|上一"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """SQL with its arguments; `shape` says which rule made it, `guessed` how many of its parts it had to guess.

    `fit` is how well the words of a sum fit its item; `unit` what is computed, empty for that of the table.
    """

    sql: str
    shape: str
    arguments: tuple[object, ...] = ()
    guessed: int = 0
    fit: float = 0.0
    unit: str = ""


class Rules:
    """Tries the shapes in order; the first that fits gives the plan."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.sheet = asked, asked.sheet
        self.guessed = 0
        self.totals = [n + 1 for n, line in enumerate(self.sheet.lines) if TOTAL.search(next(filter(None, line.cells), ""))]

    def __call__(self) -> Plan | None:
        """Return the plan of the first shape that fits, None when none does."""
        shapes = (self.beside, self.difference, self.between, self.mean, self.ends, self.count, self.superlative, self.duration, self.lookup)
        for shape in shapes:
            self.guessed = 0
            if (made := shape()) is not None:
                sql, *arguments = made
                return Plan(
                    sql=str(sql), arguments=tuple(arguments), shape=shape.__name__, guessed=self.guessed
                )
        return None

    # --- shapes: each returns SQL and its arguments, or None -----------------------------------------------

    def beside(self) -> Sequence[object] | None:
        """Return the row after or before the one that is named."""
        for pattern, sign, order in ((NEXT, ">", "ASC"), (LAST, "<", "DESC")):
            for match in re.finditer(pattern, self.asked.text):
                anchor = next((one for one in self.asked.cells if 0 <= one.start - match.end() <= 8), None)
                if anchor is None or re.fullmatch(r"(?:1[5-9]|20)\d\d", anchor.phrase) or self.asked.has(COUNTS):
                    continue
                column = anchor.column + 1 if self.asked.has(r"\bwho\b|谁") else self.target([anchor.column], fallback=anchor.column)
                edge = "MAX" if sign == ">" else "MIN"
                return (
                    f"SELECT c{column} FROM t WHERE row {sign} (SELECT {edge}(row) FROM t WHERE {self._one(anchor)})"
                    f" ORDER BY row {order} LIMIT 1", anchor.phrase,
                )  # fmt: skip
        return None

    def difference(self) -> Sequence[object] | None:
        """Return how far two named rows lie apart in a column."""
        more = self.asked.has(r"how (?:many|much) (?:more|fewer|less|longer|older|higher|larger)|差多少|多多少|少多少|相差")
        if not (more or self.asked.has(r"\bdifference\b|\bdiffer\b|差")):
            return None
        pair = self.pair()
        if pair is None:
            return None
        column = self.measure({one.column for one in pair})
        if column is None:
            return None
        one, two = (f"(SELECT v{column} FROM t WHERE {self._one(cell)} LIMIT 1)" for cell in pair)
        return f"SELECT ABS({one} - {two})", pair[0].phrase, pair[1].phrase

    def between(self) -> Sequence[object] | None:
        """Return which of two named rows has more or less; yes or no where that is the question."""
        degree, pair = self.degree(), self.pair()
        if pair is None or not self.asked.has(r"\bor\b|\bthan\b|还是|比"):
            return None
        order = self.asked.has(r"\b(?:first|earlier|before|sooner)\b|先")
        later = self.asked.has(r"\b(?:last|later|after)\b|后")
        if degree is None and not order and not later:
            return None
        largest, hints = degree[:2] if degree else (bool(later), r"date|year")
        column = self.measure({one.column for one in pair}, hints, degree[2] if degree else 0)
        marks = " OR ".join(self._one(one) for one in pair)
        way = "DESC" if largest != bool(self.asked.has(r"\brank(?:s|ed)?\b")) else "ASC"
        phrases = [one.phrase for one in pair]
        if column is None and degree and largest and self.asked.has(r"more|most"):  # who stands there more often
            self.guessed += 1
            shown = pair[0].column + 1
            return f"SELECT c{shown} FROM t WHERE {marks} GROUP BY c{shown} ORDER BY COUNT(*) DESC LIMIT 1", *phrases
        by = f"v{column}" if column is not None else "row"
        if re.match(r"(?:did|does|do|is|was|were|are|has|have|had)\b", self.asked.text) and not self.asked.has(r"\bor\b"):
            sign = ">" if largest else "<"
            one, two = [f"(SELECT {by} FROM t WHERE {self._one(cell)} LIMIT 1)" for cell in pair]
            return f"SELECT CASE WHEN {one} {sign} {two} THEN 'yes' ELSE 'no' END", *phrases
        full = f"AND {by} IS NOT NULL" if by != "row" else ""
        return f"SELECT c{pair[0].column + 1} FROM t WHERE ({marks}) {full} ORDER BY {by} {way} LIMIT 1", *phrases

    def mean(self) -> Sequence[object] | None:
        """Return the average of a column, unless the column itself is an average."""
        if not self.asked.has(MEANS):
            return None
        column = self.measure(set())
        if column is None or re.search(MEANS, self.sheet.columns[column - 1], re.I):
            return None
        where, arguments = self.where()
        return f"SELECT AVG(v{column}) FROM t{where}", *arguments

    def ends(self) -> Sequence[object] | None:
        """Return the first or last row that fits."""
        first = self.asked.has(r"\bfirst\b(?! name| place| round)|\b(?:top|beginning) of the (?:list|chart|table)\b|第一[个条行]|首[个次位]")
        last = self.asked.has(r"\blast\b(?! name| place| year)|\b(?:bottom|end) of the (?:list|chart|table)\b|\bfinal\b|最后")
        if not (first or last) or self.asked.has(COUNTS) or (first and last):
            return None
        column = self.target([one.column for one in self.asked.cells])
        dated = self._column(DATED.pattern)
        where, arguments = self.where()
        by = "row"
        shown = self.asked.has(r"\b(?:chart|table|list|listed)\b")
        if dated is not None and self.sheet.numeric[dated - 1] and not shown and self._mixed(dated - 1):
            by = f"v{dated}"
        return f"SELECT c{column} FROM t{where} ORDER BY {by} {'ASC' if first else 'DESC'} LIMIT 1", *arguments

    def count(self) -> Sequence[object] | None:
        """Return how many rows fit, or what a column of numbers says of them."""
        match = self.asked.has(COUNTS) or self.asked.has(r"\btotal\b") or (self.asked.has(r"\bhow much\b|多少|总"))
        if match is None:
            return None
        column = self._counted(match)
        degree = self.degree()
        if degree and degree[2] < match.start() and self.asked.has(r"^(?:which|who|what)"):
            return None
        where, arguments = self.where(None if column is None else column - 1)
        if column is not None:
            rows = self._rows()
            if degree and self.asked.has(r"\b(?:highest|largest|greatest|lowest|smallest|most|least|biggest)\b") and rows != 1:
                return f"SELECT {'MAX' if degree[0] else 'MIN'}(v{column}) FROM t{where}", *arguments
            if rows == 1:
                return f"SELECT c{column} FROM t{where}", *arguments
            self.guessed += self.asked.has(SUMS) is None
            return f"SELECT SUM(v{column}) FROM t{where}", *arguments
        if not self.asked.has(COUNTS):
            return None
        if self._rows() == 1 and self.asked.cells and (total := self.measure(set())) is not None and not self.asked.bounds:
            return f"SELECT c{total} FROM t{where}", *arguments
        kind = self._near(match.end(), 12)
        if kind is not None and not self.sheet.numeric[kind - 1] and not self.asked.has(r"\btimes\b"):
            return f"SELECT COUNT(DISTINCT c{kind}) FROM t{where}", *arguments
        if self.asked.has(r"\b(?:different|unique|distinct)\b|不同"):
            shown = self.target([], at=match.end())
            return f"SELECT COUNT(DISTINCT c{shown}) FROM t{where}", *arguments
        return f"SELECT COUNT(*) FROM t{where}", *arguments

    def superlative(self) -> Sequence[object] | None:
        """Return the row with the largest or smallest value; the most frequent cell where nothing is measured."""
        degree = self.degree()
        if degree is None:
            return None
        largest, hints, at = degree
        cells = {one.column for one in self.asked.cells}
        target = self.target(sorted(cells), avoid_numbers=True)
        column = self.measure({target - 1}, hints, at)
        where, arguments = self.where(None if column is None else column - 1)
        way = "DESC" if largest else "ASC"
        if column is None:
            self.guessed += 1
            return f"SELECT c{target} FROM t{where} GROUP BY c{target} ORDER BY COUNT(*) {way}, MIN(row) LIMIT 1", *arguments
        if self.asked.has(r"^what (?:is|was|were|are) the (?:highest|most|largest|greatest|lowest|least|smallest|longest|shortest)\b(?! \w+ (?:in|of) the name)"):
            target = column
        if self.sheet.columns[column - 1] and RANKED.search(self.sheet.columns[column - 1]) and not hints:
            way = "ASC" if largest else "DESC"
        also = " AND " if where else " WHERE "
        return f"SELECT c{target} FROM t{where}{also}v{column} IS NOT NULL ORDER BY v{column} {way} LIMIT 1", *arguments

    def duration(self) -> Sequence[object] | None:
        """Return how long something took, from a column of times or lengths."""
        if not self.asked.has(r"^how (?:long|tall|far|old|high|big|large|heavy)\b|多久|多长"):
            return None
        column = self._column(r"time|length|duration|years|days|distance|height|age|weight|时长|期限|长度")
        if column is None or not self.asked.cells:
            return None
        where, arguments = self.where(column - 1)
        return f"SELECT c{column} FROM t{where}", *arguments

    def lookup(self) -> Sequence[object] | None:
        """Return what a column says of the rows that are named."""
        if not self.asked.cells and not self.asked.bounds:
            return None
        column = self.target([one.column for one in self.asked.cells])
        where, arguments = self.where(column - 1)
        if not where:
            return None
        several = self.asked.has(r"\b(?:list|name all|which \w+s|who were|what were|each)\b|哪些")
        return f"SELECT {'DISTINCT ' if several else ''}c{column} FROM t{where}", *arguments

    # --- parts -----------------------------------------------------------------------------------------------

    def where(self, shown: int | None = None) -> tuple[str, list[object]]:
        """Return the conditions that the question puts on rows; cells of one column are alternatives."""
        parts: list[str] = []
        arguments: list[object] = []
        groups: dict[int, list[Cell]] = {}
        for one in self.asked.cells:
            groups.setdefault(one.column, []).append(one)
        for group in groups.values():
            common = set.intersection(*(set(one.rows) for one in group))
            joined = " AND " if common and len(group) > 1 else " OR "
            marks = joined.join(self._one(one) for one in group)
            parts.append(f"NOT ({marks})" if self._negated(group[0]) else f"({marks})")
            arguments += [one.phrase for one in group]
        for bound in self.asked.bounds:
            if (column := self._bounded(bound)) is not None:
                parts.append(f"v{column} {bound.sign} ?")
                arguments.append(bound.number)
        if none := self.asked.has(r"\b(?:no|not win(?: any)?|without(?: any)?|0|zero|never won(?: any)?|not have(?: any)?|没有)\s?(?=\w)"):
            column = self._near(none.end(), 12)
            if column is not None and self.sheet.numeric[column - 1]:
                parts.append(f"COALESCE(v{column}, 0) = 0")
        parts += [f"row <> {row}" for row in self.totals]
        return (" WHERE " + " AND ".join(parts) if parts else ""), arguments

    def _one(self, cell: Cell) -> str:
        return f"c{cell.column + 1} = ?" if self._whole(cell) else f"holds(c{cell.column + 1}, ?)"

    def _whole(self, cell: Cell) -> bool:
        return cell.exact and cell.phrase.isascii() and all(self.sheet.lines[row].cells[cell.column].strip().lower() == cell.phrase for row in cell.rows)

    def _negated(self, cell: Cell) -> bool:
        before = self.asked.text[max(0, cell.start - 26) : cell.start]
        return re.search(r"\b(?:other than|besides|aside from|except(?: for)?|excluding|not (?:from|in|by|a|an)|apart from)\s(?:the\s)?$|除了?$", before) is not None

    def _rows(self) -> int:
        """Return how many rows the named cells leave."""
        left = set(range(len(self.sheet.lines))) - {row - 1 for row in self.totals}
        groups: dict[int, set[int]] = {}
        for one in self.asked.cells:
            groups.setdefault(one.column, set()).update(one.rows)
        for rows in groups.values():
            left &= rows
        return len(left)

    def _bounded(self, bound: Bound) -> int | None:
        """Return the column of numbers that a bound speaks of: a year's column, or the nearest one that is named."""
        year = 1500 <= bound.number <= 2100 and bound.number.is_integer()
        if year:
            for column in range(len(self.sheet.columns)):
                held = [v for v in (line[column] for line in self.sheet.values) if v is not None]
                if self.sheet.numeric[column] and held and sum(1500 <= v <= 2101 for v in held) > 0.7 * len(held):
                    return column + 1
        named = [one for one in self.asked.named if self.sheet.numeric[one.column]]
        if named:
            return min(named, key=lambda one: (min(abs(one.start - bound.at[0]), abs(one.start - bound.at[1])), -one.share)).column + 1
        numbers = self._numbers(set())
        return numbers[0] if len(numbers) == 1 else None

    def _numbers(self, but: set[int]) -> list[int]:
        """Return the columns of numbers that are no rank, no year and not in `but`."""
        return [
            column + 1 for column, name in enumerate(self.sheet.columns)
            if self.sheet.numeric[column] and column not in but and not self._orders(column) and not DATED.search(name)
        ]  # fmt: skip

    def measure(self, but: set[int], hints: str = "", at: int = 0) -> int | None:
        """Return the column by which rows are compared: named, hinted at, or the only one of numbers."""
        named = [
            one for one in self.asked.named
            if one.column not in but and self.sheet.numeric[one.column] and (hints or not self._orders(one.column))
        ]  # fmt: skip
        if named:
            best = min(named, key=lambda one: (one.start < at, abs(one.start - at), -one.share))
            return best.column + 1
        if hints and (found := self._column(hints, numeric=True, but=but)) is not None:
            return found
        if self.asked.has(r"\byears?\b|\bdate\b") and (found := self._column(DATED.pattern, numeric=True, but=but)) is not None:
            return found
        numbers = self._numbers(but)
        total = [column for column in numbers if TOTAL.search(self.sheet.columns[column - 1])]
        if len(numbers) == 1 or (len(total) == 1 and self.asked.has(r"\btotal\b|\bmedals\b|总|合计")):
            self.guessed += 1
            return (total or numbers)[0]
        return None

    def _orders(self, column: int) -> bool:
        """Say whether a column only numbers or dates its rows: a rank, a year, 1 2 3 …"""
        name, held = self.sheet.columns[column], [line[column] for line in self.sheet.values]
        full = [one for one in held if one is not None]
        steps = sum(b - a == 1 for a, b in pairwise(full))
        years = sum(1500 <= one < 2101 for one in full) > 0.7 * len(full)
        return bool(RANKED.search(name)) or years or (len(full) > 3 and steps > 0.9 * (len(full) - 1))

    def _near(self, at: int, most: int) -> int | None:
        close = [one for one in self.asked.named if 0 <= one.start - at <= most]
        return min(close, key=lambda one: one.start).column + 1 if close else None

    def _column(self, pattern: str, *, numeric: bool = False, but: set[int] | frozenset[int] = frozenset()) -> int | None:
        return next(
            (
                column + 1 for column, name in enumerate(self.sheet.columns)
                if re.search(pattern, name, re.I) and (not numeric or self.sheet.numeric[column]) and column not in but
            ),
            None,
        )  # fmt: skip

    def _counted(self, match: re.Match[str]) -> int | None:
        """Return the column of numbers that "how many …" asks for."""
        after = [
            one for one in self.asked.named
            if 0 <= one.start - match.start() <= 45 and self.sheet.numeric[one.column]
            and not self._orders(one.column) and not DATED.search(self.sheet.columns[one.column])
        ]  # fmt: skip
        free = [
            one for one in after
            if not any(self._bounded(bound) == one.column + 1 for bound in self.asked.bounds)
            and not self.asked.has(r"\b(?:no|0|zero|without|not)\b")
        ]  # fmt: skip
        return free[0].column + 1 if free else None

    def degree(self) -> tuple[bool, str, int] | None:
        """Return the first superlative or comparative: whether the largest counts, what it speaks of, where it ends."""
        bounded = [one.at for one in self.asked.bounds]
        for pattern, largest, hints in DEGREES:
            for match in re.finditer(rf"\b(?:{pattern})\b" if pattern[0].isascii() else pattern, self.asked.text):
                if not any(a <= match.start() < b for a, b in bounded):
                    if match.group() == "top" and self.asked.has(r"\btop \d+|top (?:ten|five)"):
                        continue
                    return largest, hints, match.end()
        return None

    def pair(self) -> tuple[Cell, Cell] | None:
        """Return two named cells of one column."""
        for one in self.asked.cells:
            for two in self.asked.cells:
                if one.start < two.start and one.column == two.column and set(one.rows) != set(two.rows):
                    return one, two
        return None

    def _mixed(self, column: int) -> bool:
        """Say whether dates do not go up from row to row."""
        held = [line[column] for line in self.sheet.values if line[column] is not None]
        return any(a > b for a, b in pairwise(held))  # type: ignore[operator]

    def target(
        self, used: Sequence[int], fallback: int | None = None, at: int | None = None, avoid_numbers: bool = False
    ) -> int:
        """Return the column whose cell is the answer: named after the asking word, of its kind, or the rows' names."""
        text = self.asked.text
        used = [*used, *(column - 1 for bound in self.asked.bounds if (column := self._bounded(bound)))]
        ask = re.search(r"\b(?:which|what|whose|name|list|tell me)\b|哪|什么", text)
        start = at if at is not None else ask.end() if ask else None
        if start is not None:
            near = [
                one for one in self.asked.named
                if 0 <= one.start - start <= 30 and len(words(text[start : one.start])) <= 3 and one.column not in used
                and not any(0 <= cell.start - start < one.start - start for cell in self.asked.cells)
            ]  # fmt: skip
            near = [one for one in near if not re.search(r"\b(?:most|least|highest|lowest|more|less|has|had|have)\b", text[start : one.start])]
            if near:
                return min(near, key=lambda one: (-one.share, one.start)).column + 1
        for pattern, heading in (
            (r"\bwho\b|\bwhose\b|谁", PERSON.pattern), (r"\bwhen\b|\b(?:what|which) (?:year|date|season)\b|\bin what year\b|哪年|何时|什么时候|哪一年", DATED.pattern),
            (r"\bwhere\b|哪里|何处", PLACE.pattern),
        ):  # fmt: skip
            if re.search(pattern, text):
                found = self._column(heading, but=set(used))
                if found is not None:
                    return found
        left = [one for one in self.asked.named if one.column not in used]
        if left and not avoid_numbers and at is None and self.asked.cells:
            return left[0].column + 1
        self.guessed += 1
        fallback = next((one.column for one in self.asked.cells if self._negated(one)), fallback)
        if fallback is not None:
            return fallback + 1
        names = [
            column for column in range(len(self.sheet.columns))
            if not self.sheet.numeric[column] and column not in used
            and len({line.cells[column] for line in self.sheet.lines}) >= 0.6 * len(self.sheet.lines)
        ]  # fmt: skip
        return (names[0] if names else 0) + 1
