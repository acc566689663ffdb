"""The HTTP application: its routers, errors, and the life of platform and process; limits stand in `guard`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import math
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lyceum import __version__
from lyceum.app import document_routes, job_routes, openai_routes, routes, vectors_routes, web
from lyceum.app.gateway import Front
from lyceum.app.guard import HEAD_BYTES, Guard, Limits
from lyceum.app.jobs import Runner
from lyceum.app.session import opened
from lyceum.app.settings import Settings
from lyceum.app.web.frame import refused
from lyceum.core.errors import ConfigError, InvalidInput, LyceumError, NotFound
from lyceum.gateway.live import Live
from lyceum.wire import fitted

log = logging.getLogger(__name__)
HEAD_SECONDS = 15.0  # in which the head of a request has to arrive
# Swagger's own script comes from its usual host; the page's inline script is named by its hash.
DOCS_POLICY = (
    "default-src 'none'; script-src https://cdn.jsdelivr.net '{script}'; style-src https://cdn.jsdelivr.net "
    "'unsafe-inline'; img-src data: https://fastapi.tiangolo.com; connect-src 'self'; frame-ancestors 'none'"
)


class Application(FastAPI):
    """The application with its guard outside of everything, so that no response goes without it; calls to the
    gateway's models pass by both.
    """

    def build_middleware_stack(self) -> Any:
        """Return what a request passes through, outermost first."""
        state = self.state
        inside = super().build_middleware_stack()
        limits = state.limits
        state.guard = Guard(inside, limits, state.token, lambda: state.platform.metrics, refused)
        return Front(state.gateway, state.guard, state.token, state.guard.most, limits.body_seconds)


class _Server(uvicorn.Server):
    """Ends with exit code 0 when a service manager asks for it: what is running is finished first."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM:
            self.should_exit = True
        else:
            super().handle_exit(sig, frame)


class _Patient(HttpToolsProtocol):
    """Closes a connection whose next head is too long or does not come to its end in time; when it is lost, cancels
    the work for it that asked to be.
    """

    waiting: asyncio.TimerHandle | None = None
    part, headed = "", 0  # of the request that is coming in; the bytes of its head so far

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.leaving: set[asyncio.Task[Any]] = set()
        self._expect()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["leaving"] = self.leaving
        self.part, self.headed = "head", 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.part = "body"

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.part = ""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.part == "head":
            self.headed += len(data)
            if self.headed > 2 * HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")
        if self.part == "body" or not self._idle():
            self._forget()
        elif self.waiting is None:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)
        while self.leaving:
            self.leaving.pop().cancel()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect(self) -> None:
        self.waiting = self.loop.call_later(HEAD_SECONDS, self._given_up)

    def _given_up(self) -> None:
        if self._idle():
            self.transport.close()

    def _forget(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None


def create(settings: Settings) -> FastAPI:
    """Return the application for a home; the platform is opened when it starts."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings) as platform:
            app.state.platform = platform
            await platform.store.tidy()
            app.state.jobs = Runner(platform)
            watch = asyncio.create_task(app.state.gateway.watch())
            try:
                async with app.state.jobs.working():
                    yield
            finally:
                watch.cancel()
                app.state.gateway.close()

    app = Application(
        title="Lyceum", version=__version__, lifespan=life, docs_url=None, redoc_url=None,
        description="Documents in, cited answers out. Every error has the shape "
        '{"error": {"code", "message", "hint", "retryable", "type"}}.',
    )  # fmt: skip
    for part in (routes, document_routes, job_routes, openai_routes, vectors_routes):
        app.include_router(part.router)
    for pages in web.ROUTERS:
        app.include_router(pages)
    app.add_route("/docs", _docs(), include_in_schema=False)
    app.state.stopping = lambda: False
    for kind in (LyceumError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _failed)
    app.state.limits, app.state.token = _limits(settings), settings.token
    app.state.settings = settings
    app.state.gateway = Live(settings.home / "gateway.toml")
    return app


def _limits(settings: Settings) -> Limits:
    made: Limits = fitted("serve", Limits, settings.tables["serve"], {})
    return made


def _docs() -> Any:
    page = get_swagger_ui_html(openapi_url="/openapi.json", title="Lyceum")
    inline = re.search(rb"<script>(.*?)</script>", bytes(page.body), re.S)
    assert inline is not None
    script = base64.b64encode(hashlib.sha256(inline.group(1)).digest()).decode()
    page.headers["Content-Security-Policy"] = DOCS_POLICY.format(script=f"sha256-{script}")

    async def docs(request: Request) -> Response:
        return page

    return docs


async def _failed(request: Request, problem: Exception) -> Response:
    """Return any exception as an error of ours, in the one shape that errors have, or as a page."""
    if isinstance(problem, LyceumError):
        return refused(request, problem)
    if isinstance(problem, RequestValidationError):
        first = problem.errors()[0]
        path = ".".join(str(part) for part in first["loc"][1:]) or "The body"
        return refused(request, InvalidInput(f"{path}: {first['msg']}.", hint="/docs shows its shape."))
    if isinstance(problem, HTTPException):
        ours, status = NotFound if problem.status_code == 404 else InvalidInput, problem.status_code
        said = f"{problem.detail.rstrip('.')}."
        return refused(request, ours(said, hint="/docs lists every route.", status=status))
    # One of the three places where anything may be caught: nothing of the exception's text leaves here.
    log.error("unexpected error in request %s", request.state.request_id, exc_info=problem)
    return refused(
        request, LyceumError("An unexpected error.", hint="See the server's log.", code="unexpected")
    )


async def serve(settings: Settings, host: str | None = None, port: int | None = None) -> None:
    """Serve until interrupted; running answers are finished first."""
    limits = _limits(settings)
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
        said = f"{host}:{port} cannot be listened on: {problem}."
        raise ConfigError(said, hint="Choose another with --port.", code="port") from problem
    app = create(settings)
    config = uvicorn.Config(
        app, log_level="info", access_log=False, http=_Patient, ws="none",
        proxy_headers=False, server_header=False, timeout_graceful_shutdown=math.ceil(limits.grace_seconds),
    )  # fmt: skip
    server = _Server(config)
    app.state.stopping = lambda: server.should_exit  # streams of progress end, requests are finished
    await server.serve(sockets=[listener])
