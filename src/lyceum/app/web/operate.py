"""The page that operates: what the meters and the usage book say, what wants attention, and models that are switched.

The numbers are those of `/metrics` and `lyceum gateway usage`; a switch is made by the code of `/admin/gateway`.
"""

from __future__ import annotations

import asyncio
import math
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from lyceum.app import gateway_routes
from lyceum.app.job_routes import Running
from lyceum.app.routes import Configured, Opened
from lyceum.app.settings import masked
from lyceum.app.web.figures import alerts, answers, counts, models, requests
from lyceum.app.web.frame import Page, Paged
from lyceum.core.errors import InvalidInput
from lyceum.gateway import book, prices
from lyceum.gateway.live import Live
from lyceum.store import jobs

router = APIRouter(prefix="/operate", include_in_schema=False)
DAYS = 7
RECENT = 300.0  # seconds that alerts look at, as those of ops/alerts.yml do
STORED = ("ledger.db", "views", "traces.db", "usage.db", "runs", "run", "cache", "metrics", "spool")


def sizes(home: Path) -> dict[str, int]:
    """Return how many bytes each part of a home takes."""
    found = Counter[str]()
    for file in home.rglob("*"):
        if file.is_file():
            part = file.relative_to(home).parts[0]
            found[next((one for one in STORED if part.startswith(one)), "other")] += file.stat().st_size
    return dict(found.most_common())


async def numbers(page: Page, request: Request) -> dict[str, Any]:
    """Return all that the page measures."""
    state = request.app.state
    home, live = state.settings.home, state.gateway
    seen, recent = await state.readings.now(), await state.readings.now(RECENT)
    stored = await asyncio.to_thread(sizes, home)
    since = (datetime.now(UTC) - timedelta(days=DAYS - 1)).date().isoformat()
    used = {
        by: await asyncio.to_thread(book.usage, home / "usage.db", [by], since)
        for by in ("day", "model", "key")
    }
    queue = Counter(one.state for one in await jobs.visible(state.jobs.ledger, page.readers))
    free = shutil.disk_usage(home).free
    memory = {one: counts(seen, "lyceum_vector_memory_total", result=one) for one in ("hit", "miss")}
    steps = state.readings.steps()
    return {
        "minutes": max(1, round(seen.seconds / 60)), "answers": answers(seen), "requests": requests(seen),
        "models": models(seen), "alerts": list(alerts(recent, free)), "stored": stored, "free": free,
        "queue": queue, "memory": memory, "used": used, "money": prices.shown, "problem": live.problem,
        "open": round(seen.gauge("lyceum_open_requests")), "nan": math.isnan,
        "lag": {dict(k)["view"]: round(v) for k, v in seen.after.get("lyceum_view_lag", {}).items()},
        "held": await state.platform.store.ledger.counts(page.readers),
        "asked": [one.rate("lyceum_requests_total") for one in steps],
    }  # fmt: skip


@router.get("")
async def show(
    request: Request, page: Paged, platform: Opened, runner: Running, settings: Configured, switched: str = ""
) -> Response:
    """Show what is measured and what is served."""
    live: Live = request.app.state.gateway
    named = {"encoder": platform.embedder, "chat": platform.chat}
    own = {role: str(model.name) for role, model in named.items() if model is not None}
    kinds = {name: str(settings.tables[name].get("kind", "")) for name in ("answerer", "retriever")}
    served = masked(live.serving.gateway.model_dump(mode="json"))
    return page(
        "operate.html", gateway=served, own={**own, **kinds},
        file=str(live.file), switched=switched if live.known(switched) else "", **await numbers(page, request),
    )  # fmt: skip


@router.get("/numbers")
async def part(request: Request, page: Paged) -> Response:
    """Return the part of the page that is measured."""
    return page("numbers.html", **await numbers(page, request))


@router.post("/alias")
async def switch(
    request: Request, page: Paged, name: Annotated[str, Form(min_length=1)], model: Annotated[str, Form()]
) -> Response:
    """Let a name mean another model."""
    await gateway_routes.put_alias(name, gateway_routes.Meant(model=model), request)
    return _led(page, name)


@router.post("/weights")
async def weigh(
    request: Request, page: Paged, model: Annotated[str, Form()], weight: Annotated[list[str], Form()]
) -> Response:
    """Give the targets of a model other weights."""
    try:
        told = [float(one) for one in weight]
    except ValueError as problem:
        raise InvalidInput("A weight is no number.", hint="Give a number.", code="weights") from problem
    await gateway_routes.put_weights(model, told, request)
    return _led(page, model)


@router.post("/target")
async def move(
    request: Request, page: Paged, model: Annotated[str, Form()], number: Annotated[int, Form(ge=0)],
    url: Annotated[str, Form()], upstream: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Let a target of a model be another place or another model there."""

    def change(tables: gateway_routes.Table) -> None:
        found = next((one for one in tables.get("model", ()) if one["name"] == model), {"targets": ()})
        if number >= len(found["targets"]):
            raise InvalidInput(f"{model} has no such target.", hint="Load the page again.", code="weights")
        target = found["targets"][number]
        if url != masked(target["url"]):  # what it hides is kept where nothing was changed
            target["url"] = url
        target["model"] = upstream

    await gateway_routes.changed(request, change)
    return _led(page, model)


def _led(page: Page, name: str) -> Response:
    return RedirectResponse(page.link("/operate", switched=name) + f"#m-{quote(name, safe='')}", 303)
