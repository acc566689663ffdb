"""Files to examples: folders as BEIR lays them out, and lines of JSON as Lyceum writes them."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from lyceum.core.types import Example, Gold

_examples = TypeAdapter(Example)


def half(group: str) -> Literal["dev", "test"]:
    """Return "dev" or "test" by a bit of the SHA-256 of a group's name."""
    return "test" if hashlib.sha256(group.encode()).digest()[0] & 1 else "dev"


def read(path: Path) -> list[Example]:
    """Return the examples of a folder (BEIR) or of a file of examples."""
    return _beir(path) if path.is_dir() else _lines(path)


def _lines(file: Path) -> list[Example]:
    return [_examples.validate_json(row) for row in file.read_text(encoding="utf-8").splitlines() if row]


def _beir(folder: Path) -> list[Example]:
    gold: dict[str, list[Gold]] = defaultdict(list)
    with (folder / "qrels.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if float(row["score"]) > 0:
                gold[row["query-id"]].append(Gold(document=row["corpus-id"], grade=float(row["score"])))
    made = []
    for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        told = row.get("metadata", {})
        made.append(
            Example(
                id=row["_id"], question=row["text"], gold=tuple(gold[row["_id"]]),
                answers=(tuple(row["answers"]),) if row.get("answers") else (),
                answerable=told.get("answerable", True),
                half=half(str(told.get("context_id", row["_id"]))), meta=told,
            )
        )  # fmt: skip
    return made
