"""The HTTP application: limits, token, errors and the life of the platform; the routes stand in `routes`."""

from __future__ import annotations

import hmac
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lyceum import __version__
from lyceum.app import job_routes, openai_routes, routes, shapes
from lyceum.app.jobs import Runner
from lyceum.app.session import opened
from lyceum.app.settings import Settings
from lyceum.core.errors import Busy, ConfigError, Forbidden, InvalidInput, LyceumError, NotFound, TooLarge
from lyceum.wire import make

log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OPEN = ("/healthz", "/readyz")


@dataclass(frozen=True, slots=True)
class Limits:
    """The table [serve]."""

    host: str
    port: int
    body_mb: float
    concurrency: int

    def __post_init__(self) -> None:
        assert 0 <= self.port < 65536, self.port
        assert self.body_mb > 0, self.body_mb
        assert self.concurrency > 0, self.concurrency


LIMITS = {"app.limits": "lyceum.app.server:Limits"}


class Guard:
    """Wraps the application: token first, then the number of requests at work, then the body's size."""

    def __init__(self, app: Any, token: str, body_bytes: int, concurrency: int) -> None:
        self.app, self.token, self.body_bytes = app, token, body_bytes
        self.concurrency, self.running = concurrency, 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with an error before any of its body was read."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            self._admit(headers)
        except LyceumError as problem:
            await _refuse(problem, scope, receive, send)
            return
        self.running += 1
        body = _Body(receive, send, self.body_bytes)
        try:
            await self.app(scope, body.receive, body.send)
            if body.seen > self.body_bytes:
                await _refuse(self._too_large(), scope, receive, send)
        finally:
            self.running -= 1

    def _admit(self, headers: dict[bytes, bytes]) -> None:
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if self.token and not hmac.compare_digest(given, self.token.encode()):
            raise Forbidden("No valid token.", hint="Send the header Authorization: Bearer TOKEN.")
        if self.running >= self.concurrency:
            raise Busy(f"{self.running} requests are at work.", hint="Try again in a second.")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.body_bytes:
            raise self._too_large()

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"The body is larger than {self.body_bytes // 1_000_000} MB.",
            hint="Send a smaller file, or raise serve.body_mb in lyceum.toml.",
        )


class _Body:
    """Counts a body that does not say its size; over the limit it ends, and what the application says is dropped."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive, self._send, self.most = receive, send, most
        self.seen = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.seen += len(message.get("body", b""))
        return (
            message if self.seen <= self.most else {"type": "http.request", "body": b"", "more_body": False}
        )

    async def send(self, message: Message) -> None:
        if self.seen <= self.most:
            await self._send(message)


async def _refuse(problem: LyceumError, scope: Message, receive: Receive, send: Send) -> None:
    await _response(problem)(scope, receive, send)


def _response(problem: LyceumError) -> JSONResponse:
    headers = {"Retry-After": "1"} if problem.retryable else {}
    return JSONResponse(shapes.error(problem), problem.status, headers)


def create(settings: Settings) -> FastAPI:
    """Return the application for a home; the platform is opened when it starts."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings) as platform:
            app.state.platform = platform
            app.state.jobs = Runner(platform)
            async with app.state.jobs.working():
                yield

    app = FastAPI(
        title="Lyceum", version=__version__, lifespan=life,
        description="Documents in, cited answers out. Every error has the shape "
        '{"error": {"code", "message", "hint", "retryable", "type"}}.',
    )  # fmt: skip
    app.include_router(routes.router)
    app.include_router(openai_routes.router)
    app.include_router(job_routes.router)
    app.state.stopping = lambda: False
    app.add_exception_handler(LyceumError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)
    limits = make("serve", {"kind": "app.limits", **settings.tables["serve"]}, {}, LIMITS)
    app.add_middleware(
        Guard,
        token=settings.token,
        body_bytes=int(limits.body_mb * 1_000_000),
        concurrency=limits.concurrency,
    )
    return app


async def _ours(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, LyceumError)
    return _response(problem)


async def _invalid(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    path = ".".join(str(part) for part in first["loc"][1:]) or "The body"
    return _response(
        InvalidInput(f"{path}: {first['msg']}.", hint="See /docs for the shape of this request.")
    )


async def _framework(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    ours = NotFound if problem.status_code == 404 else InvalidInput
    response = _response(ours(f"{problem.detail}.", hint="/docs lists every route."))
    response.status_code = problem.status_code
    return response


async def _unexpected(request: Request, problem: Exception) -> JSONResponse:
    # One of the three places where anything may be caught: nothing of the exception's text leaves here.
    log.error("unexpected error on %s", request.url.path, exc_info=problem)
    return _response(
        LyceumError("An unexpected error.", hint="The server's log has the details.", code="unexpected")
    )


async def serve(settings: Settings, host: str | None = None, port: int | None = None) -> None:
    """Serve until interrupted; running answers are finished first."""
    limits = make("serve", {"kind": "app.limits", **settings.tables["serve"]}, {}, LIMITS)
    host, port = host or limits.host, limits.port if port is None else port
    if host not in ("127.0.0.1", "localhost", "::1") and not settings.token:
        raise ConfigError(
            f"Refusing to listen on {host} without a token.",
            hint="Set LYCEUM_TOKEN to a long random text, or listen on 127.0.0.1.", code="no_token",
        )  # fmt: skip
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as problem:
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {problem}.",
            hint="Choose another with --port.",
            code="port",
        ) from problem
    app = create(settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=30,
    )
    server = uvicorn.Server(config)
    app.state.stopping = lambda: server.should_exit  # streams of progress end, requests are finished
    await server.serve(sockets=[listener])


def openapi(settings: Settings) -> str:
    """Return the OpenAPI description as JSON, for the documentation."""
    return json.dumps(create(settings).openapi(), indent=1)
