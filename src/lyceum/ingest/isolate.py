"""Files to parsed documents through child processes that may be killed; the parent never runs a parser."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.packed import unpack_element
from lyceum.core.text import language
from lyceum.core.types import Document, Element
from lyceum.ingest.media import detect
from lyceum.ingest.ocr import CHOICES, SCAN, state
from lyceum.ingest.preflight import check
from lyceum.ingest.process import Tell, Worker
from lyceum.ingest.report import report

WARNINGS = 100


def ignored(pages: int, total: int) -> None:
    """Hear of a page and do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a file held; `incomplete` when its parser did not come to the end, or left out scans."""

    media: str
    title: str
    language: str
    pages: int
    elements: tuple[Element, ...]
    warnings: tuple[str, ...] = ()
    report: dict[str, Any] = field(default_factory=dict)
    incomplete: bool = False


class Isolated:
    """Parses in `workers` processes, a document each at a time; 0 is one a processor and two at most.

    `wall_seconds` is for one page, `cpu_seconds` for a document apart from its OCR.
    """

    def __init__(
        self, memory_mb: int = 3072, cpu_seconds: int = 60, wall_seconds: float = 180.0, max_mb: int = 200,
        workers: int = 0, ocr: str = "auto",
    ) -> None:  # fmt: skip
        assert workers >= 0, workers
        assert ocr in CHOICES, ocr
        self.max_mb, self.ocr = max_mb, ocr
        self.limits = f"{memory_mb}:{cpu_seconds}:{wall_seconds:g}:{state(ocr)}"
        self.workers = workers or min(2, os.cpu_count() or 1)
        self._all = [Worker(memory_mb, cpu_seconds, wall_seconds) for _ in range(self.workers)]
        self._idle: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()  # the last one used is the warm one
        for worker in self._all:
            self._idle.put_nowait(worker)

    async def __call__(self, path: Path, name: str, document: Document, tell: Tell = ignored) -> Parsed:
        """Return the document's elements; raise ParseError when there are none. `tell` hears of each page.

        A failure after the first page with words keeps the pages before it and becomes a warning.
        """
        media = await asyncio.to_thread(self._media, path, name)
        pages: list[dict[str, Any]] = []
        failure: ParseError | None = None
        job = await _job(path, name, media, document)
        job["meta"] = {"ocr": self.ocr, **job["meta"]}
        try:
            async with self._one() as worker:
                await worker.run(job, pages, tell)
        except ParseError as problem:
            failure = problem
        return await asyncio.to_thread(_parsed, name, media, document.id, pages, failure)

    async def draw(self, path: Path, name: str, media: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """Return a page as "png", or its "size"; see `drawing.draw` for what may be wanted of it."""
        document = Document(id="", source=name, version="", meta={"picture": wanted})
        drawn: list[dict[str, Any]] = []
        job = await _job(path, name, media, document)
        async with self._one() as worker:
            await worker.run(job, drawn, ignored)
        return drawn[0]

    async def close(self) -> None:
        """End every worker."""
        for worker in self._all:
            await worker.close()

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[Worker]:
        worker = await self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put_nowait(worker)

    def _media(self, path: Path, name: str) -> str:
        size = path.stat().st_size
        if size > self.max_mb * 1_000_000:
            raise ParseError(
                f"{name} has {size // 1_000_000} MB; {self.max_mb} are allowed.",
                hint="Split it, or raise reader.max_mb in lyceum.toml.", code="limit",
            )  # fmt: skip
        data = path.read_bytes()
        media = detect(data, name)
        check(data, media, name)
        return media


async def _job(path: Path, name: str, media: str, document: Document) -> dict[str, Any]:
    path = await asyncio.to_thread(path.absolute)  # the worker has a folder of its own
    return {"path": str(path), "media": media, "name": name, "id": document.id, "meta": dict(document.meta)}


def _parsed(
    name: str, media: str, doc_id: str, pages: list[dict[str, Any]], failure: ParseError | None
) -> Parsed:
    """Return what the pages say together; raise when they say nothing."""
    elements = tuple(unpack_element(doc_id, row) for page in pages for row in page["elements"])
    words = "\n".join(element.text for element in elements)
    warnings = tuple(warning for page in pages for warning in page["warnings"])
    scans = [warning for warning in warnings if SCAN in warning]
    if not any(character.isalnum() for character in words):
        if failure is not None:
            raise failure
        missing = scans[0].partition(SCAN)[2].strip() if scans else ""
        hint = f"It looks like a scan. {missing}" if scans else "Check that it holds text."
        raise ParseError(f"{name} holds no text.", hint=hint, code="empty")
    title = next((page["title"] for page in pages if page["title"]), "")
    return Parsed(
        media=media, title=title[:300], language=language(words), pages=len(pages), elements=elements,
        warnings=_told(warnings, failure, len(pages)), incomplete=failure is not None or bool(scans),
        report=report(pages),
    )  # fmt: skip


def _told(warnings: tuple[str, ...], failure: ParseError | None, pages: int) -> tuple[str, ...]:
    """Return the warnings that a person will read: what is missing first, and not thousands."""
    if failure is not None:
        warnings = (f"Only what came before is kept, {pages} pages ({failure.code}): {failure}", *warnings)
    more = len(warnings) - WARNINGS
    return (*warnings[:WARNINGS], f"{more} more warnings.") if more > 0 else warnings
