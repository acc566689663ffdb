"""What a run was made of: its data, configuration, models and code to hashes, and to files beside its result."""

from __future__ import annotations

import hashlib
import json
import os
import platform as machine
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import lyceum
from lyceum.app.commands import hidden
from lyceum.core.ids import digest
from lyceum.core.types import Document, Example
from lyceum.evals.records import Summary
from lyceum.wire import Platform

ASIDE = ("serve", "spans", "traces", "log")  # tables that change no answer
_examples = TypeAdapter(list[Example])


def data(examples: Sequence[Example], documents: Sequence[Document]) -> str:
    """Return a hash of questions, gold and the documents they are asked of."""
    rows = [
        {**row, "readers": sorted(row["readers"])}
        for row in _examples.dump_python(list(examples), mode="json")
    ]
    held = sorted((one.source, one.meta.get("sha256") or one.version) for one in documents)
    return digest(json.dumps([rows, held], sort_keys=True))[:12]


def code() -> str:
    """Return a hash of the package's files."""
    folder = Path(lyceum.__file__).parent
    files = [one for one in sorted(folder.rglob("*")) if one.is_file() and "__pycache__" not in one.parts]
    return digest(
        *(part for one in files for part in (one.relative_to(folder).as_posix(), one.read_bytes()))
    )[:12]


def models(platform: Platform) -> dict[str, str]:
    """Return the name of every model, the encoder's with a hash of its card, which names its files' checksums."""
    found = {"encoder": platform.embedder, "chat": platform.chat}
    named = {role: str(model.name) for role, model in found.items() if model is not None}
    card = Path(getattr(platform.parts["encoder"], "folder", "")) / "card.json"
    if card.is_file():
        named["encoder"] += f" {hashlib.sha256(card.read_bytes()).hexdigest()[:12]}"
    return named


def head(
    dataset: str, pipeline: str, tables: Mapping[str, Any], platform: Platform, found: str, measured: Sequence[str]
) -> Summary:  # fmt: skip
    """Return a summary that names a run and has measured nothing."""
    effective = toml({name: table for name, table in tables.items() if name not in ASIDE})
    used, written = models(platform), code()
    key = digest(found, pipeline, effective, json.dumps(used, sort_keys=True), written, *measured)
    return Summary(
        id=key[:12], dataset=dataset, data=found, pipeline=pipeline, configuration=digest(effective)[:12],
        code=written, models=used, date=datetime.now(UTC).isoformat(timespec="seconds"), n=0, failed=0, metrics={},
    )  # fmt: skip


def write(folder: Path, tables: Mapping[str, Any], home: Path) -> None:
    """Write config.toml and environment.json, which names the home whose documents were asked, too."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(toml(tables), encoding="utf-8")
    needed = sorted({re.split(r"[^\w.-]", one)[0] for one in metadata.requires("lyceum") or ()})
    packages = {}
    for name in needed:
        with suppress(metadata.PackageNotFoundError):  # an extra that is not installed
            packages[name] = metadata.version(name)
    found = {
        "home": str(home), "lyceum": lyceum.__version__, "packages": packages, "cores": os.cpu_count(),
        "python": machine.python_version(), "machine": machine.platform(),
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


def toml(tables: Mapping[str, Any]) -> str:
    """Return tables as TOML, secrets hidden; JSON writes every value that a configuration holds as TOML does."""
    return "\n".join(line for name in sorted(tables) for line in _table(name, hidden(name, tables[name])))


def _table(path: str, table: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{path}]"
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    yield ""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _table(f"{path}.{key}", value)
