"""What only an operator reads: /metrics. The guard lets in who has the token, without one this machine alone."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from lyceum.app.routes import Opened
from lyceum.observe.metrics import Labels

router = APIRouter()


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request, platform: Opened) -> PlainTextResponse:
    """Return counts and latencies in Prometheus' text format; names of documents and questions never stand in it."""
    behind = await platform.store.behind()
    evidence = platform.evidence
    now: dict[str, dict[Labels, float]] = {
        "lyceum_open_requests": {(): request.app.state.guard.running},
        "lyceum_view_lag": {
            (("view", view.name),): behind.get(view.name, 0) for view in platform.store.views
        },
        "lyceum_vector_memory_total": {
            (("result", "hit"),): evidence.remembered,
            (("result", "miss"),): evidence.encoded,
        },
    }
    text = platform.metrics.render(now)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
