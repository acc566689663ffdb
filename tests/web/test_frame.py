"""What every page is sent with, the way in where there is a token, and errors as pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from lyceum.app import cookie
from lyceum.app.web import static
from lyceum.app.web.login import inside
from tests.app.shelf import shelf

READS = {"accept": "text/html"}
TOKEN = "correct horse battery staple"
OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with shelf(tmp_path_factory.mktemp("frame") / "home") as opened:
        opened.base_url = "http://127.0.0.1"  # type: ignore[assignment]
        yield opened


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[TestClient]:
    with shelf(tmp_path / "home", LYCEUM_TOKEN=TOKEN) as opened:
        opened.follow_redirects = False
        yield opened


def test_what_a_page_is_sent_with(client: TestClient) -> None:
    page = client.get("/", headers=READS)
    assert page.status_code == 200
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert (
        policy["script-src"]
        == policy["style-src"]
        == policy["connect-src"]
        == policy["form-action"]
        == "'self'"
    )
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    for never in ("<style", " style=", "onclick", "javascript:", "http://", "https://"):
        assert never not in page.text.lower(), never
    assert page.text.count("<script") == page.text.count('<script type="module" src="/static/') == 1


def test_files_are_kept_for_ever_under_the_address_of_today(client: TestClient) -> None:
    for name in static.held():
        found = client.get(static.address(name))
        assert (found.status_code, found.headers["cache-control"]) == (200, static.FOREVER)
        again = client.get(static.address(name), headers={"if-none-match": found.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    old = client.get("/static/0000/style.css")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
    assert client.get(f"/static/{static.stamp()}/../words.py").status_code == 404
    assert sum(map(len, static.held().values())) < 100_000


def test_errors_are_pages_for_those_who_read(client: TestClient) -> None:
    page = client.get("/no/such/page?lang=zh", headers=READS)
    assert page.status_code == 404
    assert "没有这个页面" in page.text
    assert "没有这个内容" in client.get("/source/x?lang=zh", headers=READS).text
    assert 'lang="zh-Hans"' in page.text
    assert client.get("/no/such/page").json()["error"]["code"] == "not_found"
    assert client.get("/api/documents/x", headers=READS).json()["error"]["code"] == "not_found"


def test_readers_that_are_no_names(client: TestClient) -> None:
    page = client.get("/?lang=zh&as=%E2%80%AEx", headers=READS)
    assert (page.status_code, "名称中有不能使用的字符" in page.text) == (400, True)
    client.cookies.clear()


def test_choices_are_kept(client: TestClient) -> None:
    client.cookies.clear()
    assert 'data-theme="dark"' in client.get("/?theme=dark&lang=zh", headers=READS).text
    kept = client.get("/", headers=READS).text
    assert 'data-theme="dark"' in kept
    assert 'lang="zh-Hans"' in kept
    client.cookies.clear()


def test_links_keep_whose_rights_are_used(client: TestClient) -> None:
    assert 'class="brand" href="/?as=hr%2Cit"' in client.get("/?as=it,hr", headers=READS).text


def test_the_way_in(locked: TestClient) -> None:
    away = locked.get("/?q=x", headers=READS)
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=%2F%3Fq%3Dx")
    assert locked.get("/").status_code == 401, "a program is told, not led"
    assert locked.get("/login", headers=READS).status_code == 200
    assert locked.get(static.address("style.css")).status_code == 200
    wrong = locked.post("/login", data={"token": "guessed"}, headers=READS | OURS)
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    stranger = locked.post("/login", data={"token": TOKEN}, headers={"sec-fetch-site": "cross-site"})
    assert "set-cookie" not in stranger.headers
    right = locked.post("/login", data={"token": TOKEN, "next": "//evil.example"}, headers=OURS)
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert "HttpOnly" in right.headers["set-cookie"]
    assert "SameSite=strict" in right.headers["set-cookie"]
    assert TOKEN not in right.headers["set-cookie"]
    assert locked.get("/", headers=READS).status_code == 200
    assert locked.get("/api/documents").status_code == 200
    gone = locked.post("/logout", headers=OURS)
    assert gone.status_code == 303
    assert locked.get("/api/documents").status_code == 401


def test_a_session_changes_nothing_from_another_site(locked: TestClient) -> None:
    locked.post("/login", data={"token": TOKEN}, headers=OURS)
    body = {"question": "x"}
    assert locked.post("/api/search", json=body).status_code == 401, "it does not say where it comes from"
    for site in ("cross-site", "same-site", "none"):
        assert locked.post("/api/search", json=body, headers={"sec-fetch-site": site}).status_code == 401, (
            site
        )
    assert locked.post("/api/search", json=body, headers={"origin": "http://evil.example"}).status_code == 401
    assert locked.post("/api/search", json=body, headers={"origin": "null"}).status_code == 401
    assert locked.post("/api/search", json=body, headers=OURS).status_code == 200
    assert locked.post("/api/search", json=body, headers={"origin": "http://testserver"}).status_code == 200


def test_sessions_end_and_belong_to_one_token() -> None:
    now = time.time()

    def known(value: str, token: str = TOKEN) -> bool:
        headers = Headers({"cookie": f"{cookie.NAME}={value}"})
        return cookie.known(headers, "GET", token, now)

    good = cookie.signed(TOKEN, int(now) + 5)
    assert known(good)
    assert not known(good, "another")
    assert not known(cookie.signed(TOKEN, int(now) - 1))
    later = f"{int(now) + 9999}.{good.partition('.')[2]}"
    for forged in (later, "", ".", "x.y", "9" * 40, good[:-1], f"{good}0", "²." + good.partition(".")[2]):
        assert not known(forged), forged


@pytest.mark.parametrize(
    ("target", "leads"),
    [("/documents?as=hr", "/documents?as=hr"), ("//evil.example", "/"), ("/\\evil.example", "/"),
     ("https://evil.example", "/"), ("javascript:alert(1)", "/"), ("/\nx", "/"), ("", "/")],
)  # fmt: skip
def test_the_way_on_stays_inside(target: str, leads: str) -> None:
    assert inside(target) == leads
