"""Calls and traces to a collector over OTLP/HTTP: Phoenix, Langfuse, LangSmith, Jaeger, any other.

What is sent is decided at the end of a call: errors, slow ones, those whose caller traces them, and a share of the
rest. Only for these are spans built, in a thread of its own. Attributes have the names of OpenTelemetry's GenAI
conventions and of OpenInference. The encoding is protobuf, which every receiver of OTLP/HTTP must read; JSON would be
simpler, but Phoenix refuses it.
"""

from __future__ import annotations

import gzip
import http.client
import logging
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

from lyceum.core.types import Span
from lyceum.observe.background import Background
from lyceum.observe.calls import Ended
from lyceum.observe.metrics import Metrics
from lyceum.observe.protobuf import SERVER, Exported, request

log = logging.getLogger(__name__)
OPERATIONS = {
    "/v1/chat/completions": ("chat", "LLM"),
    "/v1/completions": ("text_completion", "LLM"),
    "/v1/responses": ("chat", "LLM"),
    "/v1/embeddings": ("embeddings", "EMBEDDING"),
    "/v1/rerank": ("rerank", "RERANKER"),
}
# Spans of answers, by the beginning of their name.
KINDS = {
    "search.rerank": "RERANKER", "models.rerank": "RERANKER", "search": "RETRIEVER", "store.find": "RETRIEVER",
    "chat": "LLM",
}  # fmt: skip
AGAIN = frozenset({429, 502, 503, 504})
SAMPLED = tuple("13579bdf")  # the last digit of a `traceparent` that is recorded
_parent = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]([0-9a-f])")


class Otlp:
    """Sends to `url`; `headers` are "name=value,…"; `share` of what went well and took under `slow_seconds`.

    `contents` sends what was asked and answered too (of streams only what was asked).
    """

    def __init__(
        self,
        metrics: Metrics,
        url: str,
        headers: str = "",
        share: float = 0.05,
        slow_seconds: float = 10.0,
        contents: bool = False,
        service: str = "lyceum",
    ) -> None:
        assert urlsplit(url).scheme in ("http", "https"), url
        assert 0 <= share <= 1, share
        self.metrics, self.url, self.share, self.slow = metrics, url, share, slow_seconds
        self.contents, self.service = contents, service
        pairs = [one.partition("=") for one in headers.split(",") if "=" in one]
        self.headers = {name.strip(): unquote(value.strip()) for name, _, value in pairs}
        self._sending = Background[Ended | Sequence[Span]](self._send)

    def __call__(self, one: Ended) -> None:
        """Take a call that has ended, if it is to be sent."""
        wanted = one.outcome not in ("ok", "left") or one.parent[-1:] in SAMPLED
        if wanted or self._chosen(one.seconds):
            self._sending.put(one)

    def trace(self, spans: Sequence[Span]) -> None:
        """Take the spans of an answer, its root last, if it is to be sent."""
        if any(one.error for one in spans) or self._chosen(spans[-1].seconds):
            self._sending.put(spans)

    def _chosen(self, seconds: float) -> bool:
        return seconds >= self.slow or random.random() < self.share

    def _send(self, some: list[Ended | Sequence[Span]]) -> None:
        made = [
            one for each in some for one in (_calls(each, self) if isinstance(each, Ended) else _steps(each))
        ]
        body = gzip.compress(request(made, self.service), 1)
        self.metrics.add("lyceum_spans_total", len(made), result="sent" if self._posted(body) else "failed")
        if self._sending.dropped:
            self.metrics.add("lyceum_spans_total", self._sending.dropped, result="dropped")
            self._sending.dropped = 0

    def _posted(self, body: bytes) -> bool:
        headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip", **self.headers}
        said = ""
        for wait in (0.0, 1.0):
            time.sleep(wait)
            try:
                urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=10).close()
                return True
            except urllib.error.HTTPError as problem:
                problem.close()
                said = f"it answered {problem.code}"
                if problem.code not in AGAIN:
                    break
            except (OSError, http.client.HTTPException) as problem:
                said = str(problem)
        log.warning("spans were not sent to %s: %s", self.url, said)
        return False

    def close(self) -> None:
        """Send what is left."""
        self._sending.close()


def _calls(one: Ended, otlp: Otlp) -> Iterable[Exported]:
    """Return the span of a call, with both sets of names."""
    operation, kind = OPERATIONS.get(one.path, ("chat", "LLM"))
    facts, found = one.facts, _parent.fullmatch(one.parent)
    place = urlsplit(str(facts.get("target", "")))
    told: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": one.model,
        "gen_ai.response.model": facts.get("model", one.model),
        "gen_ai.usage.input_tokens": one.input,
        "gen_ai.usage.output_tokens": one.output,
        "gen_ai.usage.cache_read.input_tokens": one.cached,
        "server.address": place.hostname,
        "server.port": place.port,
        "http.response.status_code": one.status,
        "error.type": one.error or (str(one.status) if one.status >= 400 else None),
        "openinference.span.kind": kind,
        ("embedding.model_name" if kind == "EMBEDDING" else "llm.model_name"): one.model,
        "llm.token_count.prompt": one.input,
        "llm.token_count.completion": one.output,
        "llm.token_count.total": one.input + one.output,
        "user.id": one.tenant,
        "lyceum.key": one.key,
        "lyceum.stream": one.stream,
        "lyceum.first_token_seconds": one.first or None,
        **{
            f"lyceum.{name}": facts[name] for name in ("attempts", "cache", "cost", "queued") if name in facts
        },
    }
    if otlp.contents:
        told |= {"input.value": one.asked.decode("utf-8", "replace"), "input.mime_type": "application/json"}
        told |= {"output.value": one.said.decode("utf-8", "replace"), "output.mime_type": "application/json"}
    new = random.randbytes(24)
    yield Exported(
        name=f"{operation} {one.model}", trace=bytes.fromhex(found[1]) if found else new[:16], id=new[16:],
        parent=bytes.fromhex(found[2]) if found else b"", kind=SERVER, start=one.start, seconds=one.seconds,
        error=one.error or (str(one.status) if one.status >= 400 else ""), attributes=told,
    )  # fmt: skip


def _steps(spans: Sequence[Span]) -> Iterable[Exported]:
    """Return the spans of an answer; their ids are made of ours."""
    for one in spans:
        kind = next((kind for name, kind in KINDS.items() if one.name.startswith(name)), "CHAIN")
        yield Exported(
            name=one.name, trace=sha256(one.trace_id.encode()).digest()[:16], id=_id(one.id),
            parent=_id(one.parent) if one.parent else b"", start=one.start, seconds=one.seconds, error=one.error,
            attributes={"openinference.span.kind": kind, **{f"lyceum.{key}": v for key, v in one.facts.items()}},
        )  # fmt: skip


def _id(name: str) -> bytes:
    return sha256(name.encode()).digest()[:8]
