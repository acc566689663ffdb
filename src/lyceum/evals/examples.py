"""Files to examples and back: BEIR folders, lines of JSON, CSV, RAGAS rows, judged answers; knows no home.

Nothing is left out in silence: what cannot be read is an InvalidInput that names file and line, and what no metric
can judge is counted by `remarks`. The names of fields are those of Lyceum's own lines, and the usual others.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from lyceum.core.types import EVERYONE, Example, Gold, Message
from lyceum.evals import beir
from lyceum.evals.beir import Row, bad

NAMES = {
    "id": ("id", "_id", "question_id"),
    "question": ("question", "user_input", "query", "text", "问题"),
    "answers": ("answers", "answer", "reference", "ground_truth", "expected_answer", "答案"),
    "gold": ("gold",),
    "document": ("document", "source", "file", "reference_context_ids", "文档", "文件"),
    "page": ("page", "页码"),
    "evidence": ("evidence", "passage", "gold_text", "quote", "证据"),
    "tags": ("tags", "tag", "标签"),
    **{name: (name,) for name in ("answerable", "half", "group", "history", "readers", "meta")},
}  # fmt: skip
KNOWN = {other: name for name, others in NAMES.items() for other in others}
ROLES: Mapping[str, Literal["system", "user", "assistant", "tool"]] = {
    "user": "user", "human": "user", "assistant": "assistant", "agent": "assistant", "ai": "assistant",
    "system": "system", "tool": "tool",
}  # fmt: skip
_examples = TypeAdapter(Example)


def half(group: str) -> Literal["dev", "test"]:
    """Return "dev" or "test" by a bit of the SHA-256 of a group's name."""
    return "test" if hashlib.sha256(group.encode()).digest()[0] & 1 else "dev"


def read(path: Path) -> list[Example]:
    """Return the examples of a folder (BEIR), of a CSV file, or of lines of JSON; each id stands once."""
    rows = beir.rows if path.is_dir() else _csv if path.suffix == ".csv" else beir.json_rows
    made: dict[str, Example] = {}
    for where, row in rows(path):
        one = _judged(where, row) if "citations" in row else example(where, row)
        if one.id in made:
            raise bad(where, f"the id {one.id!r} stands there twice", "Give each question an id of its own.")
        made[one.id] = one
    if not made:
        raise bad(str(path), "it holds no question", "Each line asks one.")
    return list(made.values())


def write(path: Path, examples: Iterable[Example]) -> None:
    """Write a line of JSON an example, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".draft")
    draft.write_text("".join(map(line, examples)), encoding="utf-8")
    draft.replace(path)


def line(one: Example) -> str:
    """Return an example as a line of JSON without what is as usual; `read` gives the same example back."""
    usual = Example(id="-", question="-", half=one.half)
    told = json.loads(_examples.dump_json(one))
    empty = {"text": "", "page": None, "grade": 1.0}
    told["gold"] = [
        {key: value for key, value in gold.items() if key not in empty or value != empty[key]}
        for gold in told["gold"]
    ]
    kept = {
        field.name: told[field.name]
        for field in fields(Example)
        if field.name in ("question", "half") or getattr(one, field.name) != getattr(usual, field.name)
    }
    state = {"state": one.meta["state"]} if "state" in one.meta else {}
    kept |= {"readers": sorted(one.readers)} if "readers" in kept else {}
    return json.dumps({**state, **kept}, ensure_ascii=False) + "\n"


def remarks(examples: Sequence[Example]) -> list[str]:
    """Return what a reader of the results must know: how many questions which metric will leave out, and why."""
    asked = [one for one in examples if one.answerable]
    states = Counter(one.meta["state"] for one in examples if one.meta.get("state", "accepted") != "accepted")
    counted = (
        (sum(not one.gold for one in asked), "are answerable and name no gold document: no retrieval metric"),
        (sum(not one.answers for one in asked), "are answerable without gold answer: no answer is judged"),
        (states["dropped"], "were dropped in a review: write the accepted ones apart"),
        (states["open"], "were not reviewed yet"),
    )
    return [f"{number} of {len(examples)} questions {said}." for number, said in counted if number]


def judged(
    told: Mapping[str, Any], *, good: bool, answer: str = "", readers: frozenset[str] = frozenset({EVERYONE})
) -> Example:
    """Return the example that a judged answer (the object of `lyceum ask --json`) makes.

    A good answer gives its short answer, else what it quotes first, and its citations as gold; a good refusal a
    question without answer. A bad one keeps its question and `answer`, the right one, if it was said.
    """
    cited = told.get("citations") or []
    refused = bool(told.get("abstained"))
    texts = [one["quote"][slice(*one["span"])] if one.get("span") else one["quote"] for one in cited]
    right = answer or (texts[0] if good and texts else "")
    gold = [Gold(document=one["source"], page=one.get("page"), text=one["quote"]) for one in cited]
    return Example(
        id=str(told.get("trace_id") or hashlib.sha256(told["question"].encode()).hexdigest()[:16]),
        question=told["question"], answers=((right,),) if right else (), gold=tuple(gold) if good else (),
        answerable=not (good and refused), half=half(told["question"]), readers=readers,
        tags=("production", "good" if good else "bad"),
        meta={"said": told.get("answer", ""), "state": "accepted" if good or right else "open"},
    )  # fmt: skip


def _judged(where: str, row: Row) -> Example:
    if row.get("thumb") not in ("good", "bad") or not str(row.get("question") or "").strip():
        hint = 'Add "question", and "thumb": "good" or "bad", or use `lyceum eval take`.'
        raise bad(where, "an answer that nobody has judged is no example", hint)
    return judged(row, good=row["thumb"] == "good", answer=str(row.get("right") or ""))


def example(where: str, row: Row) -> Example:
    """Return a row as an example; `where` names file and line in errors."""
    told: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for key, value in row.items():
        name = KNOWN.get(key.strip().lower().replace(" ", "_"))
        if name is None or told.get(name):
            rest[key] = value
        elif value not in (None, ""):
            told[name] = value
    question, history = _asked(where, told.get("question"), told.get("history") or ())
    gold = _gold(where, told)
    tags = tuple(_split(told.get("tags")))
    number = where.rpartition(" ")[2]
    meta = {**rest, **(told.get("meta") or {})}
    readers = frozenset(_split(told.get("readers"))) or frozenset({EVERYONE})
    return Example(
        id=str(told.get("id") or f"line-{number}"), question=question, gold=gold, tags=tags, history=history,
        answers=_answers(where, told.get("answers")),
        answerable=_truth(told.get("answerable", "unanswerable" not in tags)),
        half=_half(where, told, gold), meta=meta, readers=readers,
    )  # fmt: skip


def _csv(file: Path) -> Iterator[tuple[str, Row]]:
    reader = csv.DictReader(io.StringIO(beir.text(file), newline=""))
    if not any(KNOWN.get(name.strip().lower()) == "question" for name in reader.fieldnames or ()):
        names = ", ".join(NAMES["question"])
        raise bad(f"{file}, line 1", "no column is named question", f"Use one of {names}.")
    for row in reader:
        where = f"{file}, line {reader.line_num}"
        if None in row or None in row.values():
            raise bad(where, "it has not as many cells as the first line", "Put quotes around commas.")
        yield where, {key: value.strip() for key, value in row.items()}


def _asked(where: str, asked: Any, before: Sequence[Any]) -> tuple[str, tuple[Message, ...]]:
    """Return the question and the turns before it; RAGAS gives a conversation as one list."""
    if isinstance(asked, list):
        asked, before = asked[-1:], asked[:-1]
        asked = asked[0].get("content") if asked and isinstance(asked[0], dict) else None
    if not isinstance(asked, str) or not asked.strip():
        raise bad(where, "it asks nothing", "Give a question, or drop the line.")
    try:
        turns = [
            Message(role=ROLES[one.get("role") or one["type"]], content=one.get("content") or one["text"])
            for one in before
        ]
    except (KeyError, AttributeError, TypeError) as problem:
        hint = 'A turn is {"role": "user" or "assistant", "content": …}.'
        raise bad(where, f"its history cannot be read ({problem})", hint) from problem
    return asked.strip(), tuple(turns)


def _answers(where: str, told: Any) -> tuple[tuple[str, ...], ...]:
    """Return parts of spellings: "a | b" and ["a", "b"] are spellings, [["a"], ["b"]] parts."""
    if told is None or told == []:
        return ()
    if not isinstance(told, list):
        told = _split(told, " | ")
    parts = told if isinstance(told[0], list) else [told]
    if not all(isinstance(part, list) and part and all(str(one).strip() for one in part) for part in parts):
        raise bad(where, f"answers {told!r} are no parts of spellings", 'Write [["7 years", "seven years"]].')
    return tuple(tuple(str(one) for one in part) for part in parts)


def _gold(where: str, told: Row) -> tuple[Gold, ...]:
    """Return gold places: {"document", "page", "text" or "evidence"}, names, or the columns of a table."""
    rows = told.get("gold") or [
        {"document": name, "page": page, "text": told.get("evidence", "")}
        for name, page in zip_longest(_split(told.get("document"), "|"), _split(told.get("page"), "|"))
    ]
    try:
        return tuple(
            Gold(
                document=_named(row["document"]), page=int(row["page"]) if row.get("page") else None,
                text=row.get("text") or row.get("evidence") or "", grade=float(row.get("grade", 1)),
            )
            for row in ({"document": row} if isinstance(row, str) else row for row in rows)
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        hint = 'Gold is [{"document": "name.pdf", "page": 3, "text": "…"}].'
        raise bad(where, f"its gold cannot be read ({problem!r})", hint) from problem


def _named(document: Any) -> str:
    if not isinstance(document, str) or not document.strip():
        raise ValueError("a place without a document")
    return document.strip()


def _half(where: str, told: Row, gold: Sequence[Gold]) -> Literal["dev", "test"]:
    given = told.get("half")
    if given == "dev" or given == "test":
        return given  # type: ignore[no-any-return]
    if given:
        raise bad(where, f"{given!r} is no half", "Write dev or test.")
    return half(str(told.get("group") or (gold[0].document if gold else told.get("id") or told["question"])))


def _split(told: Any, mark: str = ",") -> list[str]:
    """Return "a, b" as a list, a list as it is."""
    found = told if isinstance(told, list) else str("" if told is None else told).split(mark)
    return [str(one).strip() for one in found if str(one).strip()]


def _truth(told: Any) -> bool:
    return str(told).strip().lower() not in ("false", "0", "no", "否")
