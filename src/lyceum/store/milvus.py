"""Milvus as the dense view's database, a server or the file of Milvus Lite: one collection, its mark in row 0.

Rows go in before the mark does, so a kill in between repeats a batch. Knows no document and no encoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lyceum.store.database import EMPTY, Floats, Must, Row, Scored, dots, extra

MOST = 16_000  # results that Milvus gives at a time
LISTS = {"readers": 1024, "facets": 256}  # values that a row may have


class Milvus:
    """One collection at `dsn` (http://host:19530; `key` is its token), else in a file of Milvus Lite in the home."""

    name = "milvus"

    def __init__(self, folder: Path, dsn: str = "", key: str = "", collection: str = "lyceum") -> None:
        with extra("milvus"):
            import pymilvus
            from grpc import RpcError
        self.failures = (pymilvus.MilvusException, RpcError, OSError, ValueError)
        self.uri, self.key = dsn or str(folder / "views" / "milvus.db"), key
        self.collection, self.width = collection, 0
        self._milvus: Any = pymilvus
        self._opened: Any = None

    def _client(self) -> Any:
        if self._opened is None:
            if "://" not in self.uri:
                Path(self.uri).parent.mkdir(parents=True, exist_ok=True)
            self._opened = self._milvus.MilvusClient(self.uri, token=self.key)
        return self._opened

    def mark(self) -> Mapping[str, Any]:
        if not self._client().has_collection(self.collection):
            return EMPTY
        found = self._client().query(self.collection, filter="number == 0", output_fields=["language"])
        return json.loads(found[0]["language"]) if found else EMPTY

    def clear(self) -> None:
        self.drop()
        client, kinds = self._client(), self._milvus.DataType
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("number", kinds.INT64, is_primary=True)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=self.width)
        schema.add_field("language", kinds.VARCHAR, max_length=1000)
        for field, most in LISTS.items():
            values = {"element_type": kinds.VARCHAR, "max_length": 4096, "max_capacity": most}
            schema.add_field(field, kinds.ARRAY, **values)
        index = client.prepare_index_params()
        graph = {"M": 16, "efConstruction": 100}
        index.add_index("vector", index_type="HNSW", metric_type="IP", params=graph)
        client.create_collection(
            self.collection, schema=schema, index_params=index, consistency_level="Strong"
        )

    def drop(self) -> None:
        if self._client().has_collection(self.collection):
            self._client().drop_collection(self.collection)

    def write(self, rows: Sequence[Row], gone: Sequence[int], mark: Mapping[str, Any]) -> None:
        client = self._client()
        values = [
            {"number": r.number, "vector": r.vector, "readers": r.readers, "facets": r.facets, "language": r.language}
            for r in rows
        ]  # fmt: skip
        if values:
            client.upsert(self.collection, values)
        if gone:
            client.delete(self.collection, ids=list(gone))
        nobody = {"number": 0, "vector": np.zeros(self.width, np.float32), "readers": [], "facets": []}
        client.upsert(self.collection, [{**nobody, "language": json.dumps(dict(mark))}])

    def settle(self) -> None:
        self._client().flush(self.collection)

    def count(self) -> int:
        found = self._client().query(self.collection, filter="number > 0", output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def search(self, vector: Floats, k: int, must: Must) -> Scored:
        found = self._client().search(
            self.collection, data=[vector.tolist()], limit=min(k, MOST), filter=_filter(must),
            output_fields=["number"], search_params={"params": {"ef": max(100, k)}},
        )[0]  # fmt: skip
        return [(int(hit["number"]), float(hit["distance"])) for hit in found]

    def score(self, vector: Floats, numbers: Sequence[int], must: Must) -> Scored:
        chosen = f"number in [{', '.join(map(str, map(int, numbers)))}] and {_filter(must)}"
        found = self._client().query(self.collection, filter=chosen, output_fields=["number", "vector"])
        return dots(vector, [one["number"] for one in found], [one["vector"] for one in found])

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _filter(must: Must) -> str:
    """Return the condition as an expression; a string of JSON is one of Milvus, with every quote escaped."""
    groups = [
        f"array_contains_any({field}, {json.dumps(list(values), ensure_ascii=False)})"
        for field, values in must.groups
    ]
    return " and ".join(["number > 0", f"language != {json.dumps(must.unlike)}", *groups])
