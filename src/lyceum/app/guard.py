"""What stands before the application: who calls, how often, how much, how slowly; and what every response carries.

Raw ASGI, so that a request is refused before its body is read. It knows no route and no document.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lyceum.app import cookie, shapes
from lyceum.core.errors import Busy, Forbidden, InvalidInput, LyceumError, TooLarge
from lyceum.core.ids import random_id
from lyceum.observe.metrics import Metrics

GONE = {"type": "http.disconnect"}
OPEN = ("/healthz", "/readyz")
WAY_IN = ("/login", "/static/")  # what a browser needs before it has shown the token
HEAD_BYTES, QUERY_BYTES = 32_768, 16_384
SLOWEST = 10_000  # bytes a second that a long body has to come with
CALLERS = 10_000  # buckets that are kept
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
LOOPBACK = frozenset(("127.0.0.1", "::1"))
HERE = LOOPBACK | {"localhost"}
_id = re.compile(r"[A-Za-z0-9._-]{1,64}")

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
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
        assert min(self.body_mb, self.concurrency, self.body_seconds, self.grace_seconds) > 0, self
        assert self.rate >= 0, self.rate
        assert self.burst >= 1, self.burst


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

    def __init__(
        self, app: ASGIApp, limits: Limits, token: str, metrics: Callable[[], Metrics],
        refuse: Callable[[Request, LyceumError], Response] | None = None,
    ) -> None:  # fmt: skip
        self.app, self.limits, self.token, self.metrics = app, limits, token, metrics
        self.refuse = refuse or (lambda request, problem: refused(problem))
        self.most = int(limits.body_mb * 1_000_000)
        self.buckets = Buckets(limits.rate, limits.burst)
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with an error before any of its body was read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        given = given if _id.fullmatch(given) else random_id()
        one = _Exchange(receive, send, given, self.most, self.limits.body_seconds)
        scope.setdefault("state", {})["request_id"] = one.request_id
        try:
            await self._served(scope, headers, one)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics().request(method, route, one.status or 500, time.perf_counter() - started)

    async def _served(self, scope: Scope, headers: Headers, one: _Exchange) -> None:
        counted = scope["path"] not in OPEN
        try:
            if counted:
                self._admit(scope, headers)
        except LyceumError as problem:
            await self.refuse(Request(scope), problem)(scope, one.receive, one.send)
            return
        self.running += counted
        try:
            await self.app(scope, one.receive, one.send)
        finally:
            self.running -= counted
        if one.problem and not one.status:
            cut_off, one.problem = one.problem, None
            await refused(cut_off)(scope, one.receive, one.send)

    def _admit(self, scope: Scope, headers: Headers) -> None:
        given = headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        known = bool(self.token) and (
            hmac.compare_digest(given, self.token.encode())
            or cookie.known(headers, scope["method"], self.token, time.time())
        )
        address = (scope.get("client") or ("",))[0]
        if wait := self.buckets.wait("token" if known else address):
            raise Busy("Too many requests.", hint="Wait and try again.", code="rate", status=429, wait=wait)
        if self.token and not known and not scope["path"].startswith(WAY_IN):
            raise Forbidden("No valid token.", hint="Send the header Authorization: Bearer TOKEN.")
        if not self.token and address in LOOPBACK:
            own(headers)
        if self.running >= self.limits.concurrency:
            raise Busy(f"{self.running} requests are at work.", hint="Try again in a second.")
        if len(scope.get("query_string", b"")) > QUERY_BYTES:
            raise TooLarge("The address is too long.", hint="Send less in the query.", status=414)
        if sum(len(name) + len(value) for name, value in headers.raw) > HEAD_BYTES:
            raise TooLarge("The headers are too large.", hint="Send fewer headers.", status=431)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.most:
            raise too_large(self.most)


class _Exchange:
    """Adds the headers that every response has, counts and times the body; of one that is too large or too slow the
    application sees its caller go, and what it says about that is dropped.
    """

    def __init__(self, receive: Receive, send: Send, request_id: str, most: int, seconds: float) -> None:
        self._receive, self._send, self.request_id = receive, send, request_id
        self.most, self.seconds = most, seconds
        self.seen, self.complete, self.status = 0, False, 0
        self.started = time.monotonic()
        self.problem: LyceumError | None = None

    async def receive(self) -> Message:
        if self.problem:
            return GONE
        if self.complete:
            return await self._receive()
        left = self.started + self.seconds + self.seen / SLOWEST - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0)):
                message = await self._receive()
        except TimeoutError:
            said = "The body came too slowly."
            self.problem = InvalidInput(said, hint="Send it faster.", code="slow", status=408)
            return GONE
        self.seen += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self.seen > self.most:
            self.problem = too_large(self.most)
        return GONE if self.problem else message

    async def send(self, message: Message) -> None:
        if self.problem and not self.status:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**HEADERS, "x-request-id": self.request_id}.items():
                headers.setdefault(name, value)
            if self.status in (408, 413, 431):
                headers["connection"] = "close"
        await self._send(message)


def own(headers: Mapping[str, str]) -> None:
    """Refuse web pages where there is no token: those that call this machine another host, and other sites."""
    host = headers.get("host", "").lower()
    name = host.removeprefix("[").split("]")[0] if host.startswith("[") else host.split(":")[0]
    origin = headers.get("origin", "").lower()
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
