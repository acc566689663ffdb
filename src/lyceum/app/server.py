"""The HTTP application: limits, token, errors and the life of the platform; the routes stand in `routes`."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lyceum import __version__
from lyceum.app import openai_routes, routes, shapes
from lyceum.app.session import opened
from lyceum.app.settings import Settings
from lyceum.core.errors import Busy, Forbidden, InvalidInput, LyceumError, NotFound, TooLarge

log = logging.getLogger(__name__)
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
OPEN = ("/healthz", "/readyz")


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
        try:
            await self.app(scope, self._counted(receive), send)
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

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def pull() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.body_bytes:
                raise self._too_large()
            return message

        return pull


async def _refuse(problem: LyceumError, scope: Message, receive: Receive, send: Send) -> None:
    await _response(problem)(scope, receive, send)


def _response(problem: LyceumError) -> JSONResponse:
    headers = {"Retry-After": "1"} if problem.retryable else {}
    return JSONResponse(shapes.error(problem), problem.status, headers)


def create(settings: Settings) -> FastAPI:
    """Return the application for a home; the platform is opened when it starts."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        routes.empty_spool(settings.home)
        async with opened(settings) as platform:
            app.state.platform = platform
            app.state.ingesting = asyncio.Lock()
            yield

    app = FastAPI(
        title="Lyceum", version=__version__, lifespan=life,
        description="Documents in, cited answers out. Every error has the shape "
        '{"error": {"code", "message", "hint", "retryable", "type"}}.',
    )  # fmt: skip
    app.include_router(routes.router)
    app.include_router(openai_routes.router)
    app.add_exception_handler(LyceumError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)
    table = settings.tables["serve"]
    app.add_middleware(
        Guard, token=settings.token, body_bytes=int(table["body_mb"] * 1_000_000),
        concurrency=int(table["concurrency"]),
    )  # fmt: skip
    return app


async def _ours(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, LyceumError)
    return _response(problem)


async def _invalid(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    path = ".".join(str(part) for part in first["loc"][1:])
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


async def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until interrupted; running answers are finished first."""
    config = uvicorn.Config(
        create(settings),
        host=host,
        port=port,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=30,
    )
    await uvicorn.Server(config).serve()


def openapi(settings: Settings) -> str:
    """Return the OpenAPI description as JSON, for the documentation."""
    return json.dumps(create(settings).openapi(), indent=1)
