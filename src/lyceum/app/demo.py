"""The demo: the example documents read into a home, and questions about them answered with citations."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lyceum.app import shapes, show
from lyceum.app.commands import OK, PARTLY, ingested
from lyceum.app.session import ask, opened
from lyceum.app.settings import Settings
from lyceum.core.errors import NotFound
from lyceum.core.types import Query
from lyceum.ingest.pipeline import jobs

HERE = Path(__file__).parent


def examples(chosen: str | None) -> Path:
    """Return the folder of the examples: the chosen one, the installed copy, or the checkout's."""
    for folder in (Path(chosen),) if chosen else (HERE / "examples", HERE.parents[2] / "examples"):
        if (folder / "demo.jsonl").is_file():
            return folder
    raise NotFound(
        "The example documents are not here.", hint="Give their folder: lyceum demo --examples DIR"
    )


def _home() -> Path:
    return Path(".lyceum-demo").absolute()


async def run_demo(arguments: argparse.Namespace, settings: Settings) -> int:
    """Ingest the examples, ask the questions of demo.jsonl, print answers and where to go on."""
    folder = examples(arguments.examples)
    settings = settings if arguments.home else replace(settings, home=_home())
    rows = [json.loads(line) for line in (folder / "demo.jsonl").read_text(encoding="utf-8").splitlines()]
    out = show.screen()
    started = time.perf_counter()
    answers: list[dict[str, Any]] = []
    async with opened(settings) as platform:
        outcomes = await ingested(platform, jobs([folder / "documents"]), quiet=arguments.json)
        if not arguments.json:
            chunks = (await platform.store.ledger.counts(frozenset({"*"})))["chunks"]
            seconds = time.perf_counter() - started
            out.print(f"{len(outcomes)} documents, {chunks} chunks, ready after {seconds:.1f} s.\n")
        for row in rows:
            found = await ask(platform, Query(text=row["question"]))
            if arguments.json:
                answers.append(shapes.answer(found, row["question"]))
            else:
                show.answer(out, found, row["question"])
        notes = platform.notes
    if arguments.json:
        show.as_json(answers)
    else:
        show.notes(notes)
        out.print(f'Ask your own: lyceum ask --home {settings.home} "…"', markup=False)
    return PARTLY if any(one.status == "failed" for one in outcomes) else OK
