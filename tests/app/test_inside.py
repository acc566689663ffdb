"""Lyceum's own models asked through the gateway: the same as their routes give, work that ends with its caller."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lyceum.app.inside import inside
from lyceum.app.server import create
from lyceum.app.settings import load
from lyceum.core.errors import LyceumError
from lyceum.gateway.call import Call, Reply
from lyceum.gateway.config import Target
from tests.toys import run

TARGET = Target(url="lyceum:", kind="lyceum")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    home = tmp_path_factory.mktemp("inside")
    (home / "gateway.toml").write_text(
        '[[model]]\nname = "own"\ntargets = [{url = "lyceum:", kind = "lyceum"}]\n', encoding="utf-8"
    )
    models = {name: os.environ[name] for name in ("LYCEUM_MODELS",) if name in os.environ}
    with TestClient(create(load(str(home), models))) as opened:
        yield opened


def test_encoder_and_reranker_answer_as_their_routes_do(client: TestClient) -> None:
    def both(path: str, own: str, **asked: Any) -> tuple[Any, Any]:
        replies = [client.post(path, json={"model": name, **asked}) for name in ("own", own)]
        assert [one.status_code for one in replies] == [200, 200], replies[0].text
        return replies[0].json(), replies[1].json()

    texts = ["The quay opens at seven.", "A heron."]
    if client.app.state.platform.embedder is not None:  # type: ignore[attr-defined]
        through, direct = both("/v1/embeddings", "minilm", input=texts)
        assert through == direct
    through, direct = both("/v1/rerank", "lyceum-rerank", query="When does the quay open?", documents=texts)
    assert through == direct
    assert (
        client.post("/v1/rerank", json={"query": "x", "documents": ["x"]}).status_code == 200
    )  # names no model


def test_what_its_route_refuses_is_refused(client: TestClient) -> None:
    found = client.post("/v1/chat/completions", json={"model": "own", "messages": []})
    assert (found.status_code, bool(found.json()["error"]["hint"])) == (400, True)
    assert client.post("/v1/completions", json={"model": "own", "prompt": "x"}).status_code == 404


def call(**more: Any) -> Call:
    return Call(
        path="/v1/chat/completions", body=b"", asked={"stream": True}, model="own", stream=True, **more
    )


@pytest.mark.parametrize("early", [True, False])
def test_who_leaves_ends_the_work(early: bool) -> None:
    async def play() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            begun.set()
            try:
                if early:
                    await asyncio.Event().wait()
                head = [(b"content-type", b"text/event-stream")]
                await send({"type": "http.response.start", "status": 200, "headers": head})
                while True:
                    await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
                    await asyncio.sleep(0)
            finally:
                ended.set()

        forward = inside(lambda: application, None)(TARGET)

        async def ask() -> Reply:
            found = await forward(call())
            assert found.chunks is not None
            async for _ in found.chunks:
                break
            await found.chunks.aclose()
            return found

        asking = asyncio.create_task(ask())
        await begun.wait()
        if early:
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        else:
            await asking
        async with asyncio.timeout(5):
            await ended.wait()

    run(play())


def test_an_application_that_ends_without_a_reply() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        return None

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise LyceumError("It is broken.")

    for one in (application, failing):
        with pytest.raises(LyceumError):
            run(inside(lambda one=one: one, None)(TARGET)(call()))  # type: ignore[misc]
