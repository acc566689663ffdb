"""/v1/rerank, and what /v1/embeddings refuses; the vectors themselves are tested with OpenAI's client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.shelf import shelf

DOCUMENTS = [
    "The canteen serves soup on Mondays.",
    "Employees may take thirty days of leave a year.",
    "试用期为三个月。",
    "Leave requests are sent to the team lead two weeks before.",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with shelf(tmp_path_factory.mktemp("vectors") / "home") as opened:
        yield opened


def ranked(client: TestClient, **asked: Any) -> list[dict[str, Any]]:
    body = {"query": "How many days of leave may employees take?", "documents": DOCUMENTS, **asked}
    response = client.post("/v1/rerank", json=body)
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_rerank(client: TestClient) -> None:
    results = ranked(client)
    assert sorted(one["index"] for one in results) == [0, 1, 2, 3]
    assert results[0]["index"] == 1
    scores = [one["relevance_score"] for one in results]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] < scores[0] <= 1
    assert "document" not in results[0]
    assert ranked(client, query="试用期是几个月？")[0]["index"] == 2


def test_rerank_in_both_shapes(client: TestClient) -> None:
    objects = [{"text": text} for text in DOCUMENTS]
    results = ranked(client, model="lyceum-rerank", documents=objects, top_n=2, return_documents=True)
    assert [one["document"]["text"] for one in results] == [DOCUMENTS[one["index"]] for one in results]
    assert len(results) == 2
    plain = [{"index": one["index"], "relevance_score": one["relevance_score"]} for one in results]
    assert plain == ranked(client, top_n=2)
    whole = client.post("/v1/rerank", json={"query": "soup", "documents": DOCUMENTS}).json()
    assert (whole["model"], whole["usage"]["total_tokens"] > 20) == ("lyceum-rerank", True)


@pytest.mark.parametrize(
    ("more", "status"),
    [({"documents": []}, 400), ({"documents": [""]}, 400), ({"query": ""}, 400), ({"top_n": 0}, 400),
     ({"model": "other"}, 404), ({"documents": [{"text": "a", "id": 1}]}, 400), ({"documents": ["a"] * 1001}, 400),
     ({"document": "a"}, 400)],
)  # fmt: skip
def test_rerank_refuses(client: TestClient, more: dict[str, Any], status: int) -> None:
    response = client.post("/v1/rerank", json={"query": "leave", "documents": DOCUMENTS, **more})
    assert response.status_code == status
    assert response.json()["error"]["hint"]


def test_no_encoder_says_how_to_get_one(client: TestClient) -> None:
    error = client.post("/v1/embeddings", json={"model": "minilm", "input": "x"}).json()["error"]
    assert error["code"] == "no_encoder"
    assert "lyceum models add minilm" in error["hint"]
