"""Small honest stand-ins for the Protocols, and helpers that several tests share."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from lyceum.core import ids
from lyceum.core.types import Chunk, Document, Element, Query
from lyceum.search.analyzer import Standard
from lyceum.search.hybrid import Hybrid
from lyceum.store.ledger import Ledger
from lyceum.store.links import Links
from lyceum.store.postings import Postings
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors

T = TypeVar("T")
ALL = frozenset({"*"})


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run async code in a plain test."""
    return asyncio.run(work)


class ToyEncoder:
    """A stand-in encoder: each word adds one dimension chosen by its hash; it counts its calls' texts."""

    name = "toy-1"
    dimension = 64
    languages: ClassVar[dict[str, float]] = {"en": 1.0}

    def __init__(self) -> None:
        self.encoded = 0

    async def __call__(self, texts: Sequence[str]) -> Any:
        self.encoded += len(texts)
        made = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                made[row, hashlib.sha256(word.encode()).digest()[0] % self.dimension] += 1
        return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9)


Staged = tuple[Document, list[Element], list[Chunk]]


def document(source: str, *texts: str, readers: frozenset[str] = ALL, version: str = "1") -> Staged:
    """Return a document with one chunk a text."""
    made = Document(
        id=ids.document_id(source), source=source, version=version, title=source.split(".")[0],
        media=source.rsplit(".", 1)[-1], readers=readers, language="en",
    )  # fmt: skip
    chunks = [
        Chunk(id=ids.digest(made.id, version, str(n)), doc_id=made.id, text=text, title=made.title)
        for n, text in enumerate(texts)
    ]
    return made, [], chunks


class Home:
    """A ledger with its views in a folder."""

    def __init__(self, folder: Path, encoder: ToyEncoder | None = None) -> None:
        self.folder = folder
        self.encoder = encoder or ToyEncoder()
        self.ledger = Ledger(folder)
        self.store = Store(folder, self.ledger)
        self.lexical = Postings(folder, Standard())
        self.dense = Vectors(folder, self.encoder, self.ledger, self.store.keep_vectors)
        self.links = Links(folder)
        self.store.views += [self.lexical, self.dense, self.links]
        self.hybrid = Hybrid(self.ledger, self.lexical, self.dense)

    async def texts(self, text: str, **more: Any) -> list[str]:
        """Return the texts that the hybrid finds."""
        return [hit.chunk.text for hit in await self.hybrid(Query(text=text, **more))]
