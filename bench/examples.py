"""The example questions through the shipped answerer without a language model: right, refused, quoted truly.

Figures are of the test half (a question's half is a bit of the SHA-256 of its id); constants were chosen on
the other. A question that has an answer is right when the answer is no refusal and each of its required parts
stands in the answer's text in one of its spellings (case, white space and thousands separators aside, not as
part of a longer word or number); a question about the current edition of a text also needs it in the first
line. A question without an answer is right when it is refused. A quote counts as found when its words stand,
in order, in the text of the cited page, slide, sheet row or file (for mails and archives: the file inside) as another
reader than Lyceum's extracts it; of pictures and scans, in the text they were made from.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import common
from another_reader import inside, pages, squashed
from common import ROOT, Figure

from lyceum.app import session, settings
from lyceum.core.types import Answer, Citation, Query
from lyceum.evals.text_metrics import holds
from lyceum.ingest.pipeline import jobs

EXAMPLES = ROOT / "examples"


def questions(folder: Path = EXAMPLES) -> list[dict[str, Any]]:
    """Return the questions, each with its half; those of questions-dev.jsonl are for development alone."""
    rows = []
    for name in ("questions.jsonl", "questions-dev.jsonl"):
        if not (folder / name).is_file():
            continue
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            odd = hashlib.sha256(row["id"].encode()).digest()[0] & 1
            rows.append({**row, "half": "test" if odd and name == "questions.jsonl" else "dev"})
    return rows


def right(row: dict[str, Any], found: Answer) -> bool:
    """Say whether an answer is right by the rule above."""
    if "unanswerable" in row["tags"]:
        return found.abstained
    text = found.text.split("\n")[0] if "version" in row["tags"] else found.text
    return not found.abstained and all(any(holds(text, one) for one in part) for part in row["answers"])


def quoted(cited: Citation) -> bool:
    """Say whether a quote stands on the page, sheet row or in the file that its citation names."""
    quote = squashed(cited.quote)
    if cited.place.part:
        return quote in inside(Path(cited.source), cited.place.part)
    for (page, sheet, row), text in pages(Path(cited.source)):
        placed = page is None or page == cited.place.page
        placed &= sheet is None or (sheet, row) == (cited.place.sheet, cited.place.row)
        placed &= sheet is not None or row is None or row == cited.place.row
        if placed and quote in text:
            return True
    return False


async def answered(rows: list[dict[str, Any]], folder: Path = EXAMPLES) -> list[Answer]:
    """Answer every question over a fresh home of the documents."""
    with tempfile.TemporaryDirectory() as home:
        async with session.opened(settings.load(home, {})) as platform:
            await platform.ingest(jobs([folder / "documents"]))
            return [await session.ask(platform, Query(text=row["question"])) for row in rows]


def share(name: str, good: list[bool], target: float | None = None) -> Figure:
    """Print a share with its 95 % interval and return it."""
    value = sum(good) / max(len(good), 1)
    low, high = common.wilson(sum(good), len(good))
    print(f"  {name:28} {sum(good):3} of {len(good):3}  {value:.3f} [{low:.3f}, {high:.3f}]")
    return Figure(name, value, f">= {target}" if target else "", target is None or value >= target)


async def main() -> None:
    options = common.arguments(
        __doc__,
        half="dev or test (test)",
        wrong="print what went wrong (any value)",
        folder="another collection, such as bench/second (examples)",
    )
    half, folder = options.half or "test", Path(options.folder or EXAMPLES)
    rows = [row for row in questions(folder) if row["half"] == half]
    found = await answered(rows, folder)
    good = [right(row, one) for row, one in zip(rows, found, strict=True)]
    if options.wrong:
        for row, one, fine in zip(rows, found, good, strict=True):
            if not fine:
                print(
                    f"{row['id']} {row['question']} {row['answers']} {[g.get('document') for g in row['gold']]}"
                )
                print(f"    {one.confidence:.2f} {one.text or one.reason}")
    print(f"{half} half, {len(rows)} questions, one threshold, no language model")

    def tagged(tag: str, without: str = "") -> list[bool]:
        return [
            fine
            for row, fine in zip(rows, good, strict=True)
            if tag in row["tags"] and without not in [*row["tags"]]
        ]

    for tag in ("lookup", "table", "two-documents", "version", "Chinese", "cross-lingual"):
        share(tag, tagged(tag, "unanswerable"))
    english = [
        f for row, f in zip(rows, good, strict=True) if not {"Chinese", "unanswerable"} & {*row["tags"]}
    ]
    share("English", english)
    cited = [one for answer in found for one in answer.citations]
    figures = [
        share("right", good, 0.8),
        share(
            "answerable", [f for row, f in zip(rows, good, strict=True) if "unanswerable" not in row["tags"]]
        ),
        share("off_topic_refused", tagged("off-topic"), 0.95),
        share("near_miss_refused", tagged("near-miss")),
        share("quotes_found", [quoted(one) for one in cited], 1.0),
    ]
    if half != "test" or options.folder:
        options.no_save = True
    common.finish("examples", figures, options)


if __name__ == "__main__":
    common.run(main)
