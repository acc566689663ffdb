"""Virtual keys into and out of gateway.toml; the secret is shown once and kept as its SHA-256 alone.

The file is a person's: what is added is added at its end, what is taken away is one table, and the rest stays as it
was written. A secret has 256 random bits, so that a plain hash is enough and guessing is not worth it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from lyceum.core.disk import on_disk
from lyceum.core.errors import ConfigError, InvalidInput, NotFound
from lyceum.gateway.config import Gateway, parsed

PREFIX = "sk-lyceum-"


def add(file: Path, told: Mapping[str, Any]) -> str:
    """Add a key with what is told of it (id, tenant, models, limits, …) and return its secret."""
    secret = PREFIX + secrets.token_urlsafe(32)
    with _changing(file) as text:
        if any(one.id == told["id"] for one in parsed(text, str(file)).key):
            raise InvalidInput(f"There is a key {told['id']!r}.", hint="Revoke it, or take another name.")
        row = {"id": told["id"], "sha256": hashlib.sha256(secret.encode()).hexdigest(), **told}
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in row.items() if value]
        start = f"{text.rstrip()}\n\n" if text.strip() else ""
        _write(file, start + "\n".join(["[[key]]", *lines]) + "\n")
    return secret


def revoke(file: Path, name: str) -> None:
    """Take a key out. Raises NotFound."""
    with _changing(file) as text:
        if not any(one.id == name for one in parsed(text, str(file)).key):
            raise NotFound(f"There is no key {name!r}.", hint="`lyceum gateway key list` shows them.")
        before = tomllib.loads(text)
        before["key"] = [one for one in before["key"] if one["id"] != name]
        for table in re.finditer(r"^\[\[key\]\].*?(?=^\s*\[|\Z)", text, re.M | re.S):
            left = text[: table.start()] + text[table.end() :]
            try:
                after = tomllib.loads(left)
            except tomllib.TOMLDecodeError:
                continue
            if {"key": [], **after} == before:
                _write(file, left)
                return
    raise ConfigError(f"{file}: the table of {name!r} was not found.", hint="Take it out by hand.")


def listed(file: Path) -> Gateway:
    """Return what the file says now."""
    return parsed(file.read_text(encoding="utf-8"), str(file)) if file.exists() else Gateway()


class _changing:
    """Hold the file against other commands and give its text."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(f"{file}.lock")

    def __enter__(self) -> str:
        self.lock.acquire()
        return self.file.read_text(encoding="utf-8") if self.file.exists() else ""

    def __exit__(self, *problem: object) -> None:
        self.lock.release()


def _write(file: Path, text: str) -> None:
    """Exchange the file whole: who watches it sees the old one or the new one."""
    parsed(text, str(file))
    with on_disk(file):
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(name, mode)
            os.replace(name, file)
        except OSError:
            os.unlink(name)
            raise
