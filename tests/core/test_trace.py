"""Spans nest, carry errors, and never adopt the consumer of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lyceum.core.trace import span, trace_id, traced, tracing
from lyceum.core.types import Span


def test_nesting_and_facts() -> None:
    seen: list[Span] = []
    with tracing(seen.append), span("outer") as facts:
        facts["k"] = 5
        outer = trace_id()
        with span("inner"):
            assert trace_id() == outer
    inner, root = seen
    assert (inner.name, inner.parent, inner.trace_id) == ("inner", root.id, root.trace_id)
    assert (root.parent, root.facts) == ("", {"k": 5})
    assert trace_id() == ""


def test_errors_are_named() -> None:
    seen: list[Span] = []

    def fail() -> None:
        with tracing(seen.append), span("x"):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert seen[0].error == "ValueError"


def test_a_stream_does_not_adopt_its_consumer() -> None:
    seen: list[Span] = []

    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def consume() -> None:
        with tracing(seen.append), span("root"):
            async for _ in traced("stream", numbers()):
                with span("mine"):
                    pass

    asyncio.run(consume())
    by_name = {one.name: one for one in seen}
    assert by_name["mine"].parent == by_name["root"].id
    assert by_name["stream"].parent == by_name["root"].id


def test_threads_inherit_the_trace() -> None:
    seen: list[Span] = []

    def work() -> None:
        with span("in thread"):
            pass

    async def main() -> None:
        with tracing(seen.append), span("root"):
            await asyncio.to_thread(work)

    asyncio.run(main())
    assert seen[0].parent == seen[1].id
