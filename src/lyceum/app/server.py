"""The HTTP application: its routers, errors, and the life of platform and process; limits stand in `guard`."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import logging
import math
import re
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from lyceum import __version__
from lyceum.app import document_routes, gateway_routes, job_routes, openai_routes, routes, vectors_routes, web
from lyceum.app.gateway import PATHS, Front
from lyceum.app.guard import Guard, Limits
from lyceum.app.inside import inside
from lyceum.app.jobs import Runner
from lyceum.app.observed import Observed
from lyceum.app.protocol import Protocol
from lyceum.app.readings import Readings
from lyceum.app.routes import measured_now
from lyceum.app.session import opened
from lyceum.app.settings import Settings
from lyceum.app.web.frame import refused
from lyceum.app.workers import Place, supervise
from lyceum.core.errors import ConfigError, InvalidInput, LyceumError, NotFound
from lyceum.gateway.build import Build
from lyceum.gateway.call import Reply
from lyceum.gateway.live import Live
from lyceum.gateway.semantic import Embed
from lyceum.models.minilm import open_encoder
from lyceum.store.position import Position
from lyceum.wire import fitted, models_folder

log = logging.getLogger(__name__)
# Swagger's own script comes from its usual host; the page's inline script is named by its hash.
DOCS_POLICY = (
    "default-src 'none'; script-src https://cdn.jsdelivr.net '{script}'; style-src https://cdn.jsdelivr.net "
    "'unsafe-inline'; img-src data: https://fastapi.tiangolo.com; connect-src 'self'; frame-ancestors 'none'"
)


class Application(FastAPI):
    """The application with its guard outside of everything, so that no response goes without it; calls to the
    gateway's models pass by both.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request; calls to models pass by what FastAPI does for each of its own."""
        if self.middleware_stack is None or scope["type"] != "http" or scope["path"] not in PATHS:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.state.front(scope, receive, send)

    def build_middleware_stack(self) -> Any:
        """Return what a request passes through, outermost first."""
        state = self.state
        state.inside = super().build_middleware_stack()
        limits = state.limits
        guard = state.guard = Guard(
            state.inside, limits, state.token, lambda: state.platform.metrics, refused
        )
        state.front = Front(
            state.gateway, guard, state.token, guard.most, limits.body_seconds,
            lambda: state.observed, guard.buckets.wait,
        )  # fmt: skip
        return state.front

    def at_once(self, *request: Any) -> Reply | None:
        """Return the reply to a call that needs nothing to be waited for."""
        front: Front = self.state.front
        return front.at_once(*request)


class _Server(uvicorn.Server):
    """Ends with exit code 0 when a service manager asks for it: what is running is finished first."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is there now stays; to look through it again and again holds up calls
        for host, port, *_ in (one.getsockname() for one in sockets or () if self.started):
            shown = f"[{host}]" if ":" in host else host
            logging.getLogger("uvicorn.error").info("Open http://%s:%d (ctrl-C ends it)", shown, port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM:
            self.should_exit = True
        else:
            super().handle_exit(sig, frame)


def create(settings: Settings, worker: int = 0) -> FastAPI:
    """Return the application for a home; the platform is opened when it starts. Only worker 0 runs its jobs."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings) as platform:
            app.state.platform = platform
            platform.metrics.share(settings.home / "metrics")
            app.state.observed = Observed(platform.metrics, platform.parts["log"], platform.parts["traces"])
            app.state.jobs = Runner(platform)
            if not worker:
                await platform.store.tidy()
            app.state.readings = Readings(partial(measured_now, app.state))
            watches = [asyncio.create_task(one.watch()) for one in (app.state.gateway, app.state.readings)]
            try:
                async with app.state.jobs.working() if not worker else nullcontext():
                    yield
            finally:
                for watch in watches:
                    watch.cancel()
                app.state.gateway.close()
                app.state.position.close()

    app = Application(
        title="Lyceum", version=__version__, lifespan=life, docs_url=None, redoc_url=None,
        description="Documents in, cited answers out. Every error has the shape "
        '{"error": {"code", "message", "hint", "retryable", "type"}}.',
    )  # fmt: skip
    for part in (routes, document_routes, gateway_routes, job_routes, openai_routes, vectors_routes):
        app.include_router(part.router)
    for pages in web.ROUTERS:
        app.include_router(pages)
    app.add_route("/docs", _docs(), include_in_schema=False)
    app.state.stopping = lambda: False
    for kind in (LyceumError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _failed)
    app.state.limits, app.state.token = _limits(settings), settings.token
    app.state.position = Position(settings.home)
    build = Build(
        settings.home, inside(lambda: app.state.inside, app), version=app.state.position,
        embed=_encoded(app) if open_encoder(models_folder(settings.models)) else None,
    )  # fmt: skip
    app.state.gateway = Live(settings.home / "gateway.toml", build)
    app.state.settings = settings
    return app


def _encoded(app: FastAPI) -> Embed:
    """Return the encoder itself: the platform's may read Chinese in English words, which the guard does better."""

    async def encoded(texts: Sequence[str]) -> Any:
        return await app.state.platform.parts["encoder"](texts)

    return encoded


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


async def serve(
    settings: Settings,
    host: str | None = None,
    port: int | None = None,
    workers: int = 1,
    place: Place | None = None,
) -> None:
    """Serve until interrupted, by so many workers, or as one of them in its `place`; running answers are finished."""
    limits = _limits(settings)
    listener = (
        _listener(settings, host or limits.host, limits.port if port is None else port)
        if place is None
        else place.socket()
    )
    if workers > 1:
        await supervise(settings.home, listener, workers)
        return
    app = create(settings, place.number if place is not None else 0)
    config = uvicorn.Config(
        app, log_level="info", access_log=False, http=Protocol, ws="none",
        proxy_headers=False, server_header=False, timeout_graceful_shutdown=math.ceil(limits.grace_seconds),
    )  # fmt: skip
    server = _Server(config)
    app.state.stopping = lambda: server.should_exit  # streams of progress end, requests are finished
    if place is not None:
        place.until_gone(partial(server.handle_exit, signal.SIGTERM, None))
    await server.serve(sockets=[listener])


def _listener(settings: Settings, host: str, port: int) -> socket.socket:
    if host not in ("127.0.0.1", "localhost", "::1") and not settings.token:
        raise ConfigError(
            f"Refusing to listen on {host} without a token.",
            hint="Set LYCEUM_TOKEN to a long random text, or listen on 127.0.0.1.", code="no_token",
        )  # fmt: skip
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as problem:
        said = f"{host}:{port} cannot be listened on: {problem}."
        raise ConfigError(said, hint="Choose another with --port.", code="port") from problem
