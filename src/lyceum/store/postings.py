"""The lexical view: BM25 over tantivy postings, with title and headings counted three times in the same field.

Takes ledger changes, gives chunk numbers with scores; it knows no text but the analyzer's terms. One field
with repeated titles stands for BM25F with title weight 3 (k1 1.2, b 0.75; Robertson and Zaragoza 2009). A second
index holds each row of a table as "title: column value; …", for a row says less among others than alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import tantivy

from lyceum.core.disk import refused
from lyceum.core.errors import REBUILD, StoreError
from lyceum.core.protocols import Analyzer
from lyceum.core.text import headline, named_rows
from lyceum.core.types import Change, Chunk, Query
from lyceum.store import state
from lyceum.store.facets import RECIPE, facets, wanted

TITLE_WEIGHT = 3
HEAP = 64_000_000
REFUSALS = {
    "No space": "disk_full", "Read-only": "read_only", "Permission denied": "read_only",
    "Input/output": "disk_io",
}  # fmt: skip
TERMS = 256  # a question's most frequent terms; more would only cost time
ROWS = 20  # rows a chunk that are looked at, for the best ones to belong to enough chunks


class Postings:
    """The index of chunks and, as `rows`, that of table rows; they follow the ledger together."""

    def __init__(self, folder: Path, analyzer: Analyzer) -> None:
        self.name = "postings"
        self.analyzer = analyzer

        def body(chunk: Chunk) -> list[list[str]]:
            return [analyzer(headline(chunk)) * TITLE_WEIGHT + analyzer(chunk.text)]

        def rows(chunk: Chunk) -> list[list[str]]:
            return [analyzer(row) for row in named_rows(chunk)]

        self.words = Index(
            folder / "views" / "postings", analyzer, body, f"2:{analyzer.name}:{TITLE_WEIGHT}:{RECIPE}"
        )
        self.rows = Index(folder / "views" / "rows", analyzer, rows, f"1:{analyzer.name}:{RECIPE}", ROWS)
        self.indexes = (self.words, self.rows)
        self.folder = self.words.folder

    @property
    def ledger(self) -> str:
        """Return the identity of the ledger that both follow."""
        return self.words.ledger

    @ledger.setter
    def ledger(self, identity: str) -> None:
        self.words.ledger = self.rows.ledger = identity

    async def position(self) -> int:
        """Return how far the one has come that is behind; 0 when one is missing or broken."""
        return min(await self.words.position(), await self.rows.position())

    async def apply(self, changes: Sequence[Change]) -> None:
        """Index changes in both; the one that was ahead takes some of them twice."""
        for index in self.indexes:
            await index.apply(changes)

    async def reset(self) -> None:
        """Forget everything; what is asked before the next `apply` finds nothing."""
        for index in self.indexes:
            await index.reset()

    async def check(self) -> tuple[int, list[str]]:
        """Return how many chunks can be found, and the files that are broken, looking at every byte."""
        found, wrong = await self.words.check()
        return found, [*wrong, *(f"rows/{name}" for name in (await self.rows.check())[1])]

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """Return at most k (number, BM25 score), best first; readers and filters hold inside the search."""
        return await self.words.find(query, k, among)

    async def counts(self, terms: Sequence[str]) -> tuple[int, dict[str, int]]:
        """Return the number of chunks, and for each term in how many of them it stands."""
        return await self.words.counts(terms)


class Index:
    """A folder with a tantivy index and its state; `made` gives the terms of a chunk's entries.

    Where a chunk has several, its score is that of the best; `most` entries a chunk are looked at.
    """

    def __init__(
        self, folder: Path, analyzer: Analyzer, made: Callable[[Chunk], Iterable[list[str]]], recipe: str,
        most: int = 1,
    ) -> None:  # fmt: skip
        self.name = folder.name
        self.folder, self.analyzer, self.made, self.recipe, self.most = folder, analyzer, made, recipe, most
        self.ledger = ""
        self._guard = threading.Lock()
        self._stamp = (-1, -1)
        self._doubted = False  # a question met something broken: look at every byte
        self._index: tantivy.Index | None = None
        self._searcher: tantivy.Searcher | None = None
        self._groups: list[frozenset[str]] = []

    # --- following the ledger --------------------------------------------------------------------------

    async def position(self) -> int:
        """Return the last change applied; 0 when missing, broken or made by another analyzer."""
        return await asyncio.to_thread(self._position)

    def _position(self) -> int:
        found = state.read(self.folder)
        usable = found.get("recipe") == self.recipe and found.get("ledger", "") == self.ledger
        if not usable or state.broken(self.folder, found.get("files", {}), thorough=self._doubted):
            return 0
        if self._reopened() is None:
            return 0
        return int(found["position"])

    async def apply(self, changes: Sequence[Change]) -> None:
        """Index changes and commit; the state is written after the commit, so a crash only repeats work."""
        await asyncio.to_thread(self._apply, changes)

    def _apply(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        known = state.read(self.folder)
        if not known or self._position() == 0:
            known = self._reset()
            state.must_begin(changes, self.name)
        index = self._open()
        assert index is not None
        last = changes[-1].sequence
        # A change up to `pending` may already be in the index without the state saying so: delete first.
        doubtful = int(known.get("pending", 0))
        state.write(self.folder, {**known, "pending": max(last, doubtful), "files": {}})
        try:
            self._commit(index, changes, doubtful)
            files = [file for file in self.folder.iterdir() if not file.name.startswith("state.json")]
            sealed = state.seal((file for file in files if file.suffix != ".lock"), known.get("files", {}))
        except (ValueError, OSError) as problem:
            self._forget()
            raise self._failed(problem) from problem
        groups = {tuple(group) for group in known["readers"]}
        groups |= {tuple(sorted(one.document.readers)) for one in changes if one.document is not None}
        fresh = {
            "recipe": self.recipe, "ledger": self.ledger, "position": last, "pending": last,
            "readers": sorted(groups), "files": sealed,
        }  # fmt: skip
        state.write(self.folder, fresh)

    def _failed(self, problem: Exception) -> StoreError:
        """Say why nothing could be written; a view whose files are in the way starts again."""
        for said, code in REFUSALS.items():
            if said in str(problem):  # then the old files still answer, and new ones would fare no better
                return refused(code, f"the view {self.name}", problem)
        # A writer that was killed leaves files behind whose names the next one needs; nothing here is dear.
        shutil.rmtree(self.folder, ignore_errors=True)
        return StoreError(
            f"The view {self.name} could not be written: {problem}.",
            hint="It is rebuilt; try again.", code=REBUILD,
        )  # fmt: skip

    async def reset(self) -> None:
        """Forget everything; what is asked before the next `apply` finds nothing."""
        await asyncio.to_thread(self._reset)

    def _commit(self, index: tantivy.Index, changes: Sequence[Change], doubtful: int) -> None:
        latest = {change.number: change for change in changes}
        gone = [n for n, change in latest.items() if change.kind != "put" or change.sequence <= doubtful]
        entries = (
            made for change in latest.values() if change.kind != "remove" for made in self._entries(change)
        )
        first = next(entries, None)
        with _calm():
            index.reload()
            if first is None and (not gone or index.searcher().num_docs == 0):
                return
            writer = index.writer(heap_size=HEAP, num_threads=1)
            if gone:
                writer.delete_documents_by_query(_one_of("number", gone))
            for entry in chain((first,) if first else (), entries):
                writer.add_document(entry)
            writer.commit()
            writer.wait_merging_threads()

    def _reset(self) -> dict[str, Any]:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            with _calm():
                self._index = _unwatched(tantivy.Index(SCHEMA, path=str(self.folder)))
        except ValueError as problem:
            self._forget()
            raise self._failed(problem) from problem
        self._searcher, self._stamp, self._doubted = None, (-1, -1), False
        known = {"recipe": self.recipe, "ledger": self.ledger, "position": 0, "pending": 0, "readers": []}
        state.write(self.folder, known)
        return known

    def _entries(self, change: Change) -> Iterator[tantivy.Document]:
        assert change.chunk is not None
        assert change.document is not None
        for terms in self.made(change.chunk):
            entry = tantivy.Document()
            entry.add_unsigned("number", change.number)
            entry.add_text("terms", " ".join(terms))
            for reader in change.document.readers:
                entry.add_text("readers", reader)
            for facet in facets(change.document):
                entry.add_text("facets", facet)
            yield entry

    def _open(self) -> tantivy.Index | None:
        if self._index is None:
            try:
                with _calm():
                    self._index = _unwatched(tantivy.Index.open(str(self._place())))
            except (ValueError, OSError):
                return None
        return self._index

    def _place(self) -> Path:
        """Return the folder; where nothing can be written one of links to it, since tantivy locks to read."""
        if os.access(self.folder, os.W_OK):
            return self.folder
        links = Path(tempfile.mkdtemp(prefix="lyceum-"))
        weakref.finalize(self, shutil.rmtree, links, True)
        for file in self.folder.iterdir():
            if file.suffix != ".lock":
                (links / file.name).symlink_to(file)
        return links

    async def check(self) -> tuple[int, list[str]]:
        """Return how many chunks can be found, and the files that are broken, looking at every byte."""
        found = await asyncio.to_thread(state.read, self.folder)
        wrong = await asyncio.to_thread(state.broken, self.folder, found.get("files", {}), thorough=True)
        searcher = await asyncio.to_thread(self._reopened)
        return (searcher.num_docs if searcher else 0), wrong

    # --- asking ----------------------------------------------------------------------------------------

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """Return at most k (number, BM25 score), best first; readers and filters hold inside the search."""
        if self._empty():
            return []
        return await asyncio.to_thread(self._find, query, k, among)

    def _empty(self) -> bool:
        """Say whether the last commit is known to hold nothing: one look at a file, not worth a thread."""
        known = self._searcher if self._stamp == state.stamp(self.folder) else None
        return known is not None and known.num_docs == 0

    def _find(self, query: Query, k: int, among: Sequence[int] | None) -> list[tuple[int, float]]:
        terms = query.terms if query.terms is not None else Counter(self.analyzer(query.text))
        searcher = self._reopened()
        if not terms or not query.readers or not searcher or (among is not None and not among):
            return []
        try:
            # Where every document is readable there is nothing to filter, and tantivy skips blocks (4 x faster).
            readers = () if all(group & query.readers for group in self._groups) else sorted(query.readers)
            with _calm():
                asked = _question(terms, readers, query, among)
                found = searcher.search(asked, limit=k * self.most, count=False).hits
                numbers = searcher.fast_field_values("number", [address for _, address in found])
        except (ValueError, OSError):
            # Broken files are a reason to rebuild, not to fail the question: `position` will say 0.
            self._forget()
            self._doubted = True
            return []
        best: dict[int, float] = {}
        for number, (score, _) in zip(numbers, found, strict=True):
            best.setdefault(int(number or 0), float(score))
        return list(best.items())[:k]

    async def counts(self, terms: Sequence[str]) -> tuple[int, dict[str, int]]:
        """Return the number of chunks, and for each term in how many of them it stands."""
        return await asyncio.to_thread(self._counts, terms)

    def _counts(self, terms: Sequence[str]) -> tuple[int, dict[str, int]]:
        try:
            with _calm():
                if (searcher := self._reopened()) is not None:
                    return searcher.num_docs, {term: searcher.doc_freq("terms", term) for term in terms}
        except (ValueError, OSError):
            self._forget()
            self._doubted = True
        return 0, dict.fromkeys(terms, 0)

    def _reopened(self) -> tantivy.Searcher | None:
        """Return a searcher over the last commit; None when there is no usable index."""
        stamp = state.stamp(self.folder)
        with self._guard:
            if stamp != self._stamp or self._searcher is None:
                known = state.read(self.folder)
                index = self._open() if known.get("recipe") == self.recipe else None
                try:
                    if index is None:
                        return None
                    with _calm():
                        index.reload()
                        self._groups = [frozenset(group) for group in known["readers"]]
                        self._searcher, self._stamp = index.searcher(), stamp
                except (ValueError, OSError):
                    self._forget()
            return self._searcher

    def _forget(self) -> None:
        self._index = self._searcher = None
        self._stamp = (-1, -1)


def _unwatched(index: tantivy.Index) -> tantivy.Index:
    """Return an index that is read anew only when it is asked to.

    Else a thread of tantivy follows the folder and may touch a mapped file that a fault has just cut short: that
    ends the process (SIGBUS), and no `except` sees it.
    """
    index.config_reader("Manual")
    return index


@contextmanager
def _calm() -> Iterator[None]:
    """Turn a panic of tantivy, which it reports past every `except Exception`, into a ValueError."""
    try:
        yield
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":
            raise
        raise ValueError(f"the index is damaged: {problem}") from problem


SCHEMA = (
    tantivy.SchemaBuilder()
    .add_unsigned_field("number", indexed=True, fast=True)
    .add_text_field("terms", tokenizer_name="whitespace", index_option="freq")
    .add_text_field("readers", tokenizer_name="raw", index_option="basic")
    .add_text_field("facets", tokenizer_name="raw", index_option="basic")
    .build()
)


def _one_of(field: str, values: Sequence[Any]) -> tantivy.Query:
    """Return what holds one of the values, without a score; a term set query takes 4 times as long for 100."""
    Should = tantivy.Occur.Should
    terms = [(Should, tantivy.Query.term_query(SCHEMA, field, value, "basic")) for value in values]
    return tantivy.Query.const_score_query(tantivy.Query.boolean_query(terms), 0.0)


def _question(
    terms: Mapping[str, float],
    readers: Sequence[str],
    query: Query,
    among: Sequence[int] | None,
    letters: int = 0,
) -> tantivy.Query:
    """Weighted terms, plus what a chunk must be without scoring: readable, within the filters, a candidate."""
    Should, Must = tantivy.Occur.Should, tantivy.Occur.Must
    scored = []
    for term, weight in sorted(terms.items(), key=lambda item: -item[1])[:TERMS]:
        single = tantivy.Query.term_query(SCHEMA, "terms", term, "freq")
        scored.append((Should, single if weight == 1 else tantivy.Query.boost_query(single, float(weight))))
    sets = [("readers", readers), ("number", among or ()), *(("facets", g) for g in wanted(query.filters))]
    clauses = [(Must, _one_of(field, values)) for field, values in sets if values]
    return tantivy.Query.boolean_query([(Must, tantivy.Query.boolean_query(scored)), *clauses])
