"""/admin/gateway over HTTP: what it shows, what it changes in file and service at once, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lyceum.gateway.config import parsed, written
from lyceum.gateway.live import Live
from tests.app.fronted import fronted
from tests.app.fronted import written as put
from tests.app.shelf import shelf
from tests.gateway.anthropic_wire import typed
from tests.gateway.upstream import chunked, played, reply
from tests.toys import run

FILE = """
# One comment.
[[model]]
name = "org/chat.v1"
targets = [{url = "http://u:secret@127.0.0.1:9/v1", key = "env:SECRET"}, {url = "http://127.0.0.1:9", weight = 2}]

[[key]]
id = "ann"
sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
models = ["gpt"]

[alias]
gpt = "org/chat.v1"
"""
ADMIN = "/admin/gateway"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    made = tmp_path / "home" / "gateway.toml"
    made.write_text(FILE, encoding="utf-8")
    made.chmod(0o600)
    return made


@pytest.fixture
def client(file: Path) -> Iterator[TestClient]:
    with shelf(file.parent) as opened:
        yield opened


def test_it_is_shown_without_secrets(client: TestClient, file: Path) -> None:
    told = client.get(ADMIN)
    assert told.status_code == 200
    assert (told.json()["file"], told.json()["problem"]) == (str(file), "")
    first = told.json()["model"][0]["targets"][0]
    assert (first["url"], first["key"]) == ("http://***@127.0.0.1:9/v1", "env:SECRET")
    assert "sha256" not in told.text
    assert "00112233" not in told.text


def test_models_weights_aliases_and_keys_change(client: TestClient, file: Path) -> None:
    target = {"url": "http://127.0.0.1:9/v1", "features": ["tools"]}
    assert client.put(f"{ADMIN}/model/new", json={"targets": [target]}).status_code == 200
    assert client.put(f"{ADMIN}/model/org/chat.v1/weights", json=[0.25, 4]).status_code == 200
    assert client.put(f"{ADMIN}/alias/latest", json={"model": "new"}).status_code == 200
    made = client.post(f"{ADMIN}/key", json={"id": "bob", "models": ["latest"], "tenant": "eu"})
    assert (made.status_code, len(made.json()["secret"])) == (201, 53)
    assert client.put(f"{ADMIN}/key/ann", json={"budget_day": 5}).status_code == 200
    live: Live = client.app.state.gateway  # type: ignore[attr-defined]
    on_disk = parsed(file.read_text(encoding="utf-8"))
    assert on_disk == live.serving.gateway
    assert {one.name: [target.weight for target in one.targets] for one in on_disk.model} == {
        "org/chat.v1": [0.25, 4.0], "new": [1.0],
    }  # fmt: skip
    assert on_disk.alias == {"gpt": "org/chat.v1", "latest": "new"}
    ann, bob = on_disk.key
    assert (ann.sha256[:4], ann.budget_day, ann.models) == ("0011", 5, frozenset())
    assert (bob.tenant, bob.models) == ("eu", {"latest"})
    assert made.json()["secret"] not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600
    assert client.get("/v1/models", headers={"Authorization": "Bearer " + made.json()["secret"]}).json()[
        "data"
    ] == [{"id": "latest", "object": "model", "created": 0, "owned_by": "gateway"}]
    for path in ("key/bob", "alias/latest", "model/new"):
        assert client.delete(f"{ADMIN}/{path}").status_code == 200
    assert [one["name"] for one in client.get(ADMIN).json()["model"]] == ["org/chat.v1"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [("PUT", "model/new", {"targets": []}, 400, "at least 1"),
     ("PUT", "model/new", {"targets": [{"url": "http://x"}], "x": 1}, 400, "Extra"),
     ("PUT", "alias/x", {"model": "nowhere"}, 400, "nowhere"), ("PUT", "alias/x", {}, 400, "model"),
     ("PUT", "model/org/chat.v1/weights", [1], 400, "2 targets"), ("DELETE", "model/none", None, 404, "none"),
     ("DELETE", "model/org/chat.v1", None, 400, "is no model"), ("POST", "key", {"id": "ann"}, 400, "There is a key"),
     ("PUT", "key/new", {"tenant": "x"}, 400, "sha256"), ("DELETE", "alias/none", None, 404, "none"),
     ("PUT", "model/n", {"targets": [{"url": "http://x", "key": "sk-1"}]}, 400, "key"),
     ("PUT", "model/n", {"targets": None}, 400, ""), ("PUT", "model/n", {"targets": [{"url": "\ud800"}]}, 400, "")],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_the_reason(
    client: TestClient, file: Path, method: str, path: str, body: Any, status: int, said: str
) -> None:
    content = None if body is None else json.dumps(body)
    found = client.request(
        method, f"{ADMIN}/{path}", content=content, headers={"content-type": "application/json"}
    )
    assert found.status_code == status, found.text
    assert said in found.json()["error"]["message"]
    assert file.read_text(encoding="utf-8") == FILE


def test_a_file_that_somebody_is_editing_is_not_overwritten(client: TestClient, file: Path) -> None:
    file.write_text("[[model]]\nname = ", encoding="utf-8")
    found = client.put(f"{ADMIN}/alias/x", json={"model": "gpt"})
    assert (found.status_code, found.json()["error"]["code"]) == (409, "gateway_file")
    assert file.read_text(encoding="utf-8") == "[[model]]\nname = "
    told = client.get(ADMIN).json()
    assert "TOML" in told["problem"]
    assert [one["name"] for one in told["model"]] == ["org/chat.v1"]


def test_it_needs_the_token(file: Path) -> None:
    with shelf(file.parent, LYCEUM_TOKEN="sesame") as client:
        assert client.get(ADMIN).status_code == 401
        assert client.get(ADMIN, headers={"Authorization": "Bearer sesame"}).status_code == 200
        assert (
            client.get(ADMIN, headers={"Host": "evil.example", "Authorization": "Bearer x"}).status_code
            == 401
        )


def test_guesses_at_a_key_have_to_wait(file: Path) -> None:
    asked = {"model": "gpt", "messages": []}
    with shelf(
        file.parent, LYCEUM_TOKEN="sesame", LYCEUM_SERVE__RATE="0.01", LYCEUM_SERVE__BURST="3"
    ) as client:
        guesses = [
            client.post(
                "/v1/chat/completions", json=asked, headers={"Authorization": f"Bearer {number}"}
            ).status_code
            for number in range(5)
        ]
    assert guesses == [401, 401, 401, 429, 429]


@pytest.mark.parametrize("text", ['q"uo\\te', "new\nline", "\x7f", "ünï", "🙂", "a.b", ""])
def test_what_is_written_is_read_again(text: str) -> None:
    tables = {
        "model": [
            {"name": text or "x", "targets": [{"url": f"http://{text}", "tags": [text], "weight": 0.1}]}
        ],
        "alias": {text or "y": text or "x"} if text else {},
    }
    tables["alias"].pop(text, None)
    assert parsed(written(tables)).model_dump(mode="json", exclude_defaults=True) == {
        name: one for name, one in tables.items() if one
    }


def test_a_hundred_changes_under_load_drop_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        answer = b'{"choices": []}'

        async def scene(request: bytes, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.002)
            writer.write(reply(answer))

        async with played(scene) as one, played(scene) as two:
            file = tmp_path / "gateway.toml"
            put(file, f"{one.url}/v1")
            async with fronted(file) as (live, http):
                done = False
                codes: list[int] = []

                async def ask() -> None:
                    while not done:
                        asked = {"model": "chat", "messages": []}
                        codes.append((await http.post("/v1/chat/completions", json=asked)).status_code)

                asking = [asyncio.create_task(ask()) for _ in range(4)]
                for number in range(100):
                    tables = live.serving.gateway.model_dump(mode="json", exclude_defaults=True)
                    tables["model"][0]["targets"][0]["url"] = f"{(one, two)[number % 2].url}/v1"
                    await live.write(written(tables))
                done = True
                await asyncio.gather(*asking)
            assert set(codes) == {200}
            assert len(codes) > 20
            assert min(len(one.requests), len(two.requests)) > 2

    run(play())


def test_a_stream_that_has_begun_ends_on_what_it_began_with(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    word = b'data: {"choices": []}\n\n'

    async def slow(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(typed(chunked(word, end=False), "text/event-stream"))
        async with asyncio.timeout(10):
            await go_on.wait()
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(word), word))

    async def play() -> None:
        async with played(slow) as server:
            file = tmp_path / "gateway.toml"
            put(file, f"{server.url}/v1")
            asked = {"model": "chat", "messages": [], "stream": True}
            async with (
                fronted(file) as (live, http),
                http.stream("POST", "/v1/chat/completions", json=asked) as found,
            ):
                pieces = found.aiter_raw()
                assert await anext(pieces) == word
                await live.write('[[model]]\nname = "other"\ntargets = [{url = "http://127.0.0.1:9"}]\n')
                gone = await http.post("/v1/messages", json=asked)
                assert gone.status_code == 404
                go_on.set()
                assert b"".join([one async for one in pieces]) == word

    run(play())
