"""Hits made by hand for tests of rerankers."""

from __future__ import annotations

from collections.abc import Sequence

from lyceum.core.types import Chunk, Document, Found, Hit


def hit(number: int, text: str, score: float, by: Sequence[Found] = (), **meta: object) -> Hit:
    document = Document(id=f"d{number}", source=f"{number}.md", version="1", meta=meta)
    chunk = Chunk(id=f"c{number}", doc_id=document.id, text=text, number=number)
    return Hit(chunk=chunk, document=document, score=score, by=tuple(by))


def made(*texts: str) -> list[Hit]:
    """Return a hit for each text, numbered from one, each one point below the one before."""
    return [hit(n, text, float(len(texts) - n)) for n, text in enumerate(texts, 1)]


def numbers(hits: Sequence[Hit]) -> list[int]:
    return [one.chunk.number for one in hits]
