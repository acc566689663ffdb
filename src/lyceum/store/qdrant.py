"""Qdrant as the dense view's database, by its REST interface: one collection, its mark in point 0.

Filtered searches use ACORN (Qdrant 1.16): without it the graph loses half of what a reader may see. Rows go in
before the mark does, so a kill in between repeats a batch. Knows no document and no encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from lyceum.store.database import EMPTY, Floats, Must, Row, Scored

AT_ONCE = 500
GRAPH = {"m": 16, "ef_construct": 100}


class Qdrant:
    """One collection of the server at `dsn`; `key` is its API key."""

    name = "qdrant"
    failures = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError)

    def __init__(self, dsn: str = "http://127.0.0.1:6333", key: str = "", collection: str = "lyceum") -> None:
        self.collection, self.width = collection, 0
        headers = {"api-key": key} if key else {}
        self._client = httpx.Client(base_url=dsn, headers=headers, timeout=60)

    def _call(self, method: str, path: str = "", body: Any = None, absent: Any = None) -> Any:
        reply = self._client.request(method, f"/collections/{self.collection}{path}", json=body)
        if reply.status_code == httpx.codes.NOT_FOUND and absent is not None:
            return absent
        if reply.is_error:
            raise httpx.HTTPError(f"{reply.status_code} {reply.text[:200]}")
        return reply.json()["result"]

    def mark(self) -> Mapping[str, Any]:
        found = self._call("POST", "/points", {"ids": [0], "with_payload": True}, absent=[])
        return found[0]["payload"]["mark"] if found else EMPTY

    def clear(self) -> None:
        self.drop()
        self._call("PUT", "", {"vectors": {"size": self.width, "distance": "Dot"}, "hnsw_config": GRAPH})
        for field in ("readers", "facets", "language"):
            self._call("PUT", "/index?wait=true", {"field_name": field, "field_schema": "keyword"})

    def drop(self) -> None:
        self._call("DELETE", absent=True)

    def write(self, rows: Sequence[Row], gone: Sequence[int], mark: Mapping[str, Any]) -> None:
        points = [{"id": one.number, "vector": one.vector.tolist(), "payload": payload(one)} for one in rows]
        for start in range(0, len(points), AT_ONCE):
            self._call("PUT", "/points?wait=true", {"points": points[start : start + AT_ONCE]})
        if gone:
            self._call("POST", "/points/delete?wait=true", {"points": list(gone)})
        marked = {"id": 0, "vector": [0.0] * self.width, "payload": {"mark": dict(mark)}}
        self._call("PUT", "/points?wait=true", {"points": [marked]})

    def settle(self) -> None:
        """The server builds its graph by itself, beside the searches."""

    def count(self) -> int:
        mine = {"must_not": [{"has_id": [0]}]}
        return int(self._call("POST", "/points/count", {"exact": True, "filter": mine})["count"])

    def search(self, vector: Floats, k: int, must: Must) -> Scored:
        params = {"hnsw_ef": max(100, k), "acorn": {"enable": True}}
        return self._query(vector, k, _filter(must), params)

    def score(self, vector: Floats, numbers: Sequence[int], must: Must) -> Scored:
        conditions = _filter(must)
        conditions["must"].append({"has_id": [int(number) for number in numbers]})
        return self._query(vector, len(numbers), conditions, {"exact": True})

    def _query(self, vector: Floats, k: int, conditions: Any, params: Any) -> Scored:
        body = {"query": vector.tolist(), "limit": k, "filter": conditions, "params": params}
        found = self._call("POST", "/points/query", body)["points"]
        return [(int(one["id"]), float(one["score"])) for one in found]

    def close(self) -> None:
        self._client.close()


def payload(row: Row) -> dict[str, Any]:
    """Return what a point is filtered by."""
    return {"readers": row.readers, "facets": row.facets, "language": row.language}


def _filter(must: Must) -> dict[str, list[Any]]:
    """Return the condition in Qdrant's words; the mark's point has no readers, so that none finds it."""
    groups = [{"key": field, "match": {"any": list(values)}} for field, values in must.groups]
    unlike = [{"key": "language", "match": {"value": must.unlike}}] if must.unlike else []
    return {"must": groups, "must_not": unlike}
