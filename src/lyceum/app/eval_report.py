"""`lyceum eval report`: a run's page, written again, beside another run where one is named."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyceum.app.settings import Settings
from lyceum.core.errors import NotFound

if TYPE_CHECKING:
    from lyceum.evals.records import Run


def arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("name", metavar="RUN", help="id of a run, its beginning, or its folder")
    command.add_argument("--against", metavar="RUN", help="another run over the same examples")


async def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Write report.html into the run's folder and print its path."""
    from lyceum.app import show
    from lyceum.evals import records, report

    names = [arguments.name, *filter(None, [arguments.against])]
    mine, *others = [records.read_run(folder(settings.home, name)) for name in names]
    autopsy = mine.folder / "autopsy.json"
    found = json.loads(autopsy.read_text(encoding="utf-8")) if autopsy.exists() else None
    page = report.write(mine, others, found, _compared(mine, others[0]) if others else None)
    show.result(arguments, {"report": str(page)}, str(page))
    return 0


def folder(home: Path, name: str) -> Path:
    """Return the folder of the one run that a name means: its id, the beginning of it, or the folder."""
    if (Path(name) / "summary.json").is_file():
        return Path(name)
    found = sorted(one for one in home.glob("runs/*/") if one.name.startswith(name))
    if len(found) != 1:
        hint = "`lyceum eval leaderboard` lists runs."
        raise NotFound(f"{len(found) or 'No'} runs begin with {name!r}.", hint=hint, code="no_run")
    return found[0]


def _compared(mine: Run, other: Run) -> dict[str, Any]:
    """Return the differences of a run to another, and where the two part."""
    from lyceum.evals import compare

    found = compare.compare([other, mine])
    sentences = [compare.sentence(one, len(found)) for one in found]
    duels = [asdict(one) for one in compare.duels(other, mine, found[0].metric)]
    return {"metrics": [asdict(one) for one in found], "sentences": sentences, "duels": duels}
