"""/metrics: Prometheus text that is true, and that holds no name and no word of what is asked or kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.app.shelf import add, shelf

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\]|\\.)*"(,[a-z]+="(?:[^"\\]|\\.)*")*\})? [0-9.e+-]+')


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with shelf(tmp_path / "home") as opened:
        yield opened


def samples(client: TestClient) -> dict[str, float]:
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for line in response.text.splitlines():
        if not line.startswith("#"):
            assert SAMPLE.fullmatch(line), line
            name, _, value = line.rpartition(" ")
            assert name not in found
            found[name] = float(value)
    return found


def test_what_has_happened_is_counted(client: TestClient) -> None:
    add(client, "note.txt", b"The quay opens at seven.")
    client.post("/api/documents", files={"file": ("empty.txt", b"")})
    client.post("/api/answer", json={"question": "When does the quay open?"})
    client.post("/api/answer", json={"question": "Who painted the Sistine Chapel?"})
    messages = [{"role": "user", "content": "When does the quay open?"}]
    client.post("/v1/chat/completions", json={"model": "lyceum", "stream": True, "messages": messages})
    client.post("/v1/responses", json={"model": "lyceum", "input": "When does the quay open?"})
    client.get("/api/documents/absent")
    client.get("/nowhere")
    client.request("BREW", "/api/documents")
    found = samples(client)
    assert found['lyceum_ingest_total{status="added",code=""}'] == 1
    assert found['lyceum_ingest_total{status="failed",code="empty"}'] == 1
    assert found['lyceum_answers_total{outcome="answered"}'] == 3
    assert found['lyceum_answers_total{outcome="refused"}'] == 1
    assert found['lyceum_requests_total{method="POST",route="/api/answer",status="200"}'] == 2
    assert found['lyceum_requests_total{method="GET",route="/api/documents/{document_id}",status="404"}'] == 1
    assert found['lyceum_requests_total{method="GET",route="none",status="404"}'] == 1
    assert any('method="other"' in name for name in found)
    assert found["lyceum_open_requests"] == 1, "the one that asks"
    assert found['lyceum_view_lag{view="postings"}'] == 0
    assert found['lyceum_vector_memory_total{result="hit"}'] == 0
    assert found['lyceum_request_seconds_count{route="/api/answer"}'] == 2
    buckets = [
        value
        for name, value in found.items()
        if name.startswith('lyceum_request_seconds_bucket{route="/api/answer"')
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 2
    assert found['lyceum_request_seconds_sum{route="/api/answer"}'] > 0


def test_no_name_and_no_word_stands_in_them(client: TestClient) -> None:
    added = add(
        client, "canaryname.txt", b"The canaryword sings.", readers="canaryreader", source="canarysource"
    )
    for path in (f"/api/documents/{added['id']}", "/canarypath", "/api/documents?title=canaryword"):
        client.get(path)
    client.post("/api/answer", json={"question": "canaryquestion?", "readers": ["canaryreader"]})
    client.get("/api/documents", headers={"X-Request-Id": "canaryid"})
    text = client.get("/metrics").text
    assert "canary" not in text
    assert added["id"] not in text


def test_only_with_the_token(tmp_path: Path) -> None:
    with shelf(tmp_path / "home", LYCEUM_TOKEN="sesame") as opened:
        assert opened.get("/metrics").status_code == 401
        known = {"Authorization": "Bearer sesame"}
        found = opened.get("/metrics", headers=known).text
        assert 'route="none",status="401"' in found
