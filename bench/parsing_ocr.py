"""Scans: pages of two manuals as pictures, read back; the share of characters that come out wrong.

Pages of the Debian reference, which has a text layer, are drawn as pictures and put into a PDF of pictures alone.
The truth is the text layer in the order of its file, the error rate the edit distance of the two texts without
white space. `turned` is a page on its side, `bad` pages are scanned badly: 1.2 degrees askew, out of focus, grainy,
compressed (JPEG 45). Pages 6 (Chinese) and 10 (English) served to choose settings; those here did not. The English
pages hold tables with cells of several lines, which the truth has in another order; the words' F1 does not mind.
CPU time includes the layout, not the loading of the models.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import numpy as np
import pypdfium2
from common import Figure
from PIL import Image, ImageFilter
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

from lyceum.core.types import Document
from lyceum.ingest import ocr, pdf

DPI = 200
CHINESE, ENGLISH = (4, 9, 13, 17), (4, 11)


@dataclass(frozen=True)
class Read:
    """What one page gave: error rate, F1 of its words in any order, CPU seconds, characters of the truth."""

    wrong: float
    words: float
    seconds: float
    characters: int


def scanned(image: Image.Image, quality: int = 90) -> bytes:
    """Return a PDF of one picture."""
    made, packed = io.BytesIO(), io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    size = (image.width * 72 / DPI, image.height * 72 / DPI)
    sheet = canvas.Canvas(made, pagesize=size)
    sheet.drawImage(ImageReader(packed), 0, 0, *size)
    sheet.save()
    return made.getvalue()


def spoiled(image: Image.Image) -> Image.Image:
    """Return what a bad scanner makes of a page."""
    turned = image.rotate(1.2, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC)
    soft = np.asarray(turned.filter(ImageFilter.GaussianBlur(1.0)), np.float32)
    noise = np.random.default_rng(5).normal(0, 12, soft.shape)
    return Image.fromarray(np.clip(soft + noise, 0, 255).astype(np.uint8))


def distance(a: str, b: str) -> int:
    """Return the edit distance (Levenshtein 1966), a row at a time."""
    right = np.array([ord(c) for c in b])
    steps = np.arange(len(b) + 1)
    row = steps.copy()
    for number, character in enumerate(a, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (right != ord(character)))
        row = np.minimum.accumulate(np.concatenate(([number], best)) - steps) + steps
    return int(row[-1])


def read(data: bytes, truth: str) -> Read:
    """Parse a PDF of one picture and compare."""
    started = time.process_time()
    (page,) = pdf.parse(data, Document(id="d", source="scan.pdf", version="1"))
    seconds = time.process_time() - started
    assert page.ocr
    found = "\n".join(
        "\n".join(" ".join(row) for row in one.table.rows) if one.table else one.text for one in page.elements
    )
    one, other = Counter(found.split()), Counter(truth.split())
    words = 2 * (one & other).total() / (one.total() + other.total())
    wanted = "".join(truth.split())
    return Read(distance("".join(found.split()), wanted) / len(wanted), words, seconds, len(wanted))


def pages(file: Path, numbers: tuple[int, ...]) -> Iterator[tuple[Image.Image, str]]:
    """Yield pages as pictures with the text of their layer."""
    with pypdfium2.PdfDocument(file) as opened:
        for number in numbers:
            page = opened[number]
            text = page.get_textpage().get_text_range().replace("\x02", "").replace("\ufffe", "-")
            yield page.render(scale=DPI / 72).to_pil().convert("RGB"), text


def rate(reads: list[Read]) -> float:
    return sum(one.wrong * one.characters for one in reads) / sum(one.characters for one in reads)


def figures(folder: Path, quick: bool) -> list[tuple[str, float, float, bool, str]]:
    """Return (name, value, target, higher is better, note); a target of nan is a figure that is only reported."""
    ocr.engine({})
    chinese = list(pages(folder / "cut/debian-reference.zh-cn.pdf", CHINESE[: 1 if quick else None]))
    english = list(pages(folder / "cut/debian-reference.en.pdf", ENGLISH[: 1 if quick else None]))
    plain = [read(scanned(image), text) for image, text in chinese]
    latin = [read(scanned(image), text) for image, text in english]
    image, text = chinese[0]
    turned = read(scanned(image.rotate(-90, expand=True)), text)
    none, note = float("nan"), f"{len(plain)} pages, {DPI} dpi"
    found: list[tuple[str, float, float, bool, str]] = [
        ("ocr_zh_cer", rate(plain), 0.05, False, note),
        ("ocr_zh_turned_cer", turned.wrong, 0.05, False, "one page on its side"),
        ("ocr_en_cer", rate(latin), none, False, f"{len(latin)} pages, {DPI} dpi"),
        (
            "ocr_en_words",
            sum(one.words for one in latin) / len(latin),
            none,
            True,
            "F1 of words in any order",
        ),
        ("ocr_cpu_s", sum(one.seconds for one in plain + latin) / len(plain + latin), none, False, "a page"),
    ]
    if not quick:
        bad = [
            [read(scanned(spoiled(one), 45), said) for one, said in some] for some in (chinese[:2], english)
        ]
        found.append(("ocr_zh_bad_cer", rate(bad[0]), none, False, f"{len(bad[0])} pages, scanned badly"))
        found.append(("ocr_en_bad_cer", rate(bad[1]), none, False, f"{len(bad[1])} pages, scanned badly"))
    return found


def figure(name: str, value: float, target: float, higher: bool, note: str) -> Figure:
    if target != target:
        return Figure(name, value)
    good = value >= target if higher else value <= target
    return Figure(name, value, f"{'>=' if higher else '<='} {target:g}, {note}", good)


def main() -> None:
    options: Any = common.arguments(__doc__)
    folder = Path(options.shared) / "documents"
    if not folder.is_dir():
        print(f"No documents in {folder}: give --shared DIR or LYCEUM_SHARED.")
        raise SystemExit(77)
    found = figures(folder, options.quick)
    for name, value, _, _, note in found:
        print(f"{name:20} {value:.4f}  {note}")
    common.finish("parsing_ocr", [figure(*one) for one in found], options)


if __name__ == "__main__":
    main()
