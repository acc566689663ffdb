"""An open platform as the subject of an autopsy: its parts are found where they are used, and exchanged in copies."""

from __future__ import annotations

import asyncio
import html
import re
import sys
import tempfile
import types
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lyceum.app.session import documents
from lyceum.core.protocols import Answerer, View
from lyceum.core.text import clean, has_cjk
from lyceum.core.types import Box, Chunk, Document, Element
from lyceum.evals.metrics import named
from lyceum.evals.stages import Wrap
from lyceum.store.postings import Postings
from lyceum.store.vectors import Vectors
from lyceum.wire import Platform

BATCH = 2_000
FUNCTIONS = (type, types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinFunctionType)
LARGER, FULL = 1.25, 0.9
_html = re.compile(r"<html|<!doctype html", re.I)
_space = re.compile(r"\s+")
_head = re.compile(r"<h\d\b[^>]*>", re.I)
_row = re.compile(r"</tr\s*>|</p\s*>|</h\d\s*>|</li\s*>|<br\s*/?>", re.I)
_cell = re.compile(r"</t[dh]\s*>\s*(?=<t[dh])", re.I)
_tag = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.I | re.S)


class Examined:
    """`sources` is the folder of the original files, where there is one; close it to drop the views built anew."""

    def __init__(self, platform: Platform, sources: Path | None = None) -> None:
        self.platform, self.sources = platform, sources
        self.parts: Mapping[str, Any] = _parts(platform)
        self._fresh: dict[str, View] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="lyceum-autopsy-")
        self._listed: dict[str, Document] | None = None
        self._pages: dict[str, Sequence[tuple[int | None, str]]] = {}

    async def close(self) -> None:
        """Drop what was built for the examination; the platform stays open."""
        self._folder.cleanup()

    def exchanged(self, wraps: Mapping[str, Sequence[Wrap]]) -> Answerer:
        """Return the answerer with parts wrapped, innermost wrap first; shared is what holds none of them."""
        asked: dict[int, list[Wrap]] = {}
        for name, part in self.parts.items():
            asked.setdefault(id(part), []).extend(wraps.get(name, ()))
        answerer: Answerer = _rebuilt(self.platform.answerer, asked, {})
        return answerer

    async def document(self, name: str) -> Document | None:
        """Return a document by its source or the end of it, whoever may read it."""
        if self._listed is None:
            self._listed = {one.source: one for one in await documents(self.platform)}
        listed = self._listed.items()
        return self._listed.get(name) or next((one for source, one in listed if named(source, name)), None)

    async def elements(self, document: Document) -> Sequence[Element]:
        """Return what the parser made of a document."""
        return await self.platform.store.ledger.elements(document.id)

    async def chunks(self, document: Document) -> Sequence[Chunk]:
        """Return a document's chunks."""
        return await self.platform.store.ledger.chunks(document.id)

    def split(self, document: Document, elements: Sequence[Element]) -> Sequence[Chunk]:
        """Cut elements with the pipeline's splitter."""
        return self.platform.splitter(document, elements)

    async def fresh(self, part: str) -> View:
        """Return a view like the platform's, fed with the whole ledger in a temporary folder."""
        if part not in self._fresh:
            ledger, folder = self.platform.store.ledger, Path(self._folder.name)
            view: View
            if part == "lexical":
                view = Postings(folder, self.parts["lexical"].analyzer)
            else:
                view = Vectors(folder, self.parts["dense"].embedder, ledger, _dropped)
            since = 0
            while changes := await ledger.changes(since, BATCH):
                await view.apply(changes)
                since = changes[-1].sequence
            self._fresh[part] = view
        return self._fresh[part]

    async def plain(self, name: str) -> Sequence[tuple[int | None, str]]:
        """Return the pages of a source file by a plain extraction, which is not the platform's parser."""
        if name not in self._pages:
            found = await self.document(name)
            file = self.sources / name if self.sources else Path(found.source if found else name)
            self._pages[name] = await asyncio.to_thread(_plain, file) if file.is_file() else ()
        return self._pages[name]


async def _dropped(encoder: str, rows: list[tuple[bytes, bytes]]) -> None:
    """Keep no vector: the ledger of a pipeline that is examined is not written."""


def _parts(platform: Platform) -> dict[str, Any]:
    """Return the parts of an answering pipeline by name, those that are there."""
    reader = _holder(platform.answerer, "evidence", "retriever")
    asks = vars(reader)["retriever"] if reader else platform.retriever
    whole = platform.retriever if any(one is platform.retriever for one in _below(asks)) else asks
    reranked, hybrid = _holder(whole, "reranker", "retriever"), _holder(whole, "lexical", "dense")
    engine = hybrid or _holder(whole, "view")
    parts = {"asks": asks, "retriever": whole}
    if reader:
        parts |= {"evidence": vars(reader)["evidence"], "reader": reader}
    if reranked:
        parts["reranker"] = vars(reranked)["reranker"]
    if engine:
        parts |= {"engine": engine, "ledger": vars(engine)["ledger"]}
    if hybrid:
        parts |= {"lexical": vars(hybrid)["lexical"], "dense": vars(hybrid)["dense"]}
    elif engine:
        parts["lexical" if hasattr(engine.view, "analyzer") else "dense"] = vars(engine)["view"]
    order = ("ledger", "lexical", "dense", "engine", "reranker", "retriever", "asks", "evidence", "reader")
    return {name: parts[name] for name in order if name in parts}


def _holder(part: Any, *names: str) -> Any:
    """Return the first part, seen from outside, that itself holds all the names."""
    return next((one for one in _below(part) if all(name in vars(one) for name in names)), None)


def _below(part: Any) -> Iterator[Any]:
    """Yield a part and those that it is made of, the nearest first."""
    waiting, known = deque([part]), {id(part)}
    while waiting:
        one = waiting.popleft()
        if _is_part(one):
            yield one
            fresh = [child for child in vars(one).values() if id(child) not in known]
            known.update(map(id, fresh))
            waiting.extend(fresh)


def _is_part(value: Any) -> bool:
    """Say whether a value is an object with parts, and none of the standard library's."""
    if isinstance(value, FUNCTIONS) or not hasattr(value, "__dict__"):
        return False
    return type(value).__module__.partition(".")[0] not in sys.stdlib_module_names


def _rebuilt(part: Any, wraps: Mapping[int, Sequence[Wrap]], made: dict[int, Any]) -> Any:
    """Return a part in which others are wrapped; copies are made on the way to these alone, and each once."""
    if id(part) in made:
        return made[id(part)]
    made[id(part)] = result = part  # where parts go round in a circle, the circle stays
    if _is_part(part):
        children = {name: _rebuilt(value, wraps, made) for name, value in vars(part).items()}
        if any(children[name] is not value for name, value in vars(part).items()):
            result = object.__new__(type(part))
            vars(result).update(children)
    for wrap in wraps.get(id(part), ()):
        result = wrap(result)
    made[id(part)] = result
    return result


def _plain(file: Path) -> Sequence[tuple[int | None, str]]:
    """Return pages with one paragraph, "# heading" or "cell | cell" a line."""
    data = file.read_bytes()
    if data.startswith(b"%PDF"):
        return list(_pdf(data))
    text = data.decode("utf-8", "replace")
    if _html.search(text[:1_000]):
        marked = _row.sub("\n", _head.sub("\n# ", _cell.sub(" | ", _space.sub(" ", text))))
        text = html.unescape(_tag.sub("", marked))
    return [(None, clean(text))]


def _pdf(data: bytes) -> Iterator[tuple[int, str]]:
    import pypdfium2

    with pypdfium2.PdfDocument(data) as document:
        for number in range(len(document)):
            words = document[number].get_textpage()
            boxes = [words.get_rect(at) for at in range(words.count_rects())]
            cells = [(box, words.get_text_bounded(*box).strip()) for box in boxes]
            yield number + 1, clean("\n".join(_lines([(box, text) for box, text in cells if text])))


def _lines(cells: Sequence[tuple[Box, str]]) -> list[str]:
    """Return printed cells as lines: what stands side by side is a row, larger than what follows a heading."""
    lines: list[list[tuple[Box, str]]] = []
    for box, text in cells:
        last = lines[-1][-1][0] if lines else (0.0, 0.0, 0.0, 0.0)
        beside = box[0] >= last[2] - 1 and min(box[3], last[3]) - max(box[1], last[1]) > 0
        lines[-1].append((box, text)) if beside and lines else lines.append([(box, text)])
    right = max((line[-1][0][2] for line in lines), default=0.0)
    heights = [max(box[3] - box[1] for box, _ in line) for line in lines]
    tall = LARGER * median(heights or [0.0])
    made: list[str] = []
    full = False  # the line before went on to the margin, so that this one belongs to it
    for line, height in zip(lines, heights, strict=True):
        text = " | ".join(text for _, text in line)
        headed = height > tall and len(line) == 1
        if full and not headed:
            made[-1] += ("" if has_cjk(made[-1][-1] + text[0]) else " ") + text
        else:
            made.append(f"# {text}" if headed else text)
        full = len(line) == 1 and not headed and line[0][0][2] > FULL * right
    return made
