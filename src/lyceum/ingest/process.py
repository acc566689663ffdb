"""One parsing process: a job in, its pages out as they come; how it may die becomes a code with what to do."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from lyceum.core.errors import ParseError

WORKER = "lyceum.ingest.worker"
RECYCLE = 50  # documents after which a worker is replaced, for what parsers leak
LINE = 256 << 20  # bytes of one page
OUTPUT, PAGES = 512 << 20, 50_000  # bytes and pages of one document that its parser may send

PATIENCE = 20  # times `wall_seconds` for a whole document, however steadily its pages come
# The memory limit counts addresses, of which arenas and threads take many.
FRUGAL = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}

Tell = Callable[[int, int], None]
"""Hears of each page as it is read: how many there are so far, and how many in all (0 when nobody knows)."""


class Worker:
    """A child process, started when it is needed and reused; `wall_seconds` is for one page."""

    def __init__(self, memory_mb: int, cpu_seconds: int, wall_seconds: float) -> None:
        self.memory_mb, self.cpu_seconds, self.wall_seconds = memory_mb, cpu_seconds, wall_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._folder: str | None = None
        self._served = 0

    async def run(self, job: dict[str, Any], pages: list[dict[str, Any]], tell: Tell) -> None:
        """Have a file parsed; its pages are appended as they come. Raise ParseError when it does not end well."""
        process, name = await self._ready(), job["name"]
        try:
            whole, page = asyncio.timeout(PATIENCE * self.wall_seconds), asyncio.timeout(self.wall_seconds)
            async with whole, page:
                assert process.stdin is not None
                process.stdin.write((json.dumps(job) + "\n").encode())
                await process.stdin.drain()
                await self._collect(process, name, pages, tell, page)
        except TimeoutError as problem:
            await self.close()
            raise ParseError(
                f"{name} took over {self.wall_seconds:g} s for a page or {PATIENCE * self.wall_seconds:g} s in all"
                f" ({len(pages)} pages were read).",
                hint="Split the file, or raise reader.wall_seconds in lyceum.toml.", code="time",
            ) from problem  # fmt: skip
        except (ConnectionError, asyncio.IncompleteReadError, ValueError) as problem:
            raise await self._died(process, name, len(pages)) from problem
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """End the process and remove its folder."""
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        try:
            if process is not None:
                _kill(process)
                await process.wait()
        finally:
            if folder is not None:
                await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _collect(
        self, process: asyncio.subprocess.Process, name: str, pages: list[dict[str, Any]], tell: Tell,
        page: asyncio.Timeout,
    ) -> None:  # fmt: skip
        assert process.stdout is not None
        received = total = 0
        while True:
            try:
                line = await process.stdout.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                line = b""
            received += len(line)
            if not line or received > OUTPUT or len(pages) > PAGES:
                await self.close()
                raise ParseError(f"{name} holds too much text.", hint="Split the file.", code="limit")
            told = json.loads(line)
            if "page" in told:
                page.reschedule(asyncio.get_running_loop().time() + self.wall_seconds)
                pages.append(told["page"])
                total = told["page"].get("total", 0) or total
                tell(len(pages), total)
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
        if self._process is not None and (self._process.returncode is not None or self._served >= RECYCLE):
            await self.close()
        if self._process is None:
            self._served = 0
            self._folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="lyceum-")
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", WORKER, str(self.memory_mb), str(self.cpu_seconds),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True, limit=LINE, env=_environment(self._folder), cwd=self._folder,
            )  # fmt: skip
        self._served += 1
        return self._process

    async def _died(self, process: asyncio.subprocess.Process, name: str, pages: int) -> ParseError:
        """Say why a process is gone."""
        await self.close()
        code = -(process.returncode or 0)
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


def _environment(folder: str) -> dict[str, str]:
    """Return what Python needs to start, and nothing that could be secret."""
    kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "COVERAGE_PROCESS_START")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, **FRUGAL, "TMPDIR": folder}


def _kill(process: asyncio.subprocess.Process) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
