"""Answers, hits, documents and spans as the plain objects that `--json` prints and HTTP returns. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from lyceum.core.errors import LyceumError
from lyceum.core.types import Answer, Citation, Document, Hit, Place, Span
from lyceum.ingest.drawing import DRAWN
from lyceum.store.jobs import Job

QUOTED = 1000  # characters of a quote in an address
INSIDE = ("report", "sha256", "kept")  # what is kept about a document for other routes than its own


def place(where: Place) -> dict[str, Any]:
    """Return what is known of a place: part, page, sheet, row, line, xpath and box."""
    names = ("part", "page", "sheet", "row", "line", "xpath", "box")
    return {name: value for name in names if (value := getattr(where, name)) is not None}


def _picked(noun: object, *names: str) -> dict[str, Any]:
    return {name: getattr(noun, name) for name in names}


def citation(cited: Citation) -> dict[str, Any]:
    """Return a citation; `span` marks the short answer inside the quote."""
    return {
        **_picked(cited, "number", "document_id", "source", "title", "quote"),
        **place(cited.place),
        "boxes": cited.boxes,
        "span": None if cited.start is None else [cited.start, cited.end],
        "chunk_id": cited.chunk_id,
        **({"picture": _picture(cited)} if cited.place.page and cited.media in DRAWN else {}),
    }


def _picture(cited: Citation) -> str:
    """Return where the cited page can be seen with the quote marked; readers are added by who may use it."""
    asked = urlencode({"chunk": cited.chunk_id, "quote": cited.quote[:QUOTED]})
    return f"/api/documents/{cited.document_id}/pages/{cited.place.page}.png?{asked}"


def answer(found: Answer) -> dict[str, Any]:
    """Return an answer."""
    return {
        "answer": found.text,
        "citations": [citation(cited) for cited in found.citations],
        **_picked(found, "abstained", "reason", "unsupported"),
        "conflicts": [list(pair) for pair in found.conflicts],
        "confidence": round(found.confidence, 4),
        "seconds": round(found.seconds, 4),
        "trace_id": found.trace_id,
        "usage": _picked(found.usage, "input_tokens", "output_tokens"),
    }


def hit(found: Hit) -> dict[str, Any]:
    """Return a hit with the parts that found it."""
    first = found.chunk.pieces[0].place if found.chunk.pieces else Place()
    return {
        "document_id": found.document.id,
        **_picked(found.document, "source", "title"),
        "path": list(found.chunk.path),
        **place(first),
        "text": found.chunk.text,
        "chunk_id": found.chunk.id,
        "score": round(found.score, 6),
        "by": [{**_picked(by, "part", "rank"), "score": round(by.score, 6)} for by in found.by],
    }


def document(found: Document) -> dict[str, Any]:
    """Return a document without its text."""
    return {
        **_picked(found, "id", "source", "title", "media", "language", "version"),
        "readers": sorted(found.readers),
        "meta": {name: value for name, value in found.meta.items() if name not in INSIDE},
    }


def span(done: Span) -> dict[str, Any]:
    """Return a span; times in seconds."""
    return {
        **_picked(done, "name", "id", "parent", "start"),
        "seconds": round(done.seconds, 6),
        "error": done.error,
        "facts": dict(done.facts),
    }


def job(found: Job, live: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an upload's job; `live` is what its runner knows while it is read: pages, total and seconds left."""
    told = {name: value for name, value in found.outcome.items() if name != "type"}
    failed = found.code and found.state != "done"
    return {
        **_picked(found, "id", "kind", "source"),
        "document_id": found.document,
        **_picked(found, "state", "attempts"),
        **(live or {"pages": told.get("pages", 0), "total": None, "left": None}),
        "outcome": told or None,
        "error": _picked(found, "code", "message", "hint") if failed else None,
        **_picked(found, "created", "updated"),
    }


def error(problem: LyceumError) -> Mapping[str, Any]:
    """Return the one shape of every error."""
    told = _picked(problem, "code", "message", "hint", "retryable")
    return {"error": {**told, "type": type(problem).__name__}}
