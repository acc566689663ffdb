"""The second collection of the benches: every gold passage and answer stands in its document, as Lyceum reads it."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from functools import lru_cache
from pathlib import Path

from lyceum.core.types import Document
from lyceum.evals.text_metrics import holds
from lyceum.ingest.media import PARSERS, detect

SECOND = Path(__file__).parents[2] / "bench" / "second"
ROWS = [json.loads(line) for line in (SECOND / "questions.jsonl").read_text("utf-8").splitlines()]


def squashed(text: str) -> str:
    return re.sub(r"[\s|\\*]+", "", text)


@lru_cache
def text(name: str) -> str:
    """Return a document's whole text, as Lyceum reads it."""
    data = (SECOND / "documents" / name).read_bytes()
    media = detect(data, name)
    module, _, function = PARSERS[media].partition(":")
    parse = getattr(importlib.import_module(module), function)
    pages = parse(data, Document(id="d", source=name, version="1", media=media))
    return squashed("".join(element.text for page in pages for element in page.elements))


def test_every_gold_answer_stands_in_its_document() -> None:
    for row in ROWS:
        told = " \n ".join(gold.get("evidence", "") for gold in row["gold"])
        for part in row["answers"]:
            assert any(holds(told, one) for one in part), row
        for gold in row["gold"]:
            assert squashed(gold.get("evidence", "")) in text(gold["document"]), (row["id"], gold)
        assert bool(row["answers"]) == ("unanswerable" not in row["tags"])


def test_names_and_questions_are_unique_and_the_halves_alike() -> None:
    assert len({row["id"] for row in ROWS}) == len({row["question"] for row in ROWS}) == len(ROWS)
    odd = sum(hashlib.sha256(row["id"].encode()).digest()[0] & 1 for row in ROWS)
    assert abs(odd / len(ROWS) - 0.5) < 0.06
