"""What a question names of a sheet: columns, cells, and bounds on numbers. Pure; it decides nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lyceum.answer.table_cells import WRITTEN, number, words
from lyceum.answer.table_sheet import Sheet
from lyceum.core.protocols import Analyzer
from lyceum.core.text import CJK, has_cjk

# Words that never name a cell by themselves.
PLAIN = frozenset(
    """a an the of in on at to for by from with and or not no is are was were be been do does did done has have had
    this that these those it its he his she her they their them who whom whose what which when where why how many
    much more most less least fewer fewest first last next before after above below over under than only other
    between during each any all some total number amount times time name list listed chart table same different
    there one two three four five six seven eight nine ten s as if so up out into him per year years month day
    win won wins play played top best worst come came comes difference average combined including besides
    的 了 是 在 有 和 与 及 或 多 少 几 哪 个 谁 什 么 最 高 低 大 小 总 共 年 月 日 为 第 一 不 中 上 下""".split()
)
EDGES = frozenset(("the", "a", "of", "and", "or", "的"))
COUNTED = frozenset(("episode", "week", "round", "number", "district", "act", "no"))
_tokens = re.compile(rf"\d+(?:\.\d+)?|[{CJK}]|[^\W\d_{CJK}]+")
_amount = (
    r"(?P<n>[$€£¥]?\d+(?:\.\d+)?(?:\s?(?:thousand|million|billion|万|亿))?|"
    rf"\b(?:{'|'.join(word for word in WRITTEN if word.isascii())})\b)"
)
_over = (
    r"more than|greater than|larger than|higher than|over|above|exceed(?:s|ed|ing)?|surpass(?:es|ed)?|longer than|"
    r"超过|大于|高于|多于"
)
_under = r"less than|fewer than|lower than|smaller than|shorter than|under|below|不到|小于|低于|少于"
_year = r"\s(?:the year\s)?(?P<n>(?:1[5-9]|20)\d\d)\b"
BOUNDS = [
    (">=", rf"(?:at least|no less than|no fewer than|minimum of|至少|不少于|不低于)\s?(?:of\s)?{_amount}"),
    (">=", rf"{_amount} or (?:more|higher|greater|above)"),
    ("<=", rf"(?:at most|no more than|not more than|up to|至多|不超过)\s?{_amount}"),
    ("<=", rf"{_amount} (?:or (?:less|fewer|lower|under)|at most)"),
    (">", rf"(?:{_over})\s?(?:of\s)?{_amount}(?! place| position)"), ("<", rf"(?:{_under})\s?(?:of\s)?{_amount}"),
    (">", rf"\b(?:after|since){_year}"), ("<", rf"\b(?:before|prior to|until){_year}"),
]  # fmt: skip
_range = re.compile(
    r"\b(?:between|from)\s(?:the years?\s)?(\d+(?:\.\d+)?)\s(?:and|to|through|-|–)\s(\d+(?:\.\d+)?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A column and where the question names it; `share` of its heading's words stand there."""

    column: int
    share: float
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Words of the question that cells of a column hold, in which rows.

    `exact` when they are all the words of a cell, `whole` when the cell is written as the question writes it.
    """

    column: int
    phrase: str
    rows: tuple[int, ...]
    exact: bool
    whole: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A comparison with a number: `at` is where it stands in the question."""

    sign: str
    number: float
    at: tuple[int, int]


class Asked:
    """A question read against a sheet."""

    def __init__(self, question: str, sheet: Sheet, analyzer: Analyzer) -> None:
        text = unicodedata.normalize("NFKC", question).lower()
        self.text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
        self.sheet, self._analyzer = sheet, analyzer
        self._stems: dict[str, str] = {}
        self.tokens = [(match.group(), match.start(), match.end()) for match in _tokens.finditer(self.text)]

    def stem(self, word: str) -> str:
        """Return the term of a word; the word itself when it is a stop word."""
        if word not in self._stems:
            self._stems[word] = next(iter(self._analyzer(word)), word)
        return self._stems[word]

    def has(self, pattern: str) -> re.Match[str] | None:
        """Return where a pattern stands in the question."""
        return re.search(pattern, self.text)

    @cached_property
    def bounds(self) -> list[Bound]:
        """Return comparisons with numbers, no two of one place."""
        found = [
            Bound(sign=sign, number=float(value), at=match.span())
            for match in _range.finditer(self.text) if float(match[1]) < float(match[2])
            for sign, value in ((">=", match[1]), ("<=", match[2]))
        ]  # fmt: skip
        for sign, pattern in BOUNDS:
            for match in re.finditer(pattern, self.text):
                if not any(one.at[0] < match.end() and match.start() < one.at[1] for one in found):
                    value = WRITTEN[match["n"]] if match["n"] in WRITTEN else number(match["n"]) or 0.0
                    found.append(Bound(sign=sign, number=float(value), at=match.span()))
        return found

    @cached_property
    def bounded(self) -> list[tuple[int, int]]:
        """Return where bounds stand."""
        return [one.at for one in self.bounds]

    @cached_property
    def named(self) -> list[Named]:
        """Return the columns that the question names, those of which it holds most of the heading first."""
        found = []
        heads = [[w for w in words(name) if w not in ("of", "the", "in", "s")] for name in self.sheet.columns]
        for column, head in enumerate(heads):
            places = {word: place for word in head if (place := self._place(word)) is not None}
            alone = [
                word for word in places
                if not word.isdigit() and word not in PLAIN and sum(word in other for other in heads) == 1
            ]  # fmt: skip
            share, held = sum(word in places for word in head) / max(len(head), 1), [*places.values()]
            if has_cjk(self.sheet.columns[column]):
                share, held = self._run(self.sheet.columns[column])
            if held and (share >= 0.5 or alone):
                found.append(Named(column=column, share=share, start=max(held)))
        return sorted(found, key=lambda one: -one.share)

    def _run(self, name: str) -> tuple[float, list[int]]:
        """Return the longest part of a Chinese heading that the question holds, as a share, and its place."""
        name = re.split(r"[（(]", name.lower())[0].strip() or name
        for size in range(len(name), 1, -1):
            for start in range(len(name) - size + 1):
                if (at := self.text.find(name[start : start + size])) >= 0:
                    return size / len(name), [at]
        return 0.0, []

    def _place(self, word: str) -> int | None:
        """Return where a heading's word or another form of it stands."""
        stem = self.stem(word)
        return next(
            (start for token, start, _ in self.tokens if token == word or self.stem(token) == stem), None
        )

    @cached_property
    def cells(self) -> list[Cell]:
        """Return the longest runs of the question's words that stand in cells, from left to right."""
        index: dict[str, list[tuple[int, int]]] = {}
        for row, line in enumerate(self.sheet.words):
            for column, held in enumerate(line):
                for word in set(held):
                    index.setdefault(word, []).append((row, column))
        found: list[Cell] = []
        free = [not any(a <= start < b for a, b in self.bounded) for _, start, _ in self.tokens]
        for size in range(min(12, len(self.tokens)), 0, -1):
            for first in range(len(self.tokens) - size + 1):
                if not all(free[first : first + size]) or not self._telling(first, size):
                    continue
                if (cell := self._found(first, size, index)) is not None:
                    found.append(cell)
                    free[first : first + size] = [False] * size
        return self._agreeing(sorted(found, key=lambda one: one.start))

    def _telling(self, first: int, size: int) -> bool:
        """Say whether words can name a cell: not plain ones, not a heading's, no number but a year."""
        run = [token for token, _, _ in self.tokens[first : first + size]]
        if size > 1:
            return not (all(word in PLAIN for word in run) or {run[0], run[-1]} & EDGES)
        (word,) = run
        if word.isdigit():
            return len(word) == 4 or (first > 0 and self.tokens[first - 1][0] in COUNTED)
        return word not in PLAIN and len(word) > 1 and self.stem(word) not in self._heads

    @cached_property
    def _heads(self) -> set[str]:
        return {self.stem(word) for name in self.sheet.columns for word in words(name)}

    def _found(self, first: int, size: int, index: dict[str, list[tuple[int, int]]]) -> Cell | None:
        run = [token for token, _, _ in self.tokens[first : first + size]]
        places: dict[int, list[tuple[int, bool]]] = {}
        for row, column in min((index.get(word, []) for word in run), key=len):
            held = self.sheet.words[row][column]
            if any(held[n : n + size] == run for n in range(len(held) - size + 1)):
                places.setdefault(column, []).append((row, len(held) == size))
        if not places:
            return None
        named = {one.column: one.share for one in self.named}
        column = max(places, key=lambda c: (any(exact for _, exact in places[c]), named.get(c, 0.0), -c))
        full = [row for row, exact in places[column] if exact]
        start, end = self.tokens[first][1], self.tokens[first + size - 1][2]
        phrase, rows = self.text[start:end], tuple(full or [row for row, _ in places[column]])
        same = phrase.isascii() and all(self.sheet.lines[row].cells[column].lower() == phrase for row in rows)
        return Cell(
            column=column,
            phrase=phrase,
            rows=rows,
            exact=bool(full),
            whole=bool(full) and same,
            start=start,
            end=end,
        )

    def _agreeing(self, found: list[Cell]) -> list[Cell]:
        """Drop loose matches that the title explains or a longer one covers, and the shortest that leave no row."""
        title = {self.stem(word) for word in words(self.sheet.title)}

        def covered(one: Cell) -> bool:
            return any(
                o.column == one.column and len(o.phrase) > len(one.phrase) and set(o.rows) <= set(one.rows)
                for o in found
            )

        kept = [
            one for one in found
            if one.exact or not (covered(one) or title.issuperset(map(self.stem, words(one.phrase))))
        ]  # fmt: skip
        loose = sorted((one for one in kept if not one.exact), key=lambda one: len(one.phrase))
        while loose and not _common(kept):
            kept.remove(loose.pop(0))
        return kept

    @cached_property
    def left(self) -> int:
        """Return how many telling words of the question neither columns, cells, bounds nor the title account for."""
        known = {self.stem(word) for one in self.named for word in words(self.sheet.columns[one.column])}
        known |= {self.stem(word) for word in words(self.sheet.title)}
        spans = [*((one.start, one.end) for one in self.cells), *self.bounded]
        return sum(
            word not in PLAIN and self.stem(word) not in known and not any(a <= start < b for a, b in spans)
            for word, start, _ in self.tokens
        )


def _common(cells: Sequence[Cell]) -> set[int]:
    """Return the rows that hold one of the cells of each column."""
    columns: dict[int, set[int]] = {}
    for one in cells:
        columns.setdefault(one.column, set()).update(one.rows)
    return set.intersection(*columns.values()) if columns else {-1}
