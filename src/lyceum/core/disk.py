"""What a disk refuses, said as a StoreError with a stable code: disk_full, read_only, disk_io, damaged."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from lyceum.core.errors import StoreError

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
SAID = {
    "disk_full": ("The disk of {} is full.", "Free some space and try again; nothing confirmed is lost."),
    "read_only": ("{} cannot be written.", "Check the folder's permissions, and whether its disk is read-only."),
    "disk_io": ("The disk of {} failed", "Look into the system's log, then run `lyceum doctor`."),
    "damaged": ("{} is damaged", "See `lyceum doctor`; `lyceum restore FILE` puts a backup in its place."),
}  # fmt: skip
PASSING = ("disk_full", "read_only", "disk_io")  # reading may go on with what is there


def refused(code: str, what: object, detail: object = "") -> StoreError:
    """Return the error of a code."""
    message, hint = SAID[code]
    message = message.format(what)
    return StoreError(f"{message.rstrip('.')}: {detail}." if detail else f"{message}", hint=hint, code=code)


def code_of(problem: OSError) -> str:
    """Return the code of what the system said."""
    if problem.errno in FULL:
        return "disk_full"
    return "read_only" if problem.errno in REFUSED else "disk_io"


@contextmanager
def on_disk(what: object) -> Iterator[None]:
    """Turn the system's refusals into ours."""
    try:
        yield
    except OSError as problem:
        raise refused(code_of(problem), what, problem.strerror or problem) from problem
