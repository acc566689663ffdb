"""`lyceum eval run`: a set of questions and pipelines to runs, a folder each, and a table of what they measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from lyceum.app.settings import Settings


def arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("dataset", metavar="DATASET", type=Path, help="a BEIR folder, or a file of examples")


async def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Ask every question of a set and measure the answers."""
    raise NotImplementedError
