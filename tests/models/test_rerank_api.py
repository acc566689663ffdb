"""Servers' /rerank in each shape: a stand-in on loopback that behaves well and badly, and Lyceum's own route."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lyceum import wire
from lyceum.app import settings
from lyceum.core.errors import ConfigError, LyceumError, ProviderError, RateLimited, Timeout
from lyceum.core.trace import tracing
from lyceum.core.types import Query, Span
from lyceum.models.rerank_api import RerankAPI
from lyceum.search.reranked import Reranked
from tests.app.served import served
from tests.search.hits_made import made, numbers
from tests.toys import ToyEncoder, run

HITS = made("valve", "pump")


class StandIn(ThreadingHTTPServer):
    """A stand-in for a reranker's server: it says what a test wrote down, and keeps what it heard."""

    daemon_threads = True

    def __init__(self, *replies: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = replies
        self.heard: list[tuple[str, dict[str, str], Any]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/rerank"


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path, dict(self.headers), body))
        reply = self.server.replies[min(len(self.server.heard), len(self.server.replies)) - 1]
        if reply == "silence":
            self.server.over.wait(5)
            return
        status, said = reply if isinstance(reply, tuple) else (200, reply)
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "0.01")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def standing(*replies: Any) -> Iterator[StandIn]:
    with StandIn(*replies) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


GOOD = {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]}


@pytest.mark.parametrize(
    ("field", "reply"),
    [
        ("documents", {"id": "x", **GOOD, "meta": {"api_version": {"version": "2"}}}),  # Cohere
        ("documents", {"model": "m", "usage": {"total_tokens": 9}, **GOOD}),  # Jina, vLLM, llama.cpp
        ("documents", {"object": "list", "data": GOOD["results"]}),  # Voyage
        ("texts", [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.2}]),  # TEI
        (
            "documents",
            {"results": [{"index": 0, "relevance_score": -8}, {"index": 1, "relevance_score": 3}]},
        ),  # logits
    ],
)
def test_every_shape(field: str, reply: Any) -> None:
    with standing(reply) as server:
        found = run(RerankAPI(server.url, "m", key="secret", field=field)(Query(text="pump?"), HITS))
    assert numbers(found) == [2, 1]
    assert found[0].score > found[1].score
    (path, headers, body), *more = server.heard
    assert (path, headers["Authorization"], more) == ("/v1/rerank", "Bearer secret", [])
    assert (body["query"], body[field], body["model"]) == ("pump?", ["valve", "pump"], "m")


def test_without_key_and_model_none_is_sent_and_no_hits_ask_nobody() -> None:
    with standing(GOOD) as server:
        run(RerankAPI(server.url)(Query(text="pump?"), HITS))
        assert run(RerankAPI(server.url)(Query(text="pump?"), [])) == []
    ((_, headers, body),) = server.heard
    assert "Authorization" not in headers
    assert set(body) == {"query", "documents"}


@pytest.mark.parametrize(
    ("replies", "calls"), [([(429, b""), (503, b"busy"), GOOD], 3), ([(500, b""), GOOD], 2)]
)
def test_what_may_pass_is_tried_again(replies: list[Any], calls: int) -> None:
    with standing(*replies) as server:
        assert numbers(run(RerankAPI(server.url, retries=2)(Query(text="pump?"), HITS))) == [2, 1]
    assert len(server.heard) == calls


def results(*rows: Any) -> dict[str, Any]:
    return {"results": list(rows)}


ONE, OTHER = {"index": 0, "relevance_score": 0.5}, {"index": 1, "relevance_score": 0.5}


@pytest.mark.parametrize(
    ("reply", "error", "code", "calls"),
    [
        ((429, b""), RateLimited, "rate_limited", 2),
        ((500, b"out of memory"), ProviderError, "provider", 2),
        ((401, b"no"), ProviderError, "provider", 1),
        ((422, b'{"error": "batch too large"}'), ProviderError, "provider", 1),
        (b"<html>", ProviderError, "junk", 1),
        ({"error": "x"}, ProviderError, "junk", 1),
        (results(ONE), ProviderError, "junk", 1),
        (results(ONE, ONE), ProviderError, "junk", 1),
        (results(ONE, {"index": 7, "relevance_score": 1}), ProviderError, "junk", 1),
        (results(ONE, {"index": True, "relevance_score": 1}), ProviderError, "junk", 1),
        (results(ONE, {"index": 1}), ProviderError, "junk", 1),
        (results(ONE, {"index": 1, "relevance_score": "high"}), ProviderError, "junk", 1),
        (b'[{"index": 0, "score": NaN}, {"index": 1, "score": 1}]', ProviderError, "junk", 1),
        (results(ONE, OTHER, None), ProviderError, "junk", 1),
    ],
)  # fmt: skip
def test_failures(reply: Any, error: type[LyceumError], code: str, calls: int) -> None:
    with standing(reply) as server, pytest.raises(error) as problem:
        run(RerankAPI(server.url, retries=1)(Query(text="pump?"), HITS))
    assert (problem.value.code, len(server.heard)) == (code, calls)
    assert problem.value.hint


def test_silence_and_absence_leave_the_retrievers_order() -> None:
    async def retriever(query: Query) -> Any:
        return list(HITS)

    with standing("silence") as server:
        with pytest.raises(Timeout):
            run(RerankAPI(server.url, timeout=0.1, retries=0)(Query(text="pump?"), HITS))
        for ranker, said in (
            (RerankAPI(server.url, timeout=0.1, retries=0), "timeout"),
            (RerankAPI("http://127.0.0.1:9/rerank", retries=0), "provider"),
        ):
            spans: list[Span] = []
            with tracing(spans.append):
                assert run(Reranked(retriever, ranker)(Query(text="pump?"))) == HITS
            assert spans[-1].facts["warning"] == f"not reranked: {said}"


@pytest.mark.parametrize(
    "wrong", [{"url": "localhost/rerank"}, {"url": "http://x/rerank", "field": "passages"}]
)
def test_a_wrong_configuration_stops_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="No reranker"):
        RerankAPI(**wrong)


def test_the_key_comes_from_the_environment(tmp_path: Path) -> None:
    inner = 'reranker = { kind = "search.mixed", reranker = { kind = "models.rerank_api", url = "http://x/rerank" } }'
    (tmp_path / "lyceum.toml").write_text(f'[retriever]\nkind = "search.reranked"\n{inner}\n')
    found = settings.load(str(tmp_path), {"LYCEUM_RERANK_KEY": "secret"})
    assert found.tables["retriever"]["reranker"]["reranker"]["key"] == "secret"
    assert "secret" not in str(settings.load(str(tmp_path), {}).tables)


def test_lyceums_own_route(tmp_path: Path) -> None:
    """A platform whose reranker is another Lyceum, by its words alone."""
    with served(tmp_path / "other", LYCEUM_MODELS=str(tmp_path / "none")) as server:
        url = f"{server.url}/v1/rerank"
        tables = {
            "retriever": {
                "kind": "search.reranked", "retriever": {"kind": "search.lexical"},
                "reranker": {"kind": "models.rerank_api", "url": url, "model": "lyceum-rerank"},
            }
        }  # fmt: skip
        platform = wire.build(tables, tmp_path, replace={"encoder": ToyEncoder(), "spans": None})
        hits = made("The valve is red.", "The pump needs 40 bar of pressure.", "水泵的压力")
        found = run(platform.retriever.reranker(Query(text="Which pressure does the pump need?"), hits))  # type: ignore[attr-defined]
        assert numbers(found)[0] == 2
        assert 1 >= found[0].score > found[1].score >= 0
        run(platform.close())
