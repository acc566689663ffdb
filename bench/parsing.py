"""Documents parsed against known text, headings and column order; pages per CPU second; other formats by hooks.

Text: elements of the page ranges in cut/ against the text published beside them. English: multisets of words
([a-z0-9]+) and of their bigrams; Chinese: multiset of bigrams of Chinese characters alone. This reading of the
measure gives the figures of an earlier survey for plain pypdfium2 (.979/.937 and .970), so both can be compared.
Headings: a heading counts when an outline title of the same page is equal to it, numbering ("2.1.", "第 2 章"),
case, white space and punctuation aside, each title once. The files in cut/ have no outline: the honest figure.
"With outline" parses the whole documents; there the truth is what the parser is given, so it says only that
titles are found on their pages. Levels: the share of the matched whose level is the outline's (plus the usual
difference).
Columns: gt/ord_*.pkl hold the lines of the left and the right column of the pages of six papers. A line is looked
for by its letters in the page's elements in reading order, and counts when it stands there once. A page is judged
when five lines or more of each column are found, and right when in 90 % of all (left, right) pairs the left line
comes first. Control: the same lines sorted by height must fail. `adjacent` is the share of consecutive lines of
a column that stay neighbours.
Speed: `parse` in this process over digital PDFs (no scans, locked or broken files; recognition off), CPU time;
`plain` counts pages that draw fewer than four paths, on which no table finder has work; learning counts
for every page alike.

bench/parsing_NAME.py (tables, ocr, office) may add lines: figures(folder: Path, quick: bool) -> list of
(name, value, target, higher_is_better, note).
"""

from __future__ import annotations

import itertools
import json
import math
import pickle
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import common
import parsing_ocr
import parsing_office
import parsing_tables
import pypdfium2
from common import Figure

from lyceum.core.types import Document, Page
from lyceum.ingest.pdf import parse

EN, DEV, ZH = "debian-reference.en", "developers-reference", "debian-reference.zh-cn"
PAPERS = {
    "MinerU__demo2": "495ef286c72352a761a70596ba63241e",
    "MinerU__demo3": "23cd598d05ac4c93fdda79ef44b2fb0c",
    "docling-parse__ligatures_01": "a21545dc05627e4244ef1f01d7977b80",
    "docling__amt_handbook_sample": "5f3b680bbb2d991d97659a4dd3857178",
    "kreuzberg__ts_application_to_large_scale_comparison_and_radix_sort_sigmod14_i": "1a3523e3120d8ca636d405c63b449070",  # noqa: E501
    "sample-files__multicolumn": "177a42f9ad24a8e60539ca066ea3dc2c",
}  # fmt: skip
LEFT_OUT = ("scan", "encrypted", "malformed")
Row = tuple[str, float, float, bool, str]
_number = re.compile(r"^(?:第\s*\d+\s*章|chapter \d+|\d+(?:\.\d+)*\.?)\s*", re.I)


def pages_of(path: Path) -> list[Page]:
    return list(parse(path.read_bytes(), Document(id="d", source=path.name, version="1")))


def text_of(pages: Iterable[Page]) -> str:
    return "\n".join(element.text for page in pages for element in page.elements)


def overlap(found: Iterable[Any], wanted: Iterable[Any]) -> float:
    """Return the F1 of two multisets."""
    a, b = Counter(found), Counter(wanted)
    return 2 * (a & b).total() / max(1, a.total() + b.total())


def tokens(text: str, chinese: bool) -> list[str]:
    return re.findall("[\u4e00-\u9fff]", text) if chinese else re.findall(r"[a-z0-9]+", text.lower())


def texts(folder: Path, cut: dict[str, list[Page]]) -> list[Row]:
    """Return word and bigram F1."""
    survey = {EN: (0.980, 0.940, ".982/.941"), DEV: (0.990, 0.985, ".994/.990"), ZH: (0, 0.972, "-/.973")}
    rows: list[Row] = []
    for name, (words, pairs, note) in survey.items():
        wanted = tokens((folder / "gt" / f"{name}.txt").read_text(encoding="utf-8"), name == ZH)
        found = tokens(text_of(cut[name]), name == ZH)
        if words:
            rows.append((f"{name} words", overlap(found, wanted), words, True, note))
        bigrams = overlap(itertools.pairwise(found), itertools.pairwise(wanted))
        rows.append((f"{name} bigrams", bigrams, pairs, True, note))
    return rows


def bare(title: str) -> str:
    """Return a title without numbering, case and white space."""
    plain = " ".join(title.replace("\u00a0", " ").split())
    return letters(_number.sub("", plain))


def compared(pages: Sequence[Page], wanted: Sequence[Any]) -> tuple[float, float, float]:
    """Return precision, recall and the share of right levels among what was found."""
    truth = {(number, bare(title)): level for level, title, number in wanted}
    heads = [(n, e) for n, page in enumerate(pages) for e in page.elements if e.kind == "heading"]
    offsets: Counter[int] = Counter()
    left = dict(truth)
    for number, element in heads:
        level = left.pop((number, bare(element.text)), None)
        if level is not None:
            offsets[element.level - level] += 1
    right = offsets.total()
    levels = offsets.most_common(1)[0][1] / right if right else 0.0
    return right / max(1, len(heads)), right / len(truth), levels


def headings(folder: Path, cut: dict[str, list[Page]], quick: bool) -> list[Row]:
    """Return precision and recall against the outline, found without it and with it."""
    survey = {EN: (0.28, 0.79), ZH: (0.73, 0.97), DEV: (0.68, 0.85)}
    rows: list[Row] = []
    for name, (precision, recall) in survey.items():
        wanted = json.loads((folder / "gt" / f"{name}.heads.json").read_text(encoding="utf-8"))
        p, r, levels = compared(cut[name], wanted)
        note = f"survey {precision}/{recall}; same levels {levels:.2f}"
        rows += [
            (f"{name} without outline P", p, precision, True, note),
            (f"{name} without outline R", r, recall, True, ""),
        ]
        if not quick:
            whole = pages_of(folder / "pdf" / f"debian__{name}.pdf")
            part = whole[offset(folder, name) :][: len(cut[name])]
            p, r, levels = compared(part, wanted)
            rows.append((f"{name} with outline P", p, precision, True, f"same levels {levels:.2f}"))
            rows.append((f"{name} with outline R", r, 0.95, True, ""))
    return rows


def offset(folder: Path, name: str) -> int:
    """Return the page of the whole document at which its part in cut/ begins."""
    cut = pypdfium2.PdfDocument(folder / "cut" / f"{name}.pdf")
    whole = pypdfium2.PdfDocument(folder / "pdf" / f"debian__{name}.pdf")
    first, second = (cut[n].get_textpage().get_text_range() for n in (0, 1))
    for number in range(len(whole) - 1):
        texts = (whole[n].get_textpage().get_text_range() for n in (number, number + 1))
        if next(texts) == first and next(texts) == second:
            return number
    raise SystemExit(f"{name}: the pages of cut/ are not in the whole document")


def letters(text: str) -> str:
    return re.sub(r"\W", "", text.lower())


def order(text: str, columns: Sequence[Sequence[Any]]) -> tuple[float | None, int, int]:
    """Return the share of (left, right) pairs in order, None when not judged, and neighbours kept of pairs."""
    found = []
    for lines in columns:
        known = [letters(line[3]) for line in lines]
        found.append([text.find(line) for line in known if len(line) >= 12 and text.count(line) == 1])
    near = pairs = 0
    for lines in columns:
        known = [letters(line[3]) for line in lines]
        for one, two in itertools.pairwise(known):
            if len(one) >= 12 and len(two) >= 12 and one in text and two in text:
                pairs += 1
                near += text.find(two) == text.find(one) + len(one)
    if min(map(len, found)) < 5:
        return None, near, pairs
    return sum(a < b for a in found[0] for b in found[1]) / (len(found[0]) * len(found[1])), near, pairs


def columns(folder: Path) -> list[Row]:
    """Return the share of two-column pages read left before right."""
    right = judged = near = pairs = control = 0
    wrong = []
    for name, code in PAPERS.items():
        pages = pages_of(folder / "pdf" / f"{name}.pdf")
        with (folder / "gt" / f"ord_{code}.pkl").open("rb") as file:
            truth = pickle.load(file)
        for number, *sides in truth:
            share, kept, all_pairs = order(letters(text_of(pages[number : number + 1])), sides)
            near, pairs = near + kept, pairs + all_pairs
            if share is not None:
                judged += 1
                right += share >= 0.9
                by_height = sorted((line for side in sides for line in side), key=lambda line: -line[0])
                control += (order(letters("".join(line[3] for line in by_height)), sides)[0] or 0) >= 0.9
                if share < 0.9:
                    wrong.append(f"{name[:12]} p. {number + 1} ({share:.2f})")
    if control:
        raise SystemExit(f"columns: the control, lines sorted by height, passed on {control} pages")
    return [
        ("columns left first", right / judged, 14 / 16, True, f"{right} of {judged}; survey 14 of 16; {wrong}"),
        ("columns adjacent", near / pairs, 0.761, True, f"{pairs} pairs; survey .761, plain pypdfium2 .796"),
    ]  # fmt: skip


def draws(path: Path) -> list[bool]:
    """Say of each page whether it draws four paths or more."""
    document = pypdfium2.PdfDocument(path)
    kinds = [pypdfium2.raw.FPDF_PAGEOBJ_PATH]
    return [
        len(list(itertools.islice(page.get_objects(filter=kinds, max_depth=2), 4))) == 4 for page in document
    ]


def timed(path: Path) -> tuple[float, list[float]]:
    """Return the CPU seconds before the first page was there and those of each further page."""
    seconds, before = [], time.process_time()
    for _ in parse(path.read_bytes(), Document(id="d", source=path.name, version="1", meta={"ocr": "off"})):
        seconds.append(time.process_time() - before)
        before = time.process_time()
    return seconds[0], seconds[1:]


def speed(folder: Path, quick: bool) -> list[Row]:
    """Return pages per CPU second, for all pages and for those that draw hardly anything."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    digital = [
        folder / row["file"] for row in manifest
        if row["file"].startswith("pdf/") and not any(tag in row["tags"] for tag in LEFT_OUT)
    ]  # fmt: skip
    cut = sorted((folder / "cut").glob("*.pdf"))
    files = cut + ([] if quick else [path for path in digital if "debian-reference" not in path.name])
    pages = plain_pages = 0
    total = plain = 0.0
    for path in files:
        first, others = timed(path)
        drawing = draws(path)
        count = len(others) + 1
        usual = sorted(others)[len(others) // 2] if others else first
        learning = max(0.0, first - usual) / count  # reading samples happens before the first page
        each = [min(first, usual), *others]
        pages, total = pages + count, total + first + sum(others)
        for seconds, drawn in zip(each, drawing, strict=True):
            if not drawn:
                plain_pages, plain = plain_pages + 1, plain + seconds + learning
    note = f"{pages} pages, {len(files)} files; survey 55 without tables"
    return [
        ("pages per CPU s", pages / total, 40, True, note),
        ("plain pages per CPU s", plain_pages / plain, 40, True, f"{plain_pages} pages that draw nothing"),
    ]


async def main() -> None:
    options = common.arguments(__doc__)
    folder = Path(options.shared) / "documents"
    if not folder.is_dir():
        print(f"No documents in {folder}: give --shared DIR or LYCEUM_SHARED.")
        raise SystemExit(77)
    cut = {name: pages_of(folder / "cut" / f"{name}.pdf") for name in (EN, DEV, ZH)}
    rows = texts(folder, cut) + headings(folder, cut, options.quick) + columns(folder)
    rows += speed(folder, options.quick) + parsing_tables.figures(folder, options.quick)
    if not options.quick:  # pictures take seconds a page
        rows += parsing_office.figures(folder, quick=False) + parsing_ocr.figures(folder, quick=False)
    figures = []
    for name, value, target, higher, note in rows:
        good = math.isnan(target) or (value >= target if higher else value <= target)
        sign = ">=" if higher else "<="
        print(f"{name:42} {value:8.3f}  {sign} {target:<7.3f} {'ok   ' if good else 'SHORT'}  {note}")
        figures.append(Figure(name, round(value, 4), f"{sign} {target:.3f}", good))
    common.finish("parsing", figures, options, notes={row[0]: row[4] for row in rows})


if __name__ == "__main__":
    common.run(main)
