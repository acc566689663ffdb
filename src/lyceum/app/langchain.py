"""Lyceum as a retriever of LangChain: hits of a home as Documents; everything LangChain builds on one works."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lyceum.app.library import Home, told
from lyceum.core.errors import ConfigError
from lyceum.core.types import Hit

try:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as problem:
    raise ConfigError("LangChain is not installed.", hint="Run: pip install 'lyceum[langchain]'") from problem


class LyceumRetriever(BaseRetriever):
    """`home` is an open Home; `top_k` and `filters` are those of every question."""

    home: Home
    top_k: int = 10
    filters: Mapping[str, str] = {}

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return list(map(_document, self.home.search(query, self.top_k, self.filters)))

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        hits = await asyncio.wrap_future(self.home.searching(query, self.top_k, self.filters))
        return list(map(_document, hits))


def _document(hit: Hit) -> Document:
    return Document(id=hit.chunk.id, page_content=hit.chunk.text, metadata=told(hit))
