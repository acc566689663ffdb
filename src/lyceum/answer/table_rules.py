"""A question of a common shape to a query over one sheet: look up, count, add, compare, first and last. Pure.

Rules in English and Chinese, no model. Each gives SQL with a shape's name; how sure it is, is fitted elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise

from lyceum.answer.table_asked import Asked, Bound, Cell
from lyceum.answer.table_cells import words

Sql = tuple[str, list[object]]

TOTAL = re.compile(r"^(?:(?:grand |sub)?totals?|all|overall|average)\b|^(?:合计|总计|小计|总和|平均)", re.I)
RANKED = re.compile(r"^(?:pos(?:ition)?|rank(?:ing)?|place|#|no)\b|^(?:排名|名次|序号)", re.I)
DATED = re.compile(
    r"\b(?:year|date|season|when|released?|built|founded|opened|established)\b|年|日期|时间", re.I
)
# Headings of what "who", "when" and "where" ask for.
KINDS = [
    (r"\bwho\b|\bwhose\b|谁", re.compile(
        r"\b(?:name|player|driver|rider|winner|athlete|artist|swimmer|competitor|candidate|person|author|director|"
        r"champion|manager|coach|president|minister|governor|mayor|member|representative|actor|singer|runner)s?\b|"
        r"姓名|名字|人员|负责人|选手", re.I)),
    (r"\bwhen\b|\b(?:what|which) (?:year|date|season)\b|哪一?年|何时|什么时候", DATED),
    (r"\bwhere\b|哪里|何处", re.compile(r"\b(?:venue|location|place|site|city|country|town)\b|地点|城市|地址", re.I)),
]  # fmt: skip
# Superlatives and comparatives: whether the largest counts, and headings that they speak of.
DEGREES = [
    (r"fastest|quickest|faster|quicker", False, r"time|lap|用时"),
    (r"oldest|older|earliest|earlier|最早", False, r"born|birth|built|opened|year|date|founded|年|日期"),
    (r"youngest|newest|latest|most recent|newer|最晚|最近", True, r"born|birth|built|opened|year|date|年|日期"),
    (r"longest|longer|slowest|最长", True, r"length|duration|time|distance|长度|时长"),
    (r"shortest|shorter|closest|closer|nearest|最短|最近", False, r"length|duration|time|height|distance|km|长度"),
    (r"tallest|taller|heaviest|heavier|most populous|most expensive", True, r"height|weight|population|price|cost"),
    (r"best|top|better", False, r"pos|rank|place|finish|名次|排名"),
    (r"worst", True, r"pos|rank|place|finish|名次|排名"),
    (r"most|highest|largest|greatest|biggest|higher|larger|greater|bigger|more|最高|最多|最大|更高|更多", True, ""),
    (r"least|lowest|smallest|fewest|cheapest|lower|smaller|fewer|less|minimum|最低|最少|最小|更低|更少", False, ""),
]  # fmt: skip
COUNTS = r"\bhow many\b|\bnumber of\b|\bhow often\b|\btotal amount of\b|多少[个家人次名种项]|几[个家人次名种项]|数量"
SUMS = r"\btotal\b|\bcombined\b|\bin all\b|\bsum\b|\badd\b|\bhow much\b|多少|总"
MEANS = r"\baverage\b|\bmean\b|平均"
_beside = (
    r"(?:(?:listed|comes?|came|is|was|right|immediately|directly|just|the|place|name|ranked|finished) )*"
)
BESIDE = [
    (rf"{_beside}(?:after|below|following|behind|underneath)\b|之后|后面|下面", ">", "MAX", "ASC"),
    (rf"{_beside}(?:before|above|prior to|previous to|ahead of)\b|之前|前面|上面", "<", "MIN", "DESC"),
]
ENDS = [
    (
        r"\bfirst\b(?! name| place| round)|\b(?:top|beginning) of the (?:list|chart|table)\b|第一[个条行]|首[个次位]",
        "ASC",
    ),
    (r"\blast\b(?! name| place| year)|\b(?:bottom|end) of the (?:list|chart|table)\b|\bfinal\b|最后", "DESC"),
]
MORE = r"how (?:many|much) (?:more|fewer|less|longer|older|higher|larger)|\bdifference\b|\bdiffer\b|差|多多少|少多少"
EXCEPT = re.compile(
    r"\b(?:other than|besides|aside from|except(?: for)?|excluding|not (?:from|in|by|a|an))\s(?:the\s)?$|除了?$"
)
NONE = r"\b(?:no|not win(?: any)?|without(?: any)?|zero|never won(?: any)?|没有)\s?(?=\w)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """SQL with its arguments; `shape` says which rule made it, `guessed` how many of its parts it had to guess.

    `fit` is how well the words of a sum fit its item; `unit` that of the result, empty for the table's.
    """

    sql: str
    shape: str
    arguments: tuple[object, ...] = ()
    guessed: int = 0
    fit: float = 0.0
    unit: str = ""


class Rules:
    """Tries the shapes in order; the first that fits gives the plan. Columns in SQL count from 1."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.sheet = asked, asked.sheet
        self.used = {one.column for one in asked.cells}
        self.guessed = 0
        self.totals = [
            n
            for n, line in enumerate(self.sheet.lines, 1)
            if TOTAL.search(next(filter(None, line.cells), ""))
        ]

    def __call__(self) -> Plan | None:
        """Return the plan of the first shape that fits, None when none does."""
        shapes = (
            self.beside, self.difference, self.between, self.mean, self.ends, self.count, self.superlative,
            self.lookup,
        )  # fmt: skip
        for shape in shapes:
            self.guessed = 0
            if (made := shape()) is not None:
                sql, given = made
                return Plan(sql=sql, arguments=tuple(given), shape=shape.__name__, guessed=self.guessed)
        return None

    def beside(self) -> Sql | None:
        """Return the row after or before the one that is named."""
        for pattern, sign, edge, order in BESIDE:
            for match in re.finditer(pattern, self.asked.text):
                anchor = next((one for one in self.asked.cells if 0 <= one.start - match.end() <= 8), None)
                if anchor is None or re.fullmatch(r"\d{4}", anchor.phrase) or self.asked.has(COUNTS):
                    continue
                own = anchor.column
                column = own + 1 if self.asked.has(KINDS[0][0]) else self.target({own}, fallback=own)
                inner = f"SELECT {edge}(row) FROM t WHERE {_is(anchor)}"
                return f"SELECT c{column} FROM t WHERE row {sign} ({inner}) ORDER BY row {order} LIMIT 1", [
                    anchor.phrase
                ]
        return None

    def difference(self) -> Sql | None:
        """Return how far two named rows lie apart in a column."""
        pair = self.pair() if self.asked.has(MORE) else None
        column = self.measure({one.column for one in pair}) if pair else None
        if pair is None or column is None:
            return None
        one, two = _two(f"v{column}", pair)
        return f"SELECT ABS({one} - {two})", [pair[0].phrase, pair[1].phrase]

    def between(self) -> Sql | None:
        """Return which of two named rows has more or less; yes or no where that is the question."""
        degree, pair = self.degree(), self.pair()
        later = self.asked.has(r"\b(?:last|later|after)\b|后")
        ordered = later or self.asked.has(r"\b(?:first|before|sooner)\b|先")
        if pair is None or not self.asked.has(r"\bor\b|\bthan\b|还是|比") or not (degree or ordered):
            return None
        largest, hints, at = degree or (bool(later), DATED.pattern, 0)
        column = self.measure({one.column for one in pair}, hints, at)
        shown, given = f"c{pair[0].column + 1}", [one.phrase for one in pair]
        marks = " OR ".join(map(_is, pair))
        if column is None and largest and self.asked.has(r"\bmore\b|\bmost\b"):  # who stands there more often
            return f"SELECT {shown} FROM t WHERE {marks} GROUP BY {shown} ORDER BY COUNT(*) DESC LIMIT 1", [
                *given
            ]
        by = f"v{column}" if column is not None else "row"
        largest ^= self.asked.has(r"\branks?\b|\branked\b") is not None
        if self.asked.has(r"^(?:did|does|do|is|was|were|are|has|have|had)\b") and not self.asked.has(
            r"\bor\b"
        ):
            one, two = _two(by, pair)
            return f"SELECT CASE WHEN {one} {'>' if largest else '<'} {two} THEN 'yes' ELSE 'no' END", [
                *given
            ]
        way = "DESC" if largest else "ASC"
        return f"SELECT {shown} FROM t WHERE ({marks}) AND {by} IS NOT NULL ORDER BY {by} {way} LIMIT 1", [
            *given
        ]

    def mean(self) -> Sql | None:
        """Return the average of a column, unless the column itself is an average."""
        column = self.measure(set()) if self.asked.has(MEANS) else None
        if column is None or re.search(MEANS, self.sheet.columns[column - 1], re.I):
            return None
        return self.select(f"AVG(v{column})")

    def ends(self) -> Sql | None:
        """Return the first or last row that fits: by date where rows are not in the order of their dates."""
        ways = [way for pattern, way in ENDS if self.asked.has(pattern)]
        if len(ways) != 1 or self.asked.has(COUNTS):
            return None
        column, by = self.target(self.used), "row"
        measured = [one.column + 1 for one in self.asked.named if self.sheet.numeric[one.column]]
        dated = next((one for one in measured if one != column), self._headed(DATED))
        if dated is not None and not self.asked.has(r"\b(?:chart|table|list|listed)\b"):
            held = [line[dated - 1] for line in self.sheet.values if line[dated - 1] is not None]
            by = f"v{dated}" if any(a > b for a, b in pairwise(held)) else by  # type: ignore[operator]
        return self.select(f"c{column}", f" ORDER BY {by} {ways[0]} LIMIT 1")

    def count(self) -> Sql | None:
        """Return how many rows fit, or what a column of numbers says of them."""
        match = self.asked.has(COUNTS) or self.asked.has(SUMS)
        degree = self.degree()
        if match is None or (degree and degree[2] < match.start() and self.asked.has(r"^(?:which|who|what)")):
            return None
        column, rows = self._counted(match), self._rows()
        if column is not None:
            if (
                degree
                and rows != 1
                and self.asked.has(r"\b(?:highest|largest|greatest|lowest|smallest|most|least)\b")
            ):
                return self.select(f"{'MAX' if degree[0] else 'MIN'}(v{column})")
            self.guessed += rows != 1 and self.asked.has(SUMS) is None
            return self.select(f"c{column}" if rows == 1 else f"SUM(v{column})")
        if not self.asked.has(COUNTS):
            return None
        if rows == 1 and self.used and not self.asked.bounds and (whole := self.measure(set())) is not None:
            return self.select(f"c{whole}")
        kind = next((one.column for one in self.asked.named if 0 <= one.start - match.end() <= 12), None)
        if kind is not None and not self.sheet.numeric[kind] and not self.asked.has(r"\btimes\b"):
            return self.select(f"COUNT(DISTINCT c{kind + 1})")
        return self.select("COUNT(*)")

    def superlative(self) -> Sql | None:
        """Return the row with the largest or smallest value; the most frequent cell where nothing is measured."""
        degree = self.degree()
        if degree is None:
            return None
        largest, hints, at = degree
        target = self.target(self.used, measured=True)
        column = self.measure({target - 1}, hints, at)
        way = "DESC" if largest else "ASC"
        if column is None:
            self.guessed += 1
            return self.select(f"c{target}", f" GROUP BY c{target} ORDER BY COUNT(*) {way}, MIN(row) LIMIT 1")
        if self.asked.has(r"^what (?:is|was|were|are) the (?:highest|most|largest|greatest|lowest|least|smallest|longest|shortest)\b"):  # fmt: skip  # noqa: E501
            target = column
        return self.select(f"c{target}", f" ORDER BY v{column} {way} LIMIT 1", f"v{column} IS NOT NULL")

    def lookup(self) -> Sql | None:
        """Return what a column says of the rows that are named."""
        if not self.asked.cells and not self.asked.bounds:
            return None
        column = self.target(self.used)
        several = self.asked.has(r"\b(?:list|name all|which \w+s|who were|what were|each)\b|哪些")
        return self.select(f"{'DISTINCT ' if several else ''}c{column}")

    # --- parts -----------------------------------------------------------------------------------------------

    def select(self, head: str, tail: str = "", also: str = "") -> Sql:
        """Return a query over the rows that fit; cells of one column are alternatives unless a row holds them all."""
        parts, given = [also] if also else [], []
        for column in dict.fromkeys(one.column for one in self.asked.cells):
            group = [one for one in self.asked.cells if one.column == column]
            common = set.intersection(*(set(one.rows) for one in group))
            marks = (" AND " if common else " OR ").join(map(_is, group))
            parts.append(f"NOT ({marks})" if self._excepted(group[0]) else f"({marks})")
            given += [one.phrase for one in group]
        for bound in self.asked.bounds:
            if (at := self._bounded(bound)) is not None:
                parts.append(f"v{at} {_compared(bound, self._years(at - 1))}")
        if none := self.asked.has(NONE):
            near = [one.column for one in self.asked.named if 0 <= one.start - none.end() <= 12]
            parts += [f"COALESCE(v{column + 1}, 0) = 0" for column in near[:1] if self.sheet.numeric[column]]
        parts += [f"row <> {row}" for row in self.totals]
        return f"SELECT {head} FROM t{' WHERE ' if parts else ''}{' AND '.join(parts)}{tail}", [*given]

    def _excepted(self, cell: Cell) -> bool:
        return EXCEPT.search(self.asked.text[max(0, cell.start - 26) : cell.start]) is not None

    def _rows(self) -> int:
        """Return how many rows the named cells leave."""
        left = set(range(len(self.sheet.lines))) - {row - 1 for row in self.totals}
        for column in self.used:
            left &= {row for one in self.asked.cells if one.column == column for row in one.rows}
        return len(left)

    def _bounded(self, bound: Bound) -> int | None:
        """Return the column of numbers that a bound speaks of: one of years, or the nearest one that is named."""
        if 1500 <= bound.number <= 2100 and bound.number.is_integer():
            years = [column for column in range(len(self.sheet.columns)) if self._years(column)]
            if years:
                return years[0] + 1
        named = [one for one in self.asked.named if self.sheet.numeric[one.column]]
        numbers = self._numbers(set())
        if named:
            return (
                min(named, key=lambda one: (min(abs(one.start - at) for at in bound.at), -one.share)).column
                + 1
            )
        return numbers[0] if len(numbers) == 1 else None

    def _years(self, column: int) -> bool:
        held = [one for line in self.sheet.values if (one := line[column]) is not None]
        return self.sheet.numeric[column] and sum(1500 <= one < 2101 for one in held) > 0.7 * len(held)

    def _orders(self, column: int) -> bool:
        """Say whether a column only ranks, numbers or dates its rows."""
        held = [one for line in self.sheet.values if (one := line[column]) is not None]
        steps = sum(b - a == 1 for a, b in pairwise(held))
        counting = len(held) > 3 and steps > 0.9 * (len(held) - 1)
        return bool(RANKED.search(self.sheet.columns[column])) or self._years(column) or counting

    def _numbers(self, but: Collection[int]) -> list[int]:
        """Return the columns of numbers that order nothing and are not in `but`."""
        return [
            column + 1 for column, name in enumerate(self.sheet.columns)
            if self.sheet.numeric[column] and column not in but
            and not self._orders(column) and not DATED.search(name)
        ]  # fmt: skip

    def measure(self, but: Collection[int], hints: str = "", at: int = 0) -> int | None:
        """Return the column by which rows are compared: named, hinted at, the only one of numbers, or the total."""
        named = [
            one for one in self.asked.named
            if one.column not in but and self.sheet.numeric[one.column] and (hints or not self._orders(one.column))
        ]  # fmt: skip
        if named:
            return min(named, key=lambda one: (one.start < at, abs(one.start - at), -one.share)).column + 1
        if hints and (found := self._headed(re.compile(hints, re.I), but)) is not None:
            return found
        numbers = self._numbers(but)
        total = [column for column in numbers if TOTAL.search(self.sheet.columns[column - 1])]
        chosen = (
            numbers if len(numbers) == 1 else total if self.asked.has(r"\btotal\b|\bmedals\b|总|合计") else []
        )
        self.guessed += bool(chosen)
        return chosen[0] if chosen else None

    def _headed(
        self, pattern: re.Pattern[str], but: Collection[int] = (), numeric: bool = True
    ) -> int | None:
        """Return the first column whose heading fits."""
        fits = (
            column + 1 for column, name in enumerate(self.sheet.columns)
            if pattern.search(name) and (self.sheet.numeric[column] or not numeric) and column not in but
        )  # fmt: skip
        return next(fits, None)

    def _counted(self, match: re.Match[str]) -> int | None:
        """Return the column of numbers that "how many …" asks for."""
        bounded = {self._bounded(bound) for bound in self.asked.bounds}
        if self.asked.has(r"\b(?:no|0|zero|without|not)\b"):
            return None
        after = (
            one.column + 1 for one in self.asked.named
            if 0 <= one.start - match.start() <= 45 and one.column + 1 not in bounded
            and one.column + 1 in self._numbers(())
        )  # fmt: skip
        return next(after, None)

    def degree(self) -> tuple[bool, str, int] | None:
        """Return the first superlative or comparative: whether the largest counts, its headings, where it ends."""
        for pattern, largest, hints in DEGREES:
            for match in re.finditer(rf"(?<![a-z])(?:{pattern})(?![a-z])(?! \d)", self.asked.text):
                if not any(a <= match.start() < b for a, b in self.asked.bounded):
                    return largest, hints, match.end()
        return None

    def pair(self) -> tuple[Cell, Cell] | None:
        """Return two named cells of one column."""
        for one in self.asked.cells:
            for two in self.asked.cells:
                if one.start < two.start and one.column == two.column and set(one.rows) != set(two.rows):
                    return one, two
        return None

    def target(self, used: Collection[int], fallback: int | None = None, measured: bool = False) -> int:
        """Return the column whose cell is the answer: named after the asking word, of its kind, or a name."""
        text = self.asked.text
        used = {*used, *(column - 1 for bound in self.asked.bounds if (column := self._bounded(bound)))}
        left = [one for one in self.asked.named if one.column not in used]
        if ask := re.search(r"\b(?:which|what|whose|name|list|tell me)\b|哪|什么", text):
            near = [
                one for one in left
                if 0 <= one.start - ask.end() <= 30 and len(words(between := text[ask.end() : one.start])) <= 3
                and not re.search(r"\b(?:most|least|highest|lowest|more|less|has|had|have)\b", between)
                and not any(ask.end() <= cell.start < one.start for cell in self.asked.cells)
            ]  # fmt: skip
            if near:
                return min(near, key=lambda one: (-one.share, one.start)).column + 1
        for pattern, heading in KINDS:
            if re.search(pattern, text) and (found := self._headed(heading, used, numeric=False)) is not None:
                return found
        if left and not measured and self.asked.cells:
            return left[0].column + 1
        self.guessed += 1
        fallback = next((one.column for one in self.asked.cells if self._excepted(one)), fallback)
        if fallback is not None:
            return fallback + 1
        names = (
            column + 1 for column in range(len(self.sheet.columns))
            if not self.sheet.numeric[column] and column not in used
            and len({line.cells[column] for line in self.sheet.lines}) >= 0.6 * len(self.sheet.lines)
        )  # fmt: skip
        return next(names, 1)


def _is(cell: Cell) -> str:
    return f"c{cell.column + 1} = ?" if cell.whole else f"holds(c{cell.column + 1}, ?)"


def _compared(bound: Bound, years: bool) -> str:
    """Return a comparison; a year lasts until the next one begins."""
    if years and bound.sign in (">", "<="):
        return f"{'>=' if bound.sign == '>' else '<'} {bound.number + 1!r}"
    return f"{bound.sign} {bound.number!r}"


def _two(by: str, pair: tuple[Cell, Cell]) -> list[str]:
    return [f"(SELECT {by} FROM t WHERE {_is(cell)} LIMIT 1)" for cell in pair]
