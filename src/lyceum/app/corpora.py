"""The corpus of a set of questions to a home that holds it, built once; knows no question and no answer.

The rows of corpus.jsonl (or corpus.jsonl.gz) go through the platform's own splitter, ledger and views: lines with
cells as a table, the rest as paragraphs. A killed build goes on where it was.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lyceum import wire
from lyceum.app.session import opened
from lyceum.app.settings import Settings
from lyceum.core.errors import InvalidInput, NotFound
from lyceum.core.ids import digest, document_id
from lyceum.core.text import language
from lyceum.core.types import Document, Element, Table

BATCH = 128
FORM = "1"  # raised when rows give other elements
INGEST = ("analyzer", "splitter", "encoder", "gloss")  # tables that shape what a home holds
Tell = Callable[[int, int], None]


async def home_of(folder: Path, settings: Settings, tell: Tell = lambda done, total: None) -> Settings:
    """Return the settings with the home that holds a folder's corpus; what it lacks is read first.

    `tell` hears how many of how many documents it holds. Other data or another way to cut or index is another home.
    """
    file = next((one for name in ("", ".gz") if (one := folder / f"corpus.jsonl{name}").is_file()), None)
    if file is None:
        raise NotFound(
            f"{folder} holds no corpus.jsonl.", hint="Name a folder with corpus.jsonl and queries.jsonl."
        )
    data = await asyncio.to_thread(file.read_bytes)
    chosen = replace(settings, home=_home(folder, settings, data))
    ready = chosen.home / "corpus.json"
    if not ready.exists():
        rows = _rows(file, data)
        await _fill(chosen, rows, tell)
        ready.write_text(json.dumps({"documents": len(rows), "form": FORM}), encoding="utf-8")
    return chosen


def _home(folder: Path, settings: Settings, data: bytes) -> Path:
    splitter = wire.make("splitter", settings.tables["splitter"], {})
    ways = json.dumps([settings.tables[name] for name in INGEST], sort_keys=True, default=str)
    key = digest(hashlib.sha256(data).digest(), ways, splitter.name, FORM)
    return settings.home / "corpora" / f"{folder.resolve().name}-{key[:12]}"


def _rows(file: Path, data: bytes) -> dict[str, dict[str, Any]]:
    try:
        data = gzip.decompress(data) if file.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as problem:
        raise InvalidInput(f"{file} is no whole gzip file: {problem}.", hint="Fetch it again.") from problem
    rows: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, _ = str(row["_id"]), row["text"].strip()
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            hint = 'Each line is an object with "_id", "title" and "text".'
            raise InvalidInput(f"{file}, line {number}, is no document: {problem!r}.", hint=hint) from problem
        if name in rows:
            raise InvalidInput(f"{file}, line {number}: {name!r} stands there twice.", hint="Drop one.")
        rows[name] = row
    if not rows:
        raise InvalidInput(f"{file} holds no document.", hint="An evaluation needs documents to search.")
    return rows


async def _fill(settings: Settings, rows: dict[str, dict[str, Any]], tell: Tell) -> None:
    async with opened(settings) as platform:
        known = await platform.store.versions()
        missing = [name for name in rows if document_id(name) not in known]
        for start in range(0, len(missing), BATCH):
            tell(len(rows) - len(missing) + start, len(rows))
            batch = []
            for name in missing[start : start + BATCH]:
                document, elements = read(name, rows[name])
                batch.append((document, elements, platform.splitter(document, elements)))
            await platform.store.put(batch)
        tell(len(rows), len(rows))


def read(name: str, row: dict[str, Any]) -> tuple[Document, list[Element]]:
    """Return a corpus row as a document with its elements; its source is the row's name."""
    told = row.get("metadata") or {}
    document = Document(
        id=document_id(name), source=name, title=row.get("title") or "",
        version=digest(json.dumps(row, sort_keys=True), FORM),
        media=str(told.get("kind") or "text"), language=language(row["text"]),
    )  # fmt: skip
    headings = (told["section"],) if told.get("section") else ()
    above = [Element(doc_id=document.id, kind="heading", text=str(one), level=1) for one in headings]
    return document, [*above, *_elements(document.id, row["text"].split("\n"))]


def _elements(doc_id: str, lines: list[str]) -> Iterator[Element]:
    """Yield lines as paragraphs, and two or more lines with cells in a row as a table."""
    rows: list[str] = []
    for line in [*lines, ""]:
        if " | " in line:
            rows.append(line)
            continue
        if len(rows) > 1:
            cells = tuple(tuple(cell.strip() for cell in row.split(" | ")) for row in rows)
            yield Element(doc_id=doc_id, kind="table", text="\n".join(rows), table=Table(rows=cells))
        elif rows:
            yield Element(doc_id=doc_id, kind="text", text=rows[0].strip())
        rows = []
        if line.strip():
            yield Element(doc_id=doc_id, kind="text", text=line.strip())
