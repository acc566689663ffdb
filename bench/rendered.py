"""Passages and tables of three evaluation sets as PDF and HTML files, and questions whose evidence is known there.

Several passages of a set stand in one document, each under a heading; two documents in three are PDF, where a
passage or table stays on one page, so that the gold page is what the printer put it on, not what a parser read. The
gold text is the sentence or the table row that holds the answer. Questions whose answer no sentence and no single row
holds are left out. Every set's questions fall to a development and a test half by their document.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from lyceum.core.text import sentences
from lyceum.core.types import Example, Gold
from lyceum.evals.examples import half
from lyceum.evals.metrics import holds

Rows = list[list[str]]
TOGETHER = {"squad_en": 5, "cmrc2018_zh": 5, "wikitablequestions_en": 2, "tatqa_en": 3}
SETS = tuple(TOGETHER)
WIDEST, TALLEST, LONGEST = 8, 30, 60  # columns, rows, characters of a cell: what is printed on one page


@dataclass
class Passage:
    """One passage or table of a set; `page` is where it was printed, None in a file without pages."""

    id: str
    title: str
    text: str = ""
    rows: Rows = field(default_factory=list)
    page: int | None = None


@dataclass(frozen=True)
class Asked:
    """A question of a set, its answers, and the passage that holds them."""

    id: str
    text: str
    answers: list[str]
    passage: str
    every: bool = False
    starts: Sequence[int] = ()


def render(data: Path, name: str, folder: Path, documents: int) -> list[Example]:
    """Write at most so many documents of a set into a folder and return the questions that they answer."""
    passages, asked = READ[name](data / name)
    size = TOGETHER[name]
    examples: list[Example] = []
    by_passage: dict[str, list[Asked]] = {}
    for one in asked:
        by_passage.setdefault(one.passage, []).append(one)
    for number in range(min(documents, len(passages) // size)):
        some = passages[number * size : (number + 1) * size]
        ending = "html" if number % 3 == 2 or not all(map(_printable, some)) else "pdf"
        file = f"{name.split('_')[0]}-{number:03}.{ending}"
        (_html if file.endswith("html") else _pdf)(folder / file, some, name.endswith("_zh"))
        examples += [
            made for passage in some for one in by_passage.get(passage.id, ())
            if (made := _example(name, file, passage, one)) is not None
        ]  # fmt: skip
    return examples


def _printable(passage: Passage) -> bool:
    """Say whether a passage fits on one page."""
    rows = passage.rows
    return not rows or (
        len(rows) <= TALLEST
        and len(rows[0]) <= WIDEST
        and max(len(c) for row in rows for c in row) <= LONGEST
    )


def _example(name: str, file: str, passage: Passage, asked: Asked) -> Example | None:
    evidence = _row(passage, asked) if passage.rows else _sentence(passage, asked)
    if evidence is None:
        return None
    answers = [(answer,) for answer in asked.answers] if asked.every else [tuple(asked.answers)]
    return Example(
        id=f"{name}:{asked.id}", question=asked.text, answers=tuple(answers), half=half(file),
        gold=(Gold(document=file, page=passage.page, text=evidence),),
        tags=(name, file.rsplit(".", 1)[1], "table" if passage.rows else "text"),
    )  # fmt: skip


def _sentence(passage: Passage, asked: Asked) -> str | None:
    """Return the sentence in which the answer stands, at the place that the set gives."""
    for answer, start in zip(asked.answers, asked.starts, strict=False):
        for left, right in sentences(passage.text):
            if left <= start < right and holds(passage.text[left:right], answer):
                return passage.text[left:right]
    return None


def _row(passage: Passage, asked: Asked) -> str | None:
    """Return the row that holds the answers, None when several do or none."""
    found = [row for row in passage.rows[1:] if all(answer in row for answer in asked.answers)]
    return " | ".join(found[0]) if len(found) == 1 else None


# --- reading the sets ----------------------------------------------------------------------------------


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _texts(folder: Path) -> tuple[list[Passage], list[Asked]]:
    titled = list(_lines(folder / "corpus.jsonl"))
    if "article" in titled[0]["metadata"]:  # whole articles, those first that are asked about
        titled.sort(key=lambda row: (row["metadata"]["distractor"], row["metadata"]["para"] // 5))
    passages = [Passage(row["_id"], row["title"], text=" ".join(row["text"].split())) for row in titled]
    asked = [
        Asked(row["_id"], row["text"], row["answers"], row["metadata"]["context_id"],
              starts=row["metadata"]["answer_starts"])
        for row in _lines(folder / "queries.jsonl")
    ]  # fmt: skip
    return passages, asked


def _tables(folder: Path) -> tuple[list[Passage], list[Asked]]:
    passages = []
    for row in _lines(folder / "corpus.jsonl"):
        rows = [[" ".join(cell.split()) for cell in line.split(" | ")] for line in row["text"].split("\n")]
        if len({len(line) for line in rows}) == 1 and len(rows[0]) > 1:
            passages.append(Passage(row["_id"], row["title"], rows=rows))
    asked = [
        Asked(row["_id"], row["text"], row["answers"], row["metadata"]["table"], every=True)
        for row in _lines(folder / "queries.jsonl")
    ]
    return passages, asked


def _reports(folder: Path) -> tuple[list[Passage], list[Asked]]:
    passages = []
    for row in _lines(folder / "corpus.jsonl"):
        meta = row["metadata"]
        rows = [[" ".join(cell.split()) for cell in line] for line in meta.get("rows", ())]
        text = "" if rows else " ".join(row["text"].split())
        passages.append(Passage(row["_id"], f"Note {row['_id'].replace('-', ' ')}", text=text, rows=rows))
    asked = [
        Asked(row["_id"], row["text"], [" ".join(one.split()) for one in row["answers"]],
              f"{row['metadata']['group']}-table", every=True)
        for row in _lines(folder / "queries.jsonl")
        if row["metadata"]["answer_type"] == "span" and row["metadata"]["answer_from"] != "text"
    ]  # fmt: skip
    return passages, asked


READ: dict[str, Callable[[Path], tuple[list[Passage], list[Asked]]]] = {
    "squad_en": _texts, "cmrc2018_zh": _texts, "wikitablequestions_en": _tables,
    "tatqa_en": _reports,
}  # fmt: skip


# --- printing ------------------------------------------------------------------------------------------


def _html(file: Path, passages: Sequence[Passage], chinese: bool) -> None:
    parts = []
    for passage in passages:
        body = f"<p>{html.escape(passage.text)}</p>"
        if passage.rows:
            lines = [
                "".join(f"<{cell}>{html.escape(value)}</{cell}>" for value in row)
                for cell, row in zip(["th", *["td"] * len(passage.rows)], passage.rows, strict=False)
            ]
            body = "<table>" + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>"
        parts.append(f"<h2>{html.escape(passage.title)}</h2>\n{body}")
    language = "zh" if chinese else "en"
    head = f'<meta charset="utf-8"><title>{html.escape(passages[0].title)}</title>'
    page = f'<html lang="{language}"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"
    file.write_text(page, encoding="utf-8")


class _Printed(Spacer):
    """Nothing on the paper; it notes on which page its passage came to stand."""

    def __init__(self, passage: Passage) -> None:
        super().__init__(0, 0)
        self.passage = passage

    def draw(self) -> None:
        self.passage.page = self.canv.getPageNumber()


def _pdf(file: Path, passages: Sequence[Passage], chinese: bool) -> None:
    if chinese:
        pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    font, bold = ("STSong-Light",) * 2 if chinese else ("Helvetica", "Helvetica-Bold")
    wrap = {"wordWrap": "CJK"} if chinese else {}
    heading = ParagraphStyle(
        "h", fontName=bold, fontSize=15, leading=20, spaceBefore=12, spaceAfter=4, **wrap
    )
    text = ParagraphStyle("p", fontName=font, fontSize=11, leading=16, **wrap)
    story = []
    for passage in passages:
        body = _grid(passage.rows) if passage.rows else Paragraph(html.escape(passage.text), text)
        title = Paragraph(html.escape(passage.title), heading)
        story.append(KeepTogether([title, _Printed(passage), body]))
    size = landscape(A4) if any(passage.rows for passage in passages) else A4
    made = SimpleDocTemplate(str(file), pagesize=size, title=passages[0].title, invariant=1)
    made.build(story)


def _grid(rows: Rows) -> Table:
    style = ParagraphStyle("c", fontName="Helvetica", fontSize=7, leading=8.5)
    head = ParagraphStyle("d", parent=style, fontName="Helvetica-Bold")
    cells = [
        [Paragraph(html.escape(c), head if n == 0 else style) for c in row] for n, row in enumerate(rows)
    ]
    grid = [("GRID", (0, 0), (-1, -1), 0.4, "black"), ("TOPPADDING", (0, 0), (-1, -1), 1)]
    return Table(cells, style=[*grid, ("BOTTOMPADDING", (0, 0), (-1, -1), 1)])
