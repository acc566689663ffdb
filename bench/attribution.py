"""Does the autopsy find the stage that was broken? Faults are put into working pipelines, and it is asked.

Questions of three sets over real PDF and HTML files (`rendered.py`) are asked in a healthy pipeline; those that it
answers right, with the evidence cited, are asked again in the same pipeline with one fault (`broken.py`). Those that
fail now go to the autopsy, with the broken pipeline, the files and the gold: `examined` gets nothing else, neither
the healthy pipeline nor its output nor the fault's name. Which stage is right was set down beside each fault before
anything was run. Faults are developed on one half of the documents; what is reported comes from the other.
Controls: questions that work must be called sound; those that fail without a fault are told by stage.

    python bench/attribution.py [--quick] [--half dev] [--only FAULT]
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import broken
import common
import rendered
from broken import APART, FAULTS, PAIRS, PIPELINES, Fault, Wrapped
from common import Figure

from lyceum import wire
from lyceum.app.examined import Examined
from lyceum.core.types import Answer, Example, Query
from lyceum.evals.autopsy import examine
from lyceum.evals.metrics import correct, holds
from lyceum.ingest.pipeline import jobs
from lyceum.wire import Platform

DOCUMENTS = {"squad_en": 60, "cmrc2018_zh": 40, "wikitablequestions_en": 98, "tatqa_en": 266}
QUICK = {"squad_en": 8, "cmrc2018_zh": 6, "wikitablequestions_en": 16}
LEAST, SHARE = 60, 0.95
MOST = 28  # failures explained of each fault and set, where the fault is not rare


class Remembered(Wrapped):
    """An encoder that encodes a text once in a run."""

    def __init__(self, part: Any) -> None:
        super().__init__(part)
        self.name, self.dimension, self.languages = part.name, part.dimension, part.languages
        self.known: dict[str, Any] = {}

    async def __call__(self, texts: Sequence[str]) -> Any:
        import numpy as np

        if missing := [text for text in dict.fromkeys(texts) if text not in self.known]:
            self.known.update(zip(missing, await self.part(missing), strict=True))
        return np.array([self.known[text] for text in texts], np.float32)


class ReadOnce(Wrapped):
    """A reader that parses a file once in a run."""

    def __init__(self, part: Any) -> None:
        super().__init__(part)
        self.known: dict[Path, Any] = {}

    async def __call__(self, path: Path, name: str, document: Any, tell: Any) -> Any:
        if path not in self.known:
            self.known[path] = await self.part(path, name, document, tell)
        return self.known[path]

    async def close(self) -> None:
        """Stay open: the next pipeline reads the same files."""


class Bench:
    """The files, a home that holds them, and the parts that every pipeline shares."""

    def __init__(self, folder: Path, shared: Path, documents: Mapping[str, int]) -> None:
        self.folder, self.sources = folder, folder / "sources"
        self.sources.mkdir()
        data = shared / "data"
        made = [rendered.render(data, name, self.sources, most) for name, most in documents.items()]
        self.examples = [one for some in made for one in some]
        self.encoder = Remembered(common.encoder())
        self.plain = wire.build({}, folder / "unused", replace={"encoder": self.encoder})
        self.reader, self.splitter = ReadOnce(self.plain.ingest.reader), self.plain.splitter
        self.parts = {"encoder": self.encoder, "reader": self.reader, "splitter": self.splitter}
        self.home = folder / "healthy"
        self.homes = 0

    def platform(self, home: Path, tables: broken.Tables, parts: Mapping[str, Any] | None = None) -> Platform:
        """Return a platform on a home."""
        parts = {**self.parts, **(parts or {})}
        if tables.get("answerer", {}).get("kind") == "answer.generative":
            plain = wire.build({}, home, replace=self.parts)
            parts["chat"] = broken.Quoting(plain.evidence)
        return wire.build(tables, home, replace={"spans": None, **parts})

    async def close(self) -> None:
        """End the reader's workers."""
        await self.plain.close()

    async def filled(self, home: Path, parts: Mapping[str, Any] | None = None) -> None:
        """Ingest every file into a home."""
        home.mkdir()  # noqa: ASYNC240
        platform = self.platform(home, {}, parts)
        await platform.ingest(jobs([self.sources], base=self.sources))
        await platform.close()

    async def break_(self, fault: Fault, aims: Sequence[Example]) -> Platform:
        """Return a pipeline with the fault, on a home of its own."""
        self.homes += 1
        home = self.folder / f"home-{self.homes}"
        parts = dict(fault.parts(self.parts, aims)) if fault.parts else {}
        if parts:
            await self.filled(home, parts)
        else:
            shutil.copytree(self.home, home)
        platform = self.platform(home, {**PIPELINES[fault.pipeline], **fault.tables}, parts)
        await fault.after(platform, aims)
        return platform


def cited(example: Example, answer: Answer) -> bool:
    """Say whether a citation lies on the gold place and quotes an answer."""
    texts = [text for part in example.answers for text in part]
    return any(
        one.source == gold.document and gold.page in (None, one.place.page)
        and any(holds(one.quote, text) for text in texts)
        for one in answer.citations for gold in example.gold
    )  # fmt: skip


async def works(platform: Platform, example: Example) -> bool:
    """Say whether a pipeline answers right and cites the evidence."""
    answer = await platform.answerer(Query(text=example.question, readers=example.readers))
    return correct(example, answer).value == 1.0 and cited(example, answer)


async def examined(subject: Examined, example: Example) -> tuple[str, ...]:
    """Return the stages that the autopsy names; what stands here is all that it is given.

    A subject holds a platform and a folder of files, both broken or not, and nothing else.
    """
    cause = await examine(subject, example)
    return () if cause.stage == "sound" else (cause.stage, *cause.pair)


# --- trying --------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """What became of a fault: how many questions it was tried on, which it broke, what was named for each."""

    fault: Fault
    tried: int
    named: list[tuple[Example, tuple[str, ...]]]

    @property
    def right(self) -> int:
        return sum(stages == tuple(self.fault.stage.split("+")) for _, stages in self.named)


class Questions:
    """The questions of one half, by whether a healthy pipeline answers them; each is asked once."""

    def __init__(self, bench: Bench, half: str) -> None:
        self.bench = bench
        chosen = [one for one in bench.examples if one.half == half]
        self.all = sorted(chosen, key=lambda one: broken.chance(one.id))
        self.known: dict[tuple[str, str], bool] = {}

    async def working(self, pipeline: str, only: Any, most: int | None) -> list[Example]:
        """Return questions that a pipeline answers, at most so many of each set."""
        platform = self.bench.platform(self.bench.home, PIPELINES[pipeline])
        found: list[Example] = []
        for name in rendered.SETS:
            some = [one for one in self.all if one.tags[0] == name and only(one)]
            took = 0
            for one in some:
                if took == most:
                    break
                if (pipeline, one.id) not in self.known:
                    self.known[pipeline, one.id] = await works(platform, one)
                if self.known[pipeline, one.id]:
                    found.append(one)
                    took += 1
        await platform.close()
        return found

    def failing(self, pipeline: str) -> list[Example]:
        """Return questions that were asked and not answered, in turn from every set."""
        return [one for one in self.all if self.known.get((pipeline, one.id)) is False]


async def trial(bench: Bench, questions: Questions, fault: Fault, most: int) -> Trial:
    """Break a pipeline, ask what worked before, and have the autopsy explain at most so many failures of each set."""
    aims = await questions.working(fault.pipeline, fault.only, 6 * most if fault.rare else most + most // 3)
    platform = await bench.break_(fault, aims)
    subject = Examined(platform, bench.sources)
    made = Trial(fault, 0, [])
    taken: Counter[str] = Counter()
    for example in aims:
        if taken[example.tags[0]] == most * (1 + fault.rare):
            continue
        made.tried += 1
        if not await works(platform, example):
            taken[example.tags[0]] += 1
            made.named.append((example, await examined(subject, example)))
    await subject.close()
    await platform.close()
    return made


async def control(
    bench: Bench, questions: Questions, most: int
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return what the autopsy says of questions that work and of those that fail, where nothing was broken."""
    sound = (await questions.working("default", lambda example: True, most))[: 3 * most]
    platform = await bench.break_(Fault(name="none", stage="", what=""), [])
    subject = Examined(platform, bench.sources)
    said = [await examined(subject, one) for one in sound]
    failing = [await examined(subject, one) for one in questions.failing("default")[: 3 * most]]
    await subject.close()
    await platform.close()
    return said, failing


# --- telling -------------------------------------------------------------------------------------------


def called(stages: Sequence[str]) -> str:
    return "+".join(stages) or "nothing"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in lines)


def by_fault(trials: Sequence[Trial]) -> str:
    rows = []
    for one in trials:
        low, high = common.wilson(one.right, len(one.named))
        sets = Counter(example.tags[0].split("_")[0] for example, _ in one.named)
        rows.append(
            [one.fault.name, one.fault.stage, one.fault.pipeline, one.tried, len(one.named),
             ", ".join(f"{name} {count}" for name, count in sorted(sets.items())),
             f"{one.right / max(len(one.named), 1):.3f} [{low:.3f}, {high:.3f}]"]
        )  # fmt: skip
    return table(
        ["fault", "stage", "pipeline", "tried", "broken", "of these by set", "attributed right"], rows
    )


def confusion(trials: Sequence[Trial]) -> str:
    """Return faults by what was named for them."""
    counts = {one.fault.name: Counter(called(stages) for _, stages in one.named) for one in trials}
    columns = sorted({name for count in counts.values() for name in count})
    rows = [[name, *(count[column] or "" for column in columns)] for name, count in counts.items()]
    return table(["fault", *columns], rows)


PAGE = """# Which stage lost the answer: the autopsy under test

Made by `python bench/attribution.py` on {date}, commit {commit}; what follows is its output.

**What is done.** {documents} PDF and HTML files are made out of {sets} (`bench/rendered.py`) and go through the real
ingest. {questions} questions fall to the half of the documents that is reported here. Those that a pipeline answers
right, with the evidence cited, are asked again in that pipeline with one fault (`bench/broken.py`); those that fail
now are explained by the autopsy. It is given the broken pipeline, the files, and the question with its gold: never
the healthy pipeline, its output, or the fault's name. The stage beside each fault was written down before it was run.

**Pipelines.** {pipelines}

## One fault

{accuracy:.3f} of {broken} broken questions are attributed to the stage that was broken (95 % interval {low:.3f} to
{high:.3f}; target .95).

{by_fault}

{whats}

## Confusion

Rows are what was broken, columns the stage named.

{confusion}

{mistakes}

## Nothing broken

Of {sound} questions that work, {called_sound} were called sound. Of {failing} that the healthy default pipeline
fails, the autopsy says:

{natural}

## Two faults at once

Counted are both stages named as a pair, and one of the two named (first, or in a pair with another).

{doubles}

## What cannot be told apart

- *All weight on a part that fails* and *a part that fails* are one observation to whoever may only move gold up:
  both repairs mend. They are told apart by asking whether the part's index agrees with the ledger. If a view built
  anew out of the ledger finds the gold, the index was broken; if it ranks the gold as low as the old one and another
  weight mends the answer, the weight was wrong. A poor encoder in an intact index is never called a broken index.
- *Hits lost before reading* and *gold ranked too low* differ only by what the reader asked for: gold within the hits
  that it asked for and did not get is lost on the way; gold below them was ranked too low. To a reader that asks for
  one hit, a ranking that puts gold second is the same thing.
- *A page dropped* and *a table broken* are both the parser's: the autopsy names the stage, not the kind. The same
  holds for the two ways in which an index was broken.
- A document that was never ingested and one whose only page was lost look alike; both are called parse.
- Faults here are total for the questions they are aimed at. Weak ones that lower a rank a little are not tried.
"""


def told(options: Any, bench: Bench, questions: Questions, trials: Sequence[Trial], pairs: Sequence[Trial],
         sound: Sequence[tuple[str, ...]], failing: Sequence[tuple[str, ...]]) -> str:  # fmt: skip
    """Return the page."""
    right, broken_ = sum(one.right for one in trials), sum(len(one.named) for one in trials)
    low, high = common.wilson(right, broken_)
    natural = Counter(called(stages) for stages in failing).most_common()
    rows = []
    for pair in pairs:
        wanted = set(pair.fault.stage.split("+"))
        whole = sum(set(stages) == wanted for _, stages in pair.named)
        some = sum(bool(wanted & set(stages)) for _, stages in pair.named)
        first = Counter(called(stages) for _, stages in pair.named).most_common(3)
        others = ", ".join(f"{name} {count}" for name, count in first)
        rows.append([pair.fault.name, pair.fault.stage, pair.tried, len(pair.named), whole, some, others])
    return PAGE.format(
        date=time.strftime("%Y-%m-%d"), commit=common._commit(), documents=len(list(bench.sources.iterdir())),
        sets=", ".join(sorted({one.tags[0] for one in bench.examples})), questions=len(questions.all),
        pipelines="; ".join(f"*{name}*: {tables or 'as shipped'}" for name, tables in PIPELINES.items()),
        accuracy=right / max(broken_, 1), broken=broken_, low=low, high=high, by_fault=by_fault(trials),
        whats="\n".join(f"- {one.fault.name}: {one.fault.what}" for one in trials),
        confusion=confusion(trials), mistakes=mistaken(trials),
        sound=len(sound), called_sound=sum(not stages for stages in sound), failing=len(failing),
        natural=table(["stage named", "questions"], natural),
        doubles=table(["faults", "stages", "tried", "broken", "both", "one of them", "named most"], rows),
    )  # fmt: skip


def mistaken(trials: Sequence[Trial]) -> str:
    """Return a line for each of the first mistakes."""
    lines = [
        f"- {one.fault.name}: {called(stages)} for {example.id} ({example.question[:80]})"
        for one in trials for example, stages in one.named if called(stages) != one.fault.stage
    ]  # fmt: skip
    return (
        f"Mistakes ({len(lines)}), the first of them:\n\n" + "\n".join(lines[:20])
        if lines
        else "No mistakes."
    )


async def main() -> None:
    options = common.arguments(
        __doc__,
        half="half of the documents to report: test (the default) or dev",
        only="names of faults, by comma",
    )
    half = options.half or "test"
    chosen = [one for one in FAULTS if not options.only or one.name in options.only.split(",")]
    most, documents = (3, QUICK) if options.quick else (MOST, DOCUMENTS)
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary), common.shared(options), documents)
        await bench.filled(bench.home)
        questions = Questions(bench, half)
        trials = []
        for fault in chosen:
            trials.append(await trial(bench, questions, fault, most))
            _say(trials[-1])
        some = () if options.only or options.quick else (*PAIRS, *APART)
        pairs = [await trial(bench, questions, pair, most // 2) for pair in some]
        sound, failing = await control(bench, questions, most)
        page = told(options, bench, questions, trials, pairs, sound, failing)
        await bench.close()
    print("\n" + confusion(trials) + "\n")
    if not options.quick and not options.only and not options.no_save and half == "test":
        (common.ROOT / "docs" / "attribution.md").write_text(page, encoding="utf-8")
    elif not options.quick:
        print(page)
    finish(options, trials, pairs, sound, failing)


def _say(one: Trial) -> None:
    broke = len(one.named)
    print(f"{one.fault.name:18} tried {one.tried:4} broken {broke:4} right {one.right:4}", flush=True)


def finish(options: Any, trials: Sequence[Trial], pairs: Sequence[Trial], sound: Sequence[tuple[str, ...]],
           failing: Sequence[tuple[str, ...]]) -> None:  # fmt: skip
    """Write the result and print the last line."""
    right, total = sum(one.right for one in trials), sum(len(one.named) for one in trials)
    low, high = common.wilson(right, total)
    least = 1 if options.quick else LEAST
    fewest = min(len(one.named) for one in trials)
    figures = [
        Figure("attributed", right / max(total, 1), f">= {SHARE}", right >= SHARE * total > 0),
        Figure("low", low), Figure("high", high), Figure("broken", total),
        Figure("faults", len(trials), ">= 9", len(trials) >= 9),
        Figure("fewest", fewest, f">= {least}", fewest >= least),
        Figure("sound", sum(not said for said in sound) / max(len(sound), 1), "1", all(not s for s in sound)),
    ]  # fmt: skip
    more = {
        "by_fault": {
            one.fault.name: {
                "stage": one.fault.stage, "pipeline": one.fault.pipeline, "tried": one.tried,
                "broken": len(one.named), "right": one.right,
                "named": Counter(called(stages) for _, stages in one.named),
                "sets": Counter(example.tags[0] for example, _ in one.named),
            }
            for one in (*trials, *pairs)
        },
        "without a fault": Counter(map(called, failing)),
    }  # fmt: skip
    common.finish("attribution", figures, options, **more)


if __name__ == "__main__":
    common.run(main)
