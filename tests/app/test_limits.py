"""What the server takes and refuses: sizes, numbers, tokens, broken requests, and questions that are none."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from lyceum.app.server import create
from lyceum.app.settings import load
from tests.app.served import DEADLINE, Server, command, library, served, told

ERROR = {"code", "message", "hint", "retryable", "type"}
JSON = {"Content-Type": "application/json"}
TOKEN = "sesame"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
MEGABYTE = 1_000_000
FORM = b'--B\r\nContent-Disposition: form-data; name="file"; filename="late.txt"\r\n\r\n'
REST = b"The tide turns late.\r\n--B--\r\n"

QUESTIONS = {
    "operators": 'AND OR NOT ( " : * ~',
    "stop words": "the of and",
    "stop words zh": "的了吗",
    "field": "title:foo text:[a TO b] -x +y ^2",
    "quote": '"',
    "brackets": "( " * 3000,
    "emoji": "🙂🙃",
    "zero": "a\x00b",
    "controls": "\x01\x1b[31m\u202e",
    "joined": "x" * 9_999,
    "surrogate": "a \udcff b",
}
WRONG = {
    "empty": ("", "empty_query"),
    "blank": (" \n\t", "empty_query"),
    "huge": ("why " * 5_000, "query_too_long"),
}


def shape(response: httpx.Response, status: int) -> dict[str, Any]:
    """Return the error of a response after a look at its one shape."""
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == ERROR
    assert error["message"]
    assert error["hint"]
    return error


@pytest.fixture(scope="module", params=["installed models", "no models"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with three documents, with and without an encoder for all that is asked of it."""
    folder = tmp_path_factory.mktemp("limits")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LYCEUM_") and name != "LYCEUM_MODELS"]:
            patch.delenv(name)
        if request.param == "no models":
            patch.setenv("LYCEUM_MODELS", str(folder / "models"))
        assert told("ingest", "--home", str(folder / "home"), str(library(folder / "files")))[0] == 0
        yield folder / "home"


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    settings = load(str(home), dict(os.environ))
    with TestClient(create(settings), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    with served(
        folder / "home", LYCEUM_TOKEN=TOKEN, LYCEUM_SERVE__BODY_MB="1", LYCEUM_SERVE__CONCURRENCY="2",
        LYCEUM_MODELS=str(folder / "models"),
    ) as running:  # fmt: skip
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=KNOWN, trust_env=False, timeout=DEADLINE) as made:
        yield made


def begun(server: Server, length: int) -> tuple[socket.socket, bytes]:
    """Send the head of an upload; return the connection and what the server says before any of the body."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
    head = (
        "POST /api/documents HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: multipart/form-data; boundary=B\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode())
    return connection, connection.recv(65536).splitlines()[0]


def half_sent(server: Server) -> socket.socket:
    """Return the connection of a request that the server works on, for its body is still to come."""
    connection, said = begun(server, len(FORM + REST))
    assert b" 100 " in said, "the application has asked for the body"
    connection.sendall(FORM)
    return connection


def finished(connection: socket.socket) -> bytes:
    """Send the rest of a half-sent request and return the first line of the response."""
    connection.sendall(REST)
    answer = b""
    while block := connection.recv(65536):
        answer += block
    return answer.splitlines()[0]


def test_tokens(server: Server, http: httpx.Client) -> None:
    for given in ({}, {"Authorization": "Bearer guess"}, {"Authorization": f"Basic {TOKEN}"}):
        with httpx.Client(base_url=server.url, headers=given, trust_env=False) as stranger:
            for path in ("/api/documents", "/v1/models", "/docs", "/openapi.json", "/absent"):
                assert shape(stranger.get(path), 401)["code"] == "forbidden"
            assert stranger.get("/healthz").status_code == 200
            assert stranger.get("/readyz").status_code == 200
    assert http.get("/api/documents").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_listening_beyond_loopback_without_a_token(tmp_path: Path, host: str) -> None:
    done = command(["serve", "--home", str(tmp_path / "home"), "--host", host])
    assert done.returncode == 1
    assert "no_token" in done.stderr
    assert "LYCEUM_TOKEN" in done.stderr
    assert not (tmp_path / "home").exists(), "nothing was opened"


def test_a_body_that_says_it_is_too_large(server: Server, http: httpx.Client) -> None:
    connection, said = begun(server, 2 * MEGABYTE)
    connection.close()
    assert b" 413 " in said, "nothing of the body was asked for"
    error = shape(http.post("/api/documents", files={"file": ("a.txt", b"x" * 2 * MEGABYTE)}), 413)
    assert (error["code"], error["retryable"]) == ("too_large", False)
    shape(http.post("/api/answer", json={"question": "x" * 2 * MEGABYTE}), 413)
    assert http.post("/api/documents", files={"file": ("a.txt", b"words " * 1000)}).status_code == 201


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=B"])
def test_a_body_that_does_not_say_how_large_it_is(http: httpx.Client, kind: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield FORM if "boundary" in kind else b'{"question": "'
        for _ in range(20):
            yield b"x" * (MEGABYTE // 10)

    path = "/api/documents" if "boundary" in kind else "/api/answer"
    error = shape(http.post(path, content=pieces(), headers={"Content-Type": kind}), 413)
    assert error["code"] == "too_large"


def test_too_many_requests_at_once(server: Server, http: httpx.Client) -> None:
    with half_sent(server) as first, half_sent(server) as second:
        response = http.get("/api/documents")
        assert shape(response, 503)["code"] == "busy"
        assert response.json()["error"]["retryable"] is True
        assert int(response.headers["Retry-After"]) >= 1
        assert http.get("/healthz").status_code == 200
        for connection in (first, second):
            assert b" 201 Created" in finished(connection)
    assert http.get("/api/documents").status_code == 200


def test_what_is_running_is_finished_before_the_server_goes(tmp_path: Path) -> None:
    with (
        served(tmp_path / "home", LYCEUM_TOKEN=TOKEN, LYCEUM_MODELS=str(tmp_path / "none")) as running,
        half_sent(running) as connection,
    ):
        with httpx.Client(base_url=running.url, headers=KNOWN, trust_env=False) as http:
            assert http.get("/api/documents").json() == []
        running.process.send_signal(signal.SIGTERM)
        assert b" 201 Created" in finished(connection)
        assert running.process.wait(DEADLINE) == 0
        assert "Traceback" not in running.printed()


@pytest.mark.parametrize("path", ["/api/answer", "/api/search", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"question": 1}', b'{"question": NaN}', b"[" * 100_000,
     b'{"question": "x", "top_k": 0}', b'{"question": "x", "top_k": 1e400}', b'{"question": "x", "\\ud800": 1}'],
)  # fmt: skip
def test_broken_requests(client: TestClient, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers=JSON)
    shape(response, response.status_code)
    assert response.status_code in (400, 422)


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_that_are_none(home: Path, client: TestClient, name: str) -> None:
    question = QUESTIONS[name]
    body = json.dumps({"question": question})
    answered = client.post("/api/answer", content=body, headers=JSON)
    if answered.status_code == 200:
        assert answered.json()["abstained"] is True
        assert answered.json()["reason"]
    else:
        shape(answered, 400)
    found = client.post("/api/search", content=body, headers=JSON)
    assert found.status_code == answered.status_code
    code, printed = told("ask", "--home", str(home), "--", question)
    assert (code, printed.get("abstained")) == ((3, True) if answered.status_code == 200 else (1, None))
    assert (told("search", "--home", str(home), "--", question)[0] == 0) == (found.status_code == 200)


@pytest.mark.parametrize("name", WRONG)
def test_questions_that_are_refused_with_a_hint(home: Path, client: TestClient, name: str) -> None:
    question, code = WRONG[name]
    status = 413 if name == "huge" else 400
    messages = [{"role": "user", "content": question}]
    for stream in (False, True):
        body = {"model": "lyceum", "stream": stream, "messages": messages}
        assert shape(client.post("/v1/chat/completions", json=body), status)["code"] == code
    for path in ("/api/answer", "/api/search"):
        assert shape(client.post(path, json={"question": question}), status)["code"] == code
    for name in ("ask", "search"):
        exit_code, printed = told(name, "--home", str(home), question)
        assert (exit_code, printed["error"]["code"]) == (1, code)
        assert printed["error"]["hint"]
