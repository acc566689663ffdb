"""Traces: every step that takes time or money opens a span; whoever listens gets it when it ends.

`with tracing(sink)` names the listener for all that runs inside; without one, spans cost next to nothing.
`span` is for work that returns. A `span` around a `yield` would adopt the consumer's work: use `traced`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from lyceum.core.ids import random_id
from lyceum.core.types import Span

T = TypeVar("T")
Sink = Callable[[Span], None]

_sink: ContextVar[Sink | None] = ContextVar("sink", default=None)
_current: ContextVar[tuple[str, str]] = ContextVar("current", default=("", ""))


@contextmanager
def tracing(sink: Sink) -> Iterator[None]:
    """Send every span that ends inside to `sink`."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


def trace_id() -> str:
    """Return the id of the running trace, empty outside one."""
    return _current.get()[0]


@contextmanager
def span(name: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """Time the work inside; the dict that is given may be filled with more facts (never with content)."""
    trace, parent = _current.get()
    mine = random_id()
    token = _current.set((trace or mine, mine))
    start, tick, error = time.time(), time.perf_counter(), ""
    try:
        yield facts
    except BaseException as problem:
        error = type(problem).__name__
        raise
    finally:
        _current.reset(token)
        _finish(name, mine, trace or mine, parent, start, tick, error, facts)


async def traced(name: str, stream: AsyncIterator[T], **facts: Any) -> AsyncIterator[T]:
    """Pass `stream` on and record a span from its first pull to its end; the consumer's own work is outside."""
    trace, parent = _current.get()
    mine = random_id()
    start, tick, error = time.time(), time.perf_counter(), ""
    try:
        async with aclosing(stream) as items:  # type: ignore[type-var]
            async for item in items:
                yield item
    except GeneratorExit:
        error = "closed"
        raise
    except BaseException as problem:
        error = type(problem).__name__
        raise
    finally:
        _finish(name, mine, trace or mine, parent, start, tick, error, facts)


def _finish(
    name: str,
    mine: str,
    trace: str,
    parent: str,
    start: float,
    tick: float,
    error: str,
    facts: dict[str, Any],
) -> None:
    sink = _sink.get()
    if sink is not None:
        seconds = time.perf_counter() - tick
        sink(
            Span(
                name=name, id=mine, trace_id=trace, parent=parent,
                start=start, seconds=seconds, error=error, facts=facts,
            )
        )  # fmt: skip
