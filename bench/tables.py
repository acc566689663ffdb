"""Computing over tables without a language model: WikiTableQuestions and TAT-QA, test halves (by question id).

With the gold table given: denotation accuracy of the first plan of the rules, as the official evaluator compares
(Pasupat and Liang 2015: normalised strings, numbers, sets of values; besides, thousands separators do not count),
and of TAT-QA by kind (a number is right within .01; its scale is counted apart). "Chosen" are the answers whose
estimated probability reaches the shipped threshold. Citations: the numbers of the derivation that the set gives
stand in the rows that are cited, of the sums that are right. End to end: both corpora in a home each, the shipped
retrieval, the shipped answerer with and without `answer.computed` around it, right by `lyceum eval`'s "correct".
Rules and weights were made on the development halves; the wording of the first 60 arithmetic questions of TAT-QA, of
both halves, was seen while they were made.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import common
import examples
from common import Figure

from lyceum import wire
from lyceum.answer.computed import Computation, computations
from lyceum.answer.table_cells import number
from lyceum.answer.table_sheet import Sheet, sheet
from lyceum.app import corpora, session, settings
from lyceum.core.types import Document, Element, Hit, Query, Table
from lyceum.evals.examples import half, read
from lyceum.evals.metrics import correct
from lyceum.ingest.splitter import Structured
from lyceum.search.analyzer import Standard

WIKI, TAT = "wikitablequestions_en", "tatqa_en"
THRESHOLD = 0.5
COMPUTED = {"kind": "answer.computed", "answerer": {"kind": "answer.extractive"}}
Row = dict[str, Any]


def sheet_of(name: str, title: str, rows: Sequence[Sequence[str]]) -> Sheet | None:
    """Return rows as the sheet that comes of a table element through the shipped splitter."""
    width = max(map(len, rows))
    table = Table(rows=tuple((*row, *[""] * (width - len(row))) for row in rows))
    document = Document(id=name, source=name, version="1", title=title)
    chunks = Structured()(document, [Element(doc_id=name, kind="table", text="", table=table)])
    return sheet(chunks, Hit(chunk=chunks[0], document=document, score=1.0))


def wiki_sheets(folder: Path) -> dict[str, Sheet | None]:
    """Return the tables of WikiTableQuestions by name."""
    made = {}
    for row in common.dataset(folder, WIKI).corpus:
        with (folder / "data" / WIKI / row["metadata"]["csv"]).open(encoding="utf-8", newline="") as file:
            made[row["_id"]] = sheet_of(row["_id"], row["title"], list(csv.reader(file)))
    return made


def tat_sheets(folder: Path) -> dict[str, Sheet | None]:
    """Return the tables of TAT-QA by their group."""
    rows = common.dataset(folder, TAT).corpus
    tables = [row for row in rows if row["metadata"]["kind"] == "table"]
    return {row["metadata"]["group"]: sheet_of(row["_id"], "", row["metadata"]["rows"]) for row in tables}


def questions(folder: Path, name: str, wanted: str) -> list[Row]:
    """Return the questions of one half."""
    lines = (folder / "data" / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if half(row["_id"]) == wanted]


def normal(text: str) -> str:
    """Return a string as the official evaluator of WikiTableQuestions normalises it."""
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) != "Mn")
    text = re.sub("[‘’´`]", "'", re.sub("[“”]", '"', re.sub("[‐‑‒–—−]", "-", text)))
    before = None
    while text != before:
        before = text
        text = re.sub(r"((?<!^)\[[^\]]*\]|\[\d+\]|[•♦†‡*#+])*$", "", text.strip())
        text = re.sub(r"(?<!^)( \([^)]*\))*$", "", text.strip())
        text = re.sub(r'^"([^"]*)"$', r"\1", text.strip())
    return re.sub(r"\s+", " ", text.removesuffix(".")).lower().strip()


def denoted(text: str) -> str:
    """Return a value by which two spellings of it are equal: a number, else the normalised string."""
    try:
        return f"#{float(text.replace(',', '')):.6f}"
    except ValueError:
        return normal(text)


def denotes(values: Sequence[str], answers: Sequence[str]) -> bool:
    """Say whether values are the answers, as sets."""
    return {denoted(one) for one in values} == {denoted(one) for one in answers}


def equals(values: Sequence[str], answers: Sequence[str]) -> bool:
    """Say whether values are TAT-QA's answers: each a number within .01, or the same words."""

    def same(value: str, answer: str) -> bool:
        one, two = number(value), number(answer)
        close = one is not None and two is not None and abs(round(one, 2) - two) <= 0.011
        return value.strip().lower() == answer.strip().lower() or close

    return len(values) == len(answers) and all(any(same(v, a) for v in values) for a in answers)


def best(question: str, table: Sheet | None) -> Computation | None:
    """Return the surest computation over the gold table."""
    made = computations(question, table, Standard()) if table else []
    return max(made, key=lambda one: one.sure, default=None)


def cited(row: Row, one: Computation) -> bool | None:
    """Say whether the numbers of the derivation stand in the rows that a computation would cite."""
    wanted = [
        n
        for text in re.findall(r"\d[\d,]*(?:\.\d+)?", row["metadata"]["derivation"])
        if (n := number(text)) is not None
    ]
    held = {
        abs(n) for at in one.result.rows for cell in one.sheet.lines[at].cells
        for text in re.findall(r"\d[\d,]*(?:\.\d+)?", cell) if (n := number(text)) is not None
    }  # fmt: skip
    wanted = [n for n in wanted if n not in (100.0, float(len(one.result.rows))) and n > 9]
    return all(n in held for n in wanted) if wanted else None


def tally(name: str, rows: Sequence[tuple[str, Computation | None, bool]]) -> tuple[float, float, float]:
    """Print accuracy, and how often it is right where it chooses to answer; return the three shares."""
    right = sum(good for _, _, good in rows)
    chosen = [good for _, one, good in rows if one and one.sure >= THRESHOLD]
    low, high = common.wilson(right, len(rows))
    precision = sum(chosen) / max(len(chosen), 1)
    print(
        f"{name}: right {right} of {len(rows)} = {right / len(rows):.3f} [{low:.3f}, {high:.3f}]; chosen"
        f" {len(chosen)} = {len(chosen) / len(rows):.3f}, right of those {precision:.3f}"
    )
    kinds = Counter(kind for kind, _, _ in rows)
    for kind, count in sorted(kinds.items()):
        mine = [(one, good) for k, one, good in rows if k == kind]
        told = [good for one, good in mine if one and one.sure >= THRESHOLD]
        print(
            f"    {kind:24} n {count:4} right {sum(g for _, g in mine):4} chosen {len(told):4} right {sum(told):4}"
        )
    return right / len(rows), len(chosen) / len(rows), precision


def wiki(folder: Path, wanted: str) -> Iterator[Figure]:
    """Denotation accuracy with the gold table given."""
    sheets = wiki_sheets(folder)
    rows = []
    for row in questions(folder, WIKI, wanted):
        one = best(row["text"], sheets[row["metadata"]["table"]])
        rows.append(
            (one.plan.shape if one else "none", one, bool(one and denotes(one.result.values, row["answers"])))
        )
    right, chosen, precision = tally(WIKI, rows)
    yield Figure("wiki_accuracy", right, ">= .20", right >= 0.20)
    yield Figure("wiki_chosen", chosen)
    yield Figure("wiki_precision", precision)


def tat(folder: Path, wanted: str) -> Iterator[Figure]:
    """Numeric and other answers of TAT-QA with the gold table given, by kind, and what the citations hold."""
    sheets = tat_sheets(folder)
    rows, quotes, scales = [], [], []
    for row in questions(folder, TAT, wanted):
        told = row["metadata"]
        one = best(row["text"], sheets.get(told["group"]))
        good = bool(one and equals(one.result.values, row["answers"]))
        rows.append((f"{told['answer_type']}, {told['answer_from']}", one, good))
        if good and one and told["answer_type"] == "arithmetic":
            quotes.append(cited(row, one))
            scales.append((one.plan.unit.replace("none", "") or one.sheet.scale) == told["scale"])
    tally(TAT, rows)
    sums = [(kind, one, good) for kind, one, good in rows if kind.startswith("arithmetic")]
    right, _, precision = tally("tatqa_en, arithmetic", sums)
    known = [one for one in quotes if one is not None]
    yield Figure("tat_arithmetic", right)
    yield Figure("tat_arithmetic_precision", precision)
    yield Figure("tat_scale", sum(scales) / max(len(scales), 1))
    yield Figure(
        "tat_cells_cited", sum(known) / max(len(known), 1), ">= .95", sum(known) >= 0.95 * len(known)
    )


async def end_to_end(folder: Path, name: str, wanted: str) -> Iterator[Figure]:
    """Right with and without computing, over the whole corpus."""
    base = folder / "data" / name
    asked = [one for one in read(base) if half(one.id) == wanted]
    rows = {row["_id"]: row for row in common.dataset(folder, name).corpus}
    with tempfile.TemporaryDirectory() as home:
        async with session.opened(settings.load(home, {})) as platform:
            batch = [corpora.read(key, row) for key, row in rows.items()]
            await platform.store.put(
                [(document, made, platform.splitter(document, made)) for document, made in batch]
            )
            other = wire.builder(platform)({"answerer": COMPUTED})
            scores, own = [], []
            for one in asked:
                plain = await platform.answerer(Query(text=one.question))
                with_sums = await other(Query(text=one.question))
                scores.append(((correct(one, plain).value or 0.0), (correct(one, with_sums).value or 0.0)))
                own.append(plain.text != with_sums.text)
    before, after = (sum(pair[n] for pair in scores) / len(scores) for n in (0, 1))
    mean, low, high = common.interval([[b - a for a, b in scores]])
    won, lost = (sum(sign * (b - a) > 0 for a, b in scores) for sign in (1, -1))
    print(
        f"{name} end to end, {wanted}: {before:.3f} -> {after:.3f}, {mean:+.3f} [{low:+.3f}, {high:+.3f}]; computed"
        f" {sum(own)} of {len(scores)}, won {won}, lost {lost}"
    )
    return iter(
        [
            Figure(f"{name[:4]}_plain", before),
            Figure(f"{name[:4]}_computed", after),
            Figure(f"{name[:4]}_gain", mean),
        ]
    )


async def on_examples(wanted: str) -> Iterator[Figure]:
    """The project's own example questions with and without computing."""
    rows = [row for row in examples.questions() if row["half"] == wanted]
    with tempfile.TemporaryDirectory() as home:
        async with session.opened(settings.load(home, {})) as platform:
            await platform.ingest(examples.jobs([examples.EXAMPLES / "documents"]))
            other = wire.builder(platform)({"answerer": COMPUTED})
            plain = [await platform.answerer(Query(text=row["question"])) for row in rows]
            sums = [await other(Query(text=row["question"])) for row in rows]
    good = [
        [examples.right(row, one) for row, one in zip(rows, found, strict=True)] for found in (plain, sums)
    ]
    for row, one, two, a, b in zip(rows, plain, sums, *good, strict=True):
        if one.text != two.text:
            print(f"    {a:d}{b:d} {row['question']} {row['answers']} | {two.text[:150]!r}")
    before, after = (sum(part) / len(part) for part in good)
    print(f"examples, {wanted}: {before:.3f} -> {after:.3f}")
    return iter([Figure("examples_plain", before), Figure("examples_computed", after)])


async def main() -> None:
    options = common.arguments(__doc__, half="dev or test (test)")
    folder, wanted = common.shared(options), options.half or "test"
    figures = [*wiki(folder, wanted), *tat(folder, wanted)]
    if not options.quick:
        for name in (WIKI, TAT):
            figures += await end_to_end(folder, name, wanted)
        figures += await on_examples(wanted)
    options.no_save |= wanted != "test"
    common.finish("tables", figures, options)


if __name__ == "__main__":
    common.run(main)
