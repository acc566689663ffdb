"""Does the autopsy find the stage that was broken? Faults are put into working pipelines, and it is asked.

Questions of three sets over real PDF and HTML files (`rendered.py`) are asked in a healthy pipeline; those that it
answers right, with the evidence cited, are asked again in the same pipeline with one fault (`broken.py`). Those that
fail now go to the autopsy, with the broken pipeline, the files and the gold: `examined` gets nothing else, neither the
healthy pipeline nor its output nor the fault's name. Which stage is right was set down beside each fault before
anything was run. Faults are developed on one half of the documents; what is reported comes from the other.
Controls: questions that work must be called sound; those that fail without a fault are told by stage.

    python bench/attribution.py [--quick] [--half dev] [--only FAULT]
"""

from __future__ import annotations

import shutil
import sys
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
from broken import FAULTS, PIPELINES, Fault, Wrapped
from common import Figure

from lyceum import wire
from lyceum.core.types import Answer, Example, Query
from lyceum.evals.metrics import correct, holds
from lyceum.ingest.pipeline import jobs
from lyceum.wire import Platform

DOCUMENTS = {"squad_en": 40, "cmrc2018_zh": 30, "wikitablequestions_en": 98, "tatqa_en": 150}
QUICK = {"squad_en": 8, "cmrc2018_zh": 6, "wikitablequestions_en": 16}
LEAST, SHARE = 60, 0.95


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
        plain = wire.build({}, folder / "unused", replace={"encoder": self.encoder})
        self.reader, self.splitter = ReadOnce(plain.ingest.reader), plain.splitter
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

    async def filled(self, home: Path, parts: Mapping[str, Any] | None = None) -> None:
        """Ingest every file into a home."""
        home.mkdir()
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
