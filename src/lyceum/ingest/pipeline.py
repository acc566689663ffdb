"""A document in: files to parsed, split, stored documents, with an outcome for each; knows no database.

Several files are parsed at once, in child processes, while this one encodes and indexes the files before; outcomes
keep the order of the jobs. What fails becomes an outcome and stops nothing else. The same bytes again do nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from lyceum.core.errors import LyceumError, NotFound, ParseError
from lyceum.core.ids import digest, document_id
from lyceum.core.protocols import Splitter
from lyceum.core.trace import span
from lyceum.core.types import EVERYONE, Chunk, Document, Element
from lyceum.ingest.editions import edition

BATCH_CHUNKS, BATCH_DOCUMENTS = 512, 64
WAITING = 50_000  # elements that are read and not yet stored; with so many no other file is begun
PARSERS = "2"  # raised whenever a parser gives other elements: then the same bytes are read again


class Reader(Protocol):
    """A file to its parsed form; see `isolate.Isolated`. `limits` names what may have cut a file short."""

    limits: str

    async def __call__(
        self, path: Path, name: str, document: Document, tell: Callable[[int, int], None]
    ) -> Any: ...


class Library(Protocol):
    """Where documents go; see the store."""

    async def put(self, batch: Sequence[tuple[Document, Sequence[Element], Sequence[Chunk]]]) -> None: ...

    async def set_readers(self, document_id: str, readers: frozenset[str]) -> None: ...

    async def set_tags(self, document_id: str, tags: frozenset[str]) -> bool: ...

    async def versions(self) -> dict[str, tuple[str, frozenset[str]]]: ...

    async def keep_file(self, path: Path, sha256: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file and the source name under which it will be cited; no readers or tags keeps those it has.

    `keep` has the library hold a copy of the file: an upload has no other place where it could be seen again.
    `passwords` are tried on a locked file; they are kept nowhere.
    `again` reads a file whose bytes were read only in part before; `ocr` is this file's own choice of it.
    """

    path: Path
    source: str
    name: str
    readers: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    keep: bool = False
    passwords: tuple[str, ...] = field(default=(), repr=False)
    again: bool = False
    ocr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a file: added, updated, unchanged, readers, tags or failed (with code, message and hint)."""

    source: str
    status: str
    document_id: str = ""
    pages: int = 0
    chunks: int = 0
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = field(default=())
    retryable: bool = False


Staged = tuple[Document, Sequence[Element], Sequence[Chunk]]
Read = tuple[Staged | None, Outcome]
Progress = Callable[[Outcome], None]
Page = Callable[[int, int], None]


class Ingest:
    """Reads with `reader`, `at_once` files at a time, cuts with `splitter`, writes to `library`.

    `heard` is told of every outcome.
    """

    def __init__(
        self, library: Library, reader: Reader, splitter: Splitter, at_once: int = 1,
        heard: Progress = lambda outcome: None,
    ) -> None:  # fmt: skip
        self.library, self.reader, self.splitter = library, reader, splitter
        self.at_once, self.heard = at_once, heard

    async def __call__(
        self,
        jobs: Sequence[Job],
        progress: Progress = lambda outcome: None,
        page: Page = lambda pages, total: None,
    ) -> list[Outcome]:
        """Ingest in order; `progress` hears of each document that is confirmed, `page` of each page that is read."""
        known = await self.library.versions()
        outcomes: list[Outcome] = []
        ahead = _Ahead(self.at_once)
        starting = asyncio.create_task(ahead.start(jobs, lambda job: self._one(job, known, page)))
        try:
            async for batch in ahead.batches():
                with span("ingest.put", documents=len(batch)):
                    await self.library.put([staged for staged, _ in batch if staged is not None])
                ahead.stored(batch)
                for _, outcome in batch:
                    outcomes.append(outcome)
                    self.heard(outcome)
                    progress(outcome)
            await starting
        finally:
            await ahead.stop(starting)
        return outcomes

    async def _one(self, job: Job, known: dict[str, tuple[str, frozenset[str]]], page: Page) -> Read:
        started = time.perf_counter()
        job = replace(job, source=shown(job.source), name=shown(job.name))
        doc_id = document_id(job.source)
        try:
            with span("ingest.document", document=doc_id) as facts:
                staged, outcome = await self._read(job, doc_id, known, page)
                facts["status"] = outcome.status
                return staged, outcome
        except LyceumError as problem:
            failed = Outcome(
                source=job.source, status="failed", code=problem.code, message=problem.message,
                hint=problem.hint, seconds=time.perf_counter() - started, retryable=problem.retryable,
            )  # fmt: skip
            return None, failed

    async def _read(
        self, job: Job, doc_id: str, known: dict[str, tuple[str, frozenset[str]]], page: Page
    ) -> Read:
        started = time.perf_counter()
        sha256, version = await asyncio.to_thread(self._version, job)
        partly = digest(version, self.reader.limits)  # the version when these limits cut it short
        old_version, old_readers = known.get(doc_id, ("", frozenset({EVERYONE})))
        readers = old_readers if job.readers is None else job.readers
        if old_version == version or (old_version == partly and not job.again):
            status = "unchanged"
            if readers != old_readers:
                await self.library.set_readers(doc_id, readers)
                status = "readers"
            if (
                job.tags is not None
                and await self.library.set_tags(doc_id, job.tags)
                and status == "unchanged"
            ):
                status = "tags"
            return None, Outcome(source=job.source, status=status, document_id=doc_id)
        given = {"passwords": job.passwords, "ocr": job.ocr}
        options = {name: value for name, value in given.items() if value}
        blank = Document(id=doc_id, source=job.source, version=version, readers=readers, meta=options)
        parsed = await self.reader(job.path, job.name, blank, page)
        meta = {
            "pages": parsed.pages, **edition(job.name, parsed.elements), "sha256": sha256,
            **({"kept": True} if job.keep else {}),
            **({} if job.tags is None else {"tags": sorted(job.tags)}), "report": parsed.report,
        }  # fmt: skip
        if parsed.incomplete:
            version, meta = partly, {**meta, "incomplete": True}
        document = Document(
            id=doc_id, source=job.source, version=version, readers=readers, media=parsed.media,
            title=parsed.title or Path(job.name).stem, language=parsed.language, meta=meta,
        )  # fmt: skip
        with span("ingest.split") as facts:
            chunks = await asyncio.to_thread(self.splitter, document, parsed.elements)
            facts["chunks"] = len(chunks)
        if job.keep:
            await self.library.keep_file(job.path, sha256)
        outcome = Outcome(
            source=job.source, status="updated" if old_version else "added", document_id=doc_id,
            pages=parsed.pages, chunks=len(chunks), warnings=tuple(parsed.warnings),
            seconds=time.perf_counter() - started,
        )  # fmt: skip
        return (document, parsed.elements, chunks), outcome

    def _version(self, job: Job) -> tuple[str, str]:
        """Return the SHA-256 of the file, and the version that its bytes and their reading make."""
        try:
            with job.path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256")
        except OSError as problem:
            raise ParseError(
                f"{job.name} cannot be read: {problem.strerror}.",
                hint="Check that it exists and its permissions.",
                code="unreadable",
            ) from problem
        ending = job.name.rsplit(".", 1)[-1].lower()
        own = [job.ocr] if job.ocr else []
        return content.hexdigest(), digest(content.digest(), PARSERS, ending, self.splitter.name, *own)


class _Ahead:
    """Files that are being read, and read ones that wait to be stored, in the order of the jobs; both bounded."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._tasks: asyncio.Queue[asyncio.Task[Read] | None] = asyncio.Queue()
        self._running: set[asyncio.Task[Read]] = set()
        self._documents = self._elements = 0
        self._room = asyncio.Event()
        self._room.set()

    async def start(self, jobs: Sequence[Job], read: Callable[[Job], Awaitable[Read]]) -> None:
        """Begin one file after the other, as soon as a slot is free and what waits leaves room."""
        try:
            for job in jobs:
                await self._slots.acquire()
                await self._room.wait()
                self._count(1, 0)
                task = asyncio.create_task(self._one(read, job))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                self._tasks.put_nowait(task)
        finally:
            self._tasks.put_nowait(None)

    async def _one(self, read: Callable[[Job], Awaitable[Read]], job: Job) -> Read:
        try:
            found = await read(job)
            self._count(0, _size(found))
            return found
        finally:
            self._slots.release()

    def _count(self, documents: int, elements: int) -> None:
        self._documents += documents
        self._elements += elements
        if self._documents < BATCH_DOCUMENTS and self._elements < WAITING:
            self._room.set()
        else:
            self._room.clear()

    async def batches(self) -> AsyncIterator[list[Read]]:
        """Group what is ready: a batch ends when it is large, or when the next file is still being read."""
        batch: list[Read] = []
        while True:
            if batch and self._tasks.empty():
                yield batch
                batch = []
            task = await self._tasks.get()
            if batch and (task is None or not task.done() or _full(batch)):
                yield batch
                batch = []
            if task is None:
                return
            batch.append(await task)

    def stored(self, batch: Sequence[Read]) -> None:
        """Make room for as much as was stored."""
        self._count(-len(batch), -sum(map(_size, batch)))

    async def stop(self, starting: asyncio.Task[None]) -> None:
        """End what is still being read."""
        tasks = [starting, *self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _size(read: Read) -> int:
    return 0 if read[0] is None else len(read[0][1])


def _full(batch: Sequence[Read]) -> bool:
    return len(batch) >= BATCH_DOCUMENTS or sum(outcome.chunks for _, outcome in batch) >= BATCH_CHUNKS


def jobs(
    paths: Sequence[Path],
    readers: frozenset[str] | None = None,
    base: Path | None = None,
    *,
    again: bool = False,
) -> list[Job]:
    """Return a job a file; folders are walked in order of names, hidden files left out.

    The source is the absolute path, or the path relative to `base`.
    """
    found: list[Job] = []
    for path in paths:
        if not path.exists():
            raise NotFound(f"There is no file or folder {path}.", hint="Check the path.")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if hidden or (file != path and not file.is_file()):
                continue
            whole = file.resolve()
            source = shown((whole.relative_to(base.resolve()) if base else whole).as_posix())
            found.append(Job(path=whole, source=source, name=file.name, readers=readers, again=again))
    return list({job.source: job for job in found}.values())


def shown(name: str) -> str:
    """Return a file's name as text, whatever bytes it has on the disk."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
