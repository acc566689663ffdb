"""The parsing process: limits are set before any parser is imported; one JSON line a page goes to its parent.

Standard input: one JSON line a job {path, media, name, id, meta}; `meta` holds the options of parsers (passwords,
ocr). Standard output: {"total"} pages where the parser's module can `count_pages`, {"page"} lines, then {"done"} or
{"error"}. What libraries print goes to standard error. It serves many jobs.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from typing import IO, Any

from lyceum.core.errors import LyceumError
from lyceum.core.packed import dump, pack_element, pack_place
from lyceum.core.types import Document, Page


def main() -> None:
    """Serve jobs until standard input ends."""
    memory_mb, cpu_seconds = int(sys.argv[1]), int(sys.argv[2])
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    limit(memory_mb)
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = int(used.ru_utime + used.ru_stime)
        resource.setrlimit(resource.RLIMIT_CPU, (spent + cpu_seconds, resource.RLIM_INFINITY))
        serve(json.loads(line), out)


def limit(memory_mb: int) -> None:
    """Give up memory, core dumps, large files and many open files for good."""
    memory, allowed = memory_mb * 1024 * 1024, resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = memory if allowed == resource.RLIM_INFINITY else min(memory, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def exhausted() -> bool:
    """Say whether this process has come near its limit: a library may call what failed by another name."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            peak = next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmPeak")), 0)
    except OSError:
        return False
    return most != resource.RLIM_INFINITY and peak > 0.9 * most


def serve(job: dict[str, Any], out: IO[str]) -> None:
    """Parse one file; whatever a parser raises becomes an error line, for the file's author is a stranger."""
    from lyceum.ingest.media import PARSERS

    name = job["name"]
    try:
        with open(job["path"], "rb") as file:
            data = file.read()
        module, _, function = PARSERS[job["media"]].partition(":")
        parser = importlib.import_module(module)
        document = Document(id=job["id"], source=name, version="", media=job["media"], meta=job["meta"])
        if hasattr(parser, "count_pages"):
            write(out, {"total": parser.count_pages(data, document)})
        for page in getattr(parser, function)(data, document):
            write(out, {"page": pack_page(page)})
        write(out, {"done": True})
    except LyceumError as problem:
        write(out, {"error": {"code": problem.code, "message": problem.message, "hint": problem.hint}})
    except (
        MemoryError,
        SystemError,
        ImportError,
    ):  # the last two are what Python makes of a failed allocation
        hint = "Split the file, or raise reader.memory_mb in lyceum.toml."
        write(out, {"error": {"code": "limit", "message": f"{name} needs too much memory.", "hint": hint}})
    except Exception as problem:  # noqa: BLE001 - one item of a batch: its failure becomes data
        if "memory" in str(problem).lower() or exhausted():
            hint = "Split the file, or raise reader.memory_mb in lyceum.toml."
            write(
                out, {"error": {"code": "limit", "message": f"{name} needs too much memory.", "hint": hint}}
            )
            return
        message = f"{name} could not be read: {type(problem).__name__}."
        hint = "Open it in its program and save it again, or convert it to PDF."
        write(out, {"error": {"code": "corrupt", "message": message, "hint": hint}})


def pack_page(page: Page) -> dict[str, Any]:
    """Return a page as JSON values."""
    return {
        "elements": [pack_element(one) for one in page.elements], "title": page.title,
        "warnings": page.warnings, "place": pack_place(page.place), "ocr": page.ocr, "pictured": page.pictured,
    }  # fmt: skip


def write(out: IO[str], value: dict[str, Any]) -> None:
    """Send one line."""
    out.write(dump(value) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
