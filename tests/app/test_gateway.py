"""A real server with a gateway.toml, played upstreams behind it: who is let in, and what changes while it runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.app.served import Server, served
from tests.gateway.upstream import Played, Scene, played, reply
from tests.toys import run

TOKEN = "sesame"
ASKED = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
KEY = f'[[key]]\nid = "ann"\nsha256 = "{hashlib.sha256(b"sk-ann").hexdigest()}"\n'


def written(home: Path, url: str, more: str = "", name: str = "chat") -> None:
    home.mkdir(exist_ok=True)
    text = f'[[model]]\nname = "{name}"\ntargets = [{{url = "{url}/v1"}}]\n{more}'
    (home / "gateway.toml").write_text(text, encoding="utf-8")


async def answering(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(reply(ANSWER, "200 OK", "content-type: application/json"))


Play = Callable[[Server, Played, httpx.AsyncClient], Awaitable[None]]


@asynccontextmanager
async def gateway(
    folder: Path, scene: Scene = answering, more: str = "", **given: str
) -> AsyncIterator[tuple[Server, Played, httpx.AsyncClient]]:
    """Serve a home whose gateway has one model, `chat`, that plays a scene."""
    async with played(scene) as upstream:
        written(folder / "home", upstream.url, more)
        with served(folder / "home", LYCEUM_MODELS=str(folder / "none"), **given) as server:
            async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=20) as http:
                yield server, upstream, http


@pytest.mark.parametrize("token", ["", TOKEN])
def test_who_is_let_in(tmp_path: Path, token: str) -> None:
    async def play() -> None:
        async with gateway(tmp_path, more=KEY, LYCEUM_TOKEN=token) as (_, upstream, http):
            for given, status in {
                "sk-ann": 200,
                TOKEN: 200 if token else 401,
                "": 401,
                "sk-bob": 401,
            }.items():
                found = await http.post(
                    "/v1/chat/completions", json=ASKED, headers={"authorization": f"Bearer {given}".strip()}
                )
                assert (found.status_code, given) == (status, given)
                if status == 401:
                    assert found.json()["error"]["code"] == "no_key"
                    assert found.json()["error"]["hint"]
            assert len(upstream.requests) == (2 if token else 1)
            mine = {"authorization": "Bearer sk-ann"}
            assert (
                await http.post("/v1/chat/completions", json=ASKED, headers={"x-api-key": "sk-ann"})
            ).status_code == 200
            lost = await http.post("/v1/chat/completions", json={**ASKED, "model": "lyceum"}, headers=mine)
            assert (lost.status_code, lost.json()["error"]["code"]) == (404, "model_not_found")
            if token:
                assert (await http.get("/api/documents", headers=mine)).status_code == 401

    run(play())


def test_without_keys_this_machine_is_let_in_and_no_web_page(tmp_path: Path) -> None:
    async def play() -> None:
        async with gateway(tmp_path) as (_, _, http):
            found = await http.post("/v1/chat/completions", json=ASKED)
            assert (found.status_code, found.content) == (200, ANSWER)
            page = {"origin": "https://evil.example"}
            assert (await http.post("/v1/chat/completions", json=ASKED, headers=page)).status_code == 403
            own = await http.post("/v1/chat/completions", json={**ASKED, "model": "lyceum"})
            assert own.json()["model"] == "lyceum"

    run(play())


def test_the_file_may_appear_and_change_while_it_runs(tmp_path: Path) -> None:
    async def play() -> None:
        async with played(answering) as upstream:
            with served(tmp_path / "home", LYCEUM_MODELS=str(tmp_path / "none")) as server:
                async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
                    for name in ("chat", "other"):
                        asked = {**ASKED, "model": name}
                        assert (await http.post("/v1/chat/completions", json=asked)).status_code == 404
                        written(tmp_path / "home", upstream.url, name=name)
                        for _ in range(100):
                            found = await http.post("/v1/chat/completions", json=asked)
                            if found.status_code == 200:
                                break
                            await asyncio.sleep(0.1)
                        assert found.status_code == 200

    run(play())
