"""The view of title links: which texts name which documents, in both directions, found by words in a row.

Takes ledger changes, gives the chunks whose title stands in a question, and the chunks around others. Every text is
kept as words in a full-text index, so that a title which comes later finds the texts that named it before. It knows
no analyzer and no model. Measured in docs/decisions/links.md.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from math import sqrt
from pathlib import Path
from typing import TypeVar

from lyceum.core.disk import refused
from lyceum.core.errors import REBUILD, StoreError
from lyceum.core.text import CJK, has_cjk
from lyceum.core.types import Change, Query
from lyceum.store import state
from lyceum.store.facets import facets, wanted
from lyceum.store.ledger import AMONG, CODES, address

T = TypeVar("T")
Seen = Callable[[str], bool]
MOST = 20  # a title that more texts name says little and links nothing; of its own chunks the first ones are linked
LONGEST, SHORTEST = 16, 4  # words of a title; characters of one in Chinese, which has no capitals
NAME = "§"  # before a word that stood there with a capital: single-word titles are names
RECIPE = f"1:{MOST}:{LONGEST}:{SHORTEST}"
_word = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")
_aside = re.compile(r"\s*[(（][^()（）]*[)）]\s*$")

TABLES = """
CREATE TABLE titles (key INTEGER PRIMARY KEY, words TEXT NOT NULL UNIQUE);
CREATE TABLE owners (key INTEGER PRIMARY KEY, said TEXT NOT NULL UNIQUE);
CREATE TABLE chunks (number INTEGER PRIMARY KEY, title INTEGER, owner INTEGER NOT NULL);
CREATE INDEX chunks_title ON chunks (title);
CREATE INDEX chunks_owner ON chunks (owner);
CREATE TABLE named (title INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (title, number)) WITHOUT ROWID;
CREATE INDEX named_number ON named (number);
CREATE VIRTUAL TABLE texts USING fts5 (words, tokenize = 'ascii', columnsize = 0);
"""
SEEN = "JOIN owners o ON o.key = c.owner AND seen(o.said)"
NAMERS = (
    f"SELECT n.number FROM named n JOIN chunks c ON c.number = n.number {SEEN} WHERE n.title = ?"
    f" ORDER BY n.number LIMIT {MOST + 1}"
)
BEARERS = f"SELECT c.number FROM chunks c {SEEN} WHERE c.title = ? ORDER BY c.number"
UNUSED = "NOT EXISTS (SELECT 1 FROM chunks WHERE {} = ?1)"
# Words of removed texts stay in old parts of the index until these are merged: 500 pages of that at a time.
MERGE = "INSERT INTO texts (texts, rank) VALUES ('merge', -500)"
EARLIER = (
    "INSERT OR IGNORE INTO named SELECT ?1, c.number FROM texts t JOIN chunks c ON c.number = t.rowid"
    " WHERE t.words MATCH ?2 AND c.title IS NOT ?1"
)


class Links:
    """A folder with one SQLite file and its state."""

    def __init__(self, folder: Path) -> None:
        self.name = "links"
        self.folder = folder / "views" / self.name
        self.file = self.folder / "links.db"
        self.ledger = ""
        self._guard = threading.Lock()
        self._stamp = (-1, -1)
        self._doubted = False  # a question met something broken: look at every byte
        self._db: sqlite3.Connection | None = None
        self._titles = _Titles()
        self._told = (-1, -1)  # the state that `_titles` belongs to

    # --- following the ledger --------------------------------------------------------------------------

    async def position(self) -> int:
        """Return the last change applied; 0 when missing, broken or made by other rules."""
        return await asyncio.to_thread(self._position)

    def _position(self) -> int:
        found = state.read(self.folder)
        usable = found.get("recipe") == RECIPE and found.get("ledger", "") == self.ledger
        if not usable or state.broken(self.folder, found.get("files", {}), thorough=self._doubted):
            return 0
        return int(found["position"]) if self.file.exists() else 0

    async def reset(self) -> None:
        """Forget everything; what is asked before the next `apply` finds nothing."""
        await asyncio.to_thread(self._reset)

    def _reset(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        with closing(self._connected()) as db:
            db.executescript(TABLES)
        self._doubted = False
        state.write(self.folder, {"recipe": RECIPE, "ledger": self.ledger, "position": 0, "files": {}})

    async def apply(self, changes: Sequence[Change]) -> None:
        """Take words, titles and links of new chunks, drop those of removed ones; then move the position."""
        await asyncio.to_thread(self._apply, changes)

    def _apply(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        try:
            if self._position() == 0:
                self._reset()
                state.must_begin(changes, self.name)
            self._write(changes)
        except sqlite3.Error as problem:
            raise self._failed(problem) from problem

    def _write(self, changes: Sequence[Change]) -> None:
        known, told = state.read(self.folder), self._told
        with closing(self._connected()) as db:
            if told != state.stamp(self.folder):  # another process has written since, or nobody has read yet
                self._titles = _Titles(db.execute("SELECT words, key FROM titles"))
            self._told = (-1, -1)
            state.write(self.folder, {**known, "files": {}})  # not sealed while it is written
            db.execute("BEGIN IMMEDIATE")
            with db:
                _take(db, self._titles, list({change.number: change for change in changes}.values()))
            if any(change.kind == "remove" for change in changes):
                db.execute(MERGE)
        sealed = state.seal([self.file], {})
        state.write(self.folder, {**known, "position": changes[-1].sequence, "files": sealed})
        self._told = state.stamp(self.folder)

    def _connected(self) -> sqlite3.Connection:
        """Open the file to write; no WAL, whose shared memory dies with a damaged file and takes the process along.

        Nothing is spilled before a commit, so that questions wait for no more than that.
        """
        db = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        for pragma in ("synchronous = FULL", "secure_delete = ON", "cache_spill = OFF"):
            db.execute(f"PRAGMA {pragma}")
        return db

    def _failed(self, problem: sqlite3.Error) -> StoreError:
        """Say why nothing could be written; a damaged file is dropped, for nothing in it is dear."""
        name = getattr(problem, "sqlite_errorname", "")
        for start, code in CODES.items():
            if name.startswith(start):
                return refused(code, f"the view {self.name}", problem)
        shutil.rmtree(self.folder, ignore_errors=True)
        return StoreError(
            f"The view {self.name} could not be written: {problem}.",
            hint="It is rebuilt; try again.", code=REBUILD,
        )  # fmt: skip

    async def check(self) -> tuple[int, list[str]]:
        """Return how many chunks are known, and the files that are broken, looking at every byte."""
        found = await asyncio.to_thread(state.read, self.folder)
        wrong = await asyncio.to_thread(state.broken, self.folder, found.get("files", {}), thorough=True)
        rows = await asyncio.to_thread(
            self._ask, bool, lambda db: list(db.execute("SELECT number FROM chunks"))
        )
        return len(rows), wrong

    # --- asking ----------------------------------------------------------------------------------------

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """Return chunks whose title stands in the question, each with 1 / root of how many bear it, best first.

        A title of one word counts where it has a capital and is not the first word.
        """
        gate = _gate(query)  # a wrong filter is said, whatever the question
        titles = list(_candidates(query.text))
        if not titles or not query.readers:
            return []

        def look(db: sqlite3.Connection) -> list[tuple[int, float]]:
            found: dict[int, float] = {}
            for (title,) in db.execute(f"SELECT key FROM titles WHERE words {AMONG}", [json.dumps(titles)]):
                share, bearers = _bearers(db, title, among)
                found.update((one, share) for one in bearers if share > found.get(one, 0.0))
            return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:k]

        return await asyncio.to_thread(self._ask, gate, look)

    async def around(self, query: Query, numbers: Sequence[int]) -> dict[int, dict[int, float]]:
        """Return for chunks those around them, as far as `query` may see them, each with the share of its link.

        Around a chunk are the first chunks of each document that it names, and the chunks that name its own. The
        share is 1 / root of how many chunks bear the title. Titles that many name link nothing.
        """

        def look(db: sqlite3.Connection) -> list[tuple[int, dict[int, float]]]:
            @lru_cache(None)
            def linked(title: int) -> tuple[float, list[int], list[int]]:
                namers = [one for (one,) in db.execute(NAMERS, [title])]
                return (0.0, [], []) if len(namers) > MOST else (*_bearers(db, title), namers)

            return [(number, near) for number in numbers if (near := _near(db, number, linked))]

        return dict(await asyncio.to_thread(self._ask, _gate(query), look))

    def _ask(self, seen: Seen, look: Callable[[sqlite3.Connection], list[T]]) -> list[T]:
        """Return what `look` finds among what `seen` lets through; nothing where there is no usable file."""
        with self._guard:
            try:
                stamp = state.stamp(self.folder)
                if stamp != self._stamp or self._db is None:
                    if state.read(self.folder).get("recipe") != RECIPE:
                        return []
                    uri = address(self.file)
                    self._db = sqlite3.connect(uri, uri=True, timeout=30, check_same_thread=False)
                    self._stamp = stamp
                self._db.create_function("seen", 1, seen)
                return look(self._db)
            except sqlite3.Error:
                # A broken file is a reason to rebuild, not to fail the question: `position` will say 0.
                self._db, self._doubted = None, True
                return []


class _Titles:
    """All titles by their words, and how long those are that begin with a word: what a text is read against."""

    def __init__(self, rows: Iterable[tuple[str, int]] = ()) -> None:
        self.keys: dict[str, int] = {}
        self.sizes: dict[str, set[int]] = {}
        for words, key in rows:
            self.add(words, key)

    def add(self, words: str, key: int) -> None:
        """Know one more."""
        self.keys[words] = key
        self.sizes.setdefault(words.partition(" ")[0], set()).add(words.count(" ") + 1)

    def named(self, words: Sequence[str]) -> set[int]:
        """Return the titles that stand in a text; one of a single word only where it has a capital."""
        low = [word.lower() for word in words]
        found = set()
        for at, word in enumerate(low):
            for size in self.sizes.get(word, ()):
                key = self.keys.get(" ".join(low[at : at + size]))
                if key is not None and at + size <= len(low) and (size > 1 or words[at][0].isupper()):
                    found.add(key)
        return found


def title_words(title: str) -> str:
    """Return a title's words in lower case, without what stands in brackets at its end; empty for no title."""
    words = _words(_aside.sub("", title)) or _words(title)
    short = SHORTEST if has_cjk(title) else 1
    return " ".join(words).lower() if short <= len(words) <= LONGEST else ""


def _words(text: str) -> list[str]:
    return _word.findall(unicodedata.normalize("NFKC", text))


def _candidates(text: str) -> Iterator[str]:
    """Yield whatever in a question could be a title."""
    words = _words(text)
    low = [word.lower() for word in words]
    for at in range(len(words)):
        for end in range(at + 1, min(len(words), at + LONGEST) + 1):
            if end > at + 1 or (at and words[at][0].isupper()):
                yield " ".join(low[at:end])


def _take(db: sqlite3.Connection, titles: _Titles, changes: Sequence[Change]) -> None:
    """Write the changes: what is replaced goes first, then all titles, so that a batch links within itself."""
    puts = [change for change in changes if change.kind == "put"]
    kinds = {change.number: change.kind for change in changes}
    sql = f"SELECT number, title, owner FROM chunks WHERE number {AMONG}"
    touched = db.execute(sql, [json.dumps(list(kinds))]).fetchall()
    gone = [(number,) for number, _, _ in touched if kinds[number] != "readers"]
    for table, key in (("texts", "rowid"), ("named", "number"), ("chunks", "number")):
        db.executemany(f"DELETE FROM {table} WHERE {key} = ?", gone)
    _keep(db, titles, puts)
    for change in changes:
        if change.kind == "readers":
            db.execute("UPDATE chunks SET owner = ? WHERE number = ?", [_owner(db, change), change.number])
    _drop_unused(db, titles, {row[1:] for row in touched})
    if (
        gone
    ):  # their words stay in old parts of the index until these are merged: some of that is done each time
        db.execute("INSERT INTO texts (texts, rank) VALUES ('merge', -500)")


def _keep(db: sqlite3.Connection, titles: _Titles, puts: Sequence[Change]) -> None:
    earlier = db.execute("SELECT EXISTS (SELECT 1 FROM chunks)").fetchone()[0]
    fresh: dict[str, int] = {}
    words: dict[int, list[str]] = {}
    own: dict[int, int | None] = {}
    for change in puts:
        assert change.chunk is not None
        title = title_words(change.chunk.title)
        if title and title not in titles.keys:
            fresh[title] = db.execute("INSERT INTO titles (words) VALUES (?)", [title]).lastrowid or 0
            titles.add(title, fresh[title])
        own[change.number], words[change.number] = titles.keys.get(title), _words(change.chunk.text)
    rows = [(change.number, own[change.number], _owner(db, change)) for change in puts]
    db.executemany("INSERT INTO chunks VALUES (?, ?, ?)", rows)
    for title, key in fresh.items() if earlier else ():
        db.execute(EARLIER, [key, f'"{title}"' if " " in title else f'"{NAME}{title}"'])
    kept = [(number, _kept(text)) for number, text in words.items()]
    db.executemany("INSERT INTO texts (rowid, words) VALUES (?, ?)", kept)
    pairs = [(key, one) for one, text in words.items() for key in titles.named(text) if key != own[one]]
    db.executemany("INSERT INTO named VALUES (?, ?)", sorted(pairs))


def _kept(words: Sequence[str]) -> str:
    """Return a text's words, then those with a capital once more, marked."""
    names = dict.fromkeys(NAME + word.lower() for word in words if word[0].isupper())
    return " ".join((*map(str.lower, words), *names))


def _owner(db: sqlite3.Connection, change: Change) -> int:
    """Return the key of who may read a document and of what it can be filtered by."""
    assert change.document is not None
    said = json.dumps([sorted(change.document.readers), facets(change.document)])
    db.execute("INSERT OR IGNORE INTO owners (said) VALUES (?)", [said])
    return int(db.execute("SELECT key FROM owners WHERE said = ?", [said]).fetchone()[0])


def _drop_unused(db: sqlite3.Connection, titles: _Titles, touched: set[tuple[int | None, int]]) -> None:
    """Forget titles and owners that the last chunk has left."""
    for title, owner in touched:
        db.execute(f"DELETE FROM owners WHERE key = ?1 AND {UNUSED.format('owner')}", [owner])
        sql = f"DELETE FROM titles WHERE key = ?1 AND {UNUSED.format('title')} RETURNING words"
        for (words,) in db.execute(sql, [title]).fetchall():
            del titles.keys[words]
            db.execute("DELETE FROM named WHERE title = ?", [title])


def _near(
    db: sqlite3.Connection, number: int, linked: Callable[[int], tuple[float, list[int], list[int]]]
) -> dict[int, float]:
    """Return the chunks around one that may be seen."""
    near: dict[int, float] = {}
    for (own,) in db.execute(f"SELECT c.title FROM chunks c {SEEN} WHERE c.number = ?", [number]).fetchall():
        if own is not None:
            share, _, namers = linked(own)
            near.update(dict.fromkeys(namers, share))
        for (title,) in db.execute("SELECT title FROM named WHERE number = ?", [number]).fetchall():
            share, bearers, _ = linked(title)
            near.update((one, share) for one in bearers if share > near.get(one, 0.0))
    return near


def _bearers(
    db: sqlite3.Connection, title: int, among: Sequence[int] | None = None
) -> tuple[float, list[int]]:
    """Return the share of a title and the first chunks that bear it, or those among some."""
    (count,) = db.execute("SELECT COUNT(*) FROM chunks WHERE title = ?", [title]).fetchone()
    found = [one for (one,) in db.execute(f"{BEARERS} LIMIT {MOST if among is None else -1}", [title])]
    return 1 / sqrt(count or 1), found if among is None else sorted(set(found) & set(among))


def _gate(query: Query) -> Seen:
    """Return what says of an owner whether the query may see its chunks."""
    groups = [frozenset(group) for group in wanted(query.filters)]

    def seen(said: str) -> bool:
        readers, values = _said(said)
        return not query.readers.isdisjoint(readers) and all(group & values for group in groups)

    return seen


@lru_cache(4096)
def _said(text: str) -> tuple[frozenset[str], frozenset[str]]:
    readers, values = json.loads(text)
    return frozenset(readers), frozenset(values)
