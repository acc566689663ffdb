"""What a question names of a sheet: columns, cells, bounds on numbers, and the words that say what to do. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from lyceum.answer.table_cells import WRITTEN, number, words
from lyceum.answer.table_sheet import Sheet
from lyceum.core.text import CJK, has_cjk

# Words that never name a cell by themselves.
PLAIN = frozenset(
    """a an the of in on at to for by from with and or not no is are was were be been do does did done has have had
    this that these those it its he his she her they their them who whom whose what which when where why how many
    much more most less least fewer fewest first last next before after above below over under than only other
    between during each any all some total number amount times time name list listed chart table same different
    there one two three four five six seven eight nine ten s as if so up out into he him per year years month day
    win won wins play played top best worst come came comes difference average combined including besides
    的 了 是 在 有 和 与 及 或 多 少 几 哪 个 谁 什 么 最 高 低 大 小 总 共 年 月 日 为 第 一 不 中 上 下""".split()
)
_tokens = re.compile(rf"\d+(?:\.\d+)?|[{CJK}]|[^\W\d_{CJK}]+")
_amount = rf"(?P<n>[$€£¥]?\d+(?:\.\d+)?(?:\s?(?:thousand|million|billion|万|亿))?|\b(?:{'|'.join(w for w in WRITTEN if w.isascii())})\b)"
_over = r"more than|greater than|larger than|higher than|over|above|exceed(?:s|ed|ing)?|surpass(?:es|ed)?|longer than|超过|大于|高于|多于"
_under = r"less than|fewer than|lower than|smaller than|shorter than|under|below|不到|小于|低于|少于"
BOUNDS = [
    (">=", re.compile(rf"(?:at least|no less than|no fewer than|not less than|minimum of|至少|不少于|不低于)\s(?:of\s)?{_amount}|{_amount.replace('<n>', '<m>')} or (?:more|higher|greater|above)")),
    ("<=", re.compile(rf"(?:at most|no more than|not more than|up to|至多|不超过)\s{_amount}|{_amount.replace('<n>', '<m>')} (?:or (?:less|fewer|lower|under)|at most)")),
    (">", re.compile(rf"(?:{_over})\s?(?:of\s)?{_amount}(?! place| position)")),
    ("<", re.compile(rf"(?:{_under})\s?(?:of\s)?{_amount}")),
    (">", re.compile(r"\b(?:after|since)\s(?:the year\s)?(?P<n>(?:1[5-9]|20)\d\d)\b")),
    ("<", re.compile(r"\b(?:before|prior to|until)\s(?:the year\s)?(?P<n>(?:1[5-9]|20)\d\d)\b")),
    ("=", re.compile(rf"\b(?:exactly|only|just)\s{_amount}")),
]  # fmt: skip
RANGE = re.compile(r"\b(?:between|from)\s(?:the years?\s)?(?P<n>\d+(?:\.\d+)?)\s(?:and|to|through|-|–)\s(?P<m>\d+(?:\.\d+)?)|(?P<o>\d{4})\s?[-–]\s?(?P<p>\d{4})")
DATED = re.compile(r"\b(?:year|date|season|when|released?|built|founded|opened|established)\b|年|日期|时间", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A column and where the question names it; `share` of its heading's words stand there."""

    column: int
    share: float
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Words of the question that cells of a column hold, in which rows; `exact` when they are all of a cell."""

    column: int
    phrase: str
    rows: tuple[int, ...]
    exact: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A comparison with numbers: `at` is where it stands in the question."""

    sign: str
    number: float
    at: tuple[int, int]


class Asked:
    """A question read against a sheet."""

    def __init__(self, question: str, sheet: Sheet, stem: Callable[[str], Sequence[str]]) -> None:
        text = unicodedata.normalize("NFKC", question).lower()
        self.text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
        self.sheet = sheet
        self._stems: dict[str, str] = {}
        self._analyzer = stem
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
        """Return comparisons with numbers, each place once."""
        found: list[Bound] = []
        taken: list[tuple[int, int]] = []
        for match in RANGE.finditer(self.text):
            low, high = match["n"] or match["o"], match["m"] or match["p"]
            if float(low) < float(high):
                taken.append(match.span())
                found += [Bound(sign=">=", number=float(low), at=match.span()), Bound(sign="<=", number=float(high), at=match.span())]
        for sign, pattern in BOUNDS:
            for match in pattern.finditer(self.text):
                if any(a < match.end() and match.start() < b for a, b in taken):
                    continue
                taken.append(match.span())
                groups = match.groupdict()
                found.append(Bound(sign=sign, number=_amounted(groups["n"] or groups["m"]), at=match.span()))
        return found

    @cached_property
    def named(self) -> list[Named]:
        """Return the columns that the question names, most of whose heading it holds first."""
        found = []
        heads = [[w for w in words(name) if w not in ("of", "the", "in", "s")] for name in self.sheet.columns]
        for column, head in enumerate(heads):
            places = [self._place(word) for word in head]
            held = [place for place in places if place is not None]
            alone = [
                place for word, place in zip(head, places, strict=True)
                if place is not None and not word.isdigit() and word not in PLAIN
                and sum(word in other for other in heads) == 1
            ]  # fmt: skip
            share = len(held) / max(len(head), 1)
            if has_cjk(self.sheet.columns[column]):
                share, held = self._run(self.sheet.columns[column])
            if held and (share >= 0.5 or alone):
                found.append(Named(column=column, share=share, start=max(held)))
        return sorted(found, key=lambda one: -one.share)

    def _run(self, name: str) -> tuple[float, list[int]]:
        """Return the longest part of a Chinese heading that the question holds, as a share, and its place."""
        name = re.split(r"[((]", name.lower())[0].strip() or name
        for size in range(len(name), 1, -1):
            for start in range(len(name) - size + 1):
                if (at := self.text.find(name[start : start + size])) >= 0:
                    return size / len(name), [at]
        return 0.0, []

    def _place(self, word: str) -> int | None:
        """Return where a heading's word stands: itself, another form of it, or the word that it shortens."""
        for token, start, _ in self.tokens:
            same = token == word or self.stem(token) == self.stem(word)
            if same or (word.isalpha() and _shortens(word, token)):
                return start
        return None

    @cached_property
    def cells(self) -> list[Cell]:
        """Return the longest runs of the question's words that stand in cells, from left to right."""
        index: dict[str, list[tuple[int, int]]] = {}
        for row, line in enumerate(self.sheet.words):
            for column, held in enumerate(line):
                for word in set(held):
                    index.setdefault(word, []).append((row, column))
        found: list[Cell] = []
        free = [not any(a <= start < b for a, b in self._bounded()) for _, start, _ in self.tokens]
        for size in range(min(12, len(self.tokens)), 0, -1):
            for first in range(len(self.tokens) - size + 1):
                run = [token for token, _, _ in self.tokens[first : first + size]]
                if not all(free[first : first + size]) or not self._telling(run, first):
                    continue
                if (cell := self._found(run, index, first, size)) is not None:
                    found.append(cell)
                    free[first : first + size] = [False] * size
        return self._aligned(sorted(found, key=lambda one: one.start))

    def _bounded(self) -> list[tuple[int, int]]:
        return [one.at for one in self.bounds]

    def _telling(self, run: Sequence[str], first: int) -> bool:
        """Say whether words can name a cell: not plain ones, not a heading's, no number but a year."""
        if all(word in PLAIN for word in run) or run[0] in ("the", "a", "of", "and", "or", "的") or run[-1] in ("the", "of", "and", "a", "的"):
            return False
        if len(run) > 1:
            return not all(len(word) == 1 and has_cjk(word) for word in run) or len(run) > 1
        word, start, _ = self.tokens[first]
        if word.isdigit():
            return len(word) == 4 or (first > 0 and self.tokens[first - 1][0] in ("episode", "week", "round", "number", "district", "act", "no"))
        heads = {self.stem(one.lower()) for name in self.sheet.columns for one in words(name)}
        return len(word) > 1 and self.stem(word) not in heads

    def _found(self, run: Sequence[str], index: dict[str, list[tuple[int, int]]], first: int, size: int) -> Cell | None:
        rare = min(run, key=lambda word: len(index.get(word, ())))
        places: dict[int, list[tuple[int, bool]]] = {}
        for row, column in index.get(rare, ()):
            held = self.sheet.words[row][column]
            if any(held[n : n + size] == list(run) for n in range(len(held) - size + 1)):
                places.setdefault(column, []).append((row, len(held) == size))
        if not places:
            return None
        named = {one.column: one.share for one in self.named}
        column = max(places, key=lambda c: (any(e for _, e in places[c]), named.get(c, 0.0), -c))
        whole = [row for row, exact in places[column] if exact]
        start, end = self.tokens[first][1], self.tokens[first + size - 1][2]
        return Cell(
            column=column, phrase=self.text[start:end], rows=tuple(whole or [row for row, _ in places[column]]),
            exact=bool(whole), start=start, end=end,
        )  # fmt: skip

    def _aligned(self, found: list[Cell]) -> list[Cell]:
        """Drop looser matches beside a longer one, and as many of the shortest as leave no row."""
        kept = [
            one for one in found
            if one.exact or not any(o.column == one.column and len(o.phrase) > len(one.phrase) and set(o.rows) <= set(one.rows) for o in found)
        ]  # fmt: skip
        title = {self.stem(word) for word in words(self.sheet.title)}
        kept = [one for one in kept if one.exact or not title.issuperset(map(self.stem, words(one.phrase)))]
        loose = sorted((one for one in kept if not one.exact), key=lambda one: len(one.phrase))
        while loose and not _common(kept):
            kept.remove(loose.pop(0))
        return kept

    @cached_property
    def left(self) -> int:
        """Return how many telling words of the question neither columns, cells, bounds nor the title account for."""
        heads = {self.stem(word) for one in self.named for word in words(self.sheet.columns[one.column])}
        heads |= {self.stem(word) for word in words(self.sheet.title)}
        spans = [*((one.start, one.end) for one in self.cells), *self._bounded()]
        return sum(
            word not in PLAIN and self.stem(word) not in heads and not any(a <= start < b for a, b in spans)
            for word, start, _ in self.tokens
        )


def _common(cells: Sequence[Cell]) -> set[int]:
    """Return the rows that hold one of the cells of each column."""
    columns: dict[int, set[int]] = {}
    for one in cells:
        columns.setdefault(one.column, set()).update(one.rows)
    return set.intersection(*columns.values()) if columns else {-1}


def _shortens(short: str, word: str) -> bool:
    """Say whether a heading's word is the beginning of a word or its letters in order: pos, pts."""
    if not 3 <= len(short) <= 5 or len(word) <= len(short) or short[0] != word[0]:
        return False
    if word.startswith(short):
        return len(short) >= 3
    left = iter(word)
    return len(short) == 3 and all(letter in left for letter in short) and short[-1] == word[-1]


def _amounted(text: str) -> float:
    return float(WRITTEN[text]) if text in WRITTEN else number(text) or 0.0
