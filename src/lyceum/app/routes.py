"""The routes under /api and the health checks: requests to the same store, retriever and answerer as the CLI's.

Whose rights a request uses is said by `readers` (body) or `as` (query): the holder of the token speaks for
its users. Without it only what everyone may read is seen.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import State

from lyceum.app import shapes
from lyceum.app.observed import now as measured
from lyceum.app.session import ask, search
from lyceum.app.settings import Settings
from lyceum.core.errors import LyceumError, NotFound
from lyceum.core.text import names as names_of
from lyceum.core.types import EVERYONE, Message, Query
from lyceum.observe.slots import Labels
from lyceum.store.facets import wanted
from lyceum.wire import Platform

router = APIRouter()


class Said(BaseModel):
    """A turn before the question."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "assistant"]
    content: str


class Asked(BaseModel):
    """A question with whose rights it is asked, and the turns before it."""

    model_config = ConfigDict(extra="forbid")
    question: str
    top_k: int = Field(10, ge=1, le=1000)
    readers: list[str] = []
    filters: dict[str, str] = {}
    history: list[Said] = Field([], max_length=1000)

    def query(self) -> Query:
        """Return it as the noun that every retriever takes."""
        readers = names_of(self.readers) | {EVERYONE}
        wanted(self.filters)
        history = tuple(Message(role=one.role, content=one.content) for one in self.history)
        return Query(
            text=self.question, top_k=self.top_k, readers=readers, filters=self.filters, history=history
        )  # fmt: skip


def platform_of(request: Request) -> Platform:
    """Return the platform that this server opened."""
    platform: Platform = request.app.state.platform
    return platform


def settings_of(request: Request) -> Settings:
    """Return the configuration that this server was started with."""
    settings: Settings = request.app.state.settings
    return settings


def readers_of(
    names: Annotated[str, Parameter(alias="as", description="readers, comma-separated")] = "",
) -> frozenset[str]:
    """Return whose documents a GET may see."""
    return names_of(names) | {EVERYONE}


Opened = Annotated[Platform, Depends(platform_of)]
Configured = Annotated[Settings, Depends(settings_of)]
Readers = Annotated[frozenset[str], Depends(readers_of)]


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(platform: Opened) -> JSONResponse:
    """Say whether the ledger can be read and every view has followed it."""
    try:
        await platform.store.catch_up()
        behind = await platform.store.behind()
    except LyceumError as problem:
        return JSONResponse(shapes.error(problem), 503)
    return JSONResponse({"status": "behind" if behind else "ok", "behind": behind}, 503 if behind else 200)


@router.post("/api/search")
async def search_documents(asked: Asked, platform: Opened) -> list[dict[str, Any]]:
    """Return ranked passages, each with the parts that found it."""
    return [shapes.hit(one) for one in await search(platform, asked.query())]


@router.post("/api/answer")
async def answer_question(asked: Asked, platform: Opened) -> dict[str, Any]:
    """Return an answer with citations, or a refusal with its reason."""
    return shapes.answer(await ask(platform, asked.query()))


@router.get("/api/traces/{trace_id}")
async def get_trace(trace_id: str, platform: Opened, readers: Readers) -> list[dict[str, Any]]:
    """Return a trace's spans by start time, to those whose rights it used."""
    spans = await asyncio.to_thread(platform.spans.trace, trace_id, readers)
    if not spans:
        raise NotFound("There is no such trace.", hint="Traces are kept for a while only; ask again.")
    return [shapes.span(one) for one in spans]


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> PlainTextResponse:
    """Return counts and latencies in Prometheus' text format; names of documents and questions never stand in it.

    The guard lets in who has the token, without one this machine alone.
    """
    text = await measured_now(request.app.state)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def measured_now(state: State) -> str:
    """Return what a server has measured up to this moment."""
    platform: Platform = state.platform
    behind = await platform.store.behind()
    evidence = platform.evidence
    now: dict[str, dict[Labels, float]] = {
        "lyceum_open_requests": {(): state.guard.running},
        "lyceum_view_lag": {
            (("view", view.name),): behind.get(view.name, 0) for view in platform.store.views
        },
        "lyceum_vector_memory_total": {
            (("result", "hit"),): evidence.remembered,
            (("result", "miss"),): evidence.encoded,
        },
    }
    return platform.metrics.render({**now, **measured(state.gateway)})
