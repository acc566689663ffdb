"""What an answer says beside what it should: words, characters and numbers compared; knows no example and no hit.

Chinese is compared by characters, everything else by words (CMRC 2018 and SQuAD, as their scripts do it).
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from lyceum.core.text import CJK, has_cjk, sentences

_group = re.compile(r"(?<=\d),(?=\d{3})")
_article = re.compile(r"\b(?:a|an|the)\b")
_token = re.compile(f"[{CJK}]|[^\\s{CJK}]+")
_word = re.compile(f"[{CJK}]|[^\\W_{CJK}]+")
_marks = re.compile(r"\s?\[(\d+(?:\s*[,，]\s*\d+)*)\]")
_late = re.compile(r"([.!?。！？；]{1,3}[\"”’」』]?)((?:\s*\[[\d,， ]+\])+)")
# The share of common tokens that makes two longer texts one, and how many tokens a longer text has.
SAME, LONG = 0.8, 8


def plain(text: str) -> str:
    """Return text as it is looked for: lower case, no thousands separators, no blanks next to Chinese."""
    text = _group.sub("", text.lower()).replace("\u3000", " ")
    return re.sub(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])", "", " ".join(text.split()))


def holds(text: str, wanted: str) -> bool:
    """Say whether a text holds the wanted words, not as part of a longer word or number."""
    inner = re.escape(plain(wanted).strip(" .,;:。，"))
    left = r"(?<![a-z0-9.])" if re.match(r"[a-z0-9]", plain(wanted)) else ""
    right = r"(?![a-z0-9]|\.\d)" if re.search(r"[a-z0-9]$", plain(wanted)) else ""
    return re.search(left + inner + right, plain(text)) is not None


def tokens(text: str) -> list[str]:
    """Return words (Chinese: characters) in lower case without marks and articles (Rajpurkar et al., SQuAD, 2016)."""
    kept = (
        c for c in unicodedata.normalize("NFKC", text).lower()
        if c not in string.punctuation and unicodedata.category(c)[0] != "P"
    )  # fmt: skip
    return _token.findall(_article.sub(" ", "".join(kept)))


def exact(text: str, gold: str) -> float:
    """Return 1 where both are the same but for case, marks and articles (SQuAD, 2016; CMRC, 2018)."""
    return float(tokens(text) == tokens(gold))


def f1(text: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall over tokens.

    The tokens in common are counted in any order (SQuAD, 2016), those of a Chinese answer only as far as they
    stand together (Cui et al., CMRC 2018: the longest common piece).
    """
    said, wanted = tokens(text), tokens(gold)
    if not said or not wanted:
        return float(said == wanted)
    if has_cjk(gold):
        common = SequenceMatcher(None, said, wanted, autojunk=False).find_longest_match().size
    else:
        common = (Counter(said) & Counter(wanted)).total()
    return 2 * common / (len(said) + len(wanted))


def rouge_l(text: str, gold: str) -> float:
    """Return ROUGE-L (Lin, 2004), precision and recall weighed alike: what both say in the same order."""
    said, wanted = _word.findall(text.lower()), _word.findall(gold.lower())
    return 2 * _in_order(said, wanted) / ((len(said) + len(wanted)) or 1)


def _in_order(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, a column a bit (Hyyrö, 2004)."""
    places: dict[str, int] = Counter()
    for at, word in enumerate(one):
        places[word] |= 1 << at
    row = every = (1 << len(one)) - 1
    for word in other:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & every
    return len(one) - row.bit_count()


def overlaps(one: str, other: str) -> bool:
    """Say whether one text stands in the other, or a longer one nearly does: layout and cuts may differ."""
    less, more = sorted((tokens(one), tokens(other)), key=len)
    if not less:
        return False
    if len(less) >= LONG:
        return (Counter(less) & Counter(more)).total() >= SAME * len(less)
    return f" {' '.join(less)} " in f" {' '.join(more)} "


def statements(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """Return the sentences and rows of an answer without their citation marks [n], each with the numbers it cites."""
    text = _late.sub(r"\2\1", text)  # a mark behind the full stop belongs to the sentence before it
    found = []
    for told in [line[start:end] for line in text.split("\n") for start, end in sentences(line)]:
        numbers = [int(one) for mark in _marks.findall(told) for one in re.split("[,，]", mark)]
        if tokens(said := _marks.sub("", told).strip()):
            found.append((said, tuple(numbers)))
    return found


UNITS = {
    "%": "% percent percentage 个百分点 百分点", "‰": "‰", "USD": "$ us$ usd dollar dollars 美元",
    "EUR": "€ eur euro euros 欧元", "GBP": "£ gbp pounds 英镑", "CNY": "¥ cny rmb yuan 人民币 元",
}  # fmt: skip
SCALES = {
    1e3: "thousand thousands k 千", 1e4: "万", 1e6: "million millions mn m 百万", 1e7: "千万", 1e8: "亿",
    1e9: "billion billions bn b", 1e12: "trillion trillions 万亿",
}  # fmt: skip
UNIT = {word: unit for unit, words in UNITS.items() for word in words.split()}
SCALE = {word: scale for scale, words in SCALES.items() for word in words.split()}


def _any(words: Sequence[str]) -> str:
    longest = sorted(words, key=len, reverse=True)
    return "|".join(re.escape(one) + r"\b" * one[-1].isascii() * one[-1].isalpha() for one in longest)


_quantity = re.compile(
    rf"(?<![a-z0-9.,])(?P<open>\()?(?P<sign>(?<![\w)])[-−–])?(?P<money>[a-z]{{0,2}}\$|[€£¥]|usd|eur|gbp|cny|rmb|人民币)?"
    rf"\s?(?P<inner>\()?(?P<minus>[-−])?(?P<digits>\d+(?:,\d{{3}})*(?:\.\d+)?|\.\d+)(?!\d|\.\d)\s?(?P<scale>{_any([*SCALE])})?(?![米克瓦])"
    rf"\s?(?P<unit>{_any([*UNIT])})?(?P<close>\))?(?P<behind>%)?"
)
_header = re.compile(rf"\bin (?:\w+ )?({_any([*SCALE])})|单位[:：]?\s?(?:人民币)?({_any([*SCALE])})")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it is meant: scale and sign applied; `step` is one unit of its last digit, `digits` how many."""

    value: float
    step: float
    unit: str
    digits: int
    scaled: bool
    text: str


def quantities(text: str) -> list[Quantity]:
    """Return the numbers of a text; one in brackets is negative unless it may be a year."""
    made = []
    for found in _quantity.finditer(unicodedata.normalize("NFKC", text).lower()):
        digits = found["digits"].replace(",", "")
        word, unit = found["scale"] or "", found["behind"] or found["unit"] or found["money"] or ""
        if len(word) == 1 and word.isascii() and not found["money"]:
            word = ""  # 5 m are metres
        scale = SCALE.get(word, 1.0)
        step = scale * 10.0 ** -len(digits.partition(".")[2])
        year = bool(re.fullmatch(r"[12]\d{3}", found["digits"])) and not unit
        negative = (
            found["sign"]
            or found["minus"]
            or ((found["open"] or found["inner"]) and found["close"] and not year)
        )
        value = float(digits) * scale * (-1 if negative else 1)
        known = len(digits.replace(".", "").lstrip("0"))
        made.append(
            Quantity(
                value, step, UNIT.get(unit, unit if "$" in unit else ""), known, bool(word), found.group()
            )
        )
    return made


def same_quantity(said: Quantity, gold: Quantity, tolerance: float = 0.0) -> bool:
    """Say whether two numbers are one but for rounding to the digits of the gold, or to three or more that were said.

    A unit that only one of them names is no difference; a share may be said as 0.126 or 12.6 %.
    """
    if said.unit and gold.unit and said.unit != gold.unit:
        return False
    off = max(gold.step, said.step if said.digits >= 3 else 0.0) / 2
    room = max(off, tolerance * abs(gold.value)) + 1e-9 * abs(gold.value)
    hundred = {("%", ""): 0.01, ("", "%"): 100.0}.get((said.unit, gold.unit), 1.0)
    return any(abs(said.value * factor - gold.value) <= room * min(factor, 1.0) for factor in {1.0, hundred})


def numeric(text: str, gold: str, tolerance: float = 0.0) -> bool | None:
    """Say whether a text holds the gold number, whatever its scale, unit and digits; None where the gold is none.

    Words that stand beside the gold number must be in the text; a scale that a heading of the text
    names ("in millions") holds for its bare numbers.
    """
    wanted = quantities(gold)
    rest = tokens(unicodedata.normalize("NFKC", gold).lower().replace(wanted[0].text, " ")) if wanted else []
    if len(wanted) != 1 or len(rest) > 3:
        return None
    if not set(rest) <= set(tokens(text)):
        return False
    said = quantities(text)
    if head := _header.search(unicodedata.normalize("NFKC", text).lower()):
        scale = SCALE[head[1] or head[2]]
        said += [
            replace(one, value=one.value * scale, step=one.step * scale) for one in said if not one.scaled
        ]
    return any(same_quantity(one, wanted[0], tolerance) for one in said)
