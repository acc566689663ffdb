"""`lyceum doctor`: installation and home to lines of ok, warn or fail, each with what to do; it repairs nothing."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform as machine
import re
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import httpx

from lyceum import __version__, wire
from lyceum.app.settings import Settings
from lyceum.core.errors import Busy, LyceumError, NotFound
from lyceum.store import backup, health
from lyceum.store.store import write_lock

OK, WARN, FAIL = "ok", "warn", "fail"
ROOM_MB = {FAIL: 50, WARN: 1000}
FIXED = (3, 51, 3)  # SQLite's WAL-reset bug: two connections that write or checkpoint at once
_needed = re.compile(r"^([A-Za-z0-9._-]+).*extra == ['\"]([\w-]+)['\"]")


@dataclass(frozen=True, slots=True)
class Line:
    """One finding; `todo` is what to do about it."""

    name: str
    status: str
    said: str
    todo: str = ""


Check = Callable[[Settings], Awaitable[list[Line]]]


async def run_doctor(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print every finding; exit 1 when one is a failure."""
    from lyceum.app import show

    lines = [line for check in CHECKS for line in await _guarded(check, settings)]
    if arguments.json:
        show.as_json([asdict(line) for line in lines])
    else:
        colours = {OK: "green", WARN: "yellow", FAIL: "red"}
        for line in lines:
            said = f"{line.said} {line.todo}".strip()
            show.screen().print(
                f"{line.status:4} {line.name:12} {said}", style=colours[line.status], markup=False
            )
    return int(any(line.status == FAIL for line in lines))


async def _guarded(check: Check, settings: Settings) -> list[Line]:
    try:
        return await check(settings)
    except LyceumError as problem:
        return [Line(check.__name__.strip("_"), FAIL, problem.message, problem.hint)]


# --- what is installed -------------------------------------------------------------------------------------


async def _versions(settings: Settings) -> list[Line]:
    said = f"Lyceum {__version__}, Python {machine.python_version()}"
    lines = [Line("version", OK, said)]
    text = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < FIXED:
        text += (
            " has the WAL-reset bug (fixed in 3.51.3): two connections that write at once may damage a file."
            " Lyceum writes from one connection, under its lock; let no other program write ledger.db."
        )
    return [*lines, Line("sqlite", OK, text)]


async def _packages(settings: Settings) -> list[Line]:
    missing, found = [], []
    extras: dict[str, list[str]] = {}
    for need in metadata.requires("lyceum") or ():
        optional = _needed.match(need)
        name = optional[1] if optional else re.split(r"[\s\[<>=!~;(]", need)[0]
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            if optional:
                extras.setdefault(optional[2], []).append(name)
            else:
                missing.append(name)
    shown = [one for one in found if one.split()[0] in ("tantivy", "onnxruntime", "numkong", "numpy")]
    lines = [Line("packages", OK, ", ".join(shown))]
    if missing:
        todo = "Run: pip install lyceum"
        lines = [Line("packages", FAIL, f"missing: {', '.join(missing)}.", todo)]
    for extra, names in sorted(extras.items()):
        if extra != "dev":
            said = f"optional, missing: {', '.join(names)}."
            lines.append(Line(extra, WARN, said, f"Run: pip install 'lyceum[{extra}]'"))
    return lines


async def _encoder(settings: Settings) -> list[Line]:
    from lyceum.models import weights

    if settings.tables["encoder"].get("kind") != "models.minilm":
        return [Line("encoder", OK, f"configured: {settings.tables['encoder'].get('kind')}")]
    try:
        found = await asyncio.to_thread(weights.check, wire.models_folder(settings.models))
    except NotFound as problem:
        return [Line("encoder", WARN, f"{problem.message} Search is lexical only.", problem.hint)]
    return [Line("encoder", OK, f"{found['model']}: files and known sentences match")]


async def _tesseract(settings: Settings) -> list[Line]:
    where = shutil.which("tesseract")
    if where is None:
        todo = "Run: apt install tesseract-ocr tesseract-ocr-chi-sim"
        return [
            Line("tesseract", WARN, "not installed: reader option ocr = tesseract is not possible.", todo)
        ]
    return [Line("tesseract", OK, where)]


async def _chat(settings: Settings) -> list[Line]:
    table = settings.tables["chat"]
    if table.get("kind") != "models.openai":
        return [Line("chat", OK, "no chat model: answers are quotes from the documents")]
    address = str(table.get("base_url", "")).rstrip("/") + "/models"
    headers = {"Authorization": f"Bearer {table['key']}"} if table.get("key") else {}
    try:
        async with httpx.AsyncClient(timeout=3.0) as client:
            status = (await client.get(address, headers=headers)).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        todo = "Start the server, or correct chat.base_url in lyceum.toml."
        return [Line("chat", FAIL, f"{address} does not answer: {type(problem).__name__}.", todo)]
    if status in (401, 403):
        return [Line("chat", FAIL, f"{address} refuses the key ({status}).", "Set LYCEUM_CHAT_KEY.")]
    return [Line("chat", OK, f"{address} answers ({status})")]


# --- the home ----------------------------------------------------------------------------------------------


async def _home(settings: Settings) -> list[Line]:
    home = settings.home
    if not home.is_dir():
        return [Line("home", WARN, f"{home} is not there yet.", "Run: lyceum ingest PATH")]
    free = shutil.disk_usage(home).free // 1_000_000
    status = next((status for status, least in ROOM_MB.items() if free < least), OK)
    lines = [Line("disk", status, f"{free:,} MB free in {home}", "" if status == OK else "Free some space.")]
    if not os.access(home, os.W_OK):
        lines.append(
            Line(
                "home",
                WARN,
                f"{home} is read-only: asking works, ingesting does not.",
                "See its permissions.",
            )
        )
    return [*lines, *_leftovers(home)]


def _leftovers(home: Path) -> Iterator[Line]:
    spool = home / "spool"
    if spool.is_dir() and (waiting := list(spool.iterdir())):
        said = f"{len(waiting)} uploads in {spool}: a server is at work, or was killed."
        yield Line("spool", WARN, said, "The next start of `lyceum serve` drops them.")
    for name in (backup.ASIDE, backup.STAGED):
        if (home / name).exists():
            todo = f"Restore once more, or remove {name} when all is well."
            yield Line("restore", WARN, f"{home / name} was left by an interrupted restore.", todo)


async def _locks(settings: Settings) -> list[Line]:
    home, ledger = settings.home, settings.home / "ledger.db"
    if not ledger.exists() or not os.access(home, os.W_OK):
        return []
    try:
        lock = await asyncio.to_thread(write_lock, home, 0.0)
    except Busy:
        return [Line("locks", OK, "another process is writing at this moment")]
    try:
        with closing(sqlite3.connect(ledger, timeout=0.2, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
    except sqlite3.OperationalError as problem:
        if "locked" not in str(problem):
            return []
        todo = "End it: a Lyceum would hold write.lock too."
        return [Line("locks", FAIL, f"another program holds {ledger}.", todo)]
    except sqlite3.DatabaseError:
        return []  # what is wrong with the file is said by `_ledger`
    finally:
        lock.release()
    return [Line("locks", OK, "nobody is writing")]


async def _ledger(settings: Settings) -> list[Line]:
    file = settings.home / "ledger.db"
    if not file.exists():
        return [Line("ledger", WARN, "no documents yet.", "Run: lyceum ingest PATH")]
    if wrong := await asyncio.to_thread(health.faults, file):
        todo = (
            "Put a backup in its place: lyceum restore FILE. Without one: remove ledger.db and ingest again."
        )
        return [Line("ledger", FAIL, f"damaged: {'; '.join(wrong[:5])}.", todo)]
    found = await asyncio.to_thread(health.facts, file)
    said = f"{found['documents']} documents, {found['chunks']} chunks; every page and every text checked"
    lines = [Line("ledger", OK, said)]
    if found["unconfirmed"]:
        said = f"{found['unconfirmed']} versions were never confirmed; nobody sees them."
        lines.append(Line("leftovers", WARN, said, "The next write drops them."))
    return lines


async def _views(settings: Settings) -> list[Line]:
    file = settings.home / "ledger.db"
    if not file.exists():
        return []
    found = await asyncio.to_thread(health.facts, file)
    platform = wire.build(settings.tables, settings.home, wire.models_folder(settings.models))
    try:
        lines = []
        for view in platform.store.views:
            held, broken = await view.check()
            position = await platform.store.position(view)
            lines.append(_view(view.name, held, broken, position, found))
        return lines
    finally:
        await platform.close()


def _view(name: str, held: int, broken: list[str], position: int, ledger: dict[str, int]) -> Line:
    todo = f"It follows at the next command; if not, remove views/{name}: it rebuilds itself."
    if broken:
        todo = f"Remove views/{name}: it rebuilds itself."
        return Line(name, FAIL, f"broken files: {', '.join(broken)}.", todo)
    if position != ledger["sequence"]:
        return Line(name, WARN, f"at change {position} of {ledger['sequence']}.", todo)
    if held != ledger["chunks"]:
        todo = f"Remove views/{name}: it rebuilds itself."
        return Line(name, FAIL, f"holds {held} chunks, the ledger {ledger['chunks']}.", todo)
    return Line(name, OK, f"{held} chunks, as in the ledger")


CHECKS: tuple[Check, ...] = (
    _versions, _packages, _encoder, _tesseract, _chat, _home, _locks, _ledger, _views,
)  # fmt: skip
