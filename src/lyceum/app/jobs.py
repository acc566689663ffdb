"""Uploads as jobs: spooled, acknowledged, run beside the requests, retried, cancelled, taken up after a crash.

The queue itself and whose result counts stand in `store.jobs`; parsing and storing are the pipeline's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from lyceum.core.disk import on_disk
from lyceum.core.errors import LyceumError, NotFound, ParseError
from lyceum.core.ids import document_id, random_id
from lyceum.core.types import Chunk, Document, Element
from lyceum.ingest import pipeline
from lyceum.ingest.splitter import Structured
from lyceum.store import jobs, state
from lyceum.store.jobs import Job
from lyceum.store.store import Store
from lyceum.wire import Platform

log = logging.getLogger(__name__)
SPOOL = "spool"
TICK = 1.0  # seconds after which the queue is looked at for what other processes put there
SWEEP = 600.0
STALE = 60.0  # an upload that is so old and has no job was never acknowledged
TRIES, CRASHES = 5, 2  # of a job with an error that may pass, and of one whose parser crashes


class Fenced:
    """The store as one job's ingest sees it: what it writes holds only while the job is its worker's own."""

    def __init__(self, store: Store, job: Job) -> None:
        self.store, self.job = store, job
        self._known: dict[str, tuple[str, frozenset[str]]] = {}

    async def versions(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return version and readers of the job's document."""
        self._known = await self.store.ledger.versions(self.job.document)
        return self._known

    async def put(self, batch: Sequence[tuple[Document, Sequence[Element], Sequence[Chunk]]]) -> None:
        """Store the document and mark the job as done in one transaction."""
        told = {
            "status": "updated" if self._known else "added",
            "pages": sum(document.meta.get("pages", 0) for document, _, _ in batch),
            "chunks": sum(len(chunks) for _, _, chunks in batch),
        }
        await _whole(self.store.put(batch, lambda db: jobs.finish(db, self.job, told)))

    async def keep_file(self, path: Path, sha256: str) -> None:
        """Keep a copy of the upload; see the store."""
        await self.store.keep_file(path, sha256)

    async def set_tags(self, document_id: str, tags: frozenset[str]) -> bool:
        """Change the tags of an upload that has been read before; doing it twice changes nothing."""
        return await self.store.set_tags(document_id, tags)

    async def set_readers(self, document_id: str, readers: frozenset[str]) -> None:
        """Change the readers and mark the job as done in one transaction."""
        told = {"status": "readers"}
        await _whole(self.store.set_readers(document_id, readers, lambda db: jobs.finish(db, self.job, told)))


async def _whole(writing: Any) -> None:
    """Let a write come to its end even when its task is cancelled: a thread that writes cannot be stopped."""
    task = asyncio.ensure_future(writing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled() and (problem := task.exception()):
            log.info("A cancelled job's write ended: %s", problem)
        raise


class Runner:
    """Takes jobs while `working`; `live` says of each that runs here how many pages were read."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.ledger = platform.store.ledger
        self.live: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, tuple[Job, asyncio.Task[None]]] = {}  # by worker
        self._passwords: dict[str, str] = {}
        self._spooled: set[str] = set()
        self._wake, self._event = asyncio.Event(), asyncio.Event()
        self._renewed = self._swept = float("-inf")

    # --- what requests ask for -------------------------------------------------------------------------

    async def submit(
        self, file: IO[bytes], name: str, source: str, readers: frozenset[str] | None, password: str = "",
        tags: frozenset[str] | None = None,
    ) -> Job:  # fmt: skip
        """Queue a file; on return it is on the disk and will be read, whatever happens to this process.

        A password is held in memory alone: after a restart the job fails with the code "password".
        """
        options = {"name": pipeline.shown(name), **({} if tags is None else {"tags": sorted(tags)})}
        return await self._queue(file, pipeline.shown(source), readers, options, password)

    async def again(self, document: Document, changed: Mapping[str, Any], password: str = "") -> Job:
        """Queue a document's own file to be read with other settings: `ocr`, and the `tokens` of a chunk.

        They hold until the file is ingested another time.
        """
        path = await asyncio.to_thread(self.platform.draw.original, document)
        name = document.source.rsplit("/", 1)[-1]
        name = name if "." in name else f"{name}.{document.media}"
        options = {"name": name, "keep": bool(document.meta.get("kept")), "again": True, **changed}
        with path.open("rb") as file:
            return await self._queue(file, document.source, None, options, password)

    async def _queue(
        self, file: IO[bytes], source: str, readers: frozenset[str] | None, options: dict[str, Any], password: str
    ) -> Job:  # fmt: skip
        job_id = random_id()
        job = Job(
            id=job_id, source=source, document=document_id(source), path=f"{SPOOL}/{job_id}/upload",
            readers=readers, options=options, created=time.time(), updated=time.time(),
        )  # fmt: skip
        if password:
            self._passwords[job_id] = password
        try:
            await asyncio.to_thread(_spool, file, self.platform.home / job.path)
            await self.ledger.write(lambda db: jobs.submit(db, job))
        except LyceumError:
            await self._drop(job_id)
            raise
        self._spooled.add(job_id)
        self._wake.set()
        return job

    async def cancel(self, job_id: str) -> None:
        """Cancel a job; on return its worker in this process has been stopped and nothing of it is visible."""
        await self.ledger.write(lambda db: jobs.cancel(db, job_id))
        for job, task in list(self._tasks.values()):
            if job.id == job_id:
                task.cancel()
                await asyncio.wait({task})
        await self._tidy(job_id)
        self._pulse()

    async def finished(self, job_id: str) -> Job:
        """Wait until a job has come to its end."""
        while found := await jobs.find(self.ledger, job_id):
            if found.state in jobs.FINAL and job_id not in self.live:
                return found
            await self.moved(0.25)
        raise NotFound("The job is gone.", hint="Its document was removed meanwhile.")

    async def moved(self, seconds: float) -> None:
        """Wait until something has happened to a job here, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()

    def _pulse(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    # --- the work --------------------------------------------------------------------------------------

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run jobs until the block ends; those that still run then stay queued."""
        tending = asyncio.create_task(self._tend())
        try:
            yield
        finally:
            tasks = [tending, *(task for _, task in self._tasks.values())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tend(self) -> None:
        said = ""
        while True:
            try:
                await self._renew()
                await self._sweep()
                await self._begin()
                await self._forget()
                said = ""
            except LyceumError as problem:  # a full disk, a home that cannot be written: it may pass
                if str(problem) != said:
                    log.warning("Jobs wait: %s", problem)
                said = str(problem)
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._wake.wait()
            self._wake.clear()

    async def _renew(self) -> None:
        now = time.monotonic()
        if not self._tasks or now - self._renewed < jobs.LEASE / 4:
            return
        mine = list(self._tasks.values())
        held = await self.ledger.write(lambda db: jobs.renew(db, [job for job, _ in mine], now))
        self._renewed = now
        for job, task in mine:
            if job.id not in held:  # cancelled, or taken over after a long pause of this process
                task.cancel()

    async def _begin(self) -> None:
        while len(self._tasks) < self.platform.ingest.at_once:
            now, worker = time.monotonic(), random_id()
            if not await jobs.waiting(self.ledger, now):
                return
            job = await self.ledger.write(lambda db, w=worker, t=now: jobs.take(db, w, t))  # type: ignore[misc]
            if job is None:
                return
            task = asyncio.create_task(self._work(job))
            self._tasks[worker] = (job, task)
            task.add_done_callback(lambda _, worker=worker: self._tasks.pop(worker))  # type: ignore[misc]

    async def _work(self, job: Job) -> None:
        self.live[job.id] = {"pages": 0, "total": None, "left": None}
        self._pulse()
        try:
            await self._settled(job)
        except asyncio.CancelledError:  # by its user, then releasing changes nothing; or the server goes
            with suppress(LyceumError):
                await self.ledger.write(lambda db: jobs.release(db, job))
        except LyceumError as problem:
            log.warning("Job %s is tried again when its lease has run out: %s", job.id, problem)
        finally:
            try:
                await self._tidy(job.id)
            finally:  # whoever cancels once more must not leave it live
                self.live.pop(job.id, None)
                self._wake.set()
                self._pulse()

    async def _settled(self, job: Job) -> None:
        try:
            outcome = await self._ingest(job)
            await self.ledger.write(lambda db: jobs.describe(db, job, outcome))
        except LyceumError as problem:
            await self._failed(job, problem)
        except Exception:  # one of the three places where anything may be caught: other jobs go on
            log.exception("unexpected error in job %s", job.id)
            hint = "The server's log has the details."
            await self._failed(job, LyceumError("An unexpected error.", hint=hint, code="unexpected"))

    async def _ingest(self, job: Job) -> dict[str, Any]:
        started = time.monotonic()

        def tell(pages: int, total: int) -> None:
            left = (time.monotonic() - started) / pages * (total - pages)
            known = {"total": total, "left": round(left, 1)} if total else {"total": None, "left": None}
            self.live[job.id] = {"pages": pages, **known}
            self._pulse()

        parts, store = self.platform.ingest, self.platform.store
        tags = frozenset(job.options["tags"]) if "tags" in job.options else None
        todo = pipeline.Job(
            path=self.platform.home / job.path, source=job.source, name=job.options["name"],
            readers=job.readers, tags=tags, keep=job.options.get("keep", True), again="again" in job.options,
            ocr=job.options.get("ocr", ""), passwords=tuple(filter(None, [self._passwords.get(job.id)])),
        )  # fmt: skip
        splitter = Structured(job.options["tokens"]) if "tokens" in job.options else parts.splitter
        ingest = pipeline.Ingest(Fenced(store, job), parts.reader, splitter, heard=parts.heard)
        (outcome,) = await ingest([todo], page=tell)
        if outcome.status == "failed":
            more: Any = {"hint": outcome.hint, "code": outcome.code, "retryable": outcome.retryable}
            raise ParseError(outcome.message, **more)
        await store.catch_up()
        told = asdict(outcome)
        return {name: told[name] for name in ("status", "pages", "chunks", "seconds", "warnings")}

    async def _failed(self, job: Job, problem: LyceumError) -> None:
        """Try again what may pass, and once more what made its parser crash; anything else has failed."""
        tries = TRIES if problem.retryable else CRASHES if problem.code == "crash" else 1
        again = None
        if job.failures + 1 < tries:
            again = time.monotonic() + min(2.0**job.failures, jobs.LEASE)
        await self.ledger.write(lambda db: jobs.fail(db, job, problem, again))

    # --- the spool -------------------------------------------------------------------------------------

    async def _tidy(self, job_id: str) -> None:
        """Drop a job's file when it is not needed any more."""
        with suppress(LyceumError):
            found = await jobs.find(self.ledger, job_id)
            if found is None or found.state in jobs.FINAL:
                await self._drop(job_id)

    async def _drop(self, job_id: str) -> None:
        self._passwords.pop(job_id, None)
        self._spooled.discard(job_id)
        await asyncio.to_thread(shutil.rmtree, self.platform.home / SPOOL / job_id, True)

    async def _forget(self) -> None:
        """Drop files whose job went with its document before it was begun."""
        if waiting := self._spooled - self.live.keys():
            for job_id in waiting - set(await jobs.unfinished(self.ledger)):
                await self._drop(job_id)

    async def _sweep(self) -> None:
        """Now and then forget old jobs, and drop files that a killed server had received and never confirmed."""
        if time.monotonic() - self._swept < SWEEP or not self.ledger.path.exists():
            return
        await self.ledger.write(jobs.prune)
        needed = await jobs.unfinished(self.ledger)
        for folder in (self.platform.home / SPOOL).glob("*"):
            if folder.name not in needed and abs(time.time() - folder.stat().st_mtime) > STALE:
                await self._drop(folder.name)
        self._swept = time.monotonic()


def _spool(file: IO[bytes], path: Path) -> None:
    """Write an upload so that it survives a power cut."""
    with on_disk("The spool"):
        path.parent.mkdir(parents=True)
        with path.open("wb") as out:
            shutil.copyfileobj(file, out)
            out.flush()
            os.fsync(out.fileno())
        for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
            state.sync_folder(folder)
