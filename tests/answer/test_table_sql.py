"""SQL over a sheet: what is refused, what it costs at most, and which rows a result comes from."""

from __future__ import annotations

import time

import pytest

from lyceum.answer.table_sheet import Sheet
from lyceum.answer.table_sql import holds, run
from lyceum.core.errors import InvalidInput
from tests.answer.test_table_sheet import made

GAMES: Sheet = made(
    ("Nation", "Gold", "Total"), ("China (CHN)", "14", "36"), ("Thailand", "13", "23"), ("Korea", "6", "23"),
    ("India", "1", "1,003"),
)  # fmt: skip


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM t", "SELECT 1; SELECT 2", "SELECT c1 FROM t -- all", "PRAGMA user_version", "",
        "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT 1 FROM x) SELECT * FROM x",
        "SELECT * FROM sqlite_master", "SELECT load_extension('x') FROM t", "SELECT randomblob(9) FROM t",
        "SELECT c1 FROM t WHERE c9 = 1", "SELECT zeroblob(100000000) FROM t", "SELECT c1 FROM t WHERE v2 > 900",
        "ATTACH 'x' AS y", "SELECT c1 FROM t /* x */", "EXPLAIN SELECT 1", "VALUES (1)",
        "SELECT " + "1+" * 2000 + "1",
        "SELECT printf('%99999999d', 1) FROM t", "UPDATE t SET c1 = ''", "SELECT writefile('x', 'y') FROM t",
        "SELECT readfile('/etc/hosts') FROM t", "INSERT INTO t SELECT * FROM t", "SELECT c1 INTO x FROM t",
    ],
)  # fmt: skip
def test_refused(sql: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        run(GAMES, sql)
    assert caught.value.code == "sql"
    assert caught.value.hint


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j, t k, t l, t m",
        "SELECT " + "replace(" * 40 + "c1" + ", 'a', 'aaaaaaaaaaaaaaaaaaaa')" * 40 + " FROM t",
    ],
)
def test_endless_work_ends(sql: str) -> None:
    started = time.process_time()
    with pytest.raises(InvalidInput):
        run(GAMES, sql)
    assert time.process_time() - started < 3


def test_too_many_results_are_refused() -> None:
    with pytest.raises(InvalidInput, match="too much"):
        run(made(("A",), *((str(n),) for n in range(201))), "SELECT c1 FROM t")


@pytest.mark.parametrize(
    ("sql", "values", "rows"),
    [
        ("SELECT c1 FROM t WHERE v2 > 10", ("China (CHN)", "Thailand"), (0, 1)),
        ("SELECT SUM(v3) FROM t WHERE v3 < 100", ("82",), (0, 1, 2)),
        ("SELECT COUNT(DISTINCT v3) FROM t WHERE v2 < 14", ("2",), (1, 2, 3)),
        ("SELECT DISTINCT c3 FROM t WHERE c3 = '23'", ("23",), (1, 2)),
        ("SELECT ABS((SELECT v2 FROM t WHERE c1 = 'korea') - (SELECT v2 FROM t WHERE v2 = 14))", ("8",), (2, 0)),
        ("SELECT c1 FROM t ORDER BY v3 DESC LIMIT 1", ("India",), (3,)),
        ("SELECT c1 FROM t WHERE v2 = (SELECT MIN(v2) FROM t)", ("India",), (3,)),
        ("SELECT c2, c3 FROM t WHERE row = 1", ("14", "36"), (0,)),
        ("SELECT c1 FROM t WHERE c1 <> 'from, (x' LIMIT 1", ("China (CHN)",), (0,)),
        ("SELECT c3 FROM t GROUP BY c3 ORDER BY COUNT(*) DESC LIMIT 1", ("23",), (1,)),
    ],
)  # fmt: skip
def test_values_with_the_rows_they_come_from(
    sql: str, values: tuple[str, ...], rows: tuple[int, ...]
) -> None:
    result = run(GAMES, sql)
    assert (result.values, result.rows) == (values, rows)


def test_arguments_reach_the_queries_inside() -> None:
    sql = "SELECT (SELECT v2 FROM t WHERE c1 = ?) - (SELECT v2 FROM t WHERE c1 = ?)"
    result = run(GAMES, sql, ("thailand", "korea"))
    assert (result.values, result.rows) == (("7",), (1, 2))


def test_cells_hold_whole_words() -> None:
    assert holds("vs. Penn State*", "penn state")
    assert not holds("Pennsylvania", "penn")
    assert not holds("14", "4")
    assert not holds(None, "x")
    assert not holds("x", "")
