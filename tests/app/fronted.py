"""The gateway's front on a port in the test's own loop, with the server's protocol and no library behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.responses import PlainTextResponse

from lyceum.app.gateway import Front
from lyceum.app.observed import Observed
from lyceum.app.protocol import Protocol
from lyceum.gateway.live import Live
from lyceum.observe.metrics import Metrics

MOST = 1_000_000
OBSERVED = Observed(Metrics())


def written(file: Path, url: str, more: str = "", name: str = "chat", kind: str = "openai") -> None:
    """Write a gateway.toml with one model."""
    file.parent.mkdir(exist_ok=True)
    text = (
        f'[[model]]\nname = "{name}"\ntargets = [{{url = "{url}", kind = "{kind}", model = "real"}}]\n{more}'
    )
    file.write_text(text, encoding="utf-8")


@asynccontextmanager
async def fronted(file: Path, token: str = "") -> AsyncIterator[tuple[Live, httpx.AsyncClient]]:
    """Serve what a gateway.toml says; everything else is answered with 418."""
    live = Live(file)
    assert not live.problem
    front = Front(live, PlainTextResponse("no library", 418), token, MOST, 1.0, lambda: OBSERVED)
    config = uvicorn.Config(front, http=Protocol, lifespan="off", log_level="critical", ws="none")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http:
            yield live, http
    finally:
        server.should_exit = True
        await serving
        live.close()
