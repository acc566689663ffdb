"""`lyceum gateway difficulty`: evaluation runs of several models to a model of which one a question needs."""

from __future__ import annotations

import argparse
import json

from lyceum.app import show
from lyceum.app.settings import Settings
from lyceum.core.errors import InvalidInput


def arguments_difficulty(command: argparse.ArgumentParser) -> None:
    """Add what `difficulty` takes."""
    command.add_argument("runs", nargs="+", metavar="RUN", help="runs over the same examples, cheapest first")
    command.add_argument(
        "--model", required=True, metavar="NAME", help="the gateway's model; its targets in the runs' order"
    )
    command.add_argument("--metric", default="correct", metavar="NAME", help="what right means (correct)")
    command.add_argument(
        "--loss", type=float, default=0.02, metavar="X", help="of the dearest one's mean to give up (0.02)"
    )


async def run_difficulty(arguments: argparse.Namespace, settings: Settings) -> int:
    """Learn which questions a cheaper model answers as well; say what relying on it loses."""
    from lyceum.app.eval_report import folder
    from lyceum.evals.compare import label, pairs, scored
    from lyceum.evals.records import read_run
    from lyceum.gateway import difficulty

    if len(arguments.runs) < 2:
        raise InvalidInput(
            "One run says nothing of another model.", hint="Name two, the cheaper one's first."
        )
    if any(one in arguments.model for one in "/\\\0"):
        raise InvalidInput("That is no file name.", hint="Name a model without slashes.")
    runs = [read_run(folder(settings.home, name)) for name in arguments.runs]
    columns = [{a.example.id: b for a, b in pairs(runs[0], one)[0]} for one in runs]
    questions, scores = [], []
    for name, first in columns[0].items():
        told = scored(arguments.metric, *(one[name] for one in columns))
        if not isinstance(told, str):
            questions.append(first.example.question)
            scores.append(told)
    learnt = difficulty.learn(questions, scores, arguments.loss)
    learnt |= {"runs": [one.summary.id for one in runs], "metric": arguments.metric}
    file = settings.home / "difficulty" / f"{arguments.model}.json"
    file.parent.mkdir(exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(learnt, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    draft.replace(file)
    show.result(
        arguments, {"file": str(file), **learnt}, told_of(learnt, list(map(label, runs)), arguments.model)
    )
    return 0


def told_of(learnt: dict[str, object], names: list[str], model: str) -> str:
    """Return what was measured, in words."""
    measured = learnt["measured"]
    assert isinstance(measured, dict)
    low, high = measured["loss_interval"]
    parts = ", ".join(
        f"{share:.0%} to {name} ({score:.3f} alone)"
        for share, name, score in zip(measured["shares"], names, measured["scores"], strict=True)
    )
    return (
        f"Over {measured['questions']} questions that it has not seen: {parts}.\n"
        f"It loses {measured['loss']:.3f} of {learnt['metric']} to the last one (95 % interval {low:.3f} to"
        f" {high:.3f}); chance with the same shares would lose {measured['loss_by_chance']:.3f}.\n"
        f'Where that is worth it: route = "difficulty" for {model} in gateway.toml, targets in this order.'
    )
