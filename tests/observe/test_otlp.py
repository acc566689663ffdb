"""Spans over OTLP/HTTP to a receiver that reads the bytes by protobuf's rules, not by our code."""

from __future__ import annotations

import gzip
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lyceum.core.types import Span
from lyceum.observe.calls import Ended
from lyceum.observe.metrics import Metrics
from lyceum.observe.otlp import Otlp

Fields = dict[int, list[Any]]


def fields(data: bytes) -> Fields:
    """Return the fields of a protobuf message by number: numbers, or bytes."""
    found: Fields = {}

    def varint() -> int:
        nonlocal data
        value = shift = 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while data:
        tag = varint()
        if tag & 7 == 0:
            value: Any = varint()
        elif tag & 7 == 1:
            value, data = data[:8], data[8:]
        else:
            assert tag & 7 == 2
            size = varint()
            value, data = data[:size], data[size:]
        found.setdefault(tag >> 3, []).append(value)
    return found


def value(data: bytes) -> Any:
    (kind, (said,)), *_ = fields(data).items()
    if kind == 1:
        return said.decode()
    if kind == 4:
        return struct.unpack("<d", said)[0]
    if kind == 5:
        return [value(one) for one in fields(said).get(1, [])]
    return bool(said) if kind == 2 else said - (1 << 64) * (said >> 63)


class Received:
    """What a receiver was sent; it answers with `statuses` in turn, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.headers, self.spans = (
            list(statuses),
            list[dict[str, str]](),
            list[dict[str, Any]](),
        )
        self.url = ""

    def take(self, body: bytes) -> None:
        (group,) = fields(body)[1]
        (scope,) = fields(group)[2]
        for one in map(fields, fields(scope)[2]):
            pairs = [fields(pair) for pair in one.get(9, [])]
            start, end = (struct.unpack("<Q", one[number][0])[0] for number in (7, 8))
            self.spans.append(
                {
                    "trace": one[1][0].hex(), "id": one[2][0].hex(), "parent": one.get(4, [b""])[0].hex(),
                    "name": one[5][0].decode(), "kind": one[6][0], "seconds": (end - start) / 1e9,
                    "failed": fields(one[15][0])[3] == [2],
                    "attributes": {pair[1][0].decode(): value(pair[2][0]) for pair in pairs},
                }
            )  # fmt: skip


@contextmanager
def receiver(*statuses: int) -> Iterator[Received]:
    received = Received(*statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
            status = received.statuses.pop(0) if received.statuses else 200
            received.headers.append({name.lower(): said for name, said in self.headers.items()})
            if status == 200:
                received.take(body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


CALL: dict[str, Any] = {
    "path": "/v1/chat/completions", "model": "chat", "tenant": "acme", "start": 1e9, "seconds": 1.5, "input": 24,
    "output": 50, "facts": {"target": "http://127.0.0.1:9/v1", "model": "spare", "cache": "miss"}, "asked": b"secret",
}  # fmt: skip


def test_a_call_has_both_sets_of_names_and_no_content() -> None:
    with receiver() as received:
        sent = Otlp(Metrics(), received.url, headers="x-api-key=a%20b, x=y", share=1)
        sent(Ended(**CALL))
        sent.close()
    (span,) = received.spans
    assert (span["name"], span["kind"], span["seconds"], span["failed"]) == ("chat chat", 2, 1.5, False)
    wanted = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "chat", "gen_ai.response.model": "spare",
        "gen_ai.usage.input_tokens": 24, "gen_ai.usage.output_tokens": 50, "server.address": "127.0.0.1",
        "server.port": 9, "openinference.span.kind": "LLM", "llm.model_name": "chat", "llm.token_count.total": 74,
        "lyceum.cache": "miss", "lyceum.stream": False,
    }  # fmt: skip
    assert {name: span["attributes"].get(name) for name in wanted} == wanted
    assert "secret" not in str(span)
    (headers,) = received.headers
    assert (headers["content-type"], headers["x-api-key"], headers["x"]) == (
        "application/x-protobuf",
        "a b",
        "y",
    )


def test_content_where_it_is_wanted() -> None:
    with receiver() as received:
        sent = Otlp(Metrics(), received.url, share=1, contents=True)
        sent(Ended(**CALL))
        sent.close()
    assert received.spans[0]["attributes"]["input.value"] == "secret"


def test_what_is_sent_is_decided_at_the_end() -> None:
    parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-0"
    with receiver() as received:
        sent = Otlp(Metrics(), received.url, share=0, slow_seconds=2.0)
        for more in (
            {}, {"status": 502, "error": "provider"}, {"seconds": 3.0}, {"error": "cut"}, {"parent": parent + "0"},
            {"parent": parent + "1"},
        ):  # fmt: skip
            sent(Ended(**{**CALL, **more}))
        sent.close()
    assert [(one["failed"], one["seconds"], one["parent"]) for one in received.spans] == [
        (True, 1.5, ""), (False, 3.0, ""), (True, 1.5, ""), (False, 1.5, "cd" * 8),
    ]  # fmt: skip
    assert received.spans[3]["trace"] == "ab" * 16


def test_a_share_is_a_share() -> None:
    with receiver() as received:
        sent = Otlp(Metrics(), received.url, share=0.5)
        for _ in range(1000):
            sent(Ended(**CALL))
        sent.close()
    assert 400 < len(received.spans) < 600


def test_an_answer_with_its_steps() -> None:
    facts = {"top_k": -10, "share": 0.5, "readers": ["a", "b"]}
    root = Span(name="ask", id="a", trace_id="a", parent="", start=1e9, seconds=2.0, facts=facts)
    step = Span(name="search.fuse", id="b", trace_id="a", parent="a", start=1e9, seconds=1.0, error="Timeout")
    with receiver() as received:
        sent = Otlp(Metrics(), received.url, share=0)
        sent.trace([step, root])
        sent.trace([root])
        sent.close()
    first, second = received.spans
    assert first["parent"] == second["id"]
    assert first["trace"] == second["trace"]
    assert (first["failed"], second["failed"]) == (True, False)
    assert second["attributes"] == {"openinference.span.kind": "CHAIN"} | {
        f"lyceum.{name}": said for name, said in facts.items()
    }


@pytest.mark.parametrize(
    ("statuses", "result"), [((503,), "sent"), ((503, 503), "failed"), ((400,), "failed")]
)
def test_a_receiver_that_fails_is_asked_once_more(statuses: tuple[int, ...], result: str) -> None:
    metrics = Metrics()
    with receiver(*statuses) as received:
        sent = Otlp(metrics, received.url, share=1)
        sent(Ended(**CALL))
        sent.close()
    assert f'lyceum_spans_total{{result="{result}"}} 1' in metrics.render({}).splitlines()
    assert len(received.spans) == (result == "sent")


def test_nobody_receives_and_too_many_wait() -> None:
    metrics = Metrics()
    sent = Otlp(metrics, "http://127.0.0.1:9/v1/traces", share=1)
    for _ in range(5000):
        sent(Ended(**CALL))
    assert sent._sending.dropped == 5000 - 4096
    sent._sending._items.clear()
    sent(Ended(**CALL))
    sent.close()
    lines = metrics.render({}).splitlines()
    assert 'lyceum_spans_total{result="failed"} 1' in lines
    assert 'lyceum_spans_total{result="dropped"} 904' in lines
