"""Files to parsed documents through a child process that may be killed; the parent never runs a parser.

It knows how a worker dies (memory, CPU, wall clock, crash) and turns each into a code with what to do.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.packed import unpack_element
from lyceum.core.text import language
from lyceum.core.types import Document, Element
from lyceum.ingest.media import detect

RECYCLE = 50  # documents after which a worker is replaced, for what parsers leak
LINE = 256 << 20
Tell = Callable[[int, int], None]
"""Hears of each page as it is read: how many there are so far, and how many in all (0 when nobody knows)."""


def ignored(pages: int, total: int) -> None:
    """Hear of a page and do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a file held."""

    media: str
    title: str
    language: str
    pages: int
    elements: tuple[Element, ...]
    warnings: tuple[str, ...] = ()


class Isolated:
    """Workers, made when needed and reused, a document each at a time; `wall_seconds` is for one document.

    `workers` is how many read at once, 0 one a processor and two at most. The object stands for one worker, its
    `_mates` are copies of it for the others.
    """

    def __init__(
        self, memory_mb: int = 2048, cpu_seconds: int = 120, wall_seconds: float = 180.0, max_mb: int = 200,
        workers: int = 0,
    ) -> None:  # fmt: skip
        assert workers >= 0, workers
        self.memory_mb, self.cpu_seconds = memory_mb, cpu_seconds
        self.wall_seconds, self.max_mb = wall_seconds, max_mb
        self.workers = workers or min(2, os.cpu_count() or 1)
        self._worker: asyncio.subprocess.Process | None = None
        self._served = 0
        self._mates = [copy.copy(self) for _ in range(self.workers - 1)]
        self._idle: asyncio.LifoQueue[Isolated] = asyncio.LifoQueue()  # the last one used is the warm one
        for one in (*self._mates, self):
            self._idle.put_nowait(one)

    async def __call__(self, path: Path, name: str, document: Document, tell: Tell = ignored) -> Parsed:
        """Return the document's elements; raise ParseError when there are none. `tell` hears of each page."""
        media = await asyncio.to_thread(self._media, path, name)
        one = await self._idle.get()
        try:
            pages = await one._ask(path, name, media, document, tell)
        finally:
            self._idle.put_nowait(one)
        elements = tuple(unpack_element(document.id, row) for page in pages for row in page["elements"])
        words = "\n".join(element.text for element in elements)
        warnings = tuple(warning for page in pages for warning in page["warnings"])
        if not any(character.isalnum() for character in words):
            scan = any("text layer" in warning for warning in warnings)
            hint = "It looks like a scan: run OCR over it first." if scan else "Check that it holds text."
            raise ParseError(f"{name} holds no text.", hint=hint, code="empty")
        title = next((page["title"] for page in pages if page["title"]), "")
        return Parsed(
            media=media, title=title[:300], language=language(words), pages=len(pages), elements=elements,
            warnings=warnings,
        )  # fmt: skip

    async def close(self) -> None:
        """End every worker."""
        for one in (self, *self._mates):
            await one._end()

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            _kill(worker)
            await worker.wait()

    def _media(self, path: Path, name: str) -> str:
        size = path.stat().st_size
        if size > self.max_mb * 1_000_000:
            raise ParseError(
                f"{name} has {size // 1_000_000} MB; {self.max_mb} are allowed.",
                hint="Split it, or raise reader.max_mb in lyceum.toml.", code="limit",
            )  # fmt: skip
        return detect(path.read_bytes(), name)

    async def _ask(
        self, path: Path, name: str, media: str, document: Document, tell: Tell
    ) -> list[dict[str, Any]]:
        worker = await self._ready()
        job = {
            "path": str(path),
            "media": media,
            "name": name,
            "id": document.id,
            "meta": dict(document.meta),
        }
        pages: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(self.wall_seconds):
                assert worker.stdin is not None
                worker.stdin.write((json.dumps(job) + "\n").encode())
                await worker.stdin.drain()
                await self._collect(worker, name, pages, tell)
        except TimeoutError as problem:
            await self._end()
            raise ParseError(
                f"{name} took over {self.wall_seconds:g} s ({len(pages)} pages were read).",
                hint="Split the file, or raise reader.wall_seconds in lyceum.toml.", code="time",
            ) from problem  # fmt: skip
        except (ConnectionError, asyncio.IncompleteReadError, ValueError) as problem:
            raise await self._died(worker, name, len(pages)) from problem
        except asyncio.CancelledError:
            await self._end()
            raise
        return pages

    async def _collect(
        self, worker: asyncio.subprocess.Process, name: str, pages: list[dict[str, Any]], tell: Tell
    ) -> None:
        assert worker.stdout is not None
        total = 0
        while True:
            line = await worker.stdout.readuntil(b"\n")
            told = json.loads(line)
            if "page" in told:
                pages.append(told["page"])
                tell(len(pages), total)
            elif "total" in told:
                total = told["total"]
            elif "error" in told:
                error = told["error"]
                if error["code"] == "limit":  # what is left of its memory would fail the next file
                    await self._end()
                raise ParseError(f"{name}: {error['message']}", hint=error["hint"], code=error["code"])
            else:
                return

    async def _ready(self) -> asyncio.subprocess.Process:
        if self._worker is not None and (self._worker.returncode is not None or self._served >= RECYCLE):
            await self._end()
        if self._worker is None:
            self._served = 0
            self._worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "lyceum.ingest.worker", str(self.memory_mb), str(self.cpu_seconds),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True, limit=LINE, env=_environment(),
            )  # fmt: skip
        self._served += 1
        return self._worker

    async def _died(self, worker: asyncio.subprocess.Process, name: str, pages: int) -> ParseError:
        """Say why a worker is gone."""
        await self._end()
        code = -(worker.returncode or 0)
        read = f" ({pages} pages were read)"
        if code == signal.SIGXCPU:
            return ParseError(
                f"{name} took over {self.cpu_seconds} s of CPU{read}.",
                hint="Split the file, or raise reader.cpu_seconds in lyceum.toml.", code="time",
            )  # fmt: skip
        if code in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL):
            return ParseError(
                f"{name} made its parser crash{read}.", hint="Convert it to another format, or get another copy.",
                code="crash",
            )  # fmt: skip
        return ParseError(f"{name} ended its parser{read}.", hint="Get another copy of it.", code="crash")


def _environment() -> dict[str, str]:
    """Return what Python needs to start, and nothing that could be secret."""
    kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "COVERAGE_PROCESS_START")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _kill(worker: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
