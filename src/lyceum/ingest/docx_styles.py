"""Styles and numbering of a DOCX: a paragraph's heading level, its kind and its number as Word shows it.

It knows `w:pPr` and the parts "styles" and "numbering"; the words of a paragraph it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lyceum.ingest.ooxml import W, whole, xml

# Word writes the names of its own styles in English whatever its language; other programs write theirs.
_heading = re.compile(
    r"^(?:heading|标题|標題|見出し|제목|überschrift|titre|título|titolo|título|kop|rubrik|overskrift|otsikko|"
    r"nagłówek|nadpis|заголовок|başlık)\s*(\d)", re.I,
)  # fmt: skip
TITLES = frozenset(("title", "标题", "titel", "titre", "título", "titolo"))
_code = re.compile(r"code|preformatted", re.I)
LONGEST = 200  # characters of a paragraph that only its outline level calls a heading
HAN = "零一二三四五六七八九十"
ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


def value(holder: Any, name: str, default: str = "") -> str:
    """Return the w:val of a child, the default when there is no such child."""
    found = holder.find(W + name) if holder is not None else None
    return str(found.get(W + "val", default)) if found is not None else default


def related(part: Any, kind: str) -> Any:
    """Return the root of the part that a relationship of this kind leads to, an empty one when there is none."""
    for relation in part.rels.values():
        if relation.reltype.endswith("/" + kind) and not relation.is_external:
            return xml(relation.target_part.blob)
    return xml(b"<none/>")


class Styles:
    """What paragraphs are by their style, the styles it is based on, and what they say themselves."""

    def __init__(self, part: Any) -> None:
        self.by_id = {one.get(W + "styleId", ""): one for one in related(part, "styles").iter(W + "style")}

    def chain(self, properties: Any) -> Iterator[Any]:
        """Yield a paragraph's style and those below it; a circle ends."""
        seen: set[str] = set()
        name = value(properties, "pStyle")
        while name in self.by_id and name not in seen:
            seen.add(name)
            yield self.by_id[name]
            name = value(self.by_id[name], "basedOn")

    def level(self, properties: Any, text: str) -> int:
        """Return a heading's level, 0 for other paragraphs."""
        if outline := value(properties, "outlineLvl"):
            return _outline(outline) if len(text) <= LONGEST else 0
        for style in self.chain(properties):
            name = value(style, "name").lower()
            if name in TITLES:
                return 1
            if match := _heading.match(name):
                return min(max(int(match.group(1)), 1), 6)
            if outline := value(style.find(W + "pPr"), "outlineLvl"):
                return _outline(outline)
        return 0

    def is_code(self, properties: Any) -> bool:
        """Say whether a style is for source text."""
        return any(_code.search(value(style, "name")) for style in self.chain(properties))


def _outline(text: str) -> int:
    return min(int(text) + 1, 6) if text.isdigit() and int(text) < 9 else 0


Level = tuple[str, str, int]  # format, text with %1 for the number of level 1, first number


class Numbers:
    """Automatic numbers of paragraphs, counted as Word shows them: "2.1", "(a)", "第三条" (ECMA-376, 17.9)."""

    def __init__(self, part: Any, styles: Styles) -> None:
        self.styles = styles
        self.levels: dict[str, dict[int, Level]] = {}
        self.linked: dict[str, int] = {}  # a style's id to the level that names it
        self.list_of: dict[str, str] = {}  # a number's id to the list it counts in
        self.starts: dict[tuple[str, int], int] = {}
        self.counts: dict[str, dict[int, int]] = {}
        root = related(part, "numbering")
        for one in root.iterfind(W + "abstractNum"):
            levels = self.levels[one.get(W + "abstractNumId", "")] = {}
            for level in one.iterfind(W + "lvl"):
                depth = whole(level.get(W + "ilvl"), 0)
                form, text = value(level, "numFmt", "decimal"), value(level, "lvlText")
                levels[depth] = (form, text, whole(value(level, "start"), 1))
                if style := value(level, "pStyle"):
                    self.linked[style] = depth
        for one in root.iterfind(W + "num"):
            number = one.get(W + "numId", "")
            self.list_of[number] = value(one, "abstractNumId")
            for override in one.findall(W + "lvlOverride"):
                if start := value(override, "startOverride"):
                    self.starts[number, whole(override.get(W + "ilvl"), 0)] = whole(start, 1)

    def label(self, properties: Any) -> str:
        """Return a paragraph's number or bullet, empty when it has none; counts it."""
        number, depth = self._reference(properties)
        key = self.list_of.get(number, "")
        levels = self.levels.get(key, {})
        if depth not in levels:
            return ""
        form, text, first = levels[depth]
        counts = self.counts.setdefault(key, {})
        start = self.starts.pop((number, depth), None)  # acts once, at the first paragraph of its number
        counts[depth] = start if start is not None else counts.get(depth, first - 1) + 1
        for deeper in [one for one in counts if one > depth]:
            del counts[deeper]
        if form in ("bullet", "none"):
            return "-" if form == "bullet" else ""

        def number_of(match: re.Match[str]) -> str:
            one = int(match.group(1)) - 1
            other, _, begins = levels.get(one, ("decimal", "", 1))
            return written(counts.get(one, begins), other)

        return re.sub(r"%(\d)", number_of, text).strip()

    def _reference(self, properties: Any) -> tuple[str, int]:
        """Return (number, depth) from the paragraph or the styles it is based on."""
        styles = [(one.find(W + "pPr"), one.get(W + "styleId", "")) for one in self.styles.chain(properties)]
        for holder, style in [(properties, ""), *styles]:
            found = holder.find(W + "numPr") if holder is not None else None
            if number := value(found, "numId"):
                return number, self.linked.get(style, whole(value(found, "ilvl"), 0))
        return "", 0


def written(number: int, form: str) -> str:
    """Return a number as Word writes it in a format."""
    if form in ("lowerLetter", "upperLetter"):
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 % 50 + 1)
        return letter if form == "lowerLetter" else letter.upper()
    if form in ("lowerRoman", "upperRoman"):
        roman, rest = "", number % 10_000
        for size, sign in ROMAN:
            roman, rest = roman + sign * (rest // size), rest % size
        return roman if form == "lowerRoman" else roman.upper()
    if number < 100 and (form.startswith("chinese") or form in ("japaneseCounting", "ideographDigital")):
        tens, ones = divmod(number, 10)
        head = ("" if tens == 1 else HAN[tens]) + "十" if tens else ""
        return head + (HAN[ones] if ones or not tens else "")
    return str(number)
