"""The nouns of the gateway: a call on its way to a model, and the reply on its way back; they do no work.

Both are mutable and live for one request: policies write down what they did. A Forward takes a call and gives a
reply; a policy is a Forward around another.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lyceum.core.types import EVERYONE, Usage


@dataclass(slots=True, kw_only=True)
class Call:
    """A request as it came: `body` is what was sent, `asked` the same as JSON (not changed by policies).

    `model` is the name that routing goes by; `key` the id of the virtual key and `tenant` who it belongs to; `facts`
    say what policies did (upstream, attempts, cache, …) and go into the usage book, metrics and traces. A reply that
    was not paid for says so there: `cache` is hit-exact or hit-semantic, and its usage is zero.
    """

    path: str
    body: bytes
    asked: Mapping[str, Any]
    model: str
    stream: bool = False
    key: str = ""
    tenant: str = ""
    readers: frozenset[str] = frozenset({EVERYONE})
    headers: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Reply:
    """Status, headers, and either `body` or `chunks`; `usage` is known when all has been read.

    `finish` is called exactly once by whoever sends the reply, after the last byte or when the client has left: what
    policies hung on `ended` settles budgets, frees slots and counts. They tell `first` and `last`, when the first and
    the last of `pieces` of a stream went out, and whether the client has `left`, which is no error of the upstream.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: AsyncGenerator[bytes, None] | None = None
    usage: Usage | None = None
    error: str = ""
    first: float = 0.0
    last: float = 0.0
    pieces: int = 0
    left: bool = False
    ended: list[Callable[[Reply], None]] = field(default_factory=list)

    def finish(self) -> None:
        """Run what waits for the end, last hung first; a second call does nothing."""
        waiting, self.ended = self.ended, []
        for one in reversed(waiting):
            one(self)


Forward = Callable[[Call], Awaitable[Reply]]
