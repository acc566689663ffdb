"""What stands before the application: who calls, how often, how much, how slowly; and what every response carries.

Raw ASGI, so that a request is refused before its body is read. It knows no route and no document.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse

from lyceum.app import shapes
from lyceum.core.errors import Busy, Forbidden, InvalidInput, LyceumError, TooLarge
from lyceum.core.ids import random_id
from lyceum.observe.metrics import Metrics

log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

OPEN = ("/healthz", "/readyz")
HEAD_BYTES, QUERY_BYTES = 32_768, 16_384
SLOWEST = 10_000  # bytes a second that a long body has to come with
CALLERS = 10_000  # buckets that are kept
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
LOOPBACK = frozenset(("127.0.0.1", "::1"))
HERE = LOOPBACK | {"localhost"}
_id = re.compile(rb"[A-Za-z0-9._-]{1,64}")

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The table [serve]."""

    host: str
    port: int
    body_mb: float
    concurrency: int
    rate: float = 0.0
    burst: int = 20
    body_seconds: float = 20.0
    grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        assert 0 <= self.port < 65536, self.port
        assert self.body_mb > 0, self.body_mb
        assert self.concurrency > 0, self.concurrency
        assert self.rate >= 0, self.rate
        assert self.burst >= 1, self.burst
        assert self.body_seconds > 0, self.body_seconds
        assert self.grace_seconds > 0, self.grace_seconds


class Buckets:
    """Token buckets, one a caller: `rate` requests a second on average, `burst` at once; a rate of 0 is no limit."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self._kept: dict[str, tuple[float, float]] = {}

    def wait(self, caller: str) -> float:
        """Take one token; return 0, or the seconds until there is one again."""
        if not self.rate:
            return 0.0
        now = self.clock()
        left, then = self._kept.get(caller, (float(self.burst), now))
        left = min(float(self.burst), left + (now - then) * self.rate)
        if caller not in self._kept and len(self._kept) >= CALLERS:
            self._kept = {name: one for name, one in self._kept.items() if not self._full(one, now)}
        self._kept[caller] = (max(left - 1, left if left < 1 else 0.0), now)
        return 0.0 if left >= 1 else (1 - left) / self.rate

    def _full(self, kept: tuple[float, float], now: float) -> bool:
        return kept[0] + (now - kept[1]) * self.rate >= self.burst


class Guard:
    """Wraps the whole application, errors included."""

    def __init__(self, app: Any, limits: Limits, token: str, metrics: Callable[[], Metrics]) -> None:
        self.app, self.limits, self.token, self.metrics = app, limits, token, metrics
        self.most = int(limits.body_mb * 1_000_000)
        self.buckets = Buckets(limits.rate, limits.burst)
        self.running = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with an error before any of its body was read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        body = _Body(receive, self.most, self.limits.body_seconds)
        out = _Out(send, _request_id(headers), body)
        scope.setdefault("state", {})["request_id"] = out.request_id
        try:
            await self._served(scope, headers, body, out)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics().request(method, route, out.status or 500, time.perf_counter() - started)

    async def _served(self, scope: Message, headers: dict[bytes, bytes], body: _Body, out: _Out) -> None:
        try:
            if scope["path"] not in OPEN:
                self._admit(scope, headers)
        except LyceumError as problem:
            await refused(problem)(scope, body.receive, out.send)
            return
        self.running += scope["path"] not in OPEN
        try:
            await self.app(scope, body.receive, out.send)
        finally:
            self.running -= scope["path"] not in OPEN
        if body.problem and not out.status:
            body_problem, body.problem = body.problem, None
            await refused(body_problem)(scope, body.receive, out.send)

    def _admit(self, scope: Message, headers: dict[bytes, bytes]) -> None:
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        known = bool(self.token) and hmac.compare_digest(given, self.token.encode())
        address = (scope.get("client") or ("",))[0]
        if wait := self.buckets.wait("token" if known else address):
            raise Busy("Too many requests.", hint="Wait and try again.", code="rate", status=429, wait=wait)
        if self.token and not known:
            raise Forbidden("No valid token.", hint="Send the header Authorization: Bearer TOKEN.")
        if not self.token and address in LOOPBACK:
            _own(headers)
        if self.running >= self.limits.concurrency:
            raise Busy(f"{self.running} requests are at work.", hint="Try again in a second.")
        if len(scope.get("query_string", b"")) > QUERY_BYTES:
            raise TooLarge("The address is too long.", hint="Send less in the query.", status=414)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_BYTES:
            raise TooLarge("The headers are too large.", hint="Send fewer headers.", status=431)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.most:
            raise too_large(self.most)


class _Body:
    """Counts and times a body; when it is too large or too slow the application sees the caller go."""

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self._receive, self.most, self.seconds = receive, most, seconds
        self.seen, self.complete = 0, False
        self.started = time.monotonic()
        self.problem: LyceumError | None = None

    async def receive(self) -> Message:
        if self.problem:
            return {"type": "http.disconnect"}
        if self.complete:
            return await self._receive()
        left = self.started + self.seconds + self.seen / SLOWEST - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0)):
                message = await self._receive()
        except TimeoutError:
            self.problem = InvalidInput(
                "The body came too slowly.", hint="Send it faster.", code="slow", status=408
            )
            return {"type": "http.disconnect"}
        self.seen += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self.seen > self.most:
            self.problem = too_large(self.most)
            return {"type": "http.disconnect"}
        return message


class _Out:
    """Adds the headers that every response has; drops what is said about a body that was cut off."""

    def __init__(self, send: Send, request_id: str, body: _Body) -> None:
        self._send, self.request_id, self.body = send, request_id, body
        self.status = 0

    async def send(self, message: Message) -> None:
        if self.body.problem and not self.status:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            named = {name.lower() for name, _ in message["headers"]}
            more = [(name, value) for name, value in HEADERS.items() if name not in named]
            more.append((b"x-request-id", self.request_id.encode()))
            if self.status in (408, 413, 431):
                more.append((b"connection", b"close"))
            message = {**message, "headers": [*message["headers"], *more]}
        await self._send(message)


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"")
    return given.decode() if _id.fullmatch(given) else random_id()


def _own(headers: dict[bytes, bytes]) -> None:
    """Refuse web pages where there is no token: those that call this machine another host, and other sites."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    name = host.removeprefix("[").split("]")[0] if host.startswith("[") else host.split(":")[0]
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    if name not in HERE or (origin and origin.partition("://")[2] != host):
        raise Forbidden(
            "This server speaks to programs on its own machine only.",
            hint="Call it as 127.0.0.1 or localhost, or set LYCEUM_TOKEN.", code="origin", status=403,
        )  # fmt: skip


def too_large(most: int) -> TooLarge:
    """Return the error of a body over the limit."""
    return TooLarge(
        f"The body is larger than {most // 1_000_000} MB.",
        hint="Send a smaller file, or raise serve.body_mb in lyceum.toml.",
    )


def refused(problem: LyceumError) -> JSONResponse:
    """Return an error in the one shape that errors have; what may pass says when to come back."""
    headers = {"Retry-After": str(math.ceil(problem.wait or 1))} if problem.retryable else {}
    return JSONResponse(shapes.error(problem), problem.status, headers)
