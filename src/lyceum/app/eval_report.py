"""`lyceum eval report`: a run's page, written again, beside another run where one is named."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lyceum.app.settings import Settings
from lyceum.core.errors import InvalidInput, NotFound


def arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("name", metavar="RUN", help="id of a run, its beginning, or its folder")
    command.add_argument("--against", metavar="RUN", help="another run of the same data")


async def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Write report.html into the run's folder and print its path."""
    from lyceum.app import show
    from lyceum.evals import records, report

    mine = records.read_run(folder(settings.home, arguments.name))
    others = [records.read_run(folder(settings.home, arguments.against))] if arguments.against else []
    if others and others[0].summary.data != mine.summary.data:
        hint = "Run the other pipeline on the same data, then compare."
        raise InvalidInput("The two runs were asked different data.", hint=hint, code="other_data")
    autopsy = mine.folder / "autopsy.json"
    found = json.loads(autopsy.read_text(encoding="utf-8")) if autopsy.exists() else None
    page = report.write(mine, others, found)
    show.result(arguments, {"report": str(page)}, str(page))
    return 0


def folder(home: Path, name: str) -> Path:
    """Return the folder of the one run that a name means."""
    if (Path(name) / "summary.json").is_file():
        return Path(name)
    found = sorted(one for one in home.glob("runs/*/") if one.name.startswith(name))
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'No'} runs begin with {name!r}.",
            hint="`lyceum eval leaderboard` lists runs.", code="no_run",
        )  # fmt: skip
    return found[0]
