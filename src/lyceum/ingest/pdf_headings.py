"""Which lines of a PDF are headings, at which level, and which are running headers: from the outline and the look.

Takes lines and what a sample of the document's pages has taught; knows no file and composes no text.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lyceum.core.text import CJK
from lyceum.ingest.pdf_layout import Line, blocks, continues

HEADING = 1.12  # a line this much larger than the body is a heading
LONGEST_HEADING = 160
MARGIN = 36  # points from the outermost lines in which headers and footers stand
LABEL = 3  # a bold line of body size that occurs so often is a label ("Note"), no heading
TITLES = 20_000  # bookmarks that are read
Title = tuple[int, str]
"""Level from one; letters and digits."""
_ends = re.compile(r"[.!。！；;，,:：]$")
_stops = re.compile(r"[.!。！；;]$")  # a large line may end in a comma or colon: its heading goes on below
_item = re.compile(r"^(?:[•●▪◦‣·\-–—*]\s|\d{1,2}[.)、]\s)")
_letter = re.compile(rf"[A-Za-z{CJK}]")
_number = re.compile(
    r"^(?:第\s*[\d一二三四五六七八九十百]+\s*[章节]|(?:chapter|appendix|part)\s+\w+\b|[A-Z](?:\.\d+)+\.?(?=\s)|[A-Z]\.(?=\s)|\d{1,3}(?:\.\d+)*\.?(?=\s))[\s.:：]*",
    re.I,
)
_digits = re.compile(r"\d+")
_hyphenated = re.compile(r"[^\W\d_]+-[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Style:
    """What a document's usual text looks like, and the masked lines that repeat as headers and footers.

    `slots` are heights at which a line of its own stands page after page, whatever it says; `ranks` are the
    outline's levels of headings by size and weight, `deepest` the largest of them; `hyphenated` are
    words with a hyphen of their own.
    """

    body: float
    sizes: tuple[float, ...]
    repeated: frozenset[tuple[str, int]]
    slots: frozenset[int] = frozenset()
    labels: frozenset[str] = frozenset()
    ranks: Mapping[tuple[float, bool], int] = field(default_factory=dict)
    deepest: int = 0
    hyphenated: frozenset[str] = frozenset()


def outline(pdf: Any) -> dict[int, list[Title]]:
    """Return the bookmarks as (level from 1, title without white space and numbering) by page index."""
    found: dict[int, list[Title]] = {}
    for mark in itertools.islice(pdf.get_toc(max_depth=6), TITLES):
        target = mark.get_dest()
        page = target.get_index() if target else None
        title = _bare(mark.get_title())
        if page is not None and title:
            found.setdefault(page, []).append((mark.level + 1, title))
    return found


def _bare(text: str) -> str:
    """Return letters and digits without numbering, by which a title is known again."""
    return re.sub(r"[\W_]+", "", _number.sub("", text.strip())).lower()


def masked(line: Line) -> tuple[str, int]:
    """Return a line with digits masked and its height on the page, by which running headers are known."""
    return _digits.sub("#", line.text), round(line.box[1] / 4)


def style(pages: Sequence[Sequence[Line]], titles: Sequence[Sequence[Title]] = ()) -> Style:
    """Learn from some pages and what the outline lists on each of them."""
    every = [line for lines in pages for line in lines]
    weight: Counter[float] = Counter()
    for line in every:
        weight[line.size] += len(line.text)
    body = weight.most_common(1)[0][0] if weight else 10.0
    sizes = sorted({round(size * 2) / 2 for size in weight if size >= HEADING * body}, reverse=True)
    bold = Counter(line.text for line in every if line.bold and line.size < HEADING * body)
    ranks: dict[tuple[float, bool], Counter[int]] = {}
    for lines, listed in zip(pages, titles, strict=False):
        for at, level in matched(lines, listed).items():
            ranks.setdefault((lines[at].size, lines[at].bold), Counter())[level] += 1
    repeated, slots = _running(pages, body)
    return Style(
        body, tuple(sizes), repeated, slots,
        labels=frozenset(text for text, count in bold.items() if count >= LABEL),
        ranks={key: min(counts.most_common(1)[0][0], 6) for key, counts in ranks.items()},
        deepest=max((level for counts in ranks.values() for level in counts), default=0),
        hyphenated=frozenset(word.lower() for line in every for word in _hyphenated.findall(line.text)),
    )  # fmt: skip


def _running(
    pages: Sequence[Sequence[Line]], body: float
) -> tuple[frozenset[tuple[str, int]], frozenset[int]]:
    """Return lines that repeat at the edges of pages, and heights at which one stands alone."""
    seen: Counter[tuple[str, int]] = Counter()
    filled: Counter[int] = Counter()
    alone: Counter[int] = Counter()
    boxes = [line.box for lines in pages for line in lines]
    top, bottom = min((box[1] for box in boxes), default=0), max((box[3] for box in boxes), default=0)
    for lines in pages:
        outer = [line for line in lines if line.box[3] < top + MARGIN or line.box[1] > bottom - MARGIN]
        seen.update({masked(line) for line in outer})
        filled.update({round(line.box[1] / 4) for line in outer})
        alone.update({round(line.box[1] / 4) for line in outer if _alone(line, lines, body)})
    enough = max(2, 0.3 * len(pages))
    repeated = frozenset(key for key, count in seen.items() if count >= enough)
    often = max(3, 0.3 * len(pages))
    slots = {slot for slot, count in alone.items() if count >= max(often, 0.8 * filled[slot])}
    return repeated, frozenset(slots)


def _alone(line: Line, lines: Sequence[Line], body: float) -> bool:
    """Say whether a small line stands above or below everything else, with a space that no paragraph has."""
    height = line.box[3] - line.box[1]
    others = [one.box for one in lines if abs(one.box[1] - line.box[1]) > height]
    above = all(box[1] - line.box[3] > height for box in others)
    below = all(line.box[1] - box[3] > height for box in others)
    return bool(others) and (above or below) and line.size <= 1.05 * body


def without_running(lines: Sequence[Line], look: Style) -> list[Line]:
    """Return what is left of a page without running headers and footers."""
    return [
        line for line in lines
        if masked(line) not in look.repeated
        and not (round(line.box[1] / 4) in look.slots and _alone(line, lines, look.body))
    ]  # fmt: skip


def matched(lines: Sequence[Line], titles: Sequence[Title]) -> dict[int, int]:
    """Return the level of each line that is, alone or with the next three, one of the outline's titles."""
    found: dict[int, int] = {}
    for level, title in titles:
        for start in range(len(lines)):
            length = _length(lines[start : start + 4], title) if start not in found else 0
            if length:
                found.update(dict.fromkeys(range(start, start + length), level))
                break
    return found


def _length(lines: Sequence[Line], title: str) -> int:
    """Return how many of these lines make up a title, 0 when they do not."""
    text = ""
    for count, line in enumerate(lines, 1):
        text = f"{text} {line.text}"
        bare = _bare(text)
        if bare == title:
            return count
        if not title.startswith(bare):
            return 0
    return 0


def levels(lines: Sequence[Line], look: Style, titles: Sequence[Title] = ()) -> list[int]:
    """Return each line's heading level, 0 for text; what the outline says goes before what it looks like."""
    known = matched(lines, titles)
    usual = Counter(line.turn for line in lines).most_common(1)
    found = [
        known.get(at) or (_level(line, look) if line.turn == usual[0][0] else 0)
        for at, line in enumerate(lines)
    ]
    for at, line in enumerate(lines):
        if at not in known and found[at] and line.size < HEADING * look.body and not _own(lines, at):
            found[at] = 0
    start = 0
    for block in blocks(lines, _like):  # one that is long, or ends as a sentence does, is bold or large text
        end = start + len(block)
        text = " ".join(line.text for line in block)
        if len(text) > LONGEST_HEADING or _stops.search(text):
            found[start:end] = [known.get(at, 0) for at in range(start, end)]
        start = end
    return found


def _like(last: Line, line: Line) -> bool:
    return last.bold == line.bold and continues(last, line, heading=True)


def _level(line: Line, look: Style) -> int:
    """Return a line's level by its look alone: 1 for the largest size and so on, 0 for text."""
    if len(line.text) > LONGEST_HEADING or _stops.search(line.text) or not _letter.search(line.text):
        return 0
    large = line.size >= HEADING * look.body
    small = len(line.text) >= 90 or _ends.search(line.text) or line.text in look.labels
    if not large and (not line.bold or small or line.size <= 0.95 * look.body):
        return 0
    if look.ranks:
        return look.ranks.get((line.size, line.bold)) or min(look.deepest + 1, 6)
    if not large:
        return min(len(look.sizes) + 1, 6)
    rounded = round(line.size * 2) / 2
    return min(min(range(len(look.sizes)), key=lambda i: abs(look.sizes[i] - rounded), default=0) + 1, 6)


def _own(lines: Sequence[Line], at: int) -> bool:
    """Say whether a line stands by itself: no cell beside the next one, no item of a list."""
    line = lines[at]
    beside = [lines[near] for near in (at - 1, at + 1) if 0 <= near < len(lines)]
    height = line.box[3] - line.box[1]
    if any(min(line.box[3], one.box[3]) - max(line.box[1], one.box[1]) > 0.5 * height for one in beside):
        return False
    close = at > 0 and -height < line.box[1] - lines[at - 1].box[3] < 0.75 * height
    return not (_item.match(line.text) and (close or not line.text[0].isdigit()))
