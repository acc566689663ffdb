"""Small text helpers that several rooms need: script, token count, sentences, escapes. No model, no weights."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from lyceum.core.errors import InvalidInput
from lyceum.core.types import Chunk

# Han ideographs with extension A and compatibility forms; kana and hangul are counted likewise.
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_cjk = re.compile(f"[{CJK}]")
_han = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_count = re.compile(f"[{CJK}]|[^\\W\\d_{CJK}]+|\\d+|[^\\w\\s]|_")
_latin = re.compile("[A-Za-z\u00c0-\u024f]")

# A sentence ends after its mark and the closing quotes or brackets behind it. Latin marks need white space
# after them; abbreviations and single initials ("No. 5", "Dr. Li", "J. Smith") do not end one.
_end = re.compile(
    r"(?:[。！？；…]+|\n{2,}|\n(?=[-•*·]\s|[^\s:：](?:[^\n:：]{0,24}[^\s\d:：])?[:：]\s?\S)|(?<=[.!?])(?=[\s\"')\]”’]))[\"')\]”’」』）]*\s*"
)
_short = re.compile(
    r"(?:(?<!°)\b(?:[A-Z]|No|Nos|Dr|Mr|Mrs|Ms|Prof|St|Fig|Sec|Art|Inc|Ltd|Co|Corp|vs|approx|e\.g|i\.e|cf|al|Vol|pp|p|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)\.)$"
)
_rule = re.compile(r"^[\s|:\-]+$")
_cell = re.compile(r"(?<!\\)\|")


def language(text: str) -> str:
    """Return "zh" when Han characters weigh more than Latin words (about five letters each), else "en"."""
    sample = text[:20_000]
    return "zh" if len(_han.findall(sample)) * 3 > len(_latin.findall(sample)) else "en"


def script(text: str) -> str:
    """Return the language by which an encoder is chosen: "en" for all that holds no Chinese character."""
    return language(text) if has_cjk(text) else "en"


def has_cjk(text: str) -> bool:
    """Say whether any Chinese, Japanese or Korean character stands in the text."""
    return _cjk.search(text) is not None


def count_tokens(text: str) -> int:
    """Estimate a subword model's tokens without its vocabulary: one a CJK character, mark or 3 digits.

    Latin words count one token per six letters begun. Chunk ids depend on it, so its rule is frozen by name
    in the splitter.
    """
    total = 0
    for token in _count.findall(text):
        size = len(token)
        total += 1 if size == 1 else -(-size // 3) if token.isdigit() else -(-size // 6)
    return total


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the character ranges of the sentences in order, outer white space left out.

    A line that begins with a bullet or a label ("Date: ...") begins one.
    """
    ranges: list[tuple[int, int]] = []
    start = 0
    for match in _end.finditer(text):
        if match.end() <= start or _short.search(text[max(start, match.start() - 8) : match.start()]):
            continue
        _append(ranges, text, start, match.end())
        start = match.end()
    _append(ranges, text, start, len(text))
    return ranges


def _append(ranges: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
    if right > left:
        ranges.append((start + left, start + right))


def names(text: str | Iterable[str]) -> frozenset[str]:
    """Return the names in "a, b" or a list of them; raise when one is no text that can be stored."""
    found = frozenset(
        one.strip() for one in (text.split(",") if isinstance(text, str) else text) if one.strip()
    )
    for one in found:
        if not one.isprintable():
            raise InvalidInput(f"{one!a} is no name.", hint="Use letters, digits and signs.", code="name")
    return found


def clean(text: str) -> str:
    """Return the text in NFC without control characters (tab and newline stay) and without outer space."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be stored
    if text.isprintable():
        return text.strip()
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc").strip()


def squeeze(text: str) -> str:
    """Return the text with each run of white space as one space."""
    return " ".join(text.split())


def markdown_row(cells: tuple[str, ...]) -> str:
    """Return cells as one Markdown table row; pipes and line breaks inside a cell are escaped."""
    return "| " + " | ".join(squeeze(cell).replace("|", "\\|") for cell in cells) + " |"


def cells(line: str) -> list[str]:
    """Return the cells of one Markdown table row."""
    return [squeeze(cell.replace("\\|", "|")) for cell in _cell.split(line.strip().strip("|"))]


def table_rows(chunk: Chunk) -> Iterator[tuple[int, int, list[str]]]:
    """Yield (start, end, cells) of a table chunk's rows below its header; none of another chunk's."""
    columns = [str(column) for column in chunk.meta.get("columns", ())]
    header, start = int(chunk.meta.get("header", 0)), 0
    for number, line in enumerate(chunk.text.split("\n") if chunk.kind == "table" else ()):
        if number >= header and "|" in line and not _rule.match(line) and (row := cells(line)) != columns:
            yield start, start + len(line), row
        start += len(line) + 1


def named_rows(chunk: Chunk) -> list[str]:
    """Return a table chunk's rows as "title headings: column value; column value"."""
    columns = [str(column) for column in chunk.meta.get("columns", ())]
    above = " ".join((chunk.title, *chunk.path))
    return [
        f"{above}: " + "; ".join(f"{c} {v}" for c, v in zip_longest(columns, row, fillvalue=""))
        for _, _, row in table_rows(chunk)
    ]


def headline(chunk: Chunk) -> str:
    """Return the words that stand above a chunk: title, headings, and a table's columns."""
    return " ".join((chunk.title, *chunk.path, *map(str, chunk.meta.get("columns", ())))).strip()


def dense_text(chunk: Chunk) -> str:
    """Return what an encoder reads of a chunk: title and headings before the text."""
    above = " ".join((chunk.title, *chunk.path)).strip()
    return f"{above}\n{chunk.text}" if above else chunk.text
