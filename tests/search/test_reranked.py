"""A reranked retriever: the best of more hits than were asked for; a reranker that fails changes nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum import wire
from lyceum.core.errors import ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Hit, Query, Span
from lyceum.search.reranked import Reranked
from tests.toys import Home, ToyEncoder, document, run


def reranker(order: Callable[[list[Hit]], list[Hit]]) -> Any:
    async def made(query: Query, hits: Sequence[Hit]) -> list[Hit]:
        return order(list(hits))

    return made


def refuse(hits: list[Hit]) -> list[Hit]:
    raise ProviderError("The model is away.", hint="Try again.")


def found(folder: Path, order: Callable[[list[Hit]], list[Hit]], **options: Any) -> tuple[list[str], Span]:
    async def check() -> tuple[list[str], Span]:
        home = Home(folder)
        texts = ["pump pressure", "pump pressure valve", "pump pressure valve colour", "pump motor"]
        await home.store.put([document(f"{n}.md", text) for n, text in enumerate(texts)])
        spans: list[Span] = []
        with tracing(spans.append):
            hits = await Reranked(home.hybrid, reranker(order), **options)(
                Query(text="pump pressure", top_k=2)
            )
        return [hit.document.source for hit in hits], next(
            one for one in spans if one.name == "search.rerank"
        )

    return run(check())


def test_the_best_of_more_hits_than_were_asked_for(tmp_path: Path) -> None:
    names, told = found(tmp_path, lambda hits: hits[::-1])
    assert names == ["3.md", "2.md"]
    assert told.facts == {"hits": 4}


def test_depth_is_how_many_are_reranked(tmp_path: Path) -> None:
    assert found(tmp_path, lambda hits: hits[::-1], depth=2)[0] == ["1.md", "0.md"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (refuse, "provider"),
        (lambda hits: [replace(hit, score=math.nan) for hit in hits[::-1]], "no number"),
        (lambda hits: hits[::-1][:1], "other hits"),
        (lambda hits: [hits[-1]] * len(hits), "other hits"),
    ],
)
def test_a_reranker_that_fails_leaves_the_order(tmp_path: Path, broken: Any, said: str) -> None:
    names, told = found(tmp_path, broken)
    assert names == ["0.md", "1.md"]
    assert said in told.facts["warning"]


def test_a_slow_reranker_leaves_the_order(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document(f"{n}.md", text) for n, text in enumerate(["pump pressure", "pump"])])

        async def slow(query: Query, hits: Sequence[Hit]) -> list[Hit]:
            await asyncio.sleep(0.2)
            return list(hits)[::-1]

        spans: list[Span] = []
        with tracing(spans.append):
            late = await Reranked(home.hybrid, slow, seconds=0.02)(Query(text="pump pressure"))
            intime = await Reranked(home.hybrid, slow, seconds=5)(Query(text="pump pressure"))
        assert [hit.document.source for hit in late] == ["0.md", "1.md"]
        assert [hit.document.source for hit in intime] == ["1.md", "0.md"]
        told = [one.facts for one in spans if one.name == "search.rerank"]
        assert [one.get("warning") for one in told] == ["not reranked: it took longer than 0.02 s", None]

    run(check())


def test_a_configuration_names_retriever_and_reranker(tmp_path: Path) -> None:
    tables = {
        "retriever": {
            "kind": "search.reranked", "depth": 7, "retriever": {"kind": "search.lexical"},
            "reranker": {"kind": "answer.rerank"},
        }
    }  # fmt: skip
    platform = wire.build(tables, tmp_path, replace={"encoder": ToyEncoder(), "spans": None})
    assert isinstance(platform.retriever, Reranked)
    assert platform.retriever.depth == 7
    assert run(platform.retriever(Query(text="anything"))) == []
    run(platform.close())
