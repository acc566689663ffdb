"""Computing over tables without a language model: WikiTableQuestions and TAT-QA, test halves (by question id).

With the gold table given: denotation accuracy of the first plan of the rules, as the official evaluator compares
(Pasupat and Liang 2015: normalised strings, numbers, sets of values; besides, thousands separators do not count),
and of TAT-QA by kind (a number is right within .01; its scale is counted apart). "Chosen" are the answers whose
estimated probability reaches the shipped threshold. Citations: the numbers of the derivation that the set gives
stand in the rows that are cited, of the sums that are right. End to end: both corpora in a home each, the shipped
retrieval, the shipped answerer with and without `answer.computed` around it (160 questions a set, and the project's
own example questions), right by `lyceum eval`'s "correct".
Rules and weights were made on the development halves; the wording of the first 60 arithmetic questions of TAT-QA, of
both halves, was seen while they were made.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import common
import examples
from common import Figure

from lyceum.answer.computed import Computation, Computed, computations
from lyceum.answer.table_cells import number
from lyceum.answer.table_sheet import Sheet, sheet
from lyceum.app import corpora, session, settings
from lyceum.core.types import Answer, Document, Element, Hit, Query, Table
from lyceum.evals.examples import half, read
from lyceum.evals.metrics import correct
from lyceum.ingest.splitter import Structured
from lyceum.search.analyzer import Standard

WIKI, TAT = "wikitablequestions_en", "tatqa_en"
THRESHOLD = 0.5
ASKED = 160  # questions of a set that are asked end to end
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


class Nobody:
    """Stands in for the wrapped answerer: it refuses, so that what was not computed is not paid for twice."""

    async def __call__(self, query: Query) -> Answer:
        return Answer(text="", abstained=True, reason="not computed")

    async def stream(self, query: Query) -> AsyncGenerator[str | Answer, None]:
        yield await self(query)


Pair = tuple[str, bool, bool, float]


async def paired(
    platform: Any, asked: Sequence[tuple[str, Callable[[Answer], bool]]], least: float
) -> list[Pair]:
    """Return question, right without and with computing, and how sure it was (0: the wrapped answerer's answer).

    The wrapped answerer is asked only where something was computed: elsewhere both are one.
    """
    retriever, ledger, analyzer = platform.retriever, platform.store.ledger, platform.parts["analyzer"]
    computed = Computed(Nobody(), retriever, ledger, analyzer, threshold=least)
    pairs = []
    for question, right in asked:
        own = await computed(Query(text=question))
        plain = own if own.abstained else await platform.answerer(Query(text=question))
        pairs.append((question, right(plain), right(own), 0.0 if own.abstained else own.confidence))
    return pairs


def gained(name: str, pairs: Sequence[Pair], threshold: float) -> Figure:
    """Print what computing wins and loses where it is sure enough; return the gain over all questions."""
    told = [pair for pair in pairs if pair[3] >= threshold]
    mean, low, high = common.interval([[(b - a) * (sure >= threshold) for _, a, b, sure in pairs]])
    won, lost = (sum(sign * (b - a) > 0 for _, a, b, _ in told) for sign in (1, -1))
    before, after = (sum(pair[n] for pair in told) for n in (1, 2))
    print(
        f"{name} end to end at {threshold}: computed {len(told)} of {len(pairs)}, right of those {before} ->"
        f" {after} (won {won}, lost {lost}); gain over all {mean:+.3f} [{low:+.3f}, {high:+.3f}]",
        flush=True,
    )
    return Figure(f"{name.split('_')[0]}_gain", mean)


async def over_set(folder: Path, name: str, wanted: str, most: int, least: float) -> list[Pair]:
    """Ask the first questions of a half (in the order of their hashes) over the whole corpus."""
    asked = sorted(read(folder / "data" / name), key=lambda one: hashlib.sha256(one.id.encode()).digest())
    chosen = [one for one in asked if half(one.id) == wanted][:most]
    rows = {row["_id"]: row for row in common.dataset(folder, name).corpus}
    with tempfile.TemporaryDirectory() as home:
        async with session.opened(settings.load(home, {})) as platform:
            batch = [corpora.read(key, row) for key, row in rows.items()]
            await platform.store.put([(one, made, platform.splitter(one, made)) for one, made in batch])
            questions = [
                (one.question, lambda answer, one=one: bool(correct(one, answer).value)) for one in chosen
            ]
            return await paired(platform, questions, least)


async def over_examples(wanted: str, least: float) -> list[Pair]:
    """Ask the project's own example questions."""
    rows = [row for row in examples.questions() if row["half"] == wanted]
    with tempfile.TemporaryDirectory() as home:
        async with session.opened(settings.load(home, {})) as platform:
            await platform.ingest(examples.jobs([examples.EXAMPLES / "documents"]))
            questions = [
                (row["question"], lambda answer, row=row: examples.right(row, answer)) for row in rows
            ]
            return await paired(platform, questions, least)


async def main() -> None:
    options = common.arguments(__doc__, half="dev or test (test)")
    folder, wanted = common.shared(options), options.half or "test"
    figures = [*wiki(folder, wanted), *tat(folder, wanted)]
    if not options.quick:
        for name in (WIKI, TAT):
            figures.append(gained(name, await over_set(folder, name, wanted, ASKED, THRESHOLD), THRESHOLD))
        figures.append(gained("examples", await over_examples(wanted, THRESHOLD), THRESHOLD))
    options.no_save |= wanted != "test"
    common.finish("tables", figures, options)


if __name__ == "__main__":
    common.run(main)
