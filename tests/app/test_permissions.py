"""Every route against documents that the caller may not read: answered with the bytes of "there is no such thing".

Two worlds are compared: one with unreadable documents, one without. A route of the application that is not in
the table below fails the test: whoever adds one says here what it may tell. The control reads as the owner.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from fastapi.testclient import TestClient

from lyceum.app import web
from tests.app.shelf import add, pdf, shelf

OWNER = "captain"
SECRET = pdf(
    [["The canaryword of the captain lies in the canarychest.", "Nobody else reads of the canaryhold."]]
)
OPEN = {
    "quay.pdf": pdf([["The quay opens at seven in the morning."]]),
    "tides.txt": b"The tide turns at noon.",
}
ABSENT = "0123456789abcdef"
VOLATILE = re.compile(
    r'"(?:id|created|updated|created_at|trace_id|seconds|message_id|item_id)":\s*(?:"[^"]*"|[\d.]+)|msg_\w+|resp_\w+'
)
QUESTION = "Where does the canaryword lie in the canarychest?"
CHAT = {"model": "lyceum", "messages": [{"role": "user", "content": QUESTION}]}

# Method and path to what is sent. Routes that name a document (or a trace) must answer as if it were absent.
BY_ID: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("GET", "/api/documents/{document_id}"): [{}],
    ("GET", "/api/documents/{document_id}/report"): [{}],
    ("GET", "/api/documents/{document_id}/file"): [{}, {"headers": {"Range": "bytes=0-9"}}],
    ("GET", "/api/documents/{document_id}/pages/{number}.png"): [
        {}, {"params": {"quote": "canaryword"}}, {"params": {"chunk": "CHUNK"}}, {"headers": {"If-None-Match": "*"}},
        {"params": {"dpi": 72}, "number": "99"},
    ],
    ("GET", "/api/documents/{document_id}/pages/{number}"): [
        {}, {"params": {"quote": "canaryword"}}, {"number": "99"},
    ],
    ("GET", "/source/{document_id}"): [
        {}, {"params": {"quote": "canaryword", "chunk": "CHUNK"}}, {"headers": {"Accept": "text/html"}},
    ],
    ("DELETE", "/api/documents/{document_id}"): [{}],
    ("GET", "/documents/{document_id}"): [{}, {"params": {"sheet": 1, "only": "bad"}}],
    ("GET", "/documents/{document_id}/delete"): [{}],
    ("POST", "/documents/{document_id}/delete"): [{}],
    ("POST", "/documents/{document_id}/again"): [{"data": {"ocr": "off"}}],
    ("GET", "/api/traces/{trace_id}"): [{}],
    ("GET", "/api/jobs/{job_id}"): [{}],
    ("GET", "/api/jobs/{job_id}/events"): [{}, {"headers": {"Last-Event-ID": "1"}}],
    ("DELETE", "/api/jobs/{job_id}"): [{}],
}  # fmt: skip
ALIKE: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("GET", "/api/documents"): [
        {}, {"params": {"limit": 1}}, {"params": {"limit": 1, "offset": 1}}, {"params": {"title": "canary"}},
        {"params": {"source": "canary"}}, {"params": {"type": "pdf"}}, {"params": {"language": "en"}},
    ],
    ("POST", "/api/search"): [{"json": {"question": QUESTION}}, {"json": {"question": "canaryhold", "top_k": 1000}}],
    ("POST", "/api/answer"): [{"json": {"question": QUESTION}}],
    ("POST", "/v1/chat/completions"): [{"json": CHAT}, {"json": {**CHAT, "stream": True}}],
    ("POST", "/v1/responses"): [
        {"json": {"model": "lyceum", "input": QUESTION}},
        {"json": {"model": "lyceum", "input": QUESTION, "stream": True}},
    ],
    ("GET", "/"): [{}, {"params": {"q": QUESTION}}],
    ("GET", "/welcome/progress"): [{}],
    ("GET", "/documents"): [{}, {"params": {"q": "source.pdf"}}, {"params": {"type": "pdf", "part": 1}}],
    ("GET", "/evaluate"): [{}],
    ("GET", "/evaluate/progress"): [{}],
    ("POST", "/ask"): [{"json": {"question": QUESTION}}],
    ("GET", "/api/jobs"): [{}, {"params": {"limit": 1}}],
    ("GET", "/v1/models"): [{}],
    ("POST", "/v1/embeddings"): [{"json": {"model": "minilm", "input": "canaryword"}}],
    ("POST", "/v1/rerank"): [{"json": {"query": "canaryword", "documents": ["a", "b"]}}],
    ("GET", "/healthz"): [{}],
    ("GET", "/readyz"): [{}],
}  # fmt: skip
# These say nothing of documents' names or words; what they say is tested where they are.
OPERATOR = {
    ("GET", "/metrics"), ("GET", "/admin/gateway"), ("POST", "/admin/gateway/key"),
    ("PUT", "/admin/gateway/model/{name}/weights"), ("PUT", "/admin/gateway/alias/{name}"),
    ("DELETE", "/admin/gateway/alias/{name}"), ("PUT", "/admin/gateway/{table}/{name}"),
    ("DELETE", "/admin/gateway/{table}/{name}"),
}  # fmt: skip
# Raw scores rest on all documents (what it lists are the readers'), and a document that is named is accounted for.
OPERATOR |= {("GET", "/xray")}
OPERATOR |= {("GET", "/operate"), ("GET", "/operate/numbers"), ("GET", "/settings")}
# Of runs a question is shown to who may use the rights that it was asked with: tests/web/test_evaluate.py.
OPERATOR |= {("GET", "/evaluate/run/{name}"), ("GET", "/evaluate/compare")}
# Who may write replaces what has the same source, whoever may read it: the token is an operator's.
WRITING = {("POST", "/api/documents"), ("POST", "/welcome"), ("POST", "/documents")}
WRITING |= {("POST", f"/evaluate/{name}") for name in ("autopsy", "datasets", "start", "stop")}
WRITING |= {("POST", f"/operate/{name}") for name in ("alias", "target", "weights")}
# These tell only what is sent to them, or what is the package's own.
ALONE = {
    ("POST", "/feedback"), ("POST", "/markdown"), ("GET", "/login"), ("POST", "/login"), ("POST", "/logout"),
    ("POST", "/xray/save"),
    ("GET", "/static/{version}/{name}"),
}  # fmt: skip
# What differs between two answers of one page: numbers of traces, and times.
MOMENT = re.compile(
    r'data-trace="\w+"|<div class="facts.*?</div>|&#34;(?:trace_id|seconds)&#34;: [^,]+', re.S
)


@pytest.fixture(scope="module")
def worlds(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[TestClient, TestClient, dict[str, Any]]]:
    """A library with an unreadable document, one without, and what its owner sees of that document."""
    folder = tmp_path_factory.mktemp("worlds")
    with shelf(folder / "with" / "home") as secret, shelf(folder / "without" / "home") as plain:
        added = add(secret, "canaryfile.pdf", SECRET, readers=OWNER, source="canarysource.pdf")
        for client in (secret, plain):
            for name, data in OPEN.items():
                add(client, name, data)
        yield secret, plain, secret.get(f"/api/documents/{added['id']}", params={"as": OWNER}).json()


def path_of(route: str, document: str, number: str = "1") -> str:
    return re.sub(r"\{(document|trace|job)_id\}", document, route).replace("{number}", number)


def named(client: TestClient, route: str, document: dict[str, Any]) -> str:
    """Return the id of what the owner has that a route is about: the document, a trace, the upload's job."""
    if "trace" in route:
        asked = {"question": QUESTION, "readers": [OWNER]}
        return str(client.post("/api/answer", json=asked).json()["trace_id"])
    jobs = client.get("/api/jobs", params={"as": OWNER}).json() if "job" in route else []
    return next((job["id"] for job in jobs if job["document_id"] == document["id"]), document["id"])


def seen(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """Return all that a response tells but its own number and date."""
    headers = {
        name: value for name, value in response.headers.items() if name not in ("x-request-id", "date")
    }
    return response.status_code, headers, response.content


def test_every_route_is_in_a_table(worlds: tuple[TestClient, TestClient, dict[str, Any]]) -> None:
    described = worlds[0].get("/openapi.json").json()["paths"]
    routes = {(method.upper(), path) for path, methods in described.items() for method in methods}
    routes |= {
        (method, route.path) for part in web.ROUTERS for route in part.routes for method in route.methods
    }
    known = {*BY_ID, *ALIKE, *OPERATOR, *WRITING, *ALONE}
    assert routes - known == set(), "say in the tables above what these routes may tell"
    assert known - routes == set(), "these are gone"
    hidden = {getattr(route, "path", None) for route in worlds[0].app.routes}  # type: ignore[attr-defined]
    assert hidden - {None} == {"/openapi.json", "/docs"}, "routes outside of the description"


@pytest.mark.parametrize("route", BY_ID, ids=" ".join)
def test_an_unreadable_document_is_an_absent_one(
    worlds: tuple[TestClient, TestClient, dict[str, Any]], route: tuple[str, str]
) -> None:
    secret, _, document = worlds
    for given in BY_ID[route]:
        more = {key: value for key, value in given.items() if key != "number"}
        if "CHUNK" in more.get("params", {}).values():
            more["params"] = {"chunk": document["chunks"][0]["id"]}
        name = named(secret, route[1], document)
        number = given.get("number", "1")
        foreign = secret.request(route[0], path_of(route[1], name, number), **more)
        absent = secret.request(route[0], path_of(route[1], ABSENT, number), **more)
        assert foreign.status_code == 404
        assert seen(absent)[0] == 404
        assert foreign.content.replace(name.encode(), ABSENT.encode()) == absent.content
        assert seen(foreign)[1] == seen(absent)[1]
        assert b"canary" not in foreign.content
    assert secret.get(f"/api/documents/{document['id']}", params={"as": OWNER}).status_code == 200


@pytest.mark.parametrize("route", [route for route in BY_ID if route[0] == "GET"], ids=" ".join)
def test_control_the_owner_is_told(
    worlds: tuple[TestClient, TestClient, dict[str, Any]], route: tuple[str, str]
) -> None:
    secret, _, document = worlds
    name = named(secret, route[1], document)
    assert secret.get(path_of(route[1], name), params={"as": OWNER}).status_code == 200


@pytest.mark.parametrize("route", ALIKE, ids=" ".join)
def test_both_worlds_look_alike(
    worlds: tuple[TestClient, TestClient, dict[str, Any]], route: tuple[str, str]
) -> None:
    secret, plain, _ = worlds
    for given in ALIKE[route]:
        one, other = (client.request(*route, **given) for client in (secret, plain))
        told = [VOLATILE.sub("", response.text) for response in (one, other)]
        told = [MOMENT.sub("", text.replace('\\"', '"').replace("\\n", "\n")) for text in told]
        if route[1] == "/api/search":  # idf is of the whole collection, on purpose: scores may differ
            told = [re.sub(r'"score":[-\d.e]+', "", text) for text in told]
        assert one.status_code == other.status_code
        assert told[0] == told[1]
        for name in ("etag", "link", "x-total-count"):
            assert one.headers.get(name) == other.headers.get(name)
        echoed = one.text.replace(QUESTION, "").replace(quote_plus(QUESTION), "")
        assert "canary" not in echoed or route[1] == "/v1/rerank"


def test_control_the_owner_sees_more(worlds: tuple[TestClient, TestClient, dict[str, Any]]) -> None:
    secret, plain, _ = worlds
    for client, total in ((secret, "3"), (plain, "2")):
        assert client.get("/api/documents", params={"as": OWNER}).headers["x-total-count"] == total
    found = secret.post("/api/search", json={"question": "canaryhold", "readers": [OWNER]}).text
    assert "canarysource" in found
    assert plain.get("/api/documents").headers["etag"] == secret.get("/api/documents").headers["etag"]
    assert (
        plain.get("/api/documents?as=captain").headers["etag"]
        != secret.get("/api/documents?as=captain").headers["etag"]
    )


def test_an_etag_of_another_is_no_key(worlds: tuple[TestClient, TestClient, dict[str, Any]]) -> None:
    secret, _, document = worlds
    for path in ("", "/report", "/file", "/pages/1.png"):
        address = f"/api/documents/{document['id']}{path}"
        tag = secret.get(address, params={"as": OWNER}).headers["etag"]
        known = secret.get(address, params={"as": OWNER}, headers={"If-None-Match": tag})
        assert known.status_code == 304
        assert secret.get(address, headers={"If-None-Match": tag}).status_code == 404


def test_revoked_at_once(tmp_path: Path) -> None:
    with shelf(tmp_path / "home") as client:
        added = add(client, "log.pdf", SECRET)
        paths = [f"/api/documents/{added['id']}{path}" for path in ("", "/report", "/file", "/pages/1.png")]
        tags = [client.get(path).headers["etag"] for path in paths]
        assert (
            client.post(
                "/api/documents", files={"file": ("log.pdf", SECRET)}, data={"readers": OWNER}
            ).json()["status"]
            == "readers"
        )
        for path, tag in zip(paths, tags, strict=True):
            assert client.get(path, headers={"If-None-Match": tag}).status_code == 404


def test_the_metrics_are_silent_about_it(worlds: tuple[TestClient, TestClient, dict[str, Any]]) -> None:
    secret, _, document = worlds
    text = secret.get("/metrics").text
    for word in ("canary", document["id"], OWNER, hashlib.sha256(SECRET).hexdigest()):
        assert word not in text
