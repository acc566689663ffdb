"""Bytes of a known kind to pages; what a parser raises becomes a ParseError, for a file's author is a stranger."""

from __future__ import annotations

import importlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from lyceum.core.errors import LyceumError, ParseError
from lyceum.core.types import Document, Page
from lyceum.ingest.media import PARSERS


def read(data: bytes, document: Document) -> Iterator[Page]:
    """Yield the pages that the parser of `document.media` finds."""
    with blamed(document.source):
        module, _, function = PARSERS[document.media].partition(":")
        yield from getattr(importlib.import_module(module), function)(data, document)


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """Turn any failure of the work inside into a ParseError of the file."""
    try:
        yield
    except LyceumError:
        raise
    except (MemoryError, SystemError, ImportError) as problem:
        # The last two are what Python makes of a failed allocation.
        raise _memory(name) from problem
    except Exception as problem:  # one item of a batch: its failure becomes data
        if "memory" in str(problem).lower() or exhausted():
            raise _memory(name) from problem
        raise ParseError(
            f"{name} could not be read: {type(problem).__name__}.",
            hint="Open it in its program and save it again, or get another copy.", code="corrupt",
        ) from problem  # fmt: skip


def _memory(name: str) -> ParseError:
    hint = "Split the file, or raise reader.memory_mb in lyceum.toml."
    return ParseError(f"{name} needs too much memory.", hint=hint, code="limit")


def exhausted() -> bool:
    """Say whether this process has come near its limit: a library may call what failed by another name."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            peak = next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmPeak")), 0)
    except OSError:
        return False
    return most != resource.RLIM_INFINITY and peak > 0.9 * most
