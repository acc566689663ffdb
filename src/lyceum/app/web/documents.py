"""The pages of the documents: what is there and how it was read; what comes in, is read again, and goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, UploadFile
from fastapi import Query as Parameter
from fastapi.responses import RedirectResponse, Response

from lyceum.app import pages, shapes
from lyceum.app.document_routes import ALL, Visible, named
from lyceum.app.job_routes import Running
from lyceum.app.routes import Opened
from lyceum.app.web.frame import Page, Paged
from lyceum.app.web.quotes import where
from lyceum.core.dates import dated
from lyceum.core.errors import LyceumError
from lyceum.core.text import names, table_rows
from lyceum.core.types import Chunk, Document, Place
from lyceum.ingest.drawing import DRAWN
from lyceum.ingest.splitter import SMALL
from lyceum.store import jobs
from lyceum.wire import Platform

router = APIRouter(include_in_schema=False)
LISTED, SHEETS, PASSAGES = 50, 24, 20  # documents, page pictures and passages on a page
SHOWN = 200  # jobs
DOUBTFUL = 0.8  # score below which a page is marked
ROWS = 30  # of a table's passage
Start = Annotated[int, Parameter(ge=0, le=ALL)]


@router.get("/documents")
async def show(
    page: Paged, platform: Opened, runner: Running, q: str = "", media: Annotated[str, Parameter(alias="type")] = "",
    offset: Start = 0, part: bool = False,
) -> Response:  # fmt: skip
    """List the visible documents by source, with what is being read and what could not be."""
    kinds: Counter[str] = Counter()
    words = q.casefold().split()

    def wanted(one: Document) -> bool:
        kinds[one.media] += 1
        text = f"{one.source} {one.title}".casefold()
        return media in ("", one.media) and all(word in text for word in words)

    found, total = await platform.store.ledger.page(page.readers, wanted, offset, LISTED)
    open_jobs = await jobs.visible(platform.store.ledger, page.readers, unsettled=True)
    rows = [shapes.job(one, runner.live.get(one.id)) for one in open_jobs]
    return page(
        "listed.html" if part else "documents.html", rows=[listed(one) for one in found], total=total, q=q,
        media=media, kinds=sorted(kinds.items()), offset=offset, size=LISTED, everything=kinds.total(),
        open=[one for one in rows if one["state"] not in jobs.FINAL][::-1],
        failed=[one for one in rows if one["state"] == "failed"], shown=SHOWN,
    )  # fmt: skip


def listed(document: Document) -> dict[str, Any]:
    """Return what a list says of a document."""
    folder, _, name = document.source.rpartition("/")
    edition = document.meta.get("edition")
    return {
        "document": document, "name": name, "folder": folder, **state(document), "dated": dated(document),
        "edition": f"{edition:g}" if edition else "", "tags": document.meta.get("tags", ()),
        "pages": document.meta.get("pages", 0),
    }  # fmt: skip


def state(document: Document) -> dict[str, Any]:
    """Return how well a document was read: its state, and how many of its pages are doubtful."""
    report = document.meta.get("report") or {}
    bad = sum(row["score"] < DOUBTFUL for row in report.get("listed", ()))
    kind = "partly" if document.meta.get("incomplete") else "doubtful" if bad else "read"
    return {"state": kind, "bad": bad}


@router.post("/documents")
async def add(
    page: Paged, runner: Running, files: Annotated[list[UploadFile], File()],
    readers: Annotated[str, Form()] = "", tags: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Queue files from a browser without scripts, and lead back to the list."""
    for one in files:
        if name := named(one):
            await runner.submit(one.file, name, name, names(readers) or None, "", names(tags) or None)
    return RedirectResponse(page.link("/documents"), 303)


@router.get("/documents/{document_id}")
async def show_one(
    page: Paged, document: Visible, platform: Opened, runner: Running,
    sheet: Annotated[int, Parameter(ge=0)] = 0, offset: Start = 0, only: Literal["", "bad"] = "",
) -> Response:  # fmt: skip
    """Show how a document was read: its report, its pages, and its passages, of one page where that can be drawn."""
    ledger = platform.store.ledger
    report = document.meta.get("report") or {}
    blank: dict[str, Any] = {"part": "", "sheet": "", "ocr": False, "reasons": ()}
    drawn = document.media in DRAWN
    told = [blank | row for row in report.get("listed", ()) if row["score"] < DOUBTFUL or "ocr" in row]
    doubts = {row["page"] if drawn else number: row for number, row in enumerate(told, 1)}
    sheet = (sheet or 1) if drawn else 0
    held = await ledger.chunks(document.id, *((0, -1) if drawn else (offset, PASSAGES)))
    listed_jobs = await jobs.visible(ledger, page.readers, unsettled=True)
    rows = [shapes.job(one, runner.live.get(one.id)) for one in listed_jobs if one.document == document.id]
    numbers = range(1, report.get("pages", document.meta.get("pages", 1)) + 1) if drawn else ()
    bad = [one for one in numbers if one in doubts and doubts[one]["score"] < DOUBTFUL]
    return page(
        "document.html", **listed(document), report=report, doubts=doubts, jobs=rows, bad_pages=bad,
        sheets=sheets(bad if only else numbers, sheet), only=only, sheet=sheet, offset=offset, size=PASSAGES,
        passages=passages(page, document, held, sheet), count=await ledger.size(document.id),
        measured=await _measured(page, platform, document, sheet), tokens=_tokens(platform), least=SMALL,
        reasons={code: page.say(f"docs.reason.{code}") for row in doubts.values() for code in row["reasons"]},
    )  # fmt: skip


def sheets(numbers: Sequence[int], sheet: int) -> dict[str, Any]:
    """Return the pages whose pictures are shown round one page, and where the next and the former ones begin."""
    at = next((index for index, one in enumerate(numbers) if one >= sheet), 0) // SHEETS * SHEETS
    shown = list(numbers[at : at + SHEETS])
    before = numbers[at - SHEETS] if at else 0
    after = numbers[at + SHEETS] if at + SHEETS < len(numbers) else 0
    return {"shown": shown, "before": before, "after": after, "all": len(numbers)}


def passages(page: Page, document: Document, held: Sequence[Chunk], sheet: int) -> list[dict[str, Any]]:
    """Return chunks as they are shown, those of one page with their boxes on it."""
    told = []
    for number, chunk in enumerate(held, 1):
        first = next((one.place for one in chunk.pieces if not sheet or one.place.page == sheet), Place())
        if not sheet or first.page == sheet:
            rows = [cells for _, _, cells in table_rows(chunk)][:ROWS] if chunk.kind == "table" else []
            told.append({
                "chunk": chunk, "number": number, "where": where(page, document.media, first), "rows": rows,
                "boxes": pages.boxes([chunk], sheet, "") if sheet else [],
            })  # fmt: skip
    return told


async def _measured(page: Page, platform: Platform, document: Document, sheet: int) -> dict[str, Any]:
    """Return a page's width and height, or why it cannot be drawn."""
    if not sheet:
        return {}
    try:
        wide, high = await platform.draw.size(document, sheet)
    except LyceumError as problem:
        return {"problem": page.problem(problem)}
    return {"wide": wide, "high": high}


def _tokens(platform: Platform) -> int:
    return getattr(platform.splitter, "tokens", 0)


@router.post("/documents/{document_id}/again")
async def again(
    page: Paged, document: Visible, runner: Running, platform: Opened,
    ocr: Annotated[Literal["", "auto", "off", "tesseract"], Form()] = "",
    tokens: Annotated[int, Form(ge=SMALL, le=2000)] = 0, password: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Queue a document to be read with other settings, and lead back to it."""
    changed: dict[str, Any] = {"ocr": ocr} if ocr else {}
    if tokens and tokens != _tokens(platform):
        changed["tokens"] = tokens
    await runner.again(document, changed, password)
    return RedirectResponse(page.link(f"/documents/{document.id}"), 303)


@router.get("/documents/{document_id}/delete")
async def ask_to_delete(page: Paged, document: Visible, platform: Opened) -> Response:
    """Name what will vanish with a document, and what stays."""
    count = await platform.store.ledger.size(document.id)
    return page("delete.html", **listed(document), count=count)


@router.post("/documents/{document_id}/delete")
async def delete(page: Paged, document: Visible, platform: Opened) -> Response:
    """Delete a document everywhere, and lead back to the list."""
    await platform.store.remove(document.id, page.readers)
    return RedirectResponse(page.link("/documents", deleted=1), 303)
