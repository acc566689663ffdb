"""A question to its form, and whether two forms ask the same; knows no vectors.

Cosines cannot tell "enable" from "disable" or Monday from Tuesday. A form is what is left of a question when
politeness, articles and ways of asking are taken off and words of one meaning are made one (guard.txt); two questions
are the same only when everything that is left stands in the same order. Hence an unknown word, a number, a name, a
negation or a question word that differs is enough to part them. English and Chinese.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import rjieba

_quoted = re.compile(r"\"[^\"]+\"|“[^”]+”|「[^」]+」|《[^》]+》|`[^`]+`|(?<!\w)'[^']+'(?!\w)")
_token = re.compile(
    r"\x00\d+|[-+]?[$€£¥]?\d[\w.,:/%-]*\w%?|[-+]?[$€£¥]?\d%?|\w[\w.+#@/&-]*[\w+#]|\w|[%$€£¥+=<>*/&#@^-]"
)
_word = re.compile(r"\w+")
_cjk = re.compile(r"[\u3400-\u9fff]+")
_grouped = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
ME, YOU = (
    frozenset({"my", "our", "我的", "我们的", "我"}),
    frozenset({"your", "you", "你的", "你们的", "您的"}),
)
NUMBERS = {
    word: str(at)
    for at, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
}
# Words that are also written in capitals and then mean something else: IT, US, WHO, OR.
ORDINARY = frozenset(
    "it us who or in am as at be by do go he if me my no of on so to up we all can may will".split()
)
BEGIN = frozenset("is are do does can could will would should may must has have am was were did".split())


@dataclass(frozen=True, slots=True)
class Form:
    """`words` in order; `turned` the same where "a of b" is written "b a"; `persons` whose things are spoken of."""

    words: tuple[str, ...]
    turned: tuple[str, ...]
    persons: frozenset[str]


def same(text: str, another: str) -> bool:
    """Say whether two questions ask the same."""
    one, other = form(text), form(another)
    if one.persons and other.persons and one.persons != other.persons:
        return False
    return bool(one.words) and (
        one.words == other.words or one.turned == other.words or one.words == other.turned
    )


@lru_cache(maxsize=4096)
def form(text: str) -> Form:
    """Return the form of a question."""
    text = _grouped.sub("", unicodedata.normalize("NFKC", text).replace("’", "'").strip())
    quoted: list[str] = []

    def kept(found: re.Match[str]) -> str:
        quoted.append(found.group()[1:-1])
        return f" \x00{len(quoted) - 1} "

    text = _quoted.sub(kept, text)
    persons = _persons(text.lower())
    loud = text.isupper()
    text = _word.sub(
        lambda found: found.group() if _meant(found.group(), loud) else found.group().lower(), text
    )
    patterns, soft = _tables()
    for pattern, becomes in patterns:
        text = pattern.sub(becomes, text)
    text = _cjk.sub(r" \g<0> ", text.replace("'s ", " "))
    tokens = _token.findall(text)
    left = ["?"] if (tokens and tokens[0] in BEGIN) or "吗" in text else []
    for token in tokens:
        if token not in soft:
            left += [word for word in _words(token, quoted) if word not in soft and word != "吗"]
    return Form(tuple(left), _turned(left), persons)


def _meant(word: str, loud: bool) -> bool:
    """Say whether capitals change what a word means: IT is not it."""
    return len(word) > 1 and word.isupper() and not loud and word.lower() in ORDINARY


def _words(token: str, quoted: list[str]) -> list[str]:
    """Return the words of a token, each in its plain form."""
    if token.startswith("\x00"):
        return [f"\x00{quoted[int(token[1:])]}"]
    if _cjk.match(token):
        return [word for word in rjieba.cut(token) if word.strip()]
    if "-" in token and token.replace("-", "").isalpha():
        return [_stem(word) for word in token.split("-") if word]
    return [NUMBERS.get(token, _stem(token))]


def _stem(word: str) -> str:
    """Return a word without its plural or "ing": no more, for "booked" is not "book" and "important" not "import"."""
    if not word.isascii() or not word.isalpha() or not word.islower() or len(word) < 4:
        return word.removesuffix("'s")
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("ing") and len(word) > 5:
        word = word[:-3]
        word = word[:-1] if word[-1] == word[-2] and word[-1] not in "lsz" else word
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("ches", "shes", "xes", "sses")) else word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def _turned(words: list[str]) -> tuple[str, ...]:
    """Return "b a" for "a of b", where that stands there once."""
    at = [place for place, word in enumerate(words) if word in ("of", "for")]
    if len(at) != 1:
        return ()
    return (*words[at[0] + 1 :], *words[: at[0]])


def _persons(text: str) -> frozenset[str]:
    found = set(re.findall(r"[a-z']+|我们的|你们的|我的|你的|您的|我|你|您", text))
    return frozenset(name for name, words in (("me", ME), ("you", YOU)) if found & words)


@cache
def _tables() -> tuple[list[tuple[re.Pattern[str], str]], frozenset[str]]:
    """Return what is written and what it becomes, in order, and the words that say nothing."""
    patterns, soft, bounded, section = [], frozenset[str](), True, ""
    for line in Path(__file__).with_name("guard.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section, bounded = line, line in ("[frames]", "[english]")
        elif section == "[soft]":
            soft = frozenset(line.split())
        elif line and not line.startswith("#"):
            written, _, becomes = line.rpartition(" = ")
            around = (r"(?<![\w'-])", r"(?![\w'-])") if bounded else ("", "")
            patterns.append(
                (re.compile(f"{around[0]}(?:{written}){around[1]}"), becomes if bounded else f" {becomes} ")
            )
    return patterns, soft
