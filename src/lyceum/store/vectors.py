"""The dense view: one append-only, memory-mapped int8 matrix scanned exactly, each row with its own scale.

Takes ledger changes and an encoder, gives chunk numbers with cosines. Vectors it had to compute go to the
ledger, which keeps them by (encoder, words); deleting this view costs no encoding. Rows of removed chunks
are wiped in place and dropped when they are a third of the matrix. What documents are filtered by lies in a
third file, see `facet_sets`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lyceum.core.protocols import Embedder
from lyceum.core.text import clean, dense_text, language, script
from lyceum.core.types import Change, Chunk, Query
from lyceum.store import codec, facet_sets, state
from lyceum.store.facets import RECIPE, wanted
from lyceum.store.scan import Floats as Floats
from lyceum.store.scan import cosines, top

ROW = np.dtype(
    [("number", "<i8"), ("scale", "<f4"), ("readers", "<u4"), ("language", "S2"), ("facets", "<u4")]
)
FORMAT = f"2:{RECIPE}"
INLINE = 500  # so few vectors are compared in some .1 ms


class VectorStore(Protocol):
    """Where computed vectors are kept: the ledger, as this view sees it."""

    async def vectors(self, encoder: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]: ...


Keep = Callable[[str, list[tuple[bytes, bytes]]], Awaitable[None]]


class _Snapshot:
    """The files as one reader sees them, with the columns that every question needs laid side by side."""

    def __init__(
        self, matrix: npt.NDArray[np.int8], rows: npt.NDArray[Any], flat: facet_sets.Codes,
        readers: Sequence[Sequence[str]],
    ) -> None:  # fmt: skip
        self.matrix, self.rows, self.flat = matrix, rows, flat
        self.groups = [frozenset(group) for group in readers]
        self._open: dict[frozenset[str], npt.NDArray[np.bool_]] = {}
        self.numbers = np.ascontiguousarray(rows["number"])
        self.scales = np.ascontiguousarray(rows["scale"])
        self.sets = np.ascontiguousarray(rows["readers"])
        self.alive = self.numbers > 0
        self.order = np.argsort(self.numbers, kind="stable")
        self.sorted = self.numbers[self.order]

    def open_to(self, readers: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Return for every group of readers whether one of `readers` belongs to it; remembered for a while."""
        if readers not in self._open:
            if len(self._open) >= 64:
                self._open.clear()
            self._open[readers] = np.array([bool(group & readers) for group in self.groups], np.bool_)
        return self._open[readers]

    @cached_property
    def facets(self) -> facet_sets.Read:
        """What the rows can be filtered by, made ready when the first question filters."""
        return facet_sets.Read(self.flat, self.rows["facets"])

    def places(self, numbers: Sequence[int]) -> npt.NDArray[np.intp]:
        """Return the rows of chunk numbers, those that are here."""
        asked = np.unique(np.asarray(numbers, np.int64))
        at = np.minimum(np.searchsorted(self.sorted, asked), len(self.sorted) - 1)
        rows: npt.NDArray[np.intp] = self.order[at[self.sorted[at] == asked]]
        return rows


class Asked:
    """Questions to their vectors, 1 x dimension; fusion asks twice, so the last ones are remembered."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._known: dict[str, Floats] = {}

    async def __call__(self, query: Query) -> Floats:
        """Return the vector that a query brings along, else that of its words."""
        if query.vector is not None:
            return np.asarray([query.vector], np.float32)
        text = clean(query.text)
        if text not in self._known:
            if len(self._known) >= 64:
                self._known.clear()
            self._known[text] = np.asarray(await self.embedder([text]), np.float32)
        return self._known[text]


async def packed_of(
    chunks: Sequence[Chunk], embedder: Embedder, vectors: VectorStore, keep: Keep
) -> dict[int, bytes]:
    """Return each chunk's packed vector by its number, from the ledger where it has been computed before."""
    keys = {chunk.number: codec.vector_key(chunk) for chunk in chunks}
    known = await vectors.vectors(embedder.name, list(set(keys.values())))
    texts = {keys[chunk.number]: dense_text(chunk) for chunk in chunks}
    missing = {key: text for key, text in texts.items() if key not in known}
    if missing:
        made = quantise(np.asarray(await embedder(list(missing.values())), np.float32))
        fresh = list(zip(missing, made, strict=True))
        await keep(embedder.name, fresh)
        known.update(fresh)
    return {number: known[key] for number, key in keys.items()}


class Vectors:
    """A folder with the matrix, one record a row, and the state; named after its encoder."""

    def __init__(self, folder: Path, embedder: Embedder, vectors: VectorStore, keep: Keep) -> None:
        self.name = f"vectors-{embedder.name}"
        self.folder = folder / "views" / self.name
        self.embedder = embedder
        self.ledger = ""
        self._vectors, self._keep = vectors, keep
        self._guard = threading.Lock()
        self._stamp = (-1, -1)
        self._doubted = False  # a question met something broken: look at every byte
        self._snapshot: _Snapshot | None = None
        self._asked = Asked(embedder)

    # --- following the ledger --------------------------------------------------------------------------

    async def position(self) -> int:
        """Return the last change applied; 0 when missing, cut short or made by another encoder."""
        return await asyncio.to_thread(self._position)

    def _position(self) -> int:
        found = self._state()
        usable = found.get("ledger", "") == self.ledger
        if not usable or state.broken(self.folder, found.get("files", {}), thorough=self._doubted):
            return 0
        return int(found.get("position", 0))

    async def reset(self) -> None:
        """Forget everything; what is asked before the next `apply` finds nothing."""
        await asyncio.to_thread(self._reset)

    async def drop(self) -> None:
        """Remove the folder: this view is not wanted any more."""
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def _state(self) -> dict[str, Any]:
        found = state.read(self.folder)
        if found.get("encoder") != self.embedder.name or found.get("format") != FORMAT:
            return {}
        count, width = found["rows"], self.embedder.dimension
        sizes = (count * width, count * ROW.itemsize, found["facets"] * 8)
        try:
            files = zip(self._files(found["generation"]), sizes, strict=True)
            whole = all(file.stat().st_size >= size for file, size in files)
        except OSError:
            return {}
        return found if whole else {}

    def _files(self, generation: int) -> tuple[Path, Path, Path]:
        matrix, rows, sets = (self.folder / f"{generation}.{name}" for name in ("i8", "rows", "facets"))
        return matrix, rows, sets

    async def apply(self, changes: Sequence[Change]) -> None:
        """Append vectors of new chunks, wipe removed ones, renew readers; then move the position."""
        chunks = [one.chunk for one in changes if one.kind == "put" and one.chunk]
        packed = await packed_of(chunks, self.embedder, self._vectors, self._keep)
        await asyncio.to_thread(self._apply, changes, packed)

    def _apply(self, changes: Sequence[Change], packed: Mapping[int, bytes]) -> None:
        if not changes:
            return
        known = self._state() if self._position() else {}
        if not known:
            known = self._reset()
            state.must_begin(changes, self.name)
        state.write(self.folder, {**known, "files": {}})  # not sealed while it is written
        sets = [frozenset(group) for group in known["readers"]]
        matrix_file, rows_file, facets_file = self._files(known["generation"])
        named = facet_sets.Written(np.fromfile(facets_file, np.uint64, known["facets"]))
        table = np.concatenate((np.fromfile(rows_file, ROW, known["rows"]), np.zeros(len(packed), ROW)))
        place = {int(number): row for row, number in enumerate(table["number"]) if number}
        free = iter(range(known["rows"], len(table)))
        files = (matrix_file.open("r+b"), rows_file.open("r+b"), facets_file.open("r+b"))
        with files[0] as matrix, files[1] as rows, files[2] as facets:
            for change in changes:
                row, vector = self._taken(change, packed, place, free, table, sets, named)
                if row is not None:
                    rows.seek(row * ROW.itemsize)
                    rows.write(table[row].tobytes())
                    matrix.seek(row * self.embedder.dimension)
                    matrix.write(vector)
            facets.seek(known["facets"] * 8)
            facets.write(b"".join(named.added))
            for file in (matrix, rows, facets):
                file.flush()
                os.fsync(file.fileno())
        count = next(free, len(table))
        fresh = {
            **known, "rows": count, "facets": named.size, "position": changes[-1].sequence, "live": len(place),
            "ledger": self.ledger, "readers": [sorted(group) for group in sets],
        }  # fmt: skip
        if count > 1000 and len(place) * 3 < count * 2:
            fresh = self._compacted(fresh)
        fresh["files"] = state.seal(self._files(fresh["generation"]), {})
        state.write(self.folder, fresh)
        self._sweep(fresh["generation"])

    def _taken(
        self, change: Change, packed: Mapping[int, bytes], place: dict[int, int], free: Iterator[int],
        table: npt.NDArray[Any], sets: list[frozenset[str]], named: facet_sets.Written,
    ) -> tuple[int | None, bytes]:  # fmt: skip
        """Take one change into the table; return the row that is to be written and its vector, empty if unchanged."""
        row, vector = place.get(change.number), b""
        if change.kind == "remove":
            if row is not None:
                del place[change.number]
                table[row], vector = np.zeros((), ROW), bytes(self.embedder.dimension)
            return row, vector
        if row is None:
            if change.number not in packed:
                return None, b""  # readers of a chunk whose put was already seen as removed
            row = place[change.number] = next(free)
            vector = packed[change.number][4:]
            table["scale"][row] = np.frombuffer(packed[change.number][:4], "<f4")[0]
        _describe(table[row], change, sets, named)
        return row, vector

    def _reset(self) -> dict[str, Any]:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._doubted = False
        known = {
            "format": FORMAT, "encoder": self.embedder.name, "ledger": self.ledger, "position": 0, "rows": 0,
            "live": 0, "facets": 0, "generation": 1, "readers": [],
        }  # fmt: skip
        for file in self._files(1):
            file.touch()
        state.write(self.folder, known)
        return known

    def _compacted(self, known: dict[str, Any]) -> dict[str, Any]:
        """Write the living rows into files of the next generation; the old ones stay for open readers."""
        width = self.embedder.dimension
        old_matrix, old_rows, old_facets = self._files(known["generation"])
        table = np.fromfile(old_rows, ROW, known["rows"])
        keep = np.flatnonzero(table["number"])
        vectors = np.memmap(old_matrix, np.int8, "r", shape=(known["rows"], width))
        flat, table = np.fromfile(old_facets, np.uint64, known["facets"]), table[keep]
        flat, table["facets"] = facet_sets.gathered(flat, table["facets"])
        contents: tuple[Any, ...] = (vectors[keep], table, flat)
        for file, content in zip(self._files(known["generation"] + 1), contents, strict=True):
            with file.open("wb") as out:
                content.tofile(out)
                out.flush()
                os.fsync(out.fileno())
        fresh = {"generation": known["generation"] + 1, "rows": len(keep), "live": len(keep)}
        return {**known, **fresh, "facets": len(flat)}

    def _sweep(self, generation: int) -> None:
        for file in self.folder.iterdir():
            if file.suffix in (".i8", ".rows", ".facets") and not file.name.startswith(f"{generation}."):
                file.unlink()

    async def check(self) -> tuple[int, list[str]]:
        """Return how many chunks can be found, and the files that are broken, looking at every byte."""
        found = await asyncio.to_thread(self._state)
        wrong = await asyncio.to_thread(state.broken, self.folder, found.get("files", {}), thorough=True)
        return int(found.get("live", 0)), wrong

    # --- asking ----------------------------------------------------------------------------------------

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """Return at most k (number, cosine), best first.

        A question in a language that the encoder cannot read is not compared with passages in that
        language (measured: fusion would be ruined); across languages names and digits still help.
        """
        if not query.readers or (query.vector is None and not query.text.strip()):
            return []
        vector = await self._asked(query)
        try:
            if among is not None and len(among) <= INLINE:  # quicker than a hop to a thread and back
                return self._find(vector, query, k, among)
            return await asyncio.to_thread(self._find, vector, query, k, among)
        except (IndexError, OSError):
            # Broken files are a reason to rebuild, not to fail the question: `position` will say 0.
            self._doubted = True
            return []

    def _find(
        self, vector: Floats, query: Query, k: int, among: Sequence[int] | None
    ) -> list[tuple[int, float]]:
        seen = self._opened()
        if seen is None or not len(seen.rows):
            return []
        chosen = None if among is None else seen.places(among)
        allowed = self._allowed(seen, query, chosen)
        if chosen is not None:
            chosen = chosen[allowed]
        elif np.count_nonzero(allowed) * 4 < len(allowed):
            chosen = np.flatnonzero(allowed)
        rows = slice(None) if chosen is None else chosen
        scores = cosines(vector, seen.matrix[rows], seen.scales[rows])
        if chosen is None and not allowed.all():
            scores[~allowed] = -2.0
        best = top(scores, k)
        best = best[scores[best] > -2.0]
        numbers = seen.numbers[best if chosen is None else chosen[best]]
        return list(zip(numbers.tolist(), scores[best].tolist(), strict=True))

    def _allowed(
        self, seen: _Snapshot, query: Query, chosen: npt.NDArray[np.intp] | None
    ) -> npt.NDArray[np.bool_]:
        """Return a mask over rows (or the chosen ones): alive, readable, within filters, in a known language."""
        rows = slice(None) if chosen is None else chosen
        allowed: npt.NDArray[np.bool_] = seen.alive[rows] & seen.open_to(query.readers)[seen.sets[rows]]
        spoken = script(query.text)
        if spoken not in self.embedder.languages:
            allowed &= seen.rows["language"][rows] != spoken.encode()
        for group in wanted(query.filters):
            allowed &= seen.facets.holding(group)[rows]
        return allowed

    async def groups(self) -> list[tuple[frozenset[str], list[int], Floats]]:
        """Return for each set of readers the numbers of its chunks and their vectors."""
        if (seen := await asyncio.to_thread(self._opened)) is None:
            return []
        rows = [np.flatnonzero(seen.alive & (seen.sets == place)) for place in range(len(seen.groups))]
        return [
            (readers, seen.numbers[own].tolist(), seen.matrix[own] * seen.scales[own, None])
            for readers, own in zip(seen.groups, rows, strict=True)
        ]

    def _opened(self) -> _Snapshot | None:
        stamp = state.stamp(self.folder)
        with self._guard:
            if stamp != self._stamp or self._snapshot is None:
                known = self._state()
                if not known:
                    return None
                matrix, rows, sets = self._files(known["generation"])
                shape = (known["rows"], self.embedder.dimension)
                whole = np.memmap(matrix, np.int8, "r", shape=shape) if shape[0] else np.zeros(shape, np.int8)
                flat = np.fromfile(sets, np.uint64, known["facets"])
                self._snapshot = _Snapshot(whole, np.fromfile(rows, ROW, shape[0]), flat, known["readers"])
                self._stamp = stamp
            return self._snapshot


def quantise(vectors: Floats) -> list[bytes]:
    """Return per vector a float32 scale and int8 components, so that vector = scale * components."""
    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-9) / 127.0
    whole = np.rint(vectors / scales[:, None]).astype(np.int8)
    return [scale.astype("<f4").tobytes() + row.tobytes() for scale, row in zip(scales, whole, strict=True)]


def unpacked(packed: bytes) -> Floats:
    """Return the vector that `quantise` packed."""
    scale = np.frombuffer(packed[:4], "<f4")[0]
    made: Floats = np.frombuffer(packed[4:], np.int8).astype(np.float32) * scale
    return made


def _describe(
    record: npt.NDArray[Any], change: Change, sets: list[frozenset[str]], named: facet_sets.Written
) -> None:
    assert change.document is not None
    assert change.chunk is not None
    group = change.document.readers
    if group not in sets:
        sets.append(group)
    record["number"] = change.number
    record["readers"] = sets.index(group)
    record["language"] = language(change.chunk.text).encode()
    record["facets"] = named.place(change.document, int(record["facets"]))
