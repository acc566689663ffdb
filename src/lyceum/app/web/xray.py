"""The page that shows a question on its way: every stage, why a document was lost, and other settings beside it.

It is the operator's: whoever holds the token or sits at the machine. What its readers may not see is not listed; a
document that is named is told to be hidden, with who may read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi import Query as Parameter
from fastapi.responses import RedirectResponse, Response

from lyceum.app import xray
from lyceum.app.commands import filters_of
from lyceum.app.eval_run import pipeline, pipelines
from lyceum.app.routes import Configured, Opened
from lyceum.app.settings import Settings
from lyceum.app.web.ask import stages
from lyceum.app.web.frame import Page, Paged
from lyceum.app.web.quotes import where
from lyceum.core.errors import LyceumError, NotFound
from lyceum.core.text import count_tokens
from lyceum.core.types import Place, Query
from lyceum.evals.stages import PLACES
from lyceum.wire import Platform

router = APIRouter(include_in_schema=False)
SET = "set."
FACTS = ("readers", "top_k")  # of the whole question; they stand in the form
SUGGESTED = 200  # documents whose names are offered


def tried_of(request: Request, platform: Opened) -> xray.Tried:
    """Return the pipelines that were tried on this server."""
    state = request.app.state
    if getattr(state, "tried", None) is None or state.tried.platform is not platform:
        state.tried = xray.Tried(platform, state.settings)
    tried: xray.Tried = state.tried
    return tried


Trying = Annotated[xray.Tried, Depends(tried_of)]


@router.get("/xray")
async def show(
    request: Request, page: Paged, platform: Opened, settings: Configured, tried: Trying, q: str = "",
    top_k: Annotated[int, Parameter(ge=1, le=1000)] = 10, filters: Annotated[str, Parameter(max_length=400)] = "",
    base: str = "default", document: Annotated[str, Parameter(max_length=1000)] = "", saved: str = "",
) -> Response:  # fmt: skip
    """Ask a question and show what went through each stage, with the other settings of the address beside it."""
    given = {
        name.removeprefix(SET): value for name, value in request.query_params.items() if name.startswith(SET)
    }
    based = _based(settings, base)
    other = xray.changed(based, given)
    over = xray.difference(settings, other)
    sides, reason, unknown = [], None, False
    numbers, now = xray.numbers(other), xray.numbers(based)
    again = {"as": page.whose, "q": q, "top_k": top_k, "filters": filters, "base": base, "document": document}
    again |= {SET + path: str(value).lower() for path, value in numbers.items() if value != now[path]}
    if q.strip():
        asked = (part.partition("=")[::2] for part in filters.split())
        query = Query(text=q, top_k=top_k, readers=page.readers, filters=filters_of(list(asked)))
        sides = [side(page, await xray.look(platform, query))]
        if over:
            sides.append(await _other(page, tried, other, query, sides[0]["ranks"]))
        if document.strip():
            reason, unknown = await _why(platform, query, document.strip())
    listed, _ = await platform.store.ledger.page(page.readers, lambda one: True, 0, SUGGESTED)
    return page(
        "xray.html", q=q, top_k=top_k, filters=filters, base=base, document=document, saved=saved, sides=sides,
        numbers=numbers, now=now, over=over, pipelines=pipelines(settings.home),
        reason=reason, unknown=unknown, names=[one.source.rsplit("/", 1)[-1] for one in listed], places=PLACES,
        again={name: value for name, value in again.items() if value},
    )  # fmt: skip


def _based(settings: Settings, base: str) -> Settings:
    """Return the settings of a pipeline that is listed: an address names no file."""
    return pipeline(base if base in pipelines(settings.home) else "default", settings)


async def _other(
    page: Page, tried: xray.Tried, other: Settings, query: Query, before: Mapping[int, int]
) -> dict[str, Any]:
    try:
        return side(page, await xray.look(tried(other), query), before)
    except LyceumError as problem:
        return {"problem": page.problem(problem)}


async def _why(platform: Platform, query: Query, name: str) -> tuple[Any, bool]:
    """Return why a document was lost, or that there is none of this name."""
    try:
        return await xray.reason(platform, query, name), False
    except NotFound:
        return None, True


def side(page: Page, seen: xray.Look, before: Mapping[int, int] | None = None) -> dict[str, Any]:
    """Return what one pipeline did with a question, as the page shows it; `before` are the other one's last ranks."""
    ranks, scores = seen.seen.ranks, seen.seen.scores
    cited = {one.chunk_id: one.number for one in seen.answer.citations}
    rows: list[dict[str, Any]] = []
    for number, (chunk, document) in seen.candidates.items():
        fused, offered = ranks["fused"].get(number), ranks["offered"].get(number)
        rows.append({
            "number": number, "chunk": chunk, "document": document, "name": document.source.rsplit("/", 1)[-1],
            "where": where(page, document.media, chunk.pieces[0].place if chunk.pieces else Place()),
            "cells": [(ranks[place].get(number), scores[place].get(number)) for place in PLACES],
            "cited": cited.get(chunk.id, 0), "moved": fused - offered if fused and offered else 0,
            "was": before.get(number) if before is not None else None, "tokens": count_tokens(chunk.text),
        })  # fmt: skip
    return {
        "answer": seen.answer, "rows": rows, "stages": stages(seen.spans), "compared": before is not None,
        "asked": list(dict.fromkeys((one.text, _terms(one), one.vector is not None) for one in seen.asked)),
        "wanted": seen.seen.asked, "ranks": dict(ranks["offered"]),
        "read": [one for one in rows if one["cells"][-1][0]],
        "facts": {one.id: _facts(one.facts) for one in seen.spans},
    }  # fmt: skip


def _terms(query: Query) -> str:
    """Return the words that a search weighs itself, where the question was changed into such."""
    return ", ".join(f"{word} {weight:.2g}" for word, weight in (query.terms or {}).items())


def _facts(facts: Mapping[str, Any]) -> str:
    told = ((name, value) for name, value in facts.items() if name not in FACTS and value not in ("", None))
    return " · ".join(
        f"{name} {f'{value:.3g}' if isinstance(value, float) else value}" for name, value in told
    )


@router.post("/xray/save")
async def save(
    request: Request, page: Paged, settings: Configured, name: Annotated[str, Form(max_length=40)],
    base: Annotated[str, Form()] = "default",
) -> Response:  # fmt: skip
    """Keep the settings of a form as a pipeline, and lead back to the question."""
    form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    given = {key.removeprefix(SET): value for key, value in form.items() if key.startswith(SET)}
    other = xray.changed(_based(settings, base), given)
    xray.save(settings.home, name.strip(), xray.difference(settings, other))
    kept = {key: value for key, value in form.items() if key != "name"}
    return RedirectResponse(page.link("/xray", **{**kept, "saved": name.strip()}), 303)
