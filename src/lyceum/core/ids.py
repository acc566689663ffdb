"""Stable identifiers: the same input gives the same id on every machine; they know no storage."""

from __future__ import annotations

import hashlib
import random

_random = random.Random()  # not for secrets; a system call for every span would cost more than the span


def digest(*parts: str | bytes) -> str:
    """Return 32 hex digits of SHA-256 over the parts, each preceded by its length so that none can slide."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()[:32]


def document_id(source: str) -> str:
    """Return the id of the document that `source` names, whatever its bytes are today."""
    return digest("document", source)[:16]


def random_id() -> str:
    """Return a new id for something without content of its own, a trace for example."""
    return f"{_random.getrandbits(64):016x}"
