"""`lyceum eval threshold`: a run's confidences to the threshold below which the answerer had better refuse."""

from __future__ import annotations

import argparse

from lyceum.app import show
from lyceum.app.settings import Settings
from lyceum.core.errors import InvalidInput

OK, NONE = 0, 5


def arguments(command: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    command.add_argument("run", metavar="RUN", help="a run; best one with [answerer] threshold = 0")
    command.add_argument(
        "--risk", type=float, default=0.1, metavar="X", help="wrong among the given answers (0.1)"
    )
    command.add_argument(
        "--delta", type=float, default=0.05, metavar="X", help="how often it may fail (0.05)"
    )
    command.add_argument(
        "--least",
        type=float,
        default=0.3,
        metavar="X",
        help="the share of questions that must be answered (0.3)",
    )
    command.add_argument(
        "--ahead", type=int, default=0, metavar="N",
        help="promise it for the next N groups of questions as seen there, not for the long run",
    )  # fmt: skip


async def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Find the lowest threshold that keeps a risk, and say what it costs in questions left unanswered."""
    from lyceum.app.eval_report import folder
    from lyceum.evals import risk
    from lyceum.evals.records import read_run

    if not (0 < arguments.risk < 1 and 0 < arguments.delta < 1):
        raise InvalidInput("--risk and --delta are shares.", hint="For example --risk 0.1 --delta 0.05")
    outcomes = read_run(folder(settings.home, arguments.run)).outcomes
    found = risk.of_outcomes(outcomes, arguments.risk, arguments.delta, arguments.ahead, arguments.least)
    told = {"risk": arguments.risk, "delta": arguments.delta, "questions": len(outcomes)}
    if found is None:
        said = f"No threshold promises at most {arguments.risk:.0%} wrong answers: the run is too small or too wrong."
        show.result(arguments, {**told, "threshold": None}, said)
        return NONE
    told |= {"threshold": round(found.value, 4), "coverage": found.coverage, "seen": found.risk}
    said = (
        f"[answerer] threshold = {found.value:.3f} answers {found.coverage:.0%} of the questions; at most"
        f" {arguments.risk:.0%} of the answers are wrong with probability {1 - arguments.delta:.0%}"
        f" ({found.risk:.1%} here)."
    )
    show.result(arguments, told, said)
    return OK
