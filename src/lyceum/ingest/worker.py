"""The parsing process: limits are set before any parser is imported; one JSON line a page goes to its parent.

Standard input: one JSON line a job {path, media, name, id, meta}; `meta` holds the options of parsers (passwords,
ocr) or, under "picture", what to draw instead. Standard output: {"page"} lines, then {"done", "spent"} or
{"error"}. What libraries print goes to standard error. It serves many jobs.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from typing import IO, Any

from lyceum.core.errors import LyceumError
from lyceum.core.packed import dump, pack_element, pack_place
from lyceum.core.types import Document, Page

PAGE_SECONDS = 0.2  # of the processor, that each page read adds to what a file may use
NEW_USER, NEW_NETWORK, PARENT_DEATH_SIGNAL = 0x10000000, 0x40000000, 1  # of linux/sched.h and linux/prctl.h


def main() -> None:
    """Serve jobs until standard input ends."""
    memory_mb, cpu_seconds = int(sys.argv[1]), int(sys.argv[2])
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    limit(memory_mb)
    confine()
    for line in sys.stdin:
        serve(json.loads(line), out, cpu_seconds)


def confine() -> None:
    """Leave the network where the kernel allows it, and end with the parent whatever ends that."""
    import ctypes

    system = ctypes.CDLL(None)
    if hasattr(system, "unshare") and system.unshare(NEW_NETWORK):
        # Without privileges it takes a user namespace, in which this process owns nothing but itself.
        system.unshare(NEW_USER | NEW_NETWORK)
    if hasattr(system, "prctl"):
        system.prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


def limit(memory_mb: int) -> None:
    """Give up memory, core dumps, large files and many open files for good."""
    memory, allowed = memory_mb * 1024 * 1024, resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = memory if allowed == resource.RLIM_INFINITY else min(memory, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def serve(job: dict[str, Any], out: IO[str], cpu_seconds: int) -> None:
    """Parse one file; every page it has allows the file a little more time, OCR all that it takes."""
    from lyceum.ingest import ocr
    from lyceum.ingest.reading import blamed, exhausted, read

    used = resource.getrusage(resource.RUSAGE_SELF)
    until = used.ru_utime + used.ru_stime + cpu_seconds - ocr.spent()
    allow(until + ocr.spent())
    name = job["name"]
    try:
        with blamed(name):
            with open(job["path"], "rb") as file:
                data = file.read()
            if "picture" in job["meta"]:
                from lyceum.ingest.drawing import draw

                write(out, {"page": draw(data, job["media"], job["meta"]["picture"])})
            else:
                document = Document(
                    id=job["id"], source=name, version="", media=job["media"], meta=job["meta"]
                )
                for number, page in enumerate(read(data, document), start=1):
                    write(out, {"page": pack_page(page)})
                    allow(until + PAGE_SECONDS * number + ocr.spent())
        write(out, {"done": True, "spent": exhausted()})
    except LyceumError as problem:
        write(out, {"error": {"code": problem.code, "message": problem.message, "hint": problem.hint}})


def allow(seconds: float) -> None:
    """Let the process run until it has used so much of the processor, and be killed then."""
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), resource.RLIM_INFINITY))


def pack_page(page: Page) -> dict[str, Any]:
    """Return a page as JSON values."""
    return {
        "elements": [pack_element(one) for one in page.elements], "title": page.title,
        "warnings": page.warnings, "place": pack_place(page.place), "ocr": page.ocr, "pictured": page.pictured,
        "total": page.total,
    }  # fmt: skip


def write(out: IO[str], value: dict[str, Any]) -> None:
    """Send one line."""
    out.write(dump(value) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
