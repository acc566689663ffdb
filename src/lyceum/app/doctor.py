"""`lyceum doctor`: installation and home to lines of ok, warn or fail, each with what to do; it repairs nothing."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform as machine
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from importlib import metadata
from typing import NamedTuple

import httpx

from lyceum import __version__, wire
from lyceum.app import show
from lyceum.app.settings import Settings, masked
from lyceum.core.errors import Busy, LyceumError, NotFound
from lyceum.store import backup, health
from lyceum.store.store import write_lock

OK, WARN, FAIL = "ok", "warn", "fail"
COLOURS = {OK: "green", WARN: "yellow", FAIL: "red"}
ROOM_MB = {FAIL: 50, WARN: 1000}
FIXED = (3, 51, 3)  # SQLite's WAL-reset bug: two connections that write or checkpoint at once
WAL_RESET = (
    " has the WAL-reset bug (fixed in 3.51.3): two connections that write at once may damage a file."
    " Lyceum writes from one connection, under its lock; let no other program write ledger.db."
)
NATIVE = ("tantivy", "onnxruntime", "numkong", "numpy")
_needed = re.compile(r"^([A-Za-z0-9._-]+).*?(?:extra == ['\"]([\w-]+)['\"])?$")


class Line(NamedTuple):
    """One finding; `todo` is what to do about it."""

    name: str
    status: str
    said: str
    todo: str = ""


Found = AsyncIterator[Line]


async def run_doctor(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print every finding; exit 1 when one is a failure."""
    lines = await findings(settings)
    if arguments.json:
        show.as_json([line._asdict() for line in lines])
    else:
        for name, status, said, todo in lines:
            text = f"{status:4} {name:12} {f'{said} {todo}'.strip()}"
            show.screen().print(text, style=COLOURS[status], markup=False)
    return int(any(line.status == FAIL for line in lines))


async def findings(settings: Settings) -> list[Line]:
    """Return what every check finds."""
    lines: list[Line] = []
    for check in CHECKS:
        try:
            lines += [line async for line in check(settings)]
        except LyceumError as problem:
            lines.append(Line(check.__name__.strip("_"), FAIL, problem.message, problem.hint))
    return lines


# --- what is installed -------------------------------------------------------------------------------------


async def _versions(settings: Settings) -> Found:
    yield Line("version", OK, f"Lyceum {__version__}, Python {machine.python_version()}")
    known = WAL_RESET if sqlite3.sqlite_version_info < FIXED else ""
    yield Line("sqlite", OK, f"SQLite {sqlite3.sqlite_version}{known}")


async def _packages(settings: Settings) -> Found:
    missing: dict[str, list[str]] = {}
    for need in metadata.requires("lyceum") or ():
        name, extra = _needed.findall(need)[0]
        if not list(metadata.distributions(name=name)):
            missing.setdefault(extra, []).append(name)
    if "" in missing:
        yield Line("packages", FAIL, f"missing: {', '.join(missing.pop(''))}.", "Run: pip install lyceum")
    else:
        yield Line("packages", OK, ", ".join(f"{name} {metadata.version(name)}" for name in NATIVE))
    for extra, names in sorted(missing.items()):
        if extra != "dev":
            said = f"optional, missing: {', '.join(names)}."
            yield Line(extra, WARN, said, f"Run: pip install 'lyceum[{extra}]'")


async def _encoder(settings: Settings) -> Found:
    from lyceum.models import weights

    kind = settings.tables["encoder"].get("kind")
    if kind != "models.minilm":
        yield Line("encoder", OK, f"configured: {kind}")
        return
    try:
        found = await asyncio.to_thread(weights.check, wire.models_folder(settings.models))
        yield Line("encoder", OK, f"{found['model']}: files and known sentences match")
    except NotFound as problem:
        yield Line("encoder", WARN, f"{problem.message} Search is lexical only.", problem.hint)


async def _tesseract(settings: Settings) -> Found:
    if where := shutil.which("tesseract"):
        yield Line("tesseract", OK, where)
    else:
        todo = "Run: apt install tesseract-ocr tesseract-ocr-chi-sim"
        yield Line("tesseract", WARN, "not installed: reader option ocr = tesseract is not possible.", todo)


async def _chat(settings: Settings) -> Found:
    table = settings.tables["chat"]
    if table.get("kind") != "models.openai":
        yield Line("chat", OK, "no chat model: answers are quotes from the documents")
        return
    address = str(table.get("base_url", "")).rstrip("/") + "/models"
    told = masked(address)
    headers = {"Authorization": f"Bearer {table['key']}"} if table.get("key") else {}
    try:
        async with httpx.AsyncClient(timeout=3.0) as client:
            status = (await client.get(address, headers=headers)).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        todo = "Start the server, or correct chat.base_url in lyceum.toml."
        yield Line("chat", FAIL, f"{told} does not answer: {type(problem).__name__}.", todo)
        return
    if status in (401, 403):
        yield Line("chat", FAIL, f"{told} refuses the key ({status}).", "Set LYCEUM_CHAT_KEY.")
    else:
        yield Line("chat", OK, f"{told} answers ({status})")


# --- the home ----------------------------------------------------------------------------------------------


async def _home(settings: Settings) -> Found:
    home, spool = settings.home, settings.home / "spool"
    if not home.is_dir():
        yield Line("home", WARN, f"{home} is not there yet.", "Run: lyceum ingest PATH")
        return
    free = shutil.disk_usage(home).free // 1_000_000
    status = next((status for status, least in ROOM_MB.items() if free < least), OK)
    yield Line("disk", status, f"{free:,} MB free in {home}", "" if status == OK else "Free some space.")
    if not os.access(home, os.W_OK):
        said = f"{home} is read-only: asking works, ingesting does not."
        yield Line("home", WARN, said, "See its permissions.")
    if waiting := list(spool.glob("*")):
        said = f"{len(waiting)} uploads in {spool}: a server is at work, or was killed."
        yield Line("spool", WARN, said, "The next start of `lyceum serve` drops them.")
    for name in (backup.ASIDE, backup.STAGED):
        if (home / name).exists():
            todo = f"Restore once more, or remove {name} when all is well."
            yield Line("restore", WARN, f"{home / name} was left by an interrupted restore.", todo)


async def _locks(settings: Settings) -> Found:
    ledger = settings.home / "ledger.db"
    if not ledger.exists() or not os.access(settings.home, os.W_OK):
        return
    try:
        lock = await asyncio.to_thread(write_lock, settings.home, 0.0)
    except Busy:
        yield Line("locks", OK, "another process is writing at this moment")
        return
    try:
        with closing(sqlite3.connect(ledger, timeout=0.2, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        yield Line("locks", OK, "nobody is writing")
    except sqlite3.DatabaseError as problem:
        if "locked" in str(problem):  # what else is wrong with the file is said by `_ledger`
            todo = "End it: a Lyceum would hold write.lock too."
            yield Line("locks", FAIL, f"another program holds {ledger}.", todo)
    finally:
        lock.release()


async def _ledger(settings: Settings) -> Found:
    file = settings.home / "ledger.db"
    if not file.exists():
        yield Line("ledger", WARN, "no documents yet.", "Run: lyceum ingest PATH")
    elif wrong := await asyncio.to_thread(health.faults, file):
        todo = "Put a backup in its place: lyceum restore FILE; or remove ledger.db and ingest again."
        yield Line("ledger", FAIL, f"damaged: {'; '.join(wrong[:5])}.", todo)
    else:
        found = await asyncio.to_thread(health.facts, file)
        said = f"{found['documents']} documents, {found['chunks']} chunks; every page and every text checked"
        yield Line("ledger", OK, said)
        if found["unconfirmed"]:
            said = f"{found['unconfirmed']} versions were never confirmed; nobody sees them."
            yield Line("leftovers", WARN, said, "The next write drops them.")


async def _views(settings: Settings) -> Found:
    file = settings.home / "ledger.db"
    if not file.exists():
        return
    ledger = await asyncio.to_thread(health.facts, file)
    platform = wire.build(settings.tables, settings.home, wire.models_folder(settings.models))
    try:
        for view in platform.store.views:
            held, broken = await view.check()
            position = await platform.store.position(view)
            remove = f"Remove views/{view.name}: it rebuilds itself."
            if broken:
                yield Line(view.name, FAIL, f"broken files: {', '.join(broken)}.", remove)
            elif position != ledger["sequence"]:
                said = f"at change {position} of {ledger['sequence']}."
                yield Line(view.name, WARN, said, f"It follows at the next command. If not: {remove}")
            elif held != ledger["chunks"]:
                said = f"holds {held} chunks, the ledger {ledger['chunks']}."
                yield Line(view.name, FAIL, said, remove)
            else:
                yield Line(view.name, OK, f"{held} chunks, as in the ledger")
    finally:
        await platform.close()


CHECKS: tuple[Callable[[Settings], Found], ...] = (
    _versions, _packages, _encoder, _tesseract, _chat, _home, _locks, _ledger, _views,
)  # fmt: skip
