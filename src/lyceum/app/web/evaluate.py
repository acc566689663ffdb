"""The page that evaluates: sets of questions, what is being measured, leaderboards, and scores over time.

All is read from the home by the functions of `lyceum eval`; measuring is done by processes of its own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import RedirectResponse, Response

from lyceum.app import eval_compare, eval_run, eval_started
from lyceum.app.document_routes import named
from lyceum.app.eval_started import OPEN, Started
from lyceum.app.routes import Configured
from lyceum.app.web import feedback, welcome
from lyceum.app.web.frame import Page, Paged
from lyceum.core.errors import InvalidInput, LyceumError
from lyceum.evals import charts, compare, examples, report
from lyceum.evals.records import Run, read_run

router = APIRouter(prefix="/evaluate", include_in_schema=False)
EXAMPLES = "examples"
PIPELINE = "--pipeline="
ENDED = 3  # of what has ended badly, that are still shown
_name = re.compile(r"[\w.-]{1,80}\.(?:jsonl|csv)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The runs over one data set, the best first, each with its id and the pipeline's name."""

    name: str
    metric: str
    rows: Sequence[Mapping[str, Any]]

    def lines(self) -> dict[str, list[tuple[float, float, float, float]]]:
        """Return when each pipeline scored what (low, mean, high)."""
        found: dict[str, list[tuple[float, float, float, float]]] = {}
        for one in sorted(self.rows, key=lambda row: str(row["date"])):
            when = datetime.fromisoformat(one["date"]).timestamp()
            found.setdefault(one["pipeline"], []).append((when, one["low"], one["mean"], one["high"]))
        return found


def sets(home: Path) -> dict[str, Path]:
    """Return the sets of questions by name: those in HOME/datasets, what was judged, and the examples'."""
    found = {
        one.name: one for one in sorted((home / "datasets").glob("*")) if not one.name.endswith(".draft")
    }
    if (home / feedback.FILE).exists():
        found[feedback.FILE] = home / feedback.FILE
    if place := welcome.folder():
        found[EXAMPLES] = place / "questions.jsonl"
    return found


def counted(home: Path) -> list[dict[str, Any]]:
    """Return how many questions each set asks, in all and of its halves, or why it cannot be read."""
    return [{"name": name, **_counts(path, path.stat().st_mtime_ns)} for name, path in sets(home).items()]


@lru_cache(maxsize=64)
def _counts(path: Path, stamp: int) -> Mapping[str, Any]:
    try:
        found = examples.read(path)
    except LyceumError as problem:
        return {"all": 0, "problem": problem}
    halves = {half: sum(one.half == half for one in found) for half in ("dev", "test")}
    return {"all": len(found), "gold": sum(bool(one.gold or one.answers) for one in found), **halves}


def boards(home: Path) -> tuple[Sequence[Board], LyceumError | None]:
    """Return the leaderboard of every data set, or why there is none."""
    files = sorted(home.glob("runs/*/summary.json"))
    try:
        return _boards(home, tuple((str(one), one.stat().st_mtime_ns) for one in files)), None
    except LyceumError as problem:
        return [], problem


@lru_cache(maxsize=4)
def _boards(home: Path, stamps: object) -> Sequence[Board]:
    made = []
    for name, runs in eval_compare.boards(home, read=_scores)[0].items():
        metric = compare.chosen(runs)[0]
        named = {compare.label(run): run for run in runs}
        rows = [
            {**row, "mean": row[metric], "id": of.summary.id, "pipeline": of.summary.pipeline}
            for row in compare.ranked(runs, metric) if (of := named[row["run"]])
        ]  # fmt: skip
        made.append(Board(name=name, metric=metric, rows=rows))
    return sorted(made, key=lambda board: max((row["date"] for row in board.rows), default=""), reverse=True)


def _scores(folder: Path) -> Run:
    return _read(folder, (folder / "summary.json").stat().st_mtime_ns)


@lru_cache(maxsize=500)
def _read(folder: Path, stamp: int) -> Run:
    return read_run(folder, answers=False)


def shown(home: Path) -> list[Started]:
    """Return what is being measured, and the last of what ended otherwise than well."""
    found = eval_started.listed(home)
    bad = [one for one in found[:ENDED] if one.state not in (*OPEN, "done")]
    return [*(one for one in found if one.state in OPEN), *bad]


def facts(page: Page, home: Path) -> dict[str, Any]:
    """Return what is being measured as its part of the page needs it."""
    found = shown(home)
    problems = {one.id: page.failure(one.error) for one in found if one.error}
    named = {
        one.id: [part.removeprefix(PIPELINE) for part in one.command if part.startswith(PIPELINE)]
        for one in found
    }
    number = sum(one.state in OPEN for one in found)
    return {"started": found, "problems": problems, "pipelines_of": named, "open": number}


@router.get("")
async def show(page: Paged, settings: Configured) -> Response:
    """Show sets, leaderboards and what is being measured."""
    home = settings.home
    held, (ranked, problem) = await asyncio.gather(
        asyncio.to_thread(counted, home), asyncio.to_thread(boards, home)
    )
    unfinished = sum(not (one / "summary.json").is_file() for one in home.glob("runs/*/"))
    return page(
        "evaluate.html", sets=held, boards=ranked, pipelines=eval_run.pipelines(home), unfinished=unfinished,
        number=report.number, drawn=charts, problem=problem, **facts(page, home),
    )  # fmt: skip


@router.get("/progress")
async def progress(page: Paged, settings: Configured) -> Response:
    """Return the part of the page that says how far measuring is."""
    return page("measuring.html", **facts(page, settings.home))


@router.post("/start")
async def start(
    page: Paged, settings: Configured, dataset: Annotated[str, Form()],
    pipeline: Annotated[list[str] | None, Form()] = None,
    half: Annotated[Literal["all", "dev", "test"], Form()] = "all", limit: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Begin to measure pipelines on a set of questions."""
    path, known = sets(settings.home).get(dataset), eval_run.pipelines(settings.home)
    if path is None or not pipeline or not set(pipeline) <= set(known):
        raise InvalidInput("No such set or pipeline.", hint="Choose a set and pipelines.", code="choose")
    if limit and not (limit.isdecimal() and int(limit)):
        raise InvalidInput(f"{limit} is no number of questions.", hint="Give a whole number, or none.")
    command = ["run", str(path), f"--half={half}", *([f"--limit={limit}"] if limit else [])]
    command += [f"{PIPELINE}{name}" for name in pipeline]
    return await begun(page, settings.home, command)


async def begun(page: Page, home: Path, command: Sequence[str]) -> Response:
    """Begin a command with the rights that the page uses and lead to where it is watched."""
    whose = [f"--as={page.whose}"] if page.whose else []
    await asyncio.to_thread(eval_started.begin, home, [*command, *whose])
    return RedirectResponse(page.link("/evaluate"), 303)


@router.post("/stop")
async def stop(page: Paged, settings: Configured, id: Annotated[str, Form()]) -> Response:
    """Ask what is being measured to end."""
    eval_started.stop(settings.home, id)
    return RedirectResponse(page.link("/evaluate"), 303)


@router.post("/datasets")
async def add(page: Paged, settings: Configured, file: Annotated[UploadFile, File()]) -> Response:
    """Take a set of questions in, once it can be read."""
    name = named(file)
    if not _name.fullmatch(name) or name.startswith("."):
        said = f"{name!a} is no name of a set of questions."
        raise InvalidInput(
            said, hint="Name it with letters and digits, ending in .jsonl or .csv.", code="set_name"
        )
    data = await file.read()
    await asyncio.to_thread(_kept, settings.home / "datasets" / name, data)
    return RedirectResponse(page.link("/evaluate"), 303)


def _kept(file: Path, data: bytes) -> None:
    """Write a set beside the others when it can be read as one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=file.parents[1]) as folder:
        draft = Path(folder) / file.name
        draft.write_bytes(data)
        examples.read(draft)
        draft.replace(file)
