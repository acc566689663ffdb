"""A picture or a scanned PDF page to elements by an engine that is loaded once a process; it asks no network.

Engines: RapidOCR (the extra `ocr`: Chinese and English) or Debian's tesseract (English, a third of the CPU time).
"""

from __future__ import annotations

import csv
import functools
import importlib.util
import resource
import shutil
import subprocess
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.types import Document, Page
from lyceum.ingest.ocr_layout import Word, arrange
from lyceum.ingest.pdf_layout import around

CHOICES = ("auto", "off", "tesseract")
DPI = 200
PIXELS = 25_000_000  # of a rendered page: a larger one is rendered with fewer dots to the inch
STRIP = 4_000_000  # pixels given to an engine at a time (an A4 page), for its memory grows with them
SIDE = 5_000
SMALL = 736  # pixels: a picture less wide or high is enlarged
HALF = 0.5  # of a page: a picture over more of it is a scan when there are hardly letters besides
SOME = 0.1  # of a page: the same where there is no letter at all
FEW = 30  # letters
GARBLED = 0.3  # of the letters stand for nothing
SURE = 0.8  # of lines the right way up; upside down they score .6
SECONDS = 60  # of CPU time that one strip may take on top of its document's
SCAN = "has no text layer (a scan?)."
_spent: list[float] = []
Runs = list[tuple[str, list[tuple[float, float]], float]]


@dataclass(frozen=True, slots=True)
class Engine:
    """`read` turns pixels (rows, columns, BGR) into runs: text, corners clockwise from its first letter, score.

    `turns` are the quarter turns to the left after which a picture is looked at until it can be read.
    """

    read: Callable[[Any], Runs]
    turns: tuple[int, ...]


def recognise(page: Any, number: int, text: str, document: Document) -> Page:
    """Return a PDF page's recognised elements; none where its text layer will do, or a warning why not."""
    share, density = _pictured(page)
    letters = "".join(text.split())
    scanned = share > (HALF if letters else SOME) and len(letters) < FEW
    if not scanned and not _garbled(letters):
        return Page(elements=(), pictured=share > HALF)
    try:
        tool = engine(document.meta)
    except ParseError as problem:
        said = f"Page {number} {SCAN} {problem.hint}"
        return Page(elements=(), pictured=share > HALF, warnings=(said,))
    width, height = page.get_size()
    scale = min(density if scanned else DPI / 72, (PIXELS / (width * height)) ** 0.5)
    pixels = page.render(scale=scale).to_numpy()
    return look(tool, pixels, 1 / scale, document, number, pictured=share > HALF)


def look(
    tool: Engine, pixels: Any, point: float, document: Document, number: int, *, pictured: bool = True
) -> Page:
    """Read a picture whichever way up it is; `point` is the size of a pixel in points."""
    best: list[Word] = []
    best_score, best_turns = 0.0, 0
    for turns in tool.turns:
        words = list(_turned(tool, pixels, turns, point))
        letters = sum(len(word.text) for word in words)
        score = sum(word.score * len(word.text) for word in words)
        if score > best_score:
            best, best_score, best_turns = words, score, turns
        if letters and score >= SURE * letters:
            break
    elements = tuple(arrange(best, best_turns, document.id, number))
    warnings = () if elements else (f"Page {number} is a picture in which no words were found.",)
    return Page(elements=elements, warnings=warnings, ocr=True, pictured=pictured)


def _turned(tool: Engine, pixels: Any, turns: int, point: float) -> Iterator[Word]:
    """Yield what is read after some quarter turns to the left, with corners on the page as it is shown."""
    import numpy as np

    high, wide = pixels.shape[:2]
    for strip, top, factor in _strips(np.rot90(pixels, turns)):
        _allow()
        started = time.process_time()
        found = tool.read(strip)
        _spent.append(time.process_time() - started)
        for text, corners, score in found:
            placed = []
            for x, y in ((x / factor, y / factor + top) for x, y in corners):
                back = ((x, y), (wide - y, x), (wide - x, high - y), (y, high - x))[turns]
                placed.append((round(back[0] * point, 1), round(back[1] * point, 1)))
            if text.strip():
                yield Word(" ".join(text.split()), tuple(placed), score)


def _strips(pixels: Any) -> Iterator[tuple[Any, int, float]]:
    """Cut a large picture where its rows are blankest; yield each strip with its top and how it was enlarged."""
    import numpy as np
    from PIL import Image

    high, wide = pixels.shape[:2]
    factor = min(max(1.0, SMALL / min(high, wide)), max(1.0, (STRIP / (high * wide)) ** 0.5), SIDE / wide)
    most = max(1, int(STRIP / (wide * factor * factor)))
    top = 0
    while top < high:
        end = min(high, top + most)
        if end < high:
            begin = top + most * 4 // 5
            end = begin + 1 + int(np.argmin(pixels[begin:end].std(axis=(1, 2))))
        strip = pixels[top:end]
        if factor != 1.0:
            size = (max(1, round(wide * factor)), max(1, round((end - top) * factor)))
            strip = np.asarray(Image.fromarray(strip).resize(size))
        yield np.ascontiguousarray(strip), top, factor
        top = end


def spent() -> float:
    """Return the seconds of CPU time that this process has used for OCR."""
    return sum(_spent)


def _allow() -> None:
    """Let this process use more CPU time: its limit is for a document without pictures."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_CPU, (soft + SECONDS, hard))


def _pictured(page: Any) -> tuple[float, float]:
    """Return the share of a page that pictures cover and the finest one's pixels to a point, DPI at most."""
    import pypdfium2.raw as raw

    left, bottom, right, top = page.get_cropbox()
    covered = density = 0.0
    for one in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4):
        x0, y0, x1, y1 = one.get_bounds()
        covered += max(0.0, min(x1, right) - max(x0, left)) * max(0.0, min(y1, top) - max(y0, bottom))
        wide, high = one.get_px_size()
        density = max(density, wide / max(x1 - x0, 1.0), high / max(y1 - y0, 1.0))
    share: float = covered / max((right - left) * (top - bottom), 1.0)
    return share, min(density, DPI / 72)


def _garbled(letters: str) -> bool:
    """Say whether a text layer is of characters that stand for nothing: its font does not say what they mean."""
    strange = sum(unicodedata.category(one) in ("Co", "Cn", "Cc") or one == "\ufffd" for one in letters)
    return len(letters) >= FEW and strange > GARBLED * len(letters)


def state(choice: str) -> str:
    """Return the choice, or "missing" when its engine is not installed; it loads nothing."""
    found = {"auto": importlib.util.find_spec("rapidocr"), "tesseract": shutil.which("tesseract")}
    return choice if choice == "off" or found[choice] else "missing"


def engine(meta: Mapping[str, Any]) -> Engine:
    """Return the engine that a document's options name; raise ParseError with what to do when there is none."""
    choice = meta.get("ocr", "auto")
    if choice == "off":
        raise ParseError("OCR is off.", hint='To read it, set ocr = "auto" under [reader].', code="empty")
    return tesseract() if choice == "tesseract" else rapid()


@functools.cache
def rapid() -> Engine:
    """Load RapidOCR with the models of its wheel, named one by one: then it looks for none elsewhere."""
    try:
        import rapidocr
    except ModuleNotFoundError as problem:
        hint = "To read it, install OCR: pip install 'lyceum[ocr]'"
        raise ParseError("OCR is not installed.", hint=hint, code="empty") from problem
    models = Path(rapidocr.__file__).parent / "models"
    made: Any = rapidocr.RapidOCR(params={
        "Global.log_level": "critical", "Global.use_cls": False, "Global.max_side_len": 1 << 20,
        "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"), "Det.limit_type": "max",
        "Det.limit_side_len": 1 << 20, "Rec.rec_batch_num": 1,
        "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
        "EngineConfig.onnxruntime.intra_op_num_threads": 2, "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    })  # fmt: skip

    def read(pixels: Any) -> Runs:
        found = made(pixels)
        if found.boxes is None:
            return []
        return [
            (text, [(float(x), float(y)) for x, y in corners], float(score))
            for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True)
        ]

    return Engine(read, (0, 2))  # it turns single lines by a quarter itself


@functools.cache
def tesseract() -> Engine:
    """Return Debian's tesseract, which reads English; one process a picture."""
    program = shutil.which("tesseract")
    if program is None:
        hint = "To read it, install tesseract: apt install tesseract-ocr"
        raise ParseError("tesseract is not installed.", hint=hint, code="empty")

    def read(pixels: Any) -> Runs:
        import numpy as np

        grey = np.ascontiguousarray(pixels.mean(axis=2).astype(np.uint8) if pixels.ndim == 3 else pixels)
        head = f"P5 {grey.shape[1]} {grey.shape[0]} 255\n".encode()
        done = subprocess.run(
            [program, "stdin", "stdout", "-l", "eng", "--dpi", str(DPI), "tsv"], input=head + grey.tobytes(),
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise ParseError(
                f"tesseract failed: {said[-1] if said else done.returncode}.",
                hint="Install it again: apt install tesseract-ocr",
            )
        return _lines(done.stdout.decode(errors="replace"))

    return Engine(read, (0, 1, 2, 3))


def _lines(table: str) -> Runs:
    """Join the words of tesseract's table to lines."""
    lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] == "5" and row["text"].strip():
            key = (row["block_num"], row["par_num"], row["line_num"])
            lines.setdefault(key, []).append(row)
    return [_line(words) for words in lines.values()]


def _line(words: list[dict[str, str]]) -> tuple[str, list[tuple[float, float]], float]:
    each = [[float(one[name]) for name in ("left", "top", "width", "height")] for one in words]
    left, top, right, bottom = around([(x, y, x + wide, y + high) for x, y, wide, high in each])
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    score = sum(float(one["conf"]) for one in words) / len(words) / 100
    return " ".join(one["text"] for one in words), corners, score
