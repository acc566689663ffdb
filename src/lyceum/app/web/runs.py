"""One run and two beside each other: what was measured, where it was lost, won and lost questions, with intervals.

A question is shown to who may use the rights that it was asked with; means are those of the whole run.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi import Query as Parameter
from fastapi.responses import Response

from lyceum.app.routes import Configured
from lyceum.app.web.evaluate import begun
from lyceum.app.web.frame import Page, Paged
from lyceum.core.errors import InvalidInput, NotFound
from lyceum.evals import charts, compare, report
from lyceum.evals.records import Outcome, Run, read_run

router = APIRouter(prefix="/evaluate", include_in_schema=False)
LISTED = 50  # questions a page
SLICES = 100
FOUGHT = 25  # questions won, and lost, on one page


def run_of(home: Path, name: str) -> Run:
    """Return a finished run of a home by its whole id."""
    file = home / "runs" / name / "summary.json"
    if not name.isalnum() or not file.is_file():
        raise NotFound("There is no such run.", hint="The page Evaluate lists all.", code="no_run")
    return _read(file.parent, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(folder: Path, stamp: int) -> Run:
    return read_run(folder)


def may_see(page: Page, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the questions that were asked with no other rights than the page has."""
    return [one for one in outcomes if one.example.readers <= page.readers]


@router.get("/run/{name}")
async def show(
    page: Paged, settings: Configured, name: str, state: str = "", at: Annotated[int, Parameter(ge=0)] = 0
) -> Response:  # fmt: skip
    """Show a run: its scores, where failures come from, and its questions."""
    run = await asyncio.to_thread(run_of, settings.home, name)
    seen = may_see(page, run.outcomes)
    states = Counter(map(report.state, seen))
    tags = {f"tag:{tag}" for one in seen for tag in one.example.tags}
    slices = {name: one for name, one in run.summary.slices.items() if name in tags or name[:4] != "tag:"}
    slices = dict(list(slices.items())[:SLICES])
    listed = [one for one in seen if state in ("", report.state(one))]
    return page(
        "run.html", run=run, summary=run.summary, slices=slices, states=states, state=state, at=at, listed=listed,
        some=listed[at : at + LISTED], LISTED=LISTED, hidden=len(run.outcomes) - len(seen),
        autopsy=autopsy(run, {one.example.id for one in seen}), headline=compare.chosen([run])[0],
        drawn=charts, report=report, became=report.state,
    )  # fmt: skip


def autopsy(run: Run, seen: set[str]) -> dict[str, Any] | None:
    """Return what an autopsy found: how many kept the gold up to each stage, and the causes by stage and remedy."""
    file = run.folder / "autopsy.json"
    if not file.exists():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    by_stage: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for one in found["causes"]:
        by_stage.setdefault((one["stage"], *one["with"]), []).append(one)
    before, falls = 1.0, []
    for stage, share, n in found["waterfall"]:
        falls.append({"stage": stage, "share": share, "before": before, "n": n})
        before = share
    causes = []
    for stages, every in sorted(by_stage.items(), key=lambda item: -len(item[1])):
        some = [one for one in every if one["example"] in seen]
        fixes = Counter(one["fix"] for one in some).most_common(1)
        causes.append(
            {"stages": stages, "n": len(every), "fix": fixes[0][0] if fixes else "", "some": some[:LISTED]}
        )
    return {"falls": falls, "causes": causes, "n": len(found["causes"])}


@router.post("/autopsy")
async def examine(page: Paged, settings: Configured, run: Annotated[str, Form()]) -> Response:
    """Begin to examine the failures of a run."""
    found = await asyncio.to_thread(run_of, settings.home, run)
    return await begun(page, settings.home, ["autopsy", found.summary.id])


@router.get("/compare")
async def duel(
    page: Paged, settings: Configured, run: Annotated[list[str] | None, Parameter()] = None, metric: str = ""
) -> Response:  # fmt: skip
    """Show what the first of two runs scores above the second, and on which questions."""
    if len(run or ()) != 2 or len(set(run or ())) != 2:
        raise InvalidInput("Two runs compare.", hint="Tick two runs of one table.", code="two_runs")
    b, a = [await asyncio.to_thread(run_of, settings.home, one) for one in run or ()]
    found = await asyncio.to_thread(compare.compare, [a, b])
    chosen = next((one for one in found if one.metric == metric), found[0])
    seen = {one.example.id for one in may_see(page, b.outcomes)} & {
        one.example.id for one in may_see(page, a.outcomes)
    }
    duels = [one for one in await asyncio.to_thread(compare.duels, a, b, chosen.metric) if one.id in seen]
    sides = [{one.example.id: one for one in run.outcomes} for run in (a, b)]
    ends = [abs(end) for one in found for end in (one.low, one.high)]
    return page(
        "compare.html", a=a, b=b, found=found, chosen=chosen, duels=duels, sides=sides, drawn=charts,
        report=report, reach=next((step for step in (0.05, 0.1, 0.2, 0.5) if step >= max(ends)), 1.0),
        FOUGHT=FOUGHT, left_out=sum(chosen.left_out.values()), became=report.state,
        parted=[Counter(one.stage for one in duels if one.won is won) for won in (True, False)],
    )  # fmt: skip
