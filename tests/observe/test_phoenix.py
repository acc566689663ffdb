"""Spans in a real Arize Phoenix: received, stored, and read back with the names that it knows.

Phoenix (Elastic License 2.0) is a peer to test with and no dependency: `make test-phoenix` puts it into an
environment of its own (0.9 GB).
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lyceum.core.types import Span
from lyceum.observe.calls import Ended
from lyceum.observe.metrics import Metrics
from lyceum.observe.otlp import Otlp
from tests.app.served import free_port

PROGRAM = Path(__file__).parents[2] / ".venv-phoenix" / "bin" / "phoenix"
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="no Phoenix: make test-phoenix")


@contextmanager
def phoenix(folder: Path) -> Iterator[str]:
    """Run a Phoenix that keeps everything in a folder; give its address."""
    port, other = str(free_port()), str(free_port())
    environment = {
        **os.environ, "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": port, "PHOENIX_GRPC_PORT": other,
        "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_TELEMETRY_ENABLED": "false",
    }  # fmt: skip
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([str(PROGRAM), "serve"], env=environment, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 180
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            try:
                httpx.get(f"{url}/healthz", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def stored(url: str, number: int) -> list[dict[str, Any]]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = httpx.get(f"{url}/v1/projects/default/spans", params={"limit": 100}, trust_env=False)
        spans: list[dict[str, Any]] = found.json()["data"] if found.status_code == 200 else []
        if len(spans) >= number:
            return spans
        time.sleep(0.2)
    raise AssertionError(f"{number} spans were not stored")


def test_phoenix_knows_what_was_sent(tmp_path: Path) -> None:
    now = time.time()
    with phoenix(tmp_path) as url:
        sent = Otlp(Metrics(), f"{url}/v1/traces", share=1, contents=True)
        sent(
            Ended(
                path="/v1/chat/completions", model="chat", tenant="acme", start=now, seconds=1.5, input=24, output=50,
                asked=b'{"messages": []}', said=b'{"choices": []}',
            )
        )  # fmt: skip
        sent(
            Ended(path="/v1/embeddings", model="small", status=502, error="provider", start=now, seconds=0.1)
        )
        sent.trace(
            [
                Span(name="search.fuse", id="b", trace_id="a", parent="a", start=now, seconds=0.1),
                Span(name="ask", id="a", trace_id="a", parent="", start=now, seconds=0.2),
            ]
        )
        sent.close()
        spans = {one["name"]: one for one in stored(url, 4)}
    assert {name: one["span_kind"] for name, one in spans.items()} == {
        "chat chat": "LLM", "embeddings small": "EMBEDDING", "search.fuse": "RETRIEVER", "ask": "CHAIN",
    }  # fmt: skip
    told = spans["chat chat"]["attributes"]
    assert (told["llm.model_name"], told["llm.token_count.prompt"], told["llm.token_count.completion"]) == (
        "chat", 24, 50,
    )  # fmt: skip
    assert told["input.value"] == '{"messages": []}'
    assert (spans["embeddings small"]["status_code"], spans["chat chat"]["status_code"]) == ("ERROR", "OK")
    assert spans["search.fuse"]["parent_id"] == spans["ask"]["context"]["span_id"]
