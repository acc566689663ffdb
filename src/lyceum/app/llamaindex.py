"""Lyceum as a retriever of LlamaIndex: hits of a home as nodes with scores; its query engines and agents take it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from lyceum.app.library import Home, told
from lyceum.core.errors import ConfigError
from lyceum.core.types import Hit

try:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as problem:
    raise ConfigError(
        "LlamaIndex is not installed.", hint="Run: pip install 'lyceum[llamaindex]'"
    ) from problem


class LyceumRetriever(BaseRetriever):
    """`home` is an open Home; `top_k` and `filters` are those of every question."""

    def __init__(self, home: Home, top_k: int = 10, filters: Mapping[str, str] | None = None) -> None:
        self.home, self.top_k, self.filters = home, top_k, filters
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return list(map(_node, self.home.search(query_bundle.query_str, self.top_k, self.filters)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        asked = self.home.searching(query_bundle.query_str, self.top_k, self.filters)
        hits = await asyncio.wrap_future(asked)
        return list(map(_node, hits))


def _node(hit: Hit) -> NodeWithScore:
    facts = told(hit)
    node = TextNode(id_=hit.chunk.id, text=hit.chunk.text, metadata=facts)
    node.excluded_embed_metadata_keys = node.excluded_llm_metadata_keys = sorted(
        set(facts) - {"title", "source"}
    )
    return NodeWithScore(node=node, score=hit.score)
