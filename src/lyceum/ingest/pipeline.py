"""A document in: files to parsed, split, stored documents, with an outcome for each; knows no database.

Parsing runs in a child process while this one encodes and indexes the files before. What fails becomes an
outcome and stops nothing else. The same bytes again do nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
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
PARSERS = "2"  # raised whenever a parser gives other elements: then the same bytes are read again
SCANS = ("pdf", "tif", "tiff")  # read again when OCR is installed or chosen: pages may have been left out


class Reader(Protocol):
    """A file to its parsed form; see `isolate.Isolated`."""

    async def __call__(self, path: Path, name: str, document: Document) -> Any: ...

    def options(self) -> str: ...


class Library(Protocol):
    """Where documents go; see the store."""

    async def put(self, batch: Sequence[tuple[Document, Sequence[Element], Sequence[Chunk]]]) -> None: ...

    async def set_readers(self, document_id: str, readers: frozenset[str]) -> None: ...

    async def versions(self) -> dict[str, tuple[str, frozenset[str]]]: ...

    async def keep_file(self, path: Path, sha256: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file and the source name under which it will be cited; no readers keeps those it has.

    `keep` has the library hold a copy of the file: an upload has no other place where it could be seen again.
    `passwords` are tried on a locked file; they are kept nowhere.
    """

    path: Path
    source: str
    name: str
    readers: frozenset[str] | None = None
    keep: bool = False
    passwords: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a file: added, updated, unchanged, readers or failed (with code, message and hint)."""

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


Staged = tuple[Document, Sequence[Element], Sequence[Chunk]]
Progress = Callable[[Outcome], None]


class Ingest:
    """Reads with `reader`, cuts with `splitter`, writes to `library`; `heard` is told of every outcome."""

    def __init__(
        self, library: Library, reader: Reader, splitter: Splitter, heard: Progress = lambda outcome: None
    ) -> None:
        self.library, self.reader, self.splitter, self.heard = library, reader, splitter, heard

    async def __call__(self, jobs: Sequence[Job], progress: Progress = lambda outcome: None) -> list[Outcome]:
        """Ingest in order; `progress` hears of each document when it has been confirmed."""
        known = await self.library.versions()
        queue: asyncio.Queue[tuple[Staged | None, Outcome] | None] = asyncio.Queue(maxsize=BATCH_DOCUMENTS)

        async def parse() -> None:
            try:
                for job in jobs:
                    await queue.put(await self._one(job, known))
            finally:
                await queue.put(None)

        parsing = asyncio.create_task(parse())
        outcomes: list[Outcome] = []
        try:
            async for batch in _batches(queue):
                with span("ingest.put", documents=len(batch)):
                    await self.library.put([staged for staged, _ in batch if staged is not None])
                for _, outcome in batch:
                    outcomes.append(outcome)
                    self.heard(outcome)
                    progress(outcome)
            await parsing
        finally:
            parsing.cancel()
        return outcomes

    async def _one(
        self, job: Job, known: dict[str, tuple[str, frozenset[str]]]
    ) -> tuple[Staged | None, Outcome]:
        started = time.perf_counter()
        job = replace(job, source=_shown(job.source), name=_shown(job.name))
        doc_id = document_id(job.source)
        try:
            with span("ingest.document", document=doc_id) as facts:
                staged, outcome = await self._read(job, doc_id, known)
                facts["status"] = outcome.status
        except LyceumError as problem:
            failed = Outcome(
                source=job.source, status="failed", code=problem.code, message=problem.message,
                hint=problem.hint, seconds=time.perf_counter() - started,
            )  # fmt: skip
            return None, failed
        return staged, outcome

    async def _read(
        self, job: Job, doc_id: str, known: dict[str, tuple[str, frozenset[str]]]
    ) -> tuple[Staged | None, Outcome]:
        started = time.perf_counter()
        sha256, version = await asyncio.to_thread(self._version, job)
        old_version, old_readers = known.get(doc_id, ("", frozenset({EVERYONE})))
        readers = old_readers if job.readers is None else job.readers
        if version == old_version:
            status = "unchanged"
            if readers != old_readers:
                await self.library.set_readers(doc_id, readers)
                status = "readers"
            return None, Outcome(source=job.source, status=status, document_id=doc_id)
        options = {"passwords": job.passwords} if job.passwords else {}
        blank = Document(id=doc_id, source=job.source, version=version, readers=readers, meta=options)
        parsed = await self.reader(job.path, job.name, blank)
        meta = {
            "pages": parsed.pages, **edition(job.name, parsed.elements), "sha256": sha256,
            **({"kept": True} if job.keep else {}), "report": parsed.report,
        }  # fmt: skip
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
        ocr = self.reader.options() if ending in SCANS else ""
        return content.hexdigest(), digest(content.digest(), PARSERS, ending, self.splitter.name, ocr)


async def _batches(
    queue: asyncio.Queue[tuple[Staged | None, Outcome] | None],
) -> AsyncIterator[list[tuple[Staged | None, Outcome]]]:
    """Group what is ready: a batch ends when it is large, or when the reader has nothing more at the moment."""
    batch: list[tuple[Staged | None, Outcome]] = []
    chunks = 0
    while True:
        if batch and (queue.empty() or chunks >= BATCH_CHUNKS or len(batch) >= BATCH_DOCUMENTS):
            yield batch
            batch, chunks = [], 0
        item = await queue.get()
        if item is None:
            break
        batch.append(item)
        chunks += item[1].chunks
    if batch:
        yield batch


def jobs(paths: Sequence[Path], readers: frozenset[str] | None = None, base: Path | None = None) -> list[Job]:
    """Return a job a file; folders are walked in order of names, hidden files left out.

    The source is the absolute path, or the path relative to `base`.
    """
    found: list[Job] = []
    for path in paths:
        if not path.exists():
            raise NotFound(f"There is no file or folder {path}.", hint="Check the path.")
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            inside = file.relative_to(path).parts if path.is_dir() else ()
            if any(part.startswith(".") for part in inside):
                continue
            whole = file.resolve()
            source = whole.relative_to(base.resolve()) if base else whole
            found.append(Job(path=whole, source=source.as_posix(), name=file.name, readers=readers))
    return list({job.source: job for job in found}.values())


def _shown(name: str) -> str:
    """Return a file's name as text, whatever bytes it has on the disk."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
