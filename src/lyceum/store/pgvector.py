"""PostgreSQL with pgvector as the dense view's database: one table of half-precision vectors, and one of marks.

Rows and mark change in one transaction. An HNSW index is built once nothing is left to follow; searches through
it go on until k rows pass the filter (iterative scans, pgvector 0.8), where few rows pass PostgreSQL prefers the
index of readers. Knows no document and no encoder.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lyceum.core.errors import ConfigError
from lyceum.store.database import EMPTY, Floats, Must, Row, Scored, extra

INDEXED = 10_000  # rows below which a scan is as quick as an index
SETTINGS = {
    "hnsw.iterative_scan": "strict_order", "hnsw.ef_search": "200", "hnsw.max_scan_tuples": "100000",
    "maintenance_work_mem": "512MB", "jit": "off",
    "plan_cache_mode": "force_custom_plan",  # how many rows pass depends on who asks
}  # fmt: skip


class Pgvector:
    """One table in the database `dsn`, best given as LYCEUM_DENSE_DSN; `collection` begins its name."""

    name = "pgvector"

    def __init__(self, dsn: str = "", collection: str = "lyceum") -> None:
        with extra("pgvector"):
            import asyncpg
        if not dsn:
            said = "[dense] kind = 'store.pgvector' has no address."
            raise ConfigError(said, hint="Set LYCEUM_DENSE_DSN=postgresql://user:password@host/database")
        assert collection.isidentifier(), collection
        self.collection, self.width = collection, 0
        self.failures = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
        self._dsn, self._asyncpg = dsn, asyncpg
        self._opened: Any = None
        self._opening = asyncio.Lock()

    async def _pool(self) -> Any:
        async with self._opening:
            if self._opened is None:
                options = {"min_size": 0, "max_size": 8, "timeout": 10, "server_settings": SETTINGS}
                self._opened = await self._asyncpg.create_pool(self._dsn, **options)
            return self._opened

    async def mark(self) -> Mapping[str, Any]:
        try:
            sql = "SELECT mark FROM lyceum_marks WHERE collection = $1"
            found = await (await self._pool()).fetchval(sql, self.collection)
        except self._asyncpg.UndefinedTableError:
            return EMPTY
        return json.loads(found) if found else EMPTY

    async def clear(self) -> None:
        await self._run(
            "CREATE EXTENSION IF NOT EXISTS vector",
            *self._dropping(),
            f"CREATE TABLE {self.collection} (number bigint PRIMARY KEY, vector halfvec({self.width}) NOT NULL,"
            " readers text[] NOT NULL, facets text[] NOT NULL, language text NOT NULL)",
            f"CREATE INDEX ON {self.collection} USING gin (readers)",
            f"CREATE INDEX ON {self.collection} USING gin (facets)",
        )

    async def drop(self) -> None:
        await self._run(*self._dropping())

    def _dropping(self) -> list[str]:
        gone = f"DELETE FROM lyceum_marks WHERE collection = '{self.collection}'"
        made = "CREATE TABLE IF NOT EXISTS lyceum_marks (collection text PRIMARY KEY, mark text NOT NULL)"
        return [made, gone, f"DROP TABLE IF EXISTS {self.collection}"]

    async def _run(self, *statements: str) -> None:
        async with (await self._pool()).acquire() as connection, connection.transaction():
            for statement in statements:
                await connection.execute(statement)

    async def write(self, rows: Sequence[Row], gone: Sequence[int], mark: Mapping[str, Any]) -> None:
        put = (
            f"INSERT INTO {self.collection} VALUES ($1, $2::real[]::halfvec, $3, $4, $5) ON CONFLICT (number)"
            " DO UPDATE SET vector = excluded.vector, readers = excluded.readers, facets = excluded.facets,"
            " language = excluded.language"
        )
        marked = (
            "INSERT INTO lyceum_marks VALUES ($1, $2)"
            " ON CONFLICT (collection) DO UPDATE SET mark = excluded.mark"
        )
        values = [(one.number, one.vector.tolist(), one.readers, one.facets, one.language) for one in rows]
        async with (await self._pool()).acquire() as connection, connection.transaction():
            await connection.executemany(put, values)
            await connection.execute(f"DELETE FROM {self.collection} WHERE number = ANY($1)", list(gone))
            await connection.execute(marked, self.collection, json.dumps(dict(mark)))

    async def settle(self) -> None:
        if await self.count() < INDEXED:
            return
        there = "SELECT 1 FROM pg_indexes WHERE indexname = $1"
        name = f"{self.collection}_hnsw"
        if await (await self._pool()).fetchval(there, name):
            return
        await self._run(
            f'CREATE INDEX "{name}" ON {self.collection} USING hnsw (vector halfvec_ip_ops)'
            " WITH (m = 16, ef_construction = 100)",
            f"ANALYZE {self.collection}",
        )

    async def count(self) -> int:
        return int(await (await self._pool()).fetchval(f"SELECT count(*) FROM {self.collection}"))

    async def search(self, vector: Floats, k: int, must: Must) -> Scored:
        return await self._select(vector, must, f"ORDER BY vector <#> $1::real[]::halfvec LIMIT {int(k)}")

    async def score(self, vector: Floats, numbers: Sequence[int], must: Must) -> Scored:
        return await self._select(vector, must, "", list(numbers))

    async def _select(self, vector: Floats, must: Must, end: str, *numbers: list[int]) -> Scored:
        arguments: list[Any] = [vector.tolist(), must.unlike]
        where = ["language <> $2"]
        for field, values in must.groups:
            arguments.append(list(values))
            where.append(f"{field} && ${len(arguments)}::text[]")
        for some in numbers:
            arguments.append(some)
            where.append(f"number = ANY(${len(arguments)}::bigint[])")
        what = f"SELECT number, -(vector <#> $1::real[]::halfvec) FROM {self.collection}"
        sql = f"{what} WHERE {' AND '.join(where)} {end}"
        return [(number, score) for number, score in await (await self._pool()).fetch(sql, *arguments)]

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None
