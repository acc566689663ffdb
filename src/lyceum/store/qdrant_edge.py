"""Qdrant Edge as the dense view's database: Qdrant's engine inside the process, in a folder of the home.

One process at a time holds it, to read as well as to write. Its graph is built when nothing is left to follow.
Knows no document and no encoder.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lyceum.store.database import EMPTY, Floats, Must, Row, Scored, extra
from lyceum.store.qdrant import payload


class QdrantEdge:
    """One shard."""

    name = "qdrant_edge"
    failures = (Exception,)  # it raises nothing more exact

    def __init__(self, folder: Path, collection: str = "lyceum") -> None:
        with extra("qdrant-edge"):
            import qdrant_edge
        self.collection, self.width = collection, 0
        self._views = folder / "views"
        self._edge: Any = qdrant_edge
        self._opened: Any = None
        self._width = 0

    @property
    def folder(self) -> Path:
        """Where the shard is."""
        return self._views / f"edge-{self.collection}"

    def _shard(self) -> Any:
        if self._opened is None:
            self._opened = self._edge.EdgeShard.load(str(self.folder))
        return self._opened

    def mark(self) -> Mapping[str, Any]:
        if self._opened is None and not self.folder.is_dir():
            return EMPTY
        found = self._shard().retrieve([0], True, False)
        return found[0].payload["mark"] if found else EMPTY

    def clear(self) -> None:
        self.drop()
        self.folder.mkdir(parents=True)
        vectors = self._edge.EdgeVectorParams(size=self.width, distance=self._edge.Distance.Dot)
        self._opened = self._edge.EdgeShard.create(
            str(self.folder), self._edge.EdgeConfig(vectors=vectors, max_search_threads=1)
        )
        for field in ("readers", "facets", "language"):
            kind = self._edge.PayloadSchemaType.Keyword
            self._opened.update(self._edge.UpdateOperation.create_field_index(field, kind))

    def drop(self) -> None:
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, rows: Sequence[Row], gone: Sequence[int], mark: Mapping[str, Any]) -> None:
        operations, point = self._edge.UpdateOperation, self._edge.Point
        if rows:
            points = [point(one.number, one.vector.tolist(), payload(one)) for one in rows]
            self._shard().update(operations.upsert_points(points))
        if gone:
            self._shard().update(operations.delete_points(list(gone)))
        self._shard().update(operations.upsert_points([point(0, [0.0] * self.width, {"mark": dict(mark)})]))

    def settle(self) -> None:
        self._shard().optimize()

    def count(self) -> int:
        return int(self._shard().count(self._edge.CountRequest())) - 1

    def search(self, vector: Floats, k: int, must: Must) -> Scored:
        acorn = self._edge.AcornSearchParams(enable=True)
        params = self._edge.SearchParams(hnsw_ef=max(100, k), acorn=acorn)
        return self._query(vector, k, self._conditions(must), params)

    def score(self, vector: Floats, numbers: Sequence[int], must: Must) -> Scored:
        conditions = self._conditions(must)
        chosen = self._edge.HasIdCondition({int(number) for number in numbers})
        return self._query(vector, len(numbers), [*conditions, chosen], self._edge.SearchParams(exact=True))

    def _conditions(self, must: Must) -> list[Any]:
        edge = self._edge
        found = [
            edge.FieldCondition(field, match=edge.MatchAny(list(values))) for field, values in must.groups
        ]
        if must.unlike:
            found.append(edge.FieldCondition("language", match=edge.MatchExcept([must.unlike])))
        return found

    def _query(self, vector: Floats, k: int, conditions: list[Any], params: Any) -> Scored:
        nearest = self._edge.Query.Nearest(vector.tolist())
        asked = self._edge.QueryRequest(
            limit=k, query=nearest, filter=self._edge.Filter(must=conditions), params=params
        )
        return [(int(one.id), float(one.score)) for one in self._shard().query(asked)]

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
