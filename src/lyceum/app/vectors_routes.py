"""/v1/embeddings in OpenAI's shape and /v1/rerank in Jina's and Cohere's: the platform's own encoder and scoring.

No document of the library is read. A text over the encoder's 256 tokens is cut, and `truncated` says how many were.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from lyceum.answer.rerank import Rerank
from lyceum.app.openai_routes import ENCODER, Lenient, check_model
from lyceum.app.routes import Opened
from lyceum.core.errors import InvalidInput, NotFound
from lyceum.core.text import count_tokens
from lyceum.core.types import Chunk, Document, Hit, Query
from lyceum.models.minilm import TOKENS
from lyceum.wire import Platform

router = APIRouter(prefix="/v1")
RERANKER = "lyceum-rerank"
Text = Annotated[str, Field(min_length=1, max_length=200_000)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=2048)]


class Embedding(Lenient):
    """The request; token numbers instead of text are refused."""

    model: str
    input: Text | Texts
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class Passage(BaseModel):
    """A document to rank, as an object."""

    model_config = ConfigDict(extra="forbid")
    text: Text


class Ranking(Lenient):
    """The request of Jina's and Cohere's rerank."""

    model: str = RERANKER
    query: Annotated[str, Field(min_length=1, max_length=10_000)]
    documents: Annotated[list[Text | Passage], Field(min_length=1, max_length=1000)]
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False


@router.post("/embeddings")
async def embeddings(asked: Embedding, platform: Opened) -> dict[str, Any]:
    """Return one unit vector a text, in the order given."""
    embedder = platform.embedder
    if embedder is None:
        raise NotFound("No encoder is installed.", hint="Run: lyceum models add minilm", code="no_encoder")
    check_model(asked.model, ENCODER, embedder.name)
    if asked.dimensions not in (None, embedder.dimension):
        raise InvalidInput(
            f"Vectors have {embedder.dimension} dimensions and cannot be shortened.",
            hint="Leave out dimensions.", code="dimensions",
        )  # fmt: skip
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    vectors = np.asarray(await embedder(texts), "<f4")
    as_text = asked.encoding_format == "base64"
    used, cut = await asyncio.to_thread(_tokens, platform, texts)
    return {
        "object": "list", "model": ENCODER, "truncated": cut,
        "data": [
            {"object": "embedding", "index": index, "embedding": b64encode(row).decode() if as_text else row.tolist()}
            for index, row in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }  # fmt: skip


def _tokens(platform: Platform, texts: list[str]) -> tuple[int, int]:
    """Return the tokens that were read, and how many texts were cut."""
    counted = [getattr(platform.embedder, "count", count_tokens)(text) for text in texts]
    return sum(min(one, TOKENS) for one in counted), sum(one > TOKENS for one in counted)


@router.post("/rerank")
async def rerank(asked: Ranking, platform: Opened) -> dict[str, Any]:
    """Rank texts for a question: 0.4 x words covered + 0.6 x cosine, from 0 to 1; see answer/rerank.py."""
    check_model(asked.model, RERANKER)
    texts = [one if isinstance(one, str) else one.text for one in asked.documents]
    document = Document(id="", source="", version="")
    chunks = [Chunk(id=str(n), doc_id="", text=text, number=n) for n, text in enumerate(texts)]
    hits = [Hit(chunk=chunk, document=document, score=0.0) for chunk in chunks]
    ranked = await Rerank(platform.evidence)(Query(text=asked.query), hits)
    results = []
    for hit in ranked[: asked.top_n]:
        index = hit.chunk.number
        body = {"document": {"text": texts[index]}} if asked.return_documents else {}
        results.append({"index": index, "relevance_score": round(hit.score, 6), **body})
    used = count_tokens(asked.query) + sum(map(count_tokens, texts))
    return {"model": RERANKER, "results": results, "usage": {"total_tokens": used}}
