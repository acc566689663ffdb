"""SQL over one sheet to values and the rows they come from: one SELECT, read-only, with limits; knows no question.

The table is t: `row` (from 1), and of each column n its text c<n> and its number, date or time v<n>. What is not
allowed is refused by SQLite's authorizer; rows are found by asking the same query for `row` besides.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from lyceum.answer.table_cells import shown, words
from lyceum.answer.table_sheet import Sheet
from lyceum.core.errors import InvalidInput

FUNCTIONS = frozenset(
    "count sum avg min max total abs round lower upper length trim substr replace instr coalesce ifnull nullif"
    " group_concat like holds".split()
)
STEPS, RESULTS, LONGEST = 400, 200, 2_000  # thousands of machine steps, result rows, characters of SQL
_token = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--|/\*|[A-Za-z_]\w*|\S""")
_tally = re.compile(r"\b(?:count|sum|avg|min|max|total|group_concat)\s*\(", re.I)
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000, sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 2, sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a query finds as text, its first column or its only row, and the rows (from 0) that it was made of."""

    values: tuple[str, ...]
    rows: tuple[int, ...]


def run(sheet: Sheet, sql: str, arguments: Sequence[object] = ()) -> Result:
    """Return what one SELECT finds. Raises InvalidInput when it is refused, wrong, too slow, or finds nothing."""
    checked(sql)
    with closing(_filled(sheet)) as db:
        try:
            found = db.execute(sql, arguments).fetchmany(RESULTS + 1)
            traced = [row for part, given in _traced(sql, arguments) for row in _numbers(db, part, given)]
        except (sqlite3.Error, sqlite3.Warning) as problem:
            raise _refused(f"The query failed: {problem}.") from problem
    values = [one for row in found for one in (row if len(found) == 1 else row[:1]) if one is not None]
    if not values or len(found) > RESULTS:
        raise _refused("The query finds nothing." if not values else "The query finds too much.")
    return Result(
        values=tuple(shown(one) if isinstance(one, int | float) else str(one) for one in values),
        rows=tuple(dict.fromkeys(traced)),
    )


def checked(sql: str) -> None:
    """Raise InvalidInput unless the text is one SELECT without comments."""
    tokens = _token.findall(sql)
    if len(sql) > LONGEST or not tokens or tokens[0].lower() != "select" or {";", "--", "/*"} & set(tokens):
        raise _refused("Only one SELECT is allowed.")


def _refused(said: str) -> InvalidInput:
    return InvalidInput(said, hint="Ask the table t for what it holds.", code="sql")


def _filled(sheet: Sheet) -> sqlite3.Connection:
    width = len(sheet.columns)
    db = sqlite3.connect(":memory:")
    names = [f"c{n} TEXT COLLATE NOCASE, v{n} REAL" for n in range(1, width + 1)]
    db.execute(f"CREATE TABLE t (row INTEGER PRIMARY KEY, {', '.join(names)})")
    marks = ", ".join("?" * (1 + 2 * width))
    db.executemany(
        f"INSERT INTO t VALUES ({marks})",
        (
            (n, *(part for cell, one in zip(line.cells, values, strict=True) for part in (cell, one)))
            for n, (line, values) in enumerate(zip(sheet.lines, sheet.values, strict=True), start=1)
        ),
    )
    db.create_function("holds", 2, holds, deterministic=True)
    for limit, most in LIMITS.items():
        db.setlimit(limit, most)
    left = iter(range(STEPS))
    db.set_progress_handler(lambda: next(left, None) is None, 1000)
    db.set_authorizer(_allowed)
    return db


def _allowed(action: int, one: str | None, two: str | None, *_: str | None) -> int:
    fine = (
        action == sqlite3.SQLITE_SELECT
        or (action == sqlite3.SQLITE_READ and one == "t")
        or (action == sqlite3.SQLITE_FUNCTION and (two or "").lower() in FUNCTIONS)
    )
    return sqlite3.SQLITE_OK if fine else sqlite3.SQLITE_DENY


def holds(cell: str | None, phrase: str) -> bool:
    """Say whether a cell holds the words of a phrase, in a row."""
    held, wanted = words(cell or ""), words(phrase)
    starts = range(len(held) - len(wanted) + 1) if wanted else ()
    return any(held[n : n + len(wanted)] == wanted for n in starts)


def _traced(sql: str, arguments: Sequence[object]) -> Iterator[tuple[str, Sequence[object]]]:
    """Yield the queries that give the rows of a query, or of those inside it where it has no table of its own."""
    depth, start = 0, 0
    for match in _token.finditer(sql):
        word = match.group().lower()
        if word == "(":
            depth += 1
            start = match.end() if depth == 1 else start
        elif word == ")":
            depth -= 1
            if depth == 0:
                inner, before = sql[start : match.start()], sql[:start].count("?")
                yield from _traced(inner, arguments[before : before + inner.count("?")])
        elif word == "from" and depth == 0:
            head = re.sub(r"(?i)^\s*select\s+(?:distinct\s)?", "", sql[: match.start()])
            rows = "group_concat(row)" if _tally.search(head) else "row"
            yield f"SELECT {rows}, {head} {sql[match.start() :]}", arguments
            return


def _numbers(db: sqlite3.Connection, sql: str, arguments: Sequence[object]) -> Iterator[int]:
    for row in db.execute(sql, arguments).fetchmany(RESULTS):
        yield from (int(number) - 1 for number in str(row[0] or "").split(",") if number)
