"""`lyceum eval autopsy` and `why`: a run's failures to the stages that lost them, a document to where it stood."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from lyceum.app import show
from lyceum.app.eval_report import folder
from lyceum.app.settings import Settings
from lyceum.core.errors import InvalidInput, LyceumError

if TYPE_CHECKING:
    from lyceum.app.examined import Examined
    from lyceum.core.types import Example
    from lyceum.evals.autopsy import Cause
    from lyceum.evals.records import Run

OK = 0


def arguments_autopsy(command: argparse.ArgumentParser) -> None:
    """Add what `autopsy` takes."""
    command.add_argument("run", metavar="RUN", help="an id, its beginning, or a folder")
    command.add_argument(
        "--sources", metavar="DIR", type=Path, help="where the original files are, if they moved"
    )
    command.add_argument(
        "--against", metavar="RUN", help="say of what fails here and works there where they part"
    )
    command.add_argument("--limit", type=int, metavar="N", help="examine only the first N failed questions")


def arguments_why(command: argparse.ArgumentParser) -> None:
    """Add what `why` takes."""
    command.add_argument("question", metavar="QUESTION")
    command.add_argument("document", metavar="DOCUMENT", help="its source, or the end of it")


@asynccontextmanager
async def _examined(run: Run, settings: Settings, sources: Path | None) -> AsyncIterator[Examined]:
    """Open the pipeline of a run, as it was configured, on the home that was asked."""
    from lyceum.app.examined import Examined
    from lyceum.app.session import opened

    try:
        tables = tomllib.loads((run.folder / "config.toml").read_text(encoding="utf-8"))
        home = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))["home"]
    except (OSError, ValueError, KeyError) as problem:
        raise InvalidInput(f"{run.folder} does not say what was asked.", hint="Run it again.") from problem
    if "key" in tables.get("chat", {}):  # it is not written beside a run
        tables["chat"]["key"] = settings.tables["chat"].get("key", "")
    async with opened(replace(settings, home=Path(home), tables=tables)) as platform:
        subject = Examined(platform, sources)
        try:
            yield subject
        finally:
            await subject.close()


async def run_autopsy(arguments: argparse.Namespace, settings: Settings) -> int:
    """Repair one stage after the other for every failed question, and name the first that mends it."""
    run, found, sound = await examined(arguments, settings)
    if arguments.json:
        show.as_json(found)
    else:
        _print(run, found, sound)
    return OK


async def examined(
    arguments: argparse.Namespace, settings: Settings, watch: Callable[..., show.Bar] = show.Bar
) -> tuple[Run, dict[str, Any], int]:
    """Return a run with the causes of its failures, also written beside it, and how many work when asked again."""
    from lyceum.evals import autopsy
    from lyceum.evals.gold import mended
    from lyceum.evals.records import read_run

    run = read_run(folder(settings.home, arguments.run))
    wrong = [one.example for one in run.outcomes if one.answer is None or not mended(one.example, one.answer)]
    failed = wrong[: arguments.limit]
    async with _examined(run, settings, arguments.sources) as subject:
        with watch("autopsy", quiet=arguments.json) as bar:
            causes = await _causes(run, failed, subject, bar)
    left_out = {example.id for example in wrong[len(failed) :]}
    answerable = {one.example.id for one in run.outcomes if one.example.answerable} - left_out
    failing = [one for one in causes if one.stage != "sound"]
    lost = [one.lost for one in failing if one.example in answerable]
    found: dict[str, Any] = {
        "waterfall": autopsy.waterfall(lost, len(answerable)),
        "causes": [_told(one) for one in failing],
    }  # fmt: skip
    if arguments.against:
        found["parted"] = await _parted(run, arguments, settings, [one.example for one in failing])
    written = json.dumps(found, ensure_ascii=False, indent=1)
    (run.folder / "autopsy.json").write_text(written, encoding="utf-8")
    (run.folder / "autopsy.jsonl").unlink(missing_ok=True)
    return run, found, len(causes) - len(failing)


def _told(cause: Cause) -> dict[str, Any]:
    return {("with" if name == "pair" else name): value for name, value in asdict(cause).items()}


async def _causes(run: Run, failed: Sequence[Example], subject: Examined, bar: show.Bar) -> list[Cause]:
    """Examine what was not examined before a kill; each cause is written down at once."""
    from lyceum.core.text import language
    from lyceum.evals.autopsy import Cause, examine

    advised = "zh" if all(language(one.example.question) == "zh" for one in run.outcomes) else "en"
    file = run.folder / "autopsy.jsonl"
    whole = (file.read_text(encoding="utf-8") if file.exists() else "").rpartition("\n")[0]
    rows = [json.loads(row) for row in whole.splitlines()]
    known = {row["example"]: Cause(**{**row, "pair": tuple(row["pair"])}) for row in rows}
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    with file.open("a", encoding="utf-8") as log:
        for done, example in enumerate(failed):
            bar(done, len(failed), "")
            if example.id not in known:
                try:
                    known[example.id] = await examine(subject, example, advised)
                except LyceumError as problem:
                    said = f"{problem.code}: {problem.message}"
                    known[example.id] = Cause(example=example.id, stage="none", lost="read", facts=said)
                log.write(json.dumps(asdict(known[example.id]), ensure_ascii=False) + "\n")
                log.flush()
    return [known[example.id] for example in failed]


async def _parted(
    run: Run, arguments: argparse.Namespace, settings: Settings, failing: Sequence[str]
) -> dict[str, str]:
    """Return for each question that another run answers where the two part."""
    from lyceum.evals.gold import mended
    from lyceum.evals.records import read_run
    from lyceum.evals.why import parted

    other = read_run(folder(settings.home, arguments.against))
    works = {one.example.id for one in other.outcomes if one.answer and mended(one.example, one.answer)}
    async with (
        _examined(run, settings, arguments.sources) as mine,
        _examined(other, settings, arguments.sources) as its,
    ):
        return {one: await parted(run, other, one, mine, its) for one in failing if one in works}


def _print(run: Run, found: dict[str, Any], sound: int) -> None:
    out = show.screen()
    causes = found["causes"]
    what = run.summary
    again = f"; {sound} work when asked again" if sound else ""
    out.print(
        f"{what.dataset} · {what.pipeline} · run {what.id}: {len(causes)} of {what.n} questions fail{again}.\n",
        markup=False,
    )
    named: dict[str, Counter[str]] = {}
    for one in causes:
        named.setdefault(" + ".join((one["stage"], *one["with"])), Counter())[one["fix"]] += 1
    rows = [
        (name, str(fixes.total()), f"{fixes.total() / len(causes):.0%}", escape(fixes.most_common(1)[0][0]))
        for name, fixes in sorted(named.items(), key=lambda item: -item[1].total())
    ]
    if rows:
        show.table(out, "lost by,questions,share,cheapest fix", rows)
        out.print()
    falls = [(step, f"{share:.3f}", "█" * round(share * 20)) for step, share, _ in found["waterfall"]]
    show.table(out, "gold is there after,share of the answerable,", falls)
    for example, said in found.get("parted", {}).items():
        out.print(f"\n{example}: {said}", markup=False)
    out.print(f"\n{run.folder / 'autopsy.json'}", markup=False)


async def run_why(arguments: argparse.Namespace, settings: Settings) -> int:
    """Show where a document stood for a question at every stage, and the smallest change that brings it in."""
    from lyceum.app.commands import readers_of
    from lyceum.app.session import opened
    from lyceum.app.xray import reason
    from lyceum.core.types import Query

    async with opened(settings) as platform:
        query = Query(text=arguments.question, readers=readers_of(arguments))
        found = await reason(platform, query, arguments.document)
    if arguments.json:
        told = {
            "document": found.document.source, "chunks": found.chunks, "visible": found.visible, "lost": found.lost,
        }  # fmt: skip
        places = [{"place": name, "rank": rank, "score": score} for name, rank, score in found.places]
        show.as_json({**told, "places": places, "change": found.change})
        return OK
    out = show.screen()
    seen = "visible" if found.visible else "not visible to those who ask"
    lost = f" Lost at: {found.lost}." if found.lost else ""
    out.print(f"{found.document.source}: {found.chunks} chunks, {seen}.{lost}", markup=False)
    rows = [
        (name, str(rank or "–"), "–" if score is None else f"{score:.3f}")
        for name, rank, score in found.places
    ]
    show.table(out, "place,best rank,score", rows)
    if found.places[-1][1]:
        out.print("It reaches the reader.")
    elif found.change:
        said = ", ".join(f"{name} = {value}" for name, value in found.change.items())
        out.print(f"It reaches the reader with {said} (tried).", markup=False)
    else:
        out.print(
            "Neither rights, more hits, another weight nor one more word brings it to the reader (tried)."
        )
    return OK
