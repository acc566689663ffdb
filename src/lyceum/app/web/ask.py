"""The page that asks: the question in, the answer of the server's one answerer out, whole or as it comes.

Without a document it leads to the first answer: examples or files in, watch them being read, ask.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field

from lyceum.answer.current import current
from lyceum.app import shapes
from lyceum.app.job_routes import Running
from lyceum.app.routes import Opened, Said
from lyceum.app.session import ask, stream
from lyceum.app.web import prose, quotes, welcome
from lyceum.app.web.frame import Page, Paged
from lyceum.core.errors import LyceumError
from lyceum.core.types import Answer, Chunk, Citation, Document, Message, Query, Span
from lyceum.wire import Platform

router = APIRouter(include_in_schema=False)
_cite = Markup('<a class="cite" href="{}" data-cite="{}" aria-label="{}">{}</a>')


class Asked(BaseModel):
    """A question and the turns before it."""

    model_config = ConfigDict(extra="forbid")
    question: str
    history: list[Said] = Field([], max_length=1000)


@router.get("/")
async def show(page: Paged, platform: Opened, runner: Running, q: str = "") -> Response:
    """Return the page, with the answer to a question that its address asks."""
    turn = ""
    if q.strip():
        query = Query(text=q, readers=page.readers)
        turn = await rendered(page, platform, query, await ask(platform, query))
    return page("ask.html", turn=Markup(turn), question=q, first=await welcome.state(page, platform, runner))


@router.post("/ask")
async def answer(asked: Asked, page: Paged, platform: Opened) -> StreamingResponse:
    """Stream an answer as server-sent events: its words as they come, last the whole as a part of the page."""
    history = tuple(Message(role=one.role, content=one.content) for one in asked.history)
    query = Query(text=asked.question, history=history, readers=page.readers)
    pieces = stream(platform, query)
    first = await anext(pieces)  # so that a bad question is a status code

    async def events() -> AsyncIterator[str]:
        piece = first
        try:
            while not isinstance(piece, Answer):
                yield _event("piece", piece)
                piece = await anext(pieces)
            await anext(pieces, None)  # until its trace is kept
            html = await rendered(page, platform, query, piece)
            yield _event("answer", {"html": html, "text": piece.text or piece.reason})
        except LyceumError as problem:
            yield _event("failed", shapes.error(problem)["error"])

    return StreamingResponse(events(), headers={"X-Accel-Buffering": "no"}, media_type="text/event-stream")


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def rendered(page: Page, platform: Platform, query: Query, found: Answer) -> str:
    """Return an answer as a part of the page."""
    spans = await asyncio.to_thread(platform.spans.trace, found.trace_id, page.readers)
    chunks = {hit.chunk.id: hit.chunk for hit in found.hits}
    told = {"question": query.text, **shapes.answer(found)}
    sources = [source(page, cited, found, chunks.get(cited.chunk_id)) for cited in found.citations]
    return page.render(
        "answer.html", question=query.text, found=found, sources=sources, told=json.dumps(told, ensure_ascii=False),
        lines=list(lines(page, found, sources)), replaced=replaced(query.text, found), stages=stages(spans),
    )  # fmt: skip


def source(page: Page, cited: Citation, found: Answer, chunk: Chunk | None) -> dict[str, Any]:
    """Return what a citation shows: its words, where they stand, where to see them, and which others disagree."""
    rivals = {number for pair in found.conflicts for number in pair if cited.number in pair} - {cited.number}
    return {
        "cited": cited, "where": quotes.where(page, cited.media, cited.place), "rivals": sorted(rivals),
        "name": cited.source.rsplit("/", 1)[-1], "row": quotes.named(chunk, cited.quote) if chunk else [],
        "href": page.link(
            f"/source/{cited.document_id}", chunk=cited.chunk_id, quote=cited.quote[: shapes.QUOTED],
            number=cited.number, page=cited.place.page,
        ),
    }  # fmt: skip


def replaced(question: str, found: Answer) -> list[Document]:
    """Return the documents among the hits that gave way to another edition that is cited."""
    cited = {one.document_id for one in found.citations}
    others = {hit.document.id: hit.document for hit in found.hits if hit.document.id not in cited}

    def stays(other: str) -> bool:
        among = [hit for hit in found.hits if hit.document.id in (*cited, other)]
        return any(hit.document.id == other for hit in current(question, among))

    return [document for key, document in others.items() if not stays(key)]


def lines(page: Page, found: Answer, sources: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the paragraphs of an answer: what it quotes with the short answer in it, or what a model wrote."""
    by_number = {one["cited"].number: one for one in sources}

    def link(number: int) -> Markup:
        said = page.say("ask.cite", n=number, title=by_number[number]["name"])
        return _cite.format(by_number[number]["href"], number, said, number)

    if not prose.own_words(found.text, found.citations):
        yield {"html": prose.written(found.text, found.citations, link)}
        return
    shown: set[str] = set()
    for line in found.text.split("\n"):
        one = next((s for n, s in by_number.items() if line.endswith(f"{s['cited'].quote} [{n}]")), None)
        if one is None:
            yield {"html": prose.quoted(line, found.citations, link)}
        else:
            yield {"source": one, "link": link(one["cited"].number), "again": one["cited"].quote in shown}
            shown.add(one["cited"].quote)


def stages(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Return a trace's steps in order: how deep, when they began and how long they took, in seconds."""
    if not spans:
        return []
    depth = {"": -1}
    rows = []
    for one in spans:
        depth[one.id] = depth.get(one.parent, 0) + 1
        rows.append({"span": one, "depth": min(depth[one.id], 4), "start": one.start - spans[0].start})
    return rows
