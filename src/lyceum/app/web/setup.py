"""The page of settings: each effective value with its origin, where documents come from, models, health on demand.

It shows what `lyceum config`, `lyceum models` and `lyceum doctor` print, without secrets, and changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi import Query as Parameter

from lyceum import __version__
from lyceum.app import commands, doctor
from lyceum.app.routes import Configured, Opened
from lyceum.app.settings import Settings
from lyceum.app.web.frame import Paged
from lyceum.models import weights
from lyceum.wire import Platform, models_folder

router = APIRouter(include_in_schema=False)
FOLDERS = 20  # that are listed, the fullest first


@router.get("/settings")
async def show(
    page: Paged, platform: Opened, settings: Configured, find: Annotated[str, Parameter(max_length=200)] = "",
    check: bool = False,
) -> Response:  # fmt: skip
    """Show the configuration, sources and models, and health where that is asked for."""
    found = await doctor.findings(settings) if check else []
    folder = models_folder(settings.models)
    return page(
        "setup.html", values=values(settings, find.strip().lower()), find=find, home=str(settings.home),
        version=__version__, sources=await sources(platform, page.readers), models=weights.listed(folder),
        models_folder=str(folder), lines=[one._asdict() for one in found], check=check, known=HEALTH,
    )  # fmt: skip


def values(settings: Settings, find: str) -> dict[str, dict[str, str]]:
    """Return the values that hold what is looked for, each as it stands in a file, with its origin."""
    rows = {
        name: {"value": json.dumps(row["value"], ensure_ascii=False), "from": row["from"]}
        for name, row in commands.effective(settings).items()
    }
    return {name: row for name, row in rows.items() if find in f"{name} {row['value']} {row['from']}".lower()}


async def sources(platform: Platform, readers: frozenset[str]) -> list[tuple[str, int]]:
    """Return the folders that the visible documents come from, with how many of each; "" for files sent alone."""
    found = await platform.store.ledger.documents(readers)
    counted = await asyncio.to_thread(Counter, (one.source.rpartition("/")[0] for one in found))
    return counted.most_common(FOLDERS)


# What `lyceum doctor` may find, for which there are words; the rest are views and optional parts.
HEALTH = (
    "version", "sqlite", "packages", "encoder", "tesseract", "chat", "home", "disk", "spool", "restore", "locks",
    "ledger", "leftovers",
)  # fmt: skip
