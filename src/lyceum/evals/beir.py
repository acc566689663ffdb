"""A folder with queries, qrels and a corpus, as BEIR lays them out, to plain rows; knows no Example.

The rows carry what the sets of this layout say in `metadata`: where the answer stands (supporting facts, selected
sentences, references, evidence, the start of a span), the group that must not be split between halves, the scale
that belongs to a number, and whether all values are needed.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from lyceum.core.errors import InvalidInput
from lyceum.core.text import sentences, squeeze

Row = dict[str, Any]
SCALES = {"thousand": 3, "million": 6, "billion": 9}
# What keeps near-duplicates on one half, the best first; asked of the question, then of its first gold document.
GROUPS = ("article", "group", "table", "doc", "doc_id")
TAGS = ("type", "answer_type", "answer_from", "where", "answerability", "question_type", "kind")
HEADER = "query-id\tcorpus-id\tscore"


def bad(where: str, said: str, hint: str) -> InvalidInput:
    """Return the error for what stands in a line of a file."""
    return InvalidInput(f"{where}: {said}.", hint=hint, code="examples")


def text(file: Path) -> str:
    """Return what a file holds; it may be packed."""
    try:
        data = file.read_bytes()
        return (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, ValueError) as problem:
        raise bad(str(file), f"it cannot be read: {problem}", "Save it as UTF-8 text.") from problem


def lines(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a file that are not empty, each with where it stands."""
    for number, line in enumerate(text(file).split("\n"), start=1):
        if line.strip():
            yield f"{file}, line {number}", line.rstrip("\r")


def json_rows(file: Path) -> Iterator[tuple[str, Row]]:
    """Yield each line's object with where it stands."""
    for where, line in lines(file):
        try:
            row = json.loads(line)
        except ValueError as problem:
            raise bad(where, f"no JSON ({problem})", "Each line is one object.") from problem
        if not isinstance(row, dict):
            raise bad(where, "no JSON object", "Each line is one object.")
        yield where, row


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    """Yield the questions of a folder in the order of queries.jsonl."""
    asked = folder / "queries.jsonl"
    if not asked.is_file():
        raise bad(str(folder), "holds no queries.jsonl", "Name a folder with queries.jsonl and qrels.tsv.")
    corpus = _corpus(folder)
    questions = list(json_rows(asked))
    for where, row in questions:
        if not {"_id", "text"} <= row.keys():
            raise bad(where, 'a question has "_id" and "text"', "Correct the line.")
    gold, halves = _qrels(folder, corpus, {str(row["_id"]) for _, row in questions})
    for where, row in questions:
        name = str(row["_id"])
        yield where, {**_row(row, gold[name], corpus or {}), **halves.get(name, {})}


def _corpus(folder: Path) -> dict[str, Row] | None:
    """Return the documents by name, None where the folder has no corpus."""
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        if (folder / name).is_file():
            return {str(row.get("_id", "")): row for _, row in json_rows(folder / name)}
    return None


def _qrels(
    folder: Path, corpus: Mapping[str, Row] | None, asked: set[str]
) -> tuple[dict[str, dict[str, float]], dict[str, Row]]:
    """Return grades by question and document, and the half of a question where files are named by halves."""
    gold: dict[str, dict[str, float]] = defaultdict(dict)
    halves: dict[str, Row] = {}
    drop = "Add it, or drop the line."
    for file in (folder / "qrels.tsv", *sorted((folder / "qrels").glob("*.tsv"))):
        for where, line in lines(file) if file.is_file() else ():
            if line == HEADER:
                continue
            question, document, grade = _judgement(where, line)
            if question not in asked:
                raise bad(where, f"the question {question!r} is not in queries.jsonl", drop)
            if corpus is not None and document not in corpus:
                raise bad(where, f"the document {document!r} is not in the corpus", drop)
            if grade > 0:
                gold[question][document] = grade
            if file.stem in ("dev", "test"):
                halves[question] = {"half": file.stem}
    return gold, halves


def _judgement(where: str, line: str) -> tuple[str, str, float]:
    try:
        question, document, grade = line.split("\t")
        return question, document, float(grade)
    except ValueError as problem:
        hint = "Each line is question, document and grade, with tabs between."
        raise bad(where, f"no judgement in {line!r}", hint) from problem


def _row(row: Row, grades: Mapping[str, float], corpus: Mapping[str, Row]) -> Row:
    told: Row = row.get("metadata") or {}
    answers = [str(one) for one in row.get("answers") or ()]
    answerable = told.get("answerable", True) is not False
    # A refusal or a question back is no answer that a text could hold: it is kept as `reply`.
    reply = not answerable or told.get("answerability") == "UNDERSPECIFIED"
    return {
        "id": row["_id"],
        "question": row["text"],
        "answers": [] if reply else _answers(answers, told),
        "gold": [
            {"document": name, "grade": grade, **words}
            for name, grade in grades.items()
            for words in _words(name, corpus.get(name, {}), told, answers) or [{}]
        ],
        "answerable": answerable,
        "tags": [str(one) for key in TAGS for one in _listed(told.get(key))],
        "group": _group(row, told, corpus, grades),
        "history": told.get("history") or [],
        "meta": {
            **{key: value for key, value in told.items() if key not in ("history", "answerable")},
            **({"reply": answers} if reply and answers else {}),
        },
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _group(row: Row, told: Row, corpus: Mapping[str, Row], grades: Mapping[str, float]) -> str:
    if "history" in told or "user_turns" in told:  # turns of one conversation
        return str(row["_id"]).rpartition("_")[0] or str(row["_id"])
    name = next(iter(grades), str(told.get("context_id", "")))
    near = corpus.get(name, {})
    pairs = ((one.get(key), key) for one in (told, near.get("metadata") or {}) for key in GROUPS)
    known = [value for value, _ in pairs if value not in (None, "")]
    return str([*known, near.get("title") or name or row["_id"]][0])


def _answers(answers: list[str], told: Row) -> list[list[str]]:
    """Return parts that are all needed, each with its spellings."""
    if parts := told.get("answer_parts"):
        return [[str(one) for one in _listed(part)] for part in parts]
    scale = told.get("scale") or ""
    if told.get("answer_mode") == "set" or told.get("answer_type") == "multi-span" or "spans" in told:
        return [spellings(one, scale) for one in answers]
    return [[spelling for one in answers for spelling in spellings(one, scale)]] if answers else []


def spellings(answer: str, scale: str) -> list[str]:
    """Return how a number with its scale may be written: "12.5 million", "12,500,000"; other answers stay."""
    sign = answer.strip()[:1] if answer.strip()[:1] in "$€£¥" else ""
    bare = answer.strip().strip("$€£¥%").replace(",", "").strip()
    try:
        number = Decimal(bare)
    except InvalidOperation:
        return [answer]
    plain = answer.strip().strip("%").strip()
    if scale == "percent":
        return [f"{plain}%", f"{plain} %", f"{plain} percent"]
    if scale not in SCALES:
        return [answer]
    whole = number.scaleb(SCALES[scale]).normalize()
    made = [f"{plain} {scale}", f"{bare} {scale}", f"{sign}{whole:,f}", f"{sign}{whole:f}"]
    return list(dict.fromkeys(made))


def _words(name: str, document: Row, told: Row, answers: Sequence[str]) -> list[Row]:
    """Return the words of a gold document that hold the answer, as far as the set knows them."""
    held, meta = str(document.get("text", "")), document.get("metadata") or {}
    if "evidence" in told:
        pages = [one for one in told["evidence"] if name == f"{told.get('doc')}-p{one['page0']}"]
        return [{"text": one["text"], "page": one["page0"] + 1} for one in pages]
    if "supporting_facts" in told:
        here = [number for title, number in told["supporting_facts"] if title == document.get("title")]
        return [{"text": one} for number in here for one in meta.get("sentences", [])[number : number + 1]]
    if "selected_sentences" in told:
        return [{"text": one} for one in next(iter(told["selected_sentences"]), [])]
    if "references" in told:
        return [{"text": one} for one in told["references"] if squeeze(one) in squeeze(held)]
    return _standing(held, answers, told.get("answer_starts") or (), by_line="rows" in meta)


def _standing(held: str, answers: Sequence[str], starts: Sequence[int], *, by_line: bool) -> list[Row]:
    """Return the sentence or table row with the answer: where the set points, or where it stands only once."""
    marked = [start for start in starts[:1] if answers and held.startswith(answers[0], start)]
    if not marked:
        once = [one for one in answers if held.count(one) == 1 and len(one) > 1]
        marked = [held.index(one) for one in once[:1]]
    if not marked:
        return []
    (start,) = marked
    if by_line:
        return [{"text": held[held.rfind("\n", 0, start) + 1 :].partition("\n")[0]}]
    return [{"text": held[left:right]} for left, right in sentences(held) if left <= start < right]
