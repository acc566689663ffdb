"""Chroma as the dense view's database, a server or a folder: one collection, its mark in the collection's metadata.

Rows go in before the mark does, so a kill in between repeats a batch. Knows no document and no encoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from lyceum.store.database import EMPTY, Floats, Must, Row, Scored, dots, extra

AT_ONCE = 1_000
GRAPH = {"space": "ip", "ef_construction": 100, "ef_search": 100, "max_neighbors": 16}


class Chroma:
    """One collection at `dsn` (http://host:8000; `key` is its token), else in a folder of the home."""

    name = "chroma"

    def __init__(self, folder: Path, dsn: str = "", key: str = "", collection: str = "lyceum") -> None:
        with extra("chroma"):
            import chromadb
            from chromadb.errors import ChromaError, NotFoundError
            from httpx import HTTPError
        self.failures = (ChromaError, HTTPError, OSError, ValueError)
        self.address, self.key = dsn or str(folder / "views" / "chroma"), key
        self.collection, self.width = collection, 0
        self._absent = NotFoundError
        self._chroma: Any = chromadb
        self._opened: Any = None

    def _client(self) -> Any:
        if self._opened is None:
            settings = self._chroma.config.Settings(anonymized_telemetry=False)
            if "://" in self.address:
                at = urlsplit(self.address)
                headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
                self._opened = self._chroma.HttpClient(
                    at.hostname, at.port or 8000, ssl=at.scheme == "https", headers=headers, settings=settings
                )
            else:
                self._opened = self._chroma.PersistentClient(self.address, settings=settings)
        return self._opened

    def _rows(self) -> Any:
        return self._client().get_collection(self.collection, embedding_function=None)

    def mark(self) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = json.loads((self._rows().metadata or {}).get("mark", "{}"))
            return found
        except self._absent:
            return EMPTY

    def clear(self) -> None:
        self.drop()
        self._client().create_collection(
            self.collection, embedding_function=None, configuration={"hnsw": GRAPH}
        )

    def drop(self) -> None:
        try:
            self._client().delete_collection(self.collection)
        except self._absent:
            return

    def write(self, rows: Sequence[Row], gone: Sequence[int], mark: Mapping[str, Any]) -> None:
        held = self._rows()
        # A row that is put over another keeps those of its fields that are not named anew.
        stale = [str(one.number) for one in rows if not one.readers] + [str(number) for number in gone]
        if stale:
            held.delete(ids=stale)
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            held.upsert(
                ids=[str(one.number) for one in some], embeddings=[one.vector for one in some],
                metadatas=[_fields(one) for one in some],
            )  # fmt: skip
        held.modify(metadata={"mark": json.dumps(dict(mark))})

    def settle(self) -> None:
        """Chroma builds its graph while rows come in."""

    def count(self) -> int:
        return int(self._rows().count())

    def search(self, vector: Floats, k: int, must: Must) -> Scored:
        held = self._rows()
        found = held.query(
            query_embeddings=[vector], n_results=min(k, max(held.count(), 1)), where=_where(must),
            include=["distances"],
        )  # fmt: skip
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(int(name), 1.0 - float(distance)) for name, distance in pairs]

    def score(self, vector: Floats, numbers: Sequence[int], must: Must) -> Scored:
        names = [str(int(number)) for number in numbers]
        found = self._rows().get(ids=names, where=_where(must), include=["embeddings"])
        return dots(vector, [int(name) for name in found["ids"]], np.asarray(found["embeddings"]))

    def close(self) -> None:
        self._opened = None


def _fields(row: Row) -> dict[str, Any]:
    fields = {"readers": row.readers, "facets": row.facets, "language": row.language}
    return {name: value for name, value in fields.items() if value != []}  # an empty list is refused


def _where(must: Must) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = [{"language": {"$ne": must.unlike}}]
    for field, values in must.groups:
        any_of = [{field: {"$contains": value}} for value in values]
        conditions.append(any_of[0] if len(any_of) == 1 else {"$or": any_of})
    return {"$and": conditions}
