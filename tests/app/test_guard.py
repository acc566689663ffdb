"""What stands before the application: rates, slow and large requests, web pages, headers, and how a server stops."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from lyceum.app.guard import HEAD_BYTES, QUERY_BYTES, Buckets
from tests.app.served import DEADLINE, Server, command, served
from tests.app.shelf import shelf

POSTS = (
    "/api/answer",
    "/api/search",
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/rerank",
)
BODIES = {
    "/api/answer": {"question": "x"},
    "/api/search": {"question": "x"},
    "/v1/chat/completions": {"model": "lyceum", "messages": [{"role": "user", "content": "x"}]},
    "/v1/responses": {"model": "lyceum", "input": "x"},
    "/v1/embeddings": {"model": "minilm", "input": "x"},
    "/v1/rerank": {"query": "x", "documents": ["x"]},
}
FORM = b'--B\r\nContent-Disposition: form-data; name="file"; filename="half.txt"\r\n\r\nhalf'
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("guard")
    with served(
        folder / "home", LYCEUM_SERVE__BODY_SECONDS="0.5", LYCEUM_MODELS=str(folder / "none")
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with shelf(tmp_path_factory.mktemp("inside") / "home") as opened:
        yield opened


def said(server: Server, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send raw bytes piece by piece; return all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
            time.sleep(pause)
        answer = b""
        try:
            while block := connection.recv(65536):
                answer += block
        except OSError:
            pass
        return answer


def head(path: str, length: int, **more: str) -> bytes:
    named = {"Host": "127.0.0.1", "Content-Length": str(length), "Content-Type": "application/json", **more}
    return "\r\n".join([f"POST {path} HTTP/1.1", *map(": ".join, named.items()), "", ""]).encode()


# --- rate ---------------------------------------------------------------------------------------------------


def test_a_bucket_holds_a_burst_and_fills_at_its_rate() -> None:
    now = 0.0
    buckets = Buckets(2.0, 3, clock=lambda: now)
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait("b") == 0, "another caller has a bucket of its own"
    now = 0.25
    assert buckets.wait("a") == pytest.approx(0.25), "asking in vain costs nothing"
    now = 0.5
    assert buckets.wait("a") == 0
    now = 100.0
    assert [buckets.wait("a") for _ in range(4)] == [0, 0, 0, 0.5], "no more than a burst is saved up"
    assert [Buckets(0.0, 1).wait("a") for _ in range(50)] == [0.0] * 50


def test_callers_that_are_gone_are_forgotten() -> None:
    now = 0.0
    buckets = Buckets(1.0, 1, clock=lambda: now)
    for number in range(30_000):
        now += 0.001
        buckets.wait(str(number))
    assert len(buckets._kept) < 12_000


def test_too_many_requests(tmp_path: Path) -> None:
    with shelf(
        tmp_path / "home", LYCEUM_SERVE__RATE="0.5", LYCEUM_SERVE__BURST="3", LYCEUM_TOKEN="sesame"
    ) as opened:
        known = {"Authorization": "Bearer sesame"}
        codes = [opened.get("/api/documents", headers=known).status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        refused = opened.get("/api/documents", headers={**known, "X-Forwarded-For": "9.9.9.9"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate")
        assert refused.headers["retry-after"] == "2"
        assert refused.json()["error"]["retryable"] is True
        assert opened.get("/healthz").status_code == 200
        guesses = [
            opened.get("/metrics", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(5)
        ]
        assert guesses == [401, 401, 401, 429, 429], (
            "guesses take from the address's bucket, not from the token's"
        )


# --- size and time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/answer", "/api/documents", "/absent"])
def test_a_slow_body_is_cut_off(server: Server, path: str) -> None:
    started = time.monotonic()
    kind = "multipart/form-data; boundary=B" if path == "/api/documents" else "application/json"
    answer = said(
        server, head(path, 1000, Connection="close", **{"Content-Type": kind}), FORM, *[b" "] * 8, pause=0.15
    )
    assert time.monotonic() - started < 5
    if path == "/absent":
        assert answer.startswith(b"HTTP/1.1 404"), "nobody waits for a body that nobody reads"
    else:
        assert answer.startswith(b"HTTP/1.1 408"), answer
        assert b'"slow"' in answer
        assert b"connection: close" in answer.lower()
    assert httpx.get(f"{server.url}/api/documents", trust_env=False).json() == []


def test_a_body_that_comes_fast_enough_may_be_long(server: Server) -> None:
    body = json.dumps({"question": "Is anybody there?" + " " * 8_000}).encode()
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    answer = said(server, head("/api/answer", len(body), Connection="close"), *pieces, pause=0.08)
    assert answer.startswith(b"HTTP/1.1 200"), answer


def test_headers_and_addresses_have_an_end(server: Server) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        large = http.get("/api/documents", headers={"X-Filler": "x" * (HEAD_BYTES + 1)})
        assert (large.status_code, large.json()["error"]["code"]) == (431, "too_large")
        assert http.get("/api/documents", params={"title": "x" * QUERY_BYTES}).status_code == 414
        assert http.get("/api/documents", headers={"X-Filler": "x" * 3000}).status_code == 200
    assert said(server, b"GET / HTTP/1.1\r\nX: " + b"x" * 4 * HEAD_BYTES).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("length", ["-5", "1e3", "5, 6", "0x10", "99999999999999999999"])
def test_false_lengths(server: Server, length: str) -> None:
    raw = f"POST /api/answer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()
    assert said(server, raw).split(b" ")[1] in (b"400", b"413")


# --- web pages and headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 200), ({"Host": "localhost:1"}, 200), ({"Host": "[::1]:8420"}, 200), ({"Host": "evil.example"}, 403),
     ({"Host": "127.0.0.1.evil.example"}, 403), ({"Host": ""}, 403), ({"Origin": "https://evil.example"}, 403),
     ({"Origin": "null"}, 403), ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
     ({"Host": "localhost:1", "Origin": "http://localhost:2"}, 403)],
)  # fmt: skip
def test_without_a_token_no_web_page_reaches_in(server: Server, headers: dict[str, str], status: int) -> None:
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        assert http.get("/api/documents", headers=headers).status_code == status
        assert http.post("/api/answer", json={"question": "x"}, headers=headers).status_code == status


def test_no_other_site_is_let_in_by_a_header(client: TestClient) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for response in (
        client.get("/api/documents", headers=origin),
        client.options("/api/answer", headers=origin),
    ):
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/healthz", 200), ("GET", "/api/documents", 200), ("GET", "/absent", 404), ("PUT", "/healthz", 405),
     ("POST", "/api/answer", 400), ("GET", "/metrics", 200), ("GET", "/openapi.json", 200)],
)  # fmt: skip
def test_every_response_carries_the_headers(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path, headers={"X-Request-Id": "trace.7"})
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert response.headers["x-request-id"] == "trace.7"
    assert response.headers["cache-control"] in ("no-store", "private, no-cache")
    assert "server" not in response.headers


@pytest.mark.parametrize("given", ["a b", "x" * 65, "é", "<script>", ""])
def test_a_request_id_that_is_none_is_replaced(client: TestClient, given: str) -> None:
    response = client.get("/healthz", headers={"X-Request-Id": given.encode()})
    assert response.headers["x-request-id"].isalnum()
    assert len(response.headers["x-request-id"]) == 16


def test_an_unexpected_error_has_the_headers_and_says_nothing(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    state = client.app.state  # type: ignore[attr-defined]
    platform = state.platform
    state.platform = None
    try:
        response = client.get("/api/documents", headers={"X-Request-Id": "seven"})
    except AttributeError:
        raise
    finally:
        state.platform = platform
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "unexpected"
    assert "NoneType" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "request seven" in caplog.text


def test_the_page_of_the_docs_may_run_its_own_script_only(client: TestClient) -> None:
    response = client.get("/docs")
    policy = response.headers["content-security-policy"]
    assert response.text.count("<script>") == 1
    assert "'sha256-" in policy
    assert "script-src https://cdn.jsdelivr.net 'sha256-" in policy
    assert "default-src 'none'" in policy
    assert client.get("/redoc").status_code == 404


# --- broken bodies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "raw",
    [
        "{",
        "NaN",
        '{"a": ' * 100 + "1" + "}" * 100,
        "[" * 900 + "]" * 900,
        "[" * 200_000,
        '{"__proto__": {}, "lc": 1}',
    ],
    ids=["cut", "nan", "deep", "deeper", "bomb", "keys"],
)
def test_bodies_that_are_none(client: TestClient, path: str, raw: str) -> None:
    response = client.post(path, content=raw, headers=JSON)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["hint"]


@pytest.mark.parametrize("path", POSTS)
def test_a_field_that_nobody_knows(client: TestClient, path: str) -> None:
    assert client.post(path, json=BODIES[path]).status_code in (200, 404), "the body alone is fine"
    response = client.post(path, json={**BODIES[path], "surprise": 1})
    assert response.status_code == 400
    assert "surprise" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-1e999", '{"x": NaN}', '"\\ud800"', "[" * 500 + "]" * 500]
)
def test_values_that_are_none(client: TestClient, path: str, value: str) -> None:
    body = json.dumps(BODIES[path])
    for field in BODIES[path]:
        raw = body.replace(json.dumps(BODIES[path][field]), value)
        response = client.post(path, content=raw, headers=JSON)
        assert response.status_code in (200, 400, 404), response.text
        response.json()
    metadata = body[:-1] + f', "metadata": {value}}}'
    assert client.post(path, content=metadata, headers=JSON).status_code in (200, 400, 404)


# --- the end ------------------------------------------------------------------------------------------------


class Drip(BaseHTTPRequestHandler):
    """A chat server that takes its time: a word each .2 s."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in ("The ", "quay ", "opens ", "at ", "seven ", "[1]."):
            piece = {"choices": [{"delta": {"content": word}}]}
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.2)
        self.wfile.write(b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n')
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *given: Any) -> None:
        pass


@pytest.fixture
def chat() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Drip)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}/v1"
    made.shutdown()
    made.server_close()


def test_a_stopped_server_finishes_its_streams_and_takes_no_more(tmp_path: Path, chat: str) -> None:
    home = tmp_path / "home"
    (tmp_path / "note.txt").write_text("The quay opens at seven.")
    models = {"LYCEUM_MODELS": str(tmp_path / "none")}
    assert command(["ingest", "--home", str(home), str(tmp_path / "note.txt")], **models).returncode == 0
    given = {
        "LYCEUM_ANSWERER__KIND": "answer.generative", "LYCEUM_CHAT__KIND": "models.openai",
        "LYCEUM_CHAT__BASE_URL": chat, "LYCEUM_CHAT__MODEL": "drip",
    }  # fmt: skip
    body = {
        "model": "lyceum",
        "stream": True,
        "messages": [{"role": "user", "content": "When does the quay open?"}],
    }
    with served(home, **models, **given) as running, httpx.Client(trust_env=False, timeout=DEADLINE) as http:
        with http.stream("POST", f"{running.url}/v1/chat/completions", json=body) as reply:
            lines = reply.iter_lines()
            first = next(line for line in lines if "The" in line)
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{running.url}/healthz", trust_env=False)
            assert running.process.poll() is None, "the stream is still running"
            rest = "\n".join([first, *lines])
        assert rest.rstrip().endswith("data: [DONE]")
        assert "seven" in rest
        assert '"citations"' in rest
        assert running.process.wait(DEADLINE) == 0
        assert "Traceback" not in running.printed()


def test_a_stopped_server_does_not_wait_for_ever(tmp_path: Path) -> None:
    with (
        served(
            tmp_path / "home", LYCEUM_SERVE__GRACE_SECONDS="1", LYCEUM_MODELS=str(tmp_path / "none")
        ) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=DEADLINE) as connection,
    ):
        connection.sendall(head("/api/answer", 1000) + b"{")
        time.sleep(0.2)
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(DEADLINE) == 0
        assert 0.5 < time.monotonic() - started < 10


def test_an_upload_that_was_cut_off_left_nothing(server: Server) -> None:
    more = {"Content-Type": "multipart/form-data; boundary=B", "Connection": "close"}
    assert said(server, head("/api/documents", len(FORM), **more), FORM).startswith(b"HTTP/1.1 400")
    assert httpx.get(f"{server.url}/api/documents", trust_env=False).json() == []
