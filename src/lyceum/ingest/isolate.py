"""Files to parsed documents through a child process that may be killed; the parent never runs a parser.

It knows how a worker dies (memory, CPU, wall clock, crash) and turns each into a code with what to do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.packed import unpack_element
from lyceum.core.text import language
from lyceum.core.types import Document, Element
from lyceum.ingest.media import detect
from lyceum.ingest.preflight import check
from lyceum.ingest.report import report

WORKER = "lyceum.ingest.worker"
RECYCLE = 50  # documents after which a worker is replaced, for what parsers leak
LINE = 256 << 20  # bytes of one page
OUTPUT, PAGES = 512 << 20, 50_000  # bytes and pages of one document that its parser may send
WARNINGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a file held; `incomplete` when its parser did not come to the end and the pages before were kept."""

    media: str
    title: str
    language: str
    pages: int
    elements: tuple[Element, ...]
    warnings: tuple[str, ...] = ()
    report: dict[str, Any] = field(default_factory=dict)
    incomplete: bool = False


class Isolated:
    """One worker, made when needed and reused; `wall_seconds` is for one document."""

    def __init__(
        self, memory_mb: int = 2048, cpu_seconds: int = 60, wall_seconds: float = 180.0, max_mb: int = 200
    ) -> None:
        self.memory_mb, self.cpu_seconds = memory_mb, cpu_seconds
        self.wall_seconds, self.max_mb = wall_seconds, max_mb
        self.limits = f"{memory_mb}:{cpu_seconds}:{wall_seconds:g}"
        self._folder: str | None = None
        self._worker: asyncio.subprocess.Process | None = None
        self._served = 0
        self._turn = asyncio.Lock()

    async def __call__(self, path: Path, name: str, document: Document) -> Parsed:
        """Return the document's elements; raise ParseError when there are none.

        A failure after the first page with words keeps the pages before it and becomes a warning.
        """
        path = await asyncio.to_thread(path.absolute)  # the worker has a folder of its own
        media = await asyncio.to_thread(self._media, path, name)
        pages: list[dict[str, Any]] = []
        failure: ParseError | None = None
        try:
            async with self._turn:
                await self._ask(path, name, media, document, pages)
        except ParseError as problem:
            failure = problem
        return await asyncio.to_thread(self._parsed, name, media, document.id, pages, failure)

    @staticmethod
    def _parsed(
        name: str, media: str, doc_id: str, pages: list[dict[str, Any]], failure: ParseError | None
    ) -> Parsed:
        """Return what the pages say together; raise when they say nothing."""
        elements = tuple(unpack_element(doc_id, row) for page in pages for row in page["elements"])
        words = "\n".join(element.text for element in elements)
        warnings = tuple(warning for page in pages for warning in page["warnings"])
        if not any(character.isalnum() for character in words):
            if failure is not None:
                raise failure
            scan = any("text layer" in warning for warning in warnings)
            hint = "It looks like a scan: run OCR over it first." if scan else "Check that it holds text."
            raise ParseError(f"{name} holds no text.", hint=hint, code="empty")
        title = next((page["title"] for page in pages if page["title"]), "")
        return Parsed(
            media=media, title=title[:300], language=language(words), pages=len(pages), elements=elements,
            warnings=_told(warnings, failure, len(pages)), incomplete=failure is not None, report=report(pages),
        )  # fmt: skip

    async def draw(self, path: Path, name: str, media: str, wanted: dict[str, Any]) -> bytes:
        """Return a page as PNG; see `drawing.draw` for what may be wanted of it."""
        document = Document(id="", source=name, version="", meta={"picture": wanted})
        drawn: list[dict[str, Any]] = []
        path = await asyncio.to_thread(path.absolute)
        async with self._turn:
            await self._ask(path, name, media, document, drawn)
        return base64.b64decode(drawn[0]["png"])

    async def close(self) -> None:
        """End the worker."""
        worker, self._worker = self._worker, None
        folder, self._folder = self._folder, None
        try:
            if worker is not None:
                _kill(worker)
                await worker.wait()
        finally:
            if folder is not None:
                await asyncio.to_thread(shutil.rmtree, folder, True)

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

    async def _ask(
        self, path: Path, name: str, media: str, document: Document, pages: list[dict[str, Any]]
    ) -> None:
        """Have a file parsed; its pages are appended as they come."""
        worker = await self._ready()
        job = {
            "path": str(path),
            "media": media,
            "name": name,
            "id": document.id,
            "meta": dict(document.meta),
        }
        try:
            async with asyncio.timeout(self.wall_seconds):
                assert worker.stdin is not None
                worker.stdin.write((json.dumps(job) + "\n").encode())
                await worker.stdin.drain()
                await self._collect(worker, name, pages)
        except TimeoutError as problem:
            await self.close()
            raise ParseError(
                f"{name} took over {self.wall_seconds:g} s ({len(pages)} pages were read).",
                hint="Split the file, or raise reader.wall_seconds in lyceum.toml.", code="time",
            ) from problem  # fmt: skip
        except (ConnectionError, asyncio.IncompleteReadError, ValueError) as problem:
            raise await self._died(worker, name, len(pages)) from problem
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _collect(
        self, worker: asyncio.subprocess.Process, name: str, pages: list[dict[str, Any]]
    ) -> None:
        assert worker.stdout is not None
        received = 0
        while True:
            try:
                line = await worker.stdout.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                line = b""
            received += len(line)
            if not line or received > OUTPUT or len(pages) > PAGES:
                await self.close()
                raise ParseError(f"{name} holds too much text.", hint="Split the file.", code="limit")
            told = json.loads(line)
            if "page" in told:
                pages.append(told["page"])
            elif "error" in told:
                error = told["error"]
                if error["code"] == "limit":  # what is left of its memory would fail the next file
                    await self.close()
                raise ParseError(f"{name}: {error['message']}", hint=error["hint"], code=error["code"])
            else:
                if told["spent"]:
                    await self.close()
                return

    async def _ready(self) -> asyncio.subprocess.Process:
        if self._worker is not None and (self._worker.returncode is not None or self._served >= RECYCLE):
            await self.close()
        if self._worker is None:
            self._served = 0
            self._folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="lyceum-")
            self._worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", WORKER, str(self.memory_mb), str(self.cpu_seconds),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True, limit=LINE, env=_environment(self._folder), cwd=self._folder,
            )  # fmt: skip
        self._served += 1
        return self._worker

    async def _died(self, worker: asyncio.subprocess.Process, name: str, pages: int) -> ParseError:
        """Say why a worker is gone."""
        await self.close()
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


def _told(warnings: tuple[str, ...], failure: ParseError | None, pages: int) -> tuple[str, ...]:
    """Return the warnings that a person will read: what is missing first, and not thousands."""
    if failure is not None:
        warnings = (f"Only what came before is kept, {pages} pages ({failure.code}): {failure}", *warnings)
    more = len(warnings) - WARNINGS
    return (*warnings[:WARNINGS], f"{more} more warnings.") if more > 0 else warnings


def _environment(folder: str) -> dict[str, str]:
    """Return what Python needs to start, and nothing that could be secret."""
    kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "COVERAGE_PROCESS_START")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, "TMPDIR": folder}


def _kill(worker: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
