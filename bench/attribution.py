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
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import broken
import common
import rendered
from attribution_page import Found, Named, Trial, called, confusion, told
from broken import APART, FAULTS, PAIRS, PIPELINES, QUOTED, Fault
from broken_files import chance
from common import Figure

from lyceum import wire
from lyceum.app.examined import Examined
from lyceum.core.types import Answer, Example, Query
from lyceum.evals.autopsy import examine
from lyceum.evals.metrics import correct, holds
from lyceum.evals.stages import Wrapper
from lyceum.ingest.pipeline import jobs
from lyceum.wire import Platform

DOCUMENTS = {"squad_en": 60, "cmrc2018_zh": 40, "wikitablequestions_en": 98, "tatqa_en": 266}
QUICK = {"squad_en": 8, "cmrc2018_zh": 6, "wikitablequestions_en": 16}
LEAST, SHARE = 60, 0.95
QUICK_LEAST, QUICK_SHARE = 1, 0.9  # of some sixty questions, whose share has an interval of a tenth
MOST = 28  # failures explained of each fault and set, where the fault is not rare


class Remembered(Wrapper):
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


class ReadOnce(Wrapper):
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
        self.files = len(list(self.sources.iterdir()))
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
        platform = self.platform(home, {**QUOTED, **PIPELINES[fault.pipeline], **fault.tables}, parts)
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


async def examined(subject: Examined, example: Example) -> Named:
    """Return the stages that the autopsy names; what stands here is all that it is given.

    A subject holds a platform and a folder of files, both broken or not, and nothing else.
    """
    cause = await examine(subject, example)
    return () if cause.stage == "sound" else (cause.stage, *cause.pair)


# --- trying --------------------------------------------------------------------------------------------


class Questions:
    """The questions of one half, by whether a healthy pipeline answers them; each is asked once."""

    def __init__(self, bench: Bench, half: str) -> None:
        self.bench = bench
        chosen = [one for one in bench.examples if one.half == half]
        self.all = sorted(chosen, key=lambda one: chance(one.id))
        self.known: dict[tuple[str, str], bool] = {}

    async def working(self, pipeline: str, only: Any, most: int | None) -> list[Example]:
        """Return questions that a pipeline answers, at most so many of each set."""
        platform = self.bench.platform(self.bench.home, {**QUOTED, **PIPELINES[pipeline]})
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
    aims = await questions.working(fault.pipeline, fault.only, 9 * most if fault.rare else most + most // 3)
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


async def control(bench: Bench, questions: Questions, found: Found, most: int) -> None:
    """Note what the autopsy says of questions that work and of those that fail, where nothing was broken."""
    sound = await questions.working("default", lambda example: True, most)
    platform = await bench.break_(Fault(name="none", stage="", what=""), [])
    subject = Examined(platform, bench.sources)
    found.sound = [await examined(subject, one) for one in sound]
    found.failing = [await examined(subject, one) for one in questions.failing("default")[: 3 * most]]
    await subject.close()
    await platform.close()


async def main() -> None:
    halves = "half of the documents to report: test (the default) or dev"
    options = common.arguments(__doc__, half=halves, only="names of faults, by comma")
    chosen = [one for one in FAULTS if not options.only or one.name in options.only.split(",")]
    most, documents = (2, QUICK) if options.quick else (MOST, DOCUMENTS)
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary), common.shared(options), documents)
        await bench.filled(bench.home)
        questions = Questions(bench, options.half or "test")
        found = Found(questions.all, bench.files)
        for fault in chosen:
            found.trials.append(await trial(bench, questions, fault, most))
            one = found.trials[-1]
            print(
                f"{fault.name:18} tried {one.tried:4} broken {len(one.named):4} right {one.right:4}",
                flush=True,
            )
        if not options.quick and not options.only:
            found.pairs = [await trial(bench, questions, pair, most // 2) for pair in PAIRS]
            found.apart = [await trial(bench, questions, fault, most // 2) for fault in APART]
        await control(bench, questions, found, most)
        await bench.close()
    print("\n" + confusion(found.trials) + "\n")
    if options.quick or options.only or options.no_save or options.half == "dev":
        print("" if options.quick else told(found))
    else:
        (common.ROOT / "docs" / "attribution.md").write_text(told(found), encoding="utf-8")
    finish(options, found)


def finish(options: Any, found: Found) -> None:
    """Write the result and print the last line."""
    low, high = common.wilson(found.right, found.broken)
    least, share = (QUICK_LEAST, QUICK_SHARE) if options.quick else (LEAST, SHARE)
    fewest = min(len(one.named) for one in found.trials)
    figures = [
        Figure("attributed", found.right / max(found.broken, 1), f">= {share}",
               found.right >= share * found.broken > 0),
        Figure("low", low), Figure("high", high), Figure("broken", found.broken),
        Figure("faults", len(found.trials), ">= 9", len(found.trials) >= 9),
        Figure("fewest", fewest, f">= {least}", fewest >= least),
        Figure("sound", sum(not said for said in found.sound) / max(len(found.sound), 1), "1", not any(found.sound)),
    ]  # fmt: skip
    by_fault = {
        one.fault.name: {
            "stage": one.fault.stage, "pipeline": one.fault.pipeline, "tried": one.tried,
            "broken": len(one.named), "right": one.right,
            "named": Counter(called(stages) for _, stages in one.named),
            "sets": Counter(example.tags[0] for example, _ in one.named),
        }
        for one in (*found.trials, *found.pairs, *found.apart)
    }  # fmt: skip
    without = Counter(map(called, found.failing))
    common.finish("attribution", figures, options, by_fault=by_fault, without_a_fault=without)


if __name__ == "__main__":
    common.run(main)
