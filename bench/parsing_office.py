"""Office files: known answers, every word of real files, and hostile files that must end.

1. known: files made here (tests/ingest/office.py) whose elements are known; precision and recall of elements in
   order (longest common subsequence over all files).
2. words: share of the words in the raw XML of real files that the parsed elements hold, counted with repetition.
   Set aside on purpose and so not counted: headers and footers, deleted or moved-away text, the second form of an
   alternative, readings of ruby, slide numbers, dates and footers of slides. Equations are not counted either: their
   signs are parted anew ("πr2" becomes "πr^2"); the known answers hold them. The file with the least is named.
3. hostile: share of the hostile files that end with a stable code or are read, inside the limits of the worker.

The real files also served while the walkers were written: their share is no figure for unknown files.
"""

from __future__ import annotations

import asyncio
import difflib
import io
import re
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import common
from common import Figure
from lxml import etree

from lyceum.core.errors import ParseError
from lyceum.core.types import Document
from lyceum.ingest.isolate import Isolated
from tests.ingest.office import CASES, pages, shapes

Row = tuple[str, float, float, bool, str]
HOSTILE = {"bomb.docx": "corrupt limit", "deep.docx": "corrupt limit", "lol.docx": "corrupt limit",
           "bomb.xlsx": "limit", "sparse.xlsx": "ok"}  # fmt: skip
SLOW = frozenset(("bomb.docx", "bomb.xlsx"))
_w = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_p = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_s = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_mc = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_m = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
ASIDE = frozenset((_w + "del", _w + "moveFrom", _mc + "Fallback", _w + "rt", _s + "rPh", _m + "oMath"))
BREAKS = frozenset("p br tab cr ptab tc si c sp".split())
PARTS = {
    "docx": r"word/(?:document|footnotes|endnotes|comments)\.xml",
    "pptx": r"ppt/(?:slides|notesSlides)/[^/]+\.xml",
    "xlsx": r"xl/worksheets/[^/]+\.xml",
}


def known() -> tuple[float, float, int]:
    """Return precision and recall of elements over the made files, and how many elements are expected."""
    matched = found = wanted = 0
    for case in CASES:
        got = shapes([element for page in pages(case.made(), case.name) for element in page.elements])
        compared = difflib.SequenceMatcher(None, got, case.expected, autojunk=False)
        matched += sum(block.size for block in compared.get_matching_blocks())
        found, wanted = found + len(got), wanted + len(case.expected)
    return matched / found, matched / wanted, wanted


def raw(data: bytes, ending: str) -> str:
    """Return the text of a package's text nodes, by a walk that shares nothing with the parsers."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        names = [name for name in package.namelist() if re.fullmatch(PARTS[ending], name)]
        roots = [etree.fromstring(_transitional(package.read(name))) for name in names]
        strings: list[str] = []
        if "xl/sharedStrings.xml" in package.namelist():
            shared = etree.fromstring(_transitional(package.read("xl/sharedStrings.xml")))
            strings = ["".join(_nodes(one)) for one in shared.iter(_s + "si")]
    if ending == "xlsx":
        return "\n".join(
            strings[int(cell.findtext(_s + "v") or "0")] if cell.get("t") == "s" else "".join(_nodes(cell))
            for root in roots for cell in root.iter(_s + "c") if cell.get("t") in ("s", "inlineStr")
        )  # fmt: skip
    return "\n".join("".join(_nodes(root)) for root in roots)


def _transitional(data: bytes) -> bytes:
    return re.sub(
        rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)", rb"http://schemas.openxmlformats.org/\1/2006/\2", data
    )


def _nodes(node: Any) -> Iterator[str]:
    tag = node.tag if isinstance(node.tag, str) else ""
    holder = node.find(f"{_p}nvSpPr/{_p}nvPr/{_p}ph") if tag == _p + "sp" else None
    if tag in ASIDE or (
        holder is not None and holder.get("type") in ("dt", "ftr", "sldNum", "hdr", "sldImg")
    ):
        return
    local = tag.rpartition("}")[2]
    if local == "t":
        yield node.text or ""
    if local in BREAKS:
        yield "\n"
    for child in node:
        yield from _nodes(child)
    if local in BREAKS:
        yield "\n"


def words(text: str) -> Counter[str]:
    """Count words; a Han character is one, so that a lost one shows."""
    return Counter(re.findall(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+", text))


def real(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (file, words in its XML, words of them in its elements)."""
    for ending in PARTS:
        for path in sorted((folder / ending).glob("*." + ending)):
            data = path.read_bytes()
            held = words("\n".join(e.text for page in pages(data, path.name) for e in page.elements))
            there = words(raw(data, ending))
            yield path.name, sum(there.values()), sum(min(n, held[word]) for word, n in there.items())


async def hostile(folder: Path, quick: bool) -> list[tuple[str, str, bool]]:
    """Return (file, outcome, whether it is one of those expected)."""
    found = []
    for name, expected in HOSTILE.items():
        path = folder / "hostile" / name
        if (quick and name in SLOW) or not path.exists():
            continue
        reader = Isolated()
        try:
            await reader(path, name, Document(id="d", source=name, version="1"))
            outcome = "ok"
        except ParseError as problem:
            outcome = problem.code
        await reader.close()
        found.append((name, outcome, outcome in expected.split()))
    return found


def figures(folder: Path, quick: bool) -> list[Row]:
    """Return (name, value, target, higher is better, note) over the made files and the real ones in `folder`."""
    precision, recall, count = known()
    note = f"{count} elements in {len(CASES)} made files"
    rows: list[Row] = [
        ("office_known_precision", precision, 1.0, True, note),
        ("office_known_recall", recall, 1.0, True, note),
    ]
    counted = list(real(folder))
    if counted:
        name, there, held = min(counted, key=lambda one: one[2] / max(one[1], 1))
        share = sum(one[2] for one in counted) / sum(one[1] for one in counted)
        note = f"{sum(one[1] for one in counted)} words in {len(counted)} real files; least {held}/{there} in {name}"
        rows.append(("office_words", share, 0.98, True, note))
        rows.append(
            ("office_words_least", held / max(there, 1), 0.95, True, f"the file with the least: {name}")
        )
    with ThreadPoolExecutor(1) as pool:  # another bench may call this from a running loop
        ended = pool.submit(asyncio.run, hostile(folder, quick)).result()
    if ended:
        note = ", ".join(f"{name} {outcome}" for name, outcome, _ in ended)
        rows.append(("office_hostile_ended", sum(good for *_, good in ended) / len(ended), 1.0, True, note))
    return rows


def main() -> None:
    options = common.arguments(__doc__)
    started = time.process_time()
    if not (Path(options.shared) / "documents").is_dir():
        print(f"No real files in {options.shared}: give --shared DIR or LYCEUM_SHARED.")
    rows = figures(Path(options.shared) / "documents", options.quick)
    for name, value, target, _, note in rows:
        print(f"{name:24} {value:.4f} (target {target}) {note}")
    print(f"{time.process_time() - started:.1f} CPU s without the workers")
    made = [
        Figure(
            name,
            value,
            f"{'>=' if higher else '<='} {target}",
            value >= target if higher else value <= target,
        )
        for name, value, target, higher, _ in rows
    ]
    common.finish("parsing_office", made, options, notes={row[0]: row[4] for row in rows})


if __name__ == "__main__":
    main()
