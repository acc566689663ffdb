"""The list of documents: parts, filters, totals and ETags, for clients that know of them or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.shelf import add, shelf


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with shelf(tmp_path_factory.mktemp("listing") / "home") as opened:
        for number in range(7):
            add(
                opened, f"note{number}.txt", f"Note {number} on tides.".encode(), source=f"notes/{number}.txt"
            )
        add(opened, "manual.md", b"# The Lantern Manual\n\nTrim the wick.", source="manuals/lantern.md")
        add(opened, "handbuch.md", "# 员工手册\n\n试用期为三个月。".encode(), source="manuals/zh.md")
        add(opened, "secret.txt", b"The secret lantern.", readers="captain", source="notes/secret.txt")
        yield opened


def listed(client: TestClient, **asked: Any) -> list[str]:
    response = client.get("/api/documents", params=asked)
    assert response.status_code == 200, response.text
    return [one["source"] for one in response.json()]


def test_all_in_the_order_of_their_sources(client: TestClient) -> None:
    response = client.get("/api/documents")
    sources = [one["source"] for one in response.json()]
    assert sources == sorted(sources)
    assert len(sources) == int(response.headers["x-total-count"]) == 9
    assert "link" not in response.headers


def test_parts_lead_to_each_other_and_make_up_the_whole(client: TestClient) -> None:
    path = "/api/documents?limit=4&source=notes/"
    seen: list[list[str]] = []
    while path:
        response = client.get(path)
        assert response.headers["x-total-count"] == "7"
        seen.append([one["source"] for one in response.json()])
        link = response.headers.get("link", "")
        assert not link or link.endswith('; rel="next"')
        path = link.partition(">")[0].removeprefix("<")
    assert [len(part) for part in seen] == [4, 3]
    assert [source for part in seen for source in part] == listed(client, source="notes/")
    assert listed(client, offset=100) == []


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [({"type": "MD"}, ["manuals/lantern.md", "manuals/zh.md"]), ({"language": "zh"}, ["manuals/zh.md"]),
     ({"title": "LANTERN"}, ["manuals/lantern.md"]), ({"title": "手册"}, ["manuals/zh.md"]),
     ({"source": "%"}, []), ({"title": "_"}, []), ({"type": "txt", "source": "notes/3"}, ["notes/3.txt"])],
)  # fmt: skip
def test_filters(client: TestClient, asked: dict[str, str], wanted: list[str]) -> None:
    assert listed(client, **asked) == wanted


def test_tags_are_given_with_an_upload_and_filter_questions(client: TestClient) -> None:
    def uploaded(**more: str) -> str:
        file = {"file": ("lantern.md", b"# The Lantern Manual\n\nTrim the wick.")}
        sent = client.post("/api/documents", files=file, data={"source": "manuals/lantern.md", **more})
        assert sent.status_code == 201, sent.text
        return str(sent.json()["status"])

    def found(**filters: str) -> list[str]:
        sent = client.post(
            "/api/search", json={"question": "trim the wick of the lantern", "filters": filters}
        )
        assert sent.status_code == 200, sent.text
        return sorted({one["source"] for one in sent.json()})

    assert found(tag="light") == []
    assert [uploaded(tags="Light, sea"), uploaded(), uploaded(tags="Light,sea")] == [
        "tags",
        "unchanged",
        "unchanged",
    ]
    assert found(tag="light") == found(tag="sea", path="manuals/") == ["manuals/lantern.md"]
    refused = client.post("/api/search", json={"question": "wick", "filters": {"path": "*.md"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "filter")


def test_readers_see_more(client: TestClient) -> None:
    assert listed(client, title="secret") == []
    assert listed(client, title="secret", **{"as": "captain"}) == ["notes/secret.txt"]
    assert client.get("/api/documents?as=captain").headers["x-total-count"] == "10"


@pytest.mark.parametrize(
    "asked", ["limit=0", "limit=1001", "limit=x", "offset=-1", "offset=1e9", "offset=99999999999999999999"]
)
def test_wrong_parts(client: TestClient, asked: str) -> None:
    assert client.get(f"/api/documents?{asked}").status_code == 400


def test_what_is_known_is_not_sent_again(client: TestClient) -> None:
    one = client.get("/api/documents?limit=1").json()[0]["id"]
    paths = [
        "/api/documents",
        "/api/documents?limit=2",
        f"/api/documents/{one}",
        f"/api/documents/{one}/report",
    ]
    tags = {}
    for path in paths:
        first = client.get(path)
        tags[path] = first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-cache"
        for given in (tags[path], f'W/{tags[path]}, "x"', "*"):
            again = client.get(path, headers={"If-None-Match": given})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tags[path])
        assert client.get(path, headers={"If-None-Match": '"x"'}).content == first.content
    assert len(set(tags.values())) == len(paths)
    add(client, "later.txt", b"Later.", source="zz.txt")
    assert client.get(paths[0], headers={"If-None-Match": tags[paths[0]]}).status_code == 200
    assert client.get(paths[1], headers={"If-None-Match": tags[paths[1]]}).status_code == 304
