"""Hits by a server's /rerank: question and texts out, a score for each in; retries by error class.

Cohere, Jina, vLLM, llama.cpp, Voyage and Lyceum itself take `documents`, TEI takes `texts`. Answers are a list of
scored indexes, bare or under `results` or `data`. The question and the passages leave this machine. It knows no
retriever and no index.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx

from lyceum.core.errors import ConfigError, LyceumError, ProviderError, Timeout
from lyceum.core.text import dense_text
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query
from lyceum.models.openai import LONGEST_WAIT, refusal

FIELDS = ("documents", "texts")
HINTS = {401: "Set LYCEUM_RERANK_KEY.", 404: "Check url and model."}


class RerankAPI:
    """`url` is the whole address, up to /rerank; `field` what the server calls the passages."""

    def __init__(
        self, url: str, model: str = "", key: str = "", field: str = "documents", timeout: float = 10.0,
        retries: int = 1,
    ) -> None:  # fmt: skip
        if field not in FIELDS or not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"No reranker can be asked at {url!r} with {field!r}.",
                hint="url is http(s)://…/rerank; field is documents, or texts for TEI.",
            )
        self.url, self.model, self.key, self.field = url, model, key, field
        self.timeout, self.retries = timeout, retries
        self._certificates: Any = None

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits by the server's scores; raises unless each got exactly one."""
        if not hits:
            return []
        body: dict[str, Any] = {"query": query.text, self.field: [dense_text(hit.chunk) for hit in hits]}
        body |= {"model": self.model} if self.model else {}
        body |= {"truncate": True} if self.field == "texts" else {}
        with span("models.rerank", model=self.model, hits=len(hits)):
            scores = read(await self._retried(body), len(hits))
        scored = [replace(hit, score=score) for hit, score in zip(hits, scores, strict=True)]
        return sorted(scored, key=lambda hit: -hit.score)

    async def _retried(self, body: dict[str, Any]) -> Any:
        for attempt in range(self.retries + 1):
            try:
                return await self._once(body)
            except LyceumError as problem:
                if not problem.retryable or attempt == self.retries:
                    raise
                wait = problem.wait or 0.25 * 2**attempt * (1 + random.random())
                await asyncio.sleep(min(wait, LONGEST_WAIT))

    async def _once(self, body: dict[str, Any]) -> Any:
        if self._certificates is None:  # read once: that takes longer than a connection
            self._certificates = await asyncio.to_thread(httpx.create_ssl_context)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            async with (
                asyncio.timeout(self.timeout),
                httpx.AsyncClient(verify=self._certificates, timeout=self.timeout) as client,
            ):
                response = await client.post(self.url, json=body, headers=headers)
        except (TimeoutError, httpx.TimeoutException) as problem:
            raise Timeout(
                f"{self.url} gave no answer in {self.timeout:g} s.",
                hint="Raise timeout, or rerank fewer hits.",
            ) from problem
        except httpx.HTTPError as problem:
            raise ProviderError(
                f"{self.url} cannot be reached: {type(problem).__name__}.", hint="Start the server, or correct url.",
                retryable=isinstance(problem, httpx.ConnectError),
            ) from problem  # fmt: skip
        if response.status_code != 200:
            raise refusal(response, HINTS)
        try:
            return response.json()
        except ValueError as problem:
            raise _junk(f"no JSON: {response.text[:80]!r}") from problem


def read(answer: Any, size: int) -> list[float]:
    """Return the score of each passage in the order in which they were sent; raises on anything else."""
    rows = answer.get("results", answer.get("data")) if isinstance(answer, dict) else answer
    scores: dict[int, float] = {}
    for row in rows if isinstance(rows, list) else ():
        told: dict[str, Any] = row if isinstance(row, dict) else {}
        index, score = told.get("index"), told.get("relevance_score", told.get("score"))
        if type(index) is not int or not 0 <= index < size or index in scores:
            raise _junk(f"the index {index!r} for {size} passages")
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise _junk(f"the score {score!r}")
        scores[index] = float(score)
    if len(scores) < size:
        raise _junk(f"{len(scores)} scores for {size} passages")
    return [scores[index] for index in range(size)]


def _junk(said: str) -> ProviderError:
    return ProviderError(f"The reranker's server sent {said}.", hint="Does url speak /rerank?", code="junk")
