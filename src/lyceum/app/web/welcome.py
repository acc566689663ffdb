"""The way from nothing to the first answer: examples or files in, what became of them, and what may be asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import RedirectResponse, Response

from lyceum.app import shapes
from lyceum.app.commands import examples
from lyceum.app.document_routes import named
from lyceum.app.job_routes import Running
from lyceum.app.jobs import Runner
from lyceum.app.routes import Opened
from lyceum.app.web.frame import Page, Paged
from lyceum.core.errors import NotFound
from lyceum.core.text import language
from lyceum.core.types import Document
from lyceum.store import jobs
from lyceum.wire import Platform

router = APIRouter(include_in_schema=False)
FEW = 200  # documents among which the examples are looked for
SUGGESTED = 4
RECENT = 200  # jobs that are counted


@dataclass(slots=True, kw_only=True)
class State:
    """What a newcomer has to know: how many documents there are, which jobs run or failed, what may be asked."""

    documents: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    suggestions: list[str] = field(default_factory=list)
    examples: bool = False

    @property
    def open(self) -> list[dict[str, Any]]:
        """Return the jobs that have not come to their end."""
        return [one for one in self.rows if one["state"] not in jobs.FINAL]

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Return the jobs that failed."""
        return [one for one in self.rows if one["state"] == "failed"]


async def state(page: Page, platform: Platform, runner: Runner) -> State:
    """Return how far the home of a newcomer is; of one with many documents only that."""
    counted = (await platform.store.ledger.counts(page.readers))["documents"]
    found = (await jobs.visible(platform.store.ledger, page.readers))[:RECENT] if counted <= FEW else []
    rows = [shapes.job(one, runner.live.get(one.id)) for one in found]
    said = await suggestions(page, platform) if 0 < counted <= FEW else []
    return State(documents=counted, rows=rows, suggestions=said, examples=folder() is not None)


async def suggestions(page: Page, platform: Platform) -> list[str]:
    """Return questions of the examples in the page's language, where the examples are among the documents."""
    place = folder()
    names = {one.name for one in (place / "documents").iterdir()} if place else set()

    def known(document: Document) -> bool:
        return document.source.rsplit("/", 1)[-1] in names

    _, total = await platform.store.ledger.page(page.readers, known, 0, 1)
    if place is None or total < len(names) // 2:
        return []
    asked = [json.loads(row)["question"] for row in (place / "demo.jsonl").read_text("utf-8").splitlines()]
    return [one for one in asked if language(one) == page.language][:SUGGESTED]


@cache
def folder() -> Path | None:
    """Return the folder of the examples, where they were installed."""
    try:
        return examples()
    except NotFound:
        return None


@router.post("/welcome")
async def begin(
    page: Paged, platform: Opened, runner: Running, files: Annotated[list[UploadFile] | None, File()] = None
) -> Response:
    """Queue the files that were sent, or the examples where there was none, and lead back to the page."""
    sent = [(one.file, named(one)) for one in files or ()]
    for file, name in sent:
        if name:
            await runner.submit(file, name, name, None)
    if not any(name for _, name in sent) and (place := folder()):
        for path in sorted((place / "documents").iterdir()):
            with path.open("rb") as opened:
                await runner.submit(opened, path.name, path.name, None)
    return RedirectResponse(page.link("/"), 303)


@router.get("/welcome/progress")
async def progress(page: Paged, platform: Opened, runner: Running) -> Response:
    """Return the part of the page that says how far reading is."""
    return page("progress.html", first=await state(page, platform, runner))
