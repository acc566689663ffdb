"""Sets of facets as one flat file of hashes, for a view whose rows are all of one size; see `facets` for the strings.

A set is the number of its hashes, then each; a row names where its set starts, so chunks of a document share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lyceum.core.types import Document
from lyceum.store.facets import facets

Codes = npt.NDArray[np.uint64]


def code(value: str) -> int:
    """Return the hash of a facet."""
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")


class Written:
    """Sets of a file, and those to be added to it; each is kept once as far as one batch knows."""

    def __init__(self, flat: Codes) -> None:
        self.flat, self.size = flat, len(flat)
        self.added: list[bytes] = []
        self._known: dict[bytes, int] = {}

    def place(self, document: Document, before: int) -> int:
        """Return where a document's set starts; `before` is where the row's set started until now."""
        codes = [code(value) for value in facets(document)]
        packed = np.array([len(codes), *codes], np.uint64).tobytes()
        if before < len(self.flat) and self.flat[before : before + len(codes) + 1].tobytes() == packed:
            return before
        return self.put(packed)

    def put(self, packed: bytes) -> int:
        """Return where a set starts, which is added if it is new."""
        if packed not in self._known:
            self._known[packed] = self.size
            self.added.append(packed)
            self.size += len(packed) // 8
        return self._known[packed]


def gathered(flat: Codes, starts: npt.NDArray[np.uint32]) -> tuple[Codes, npt.NDArray[np.uint32]]:
    """Return the sets that rows still name, and where each row's now starts."""
    written = Written(flat[:0])
    places = [written.put(flat[at : at + 1 + int(flat[at])].tobytes()) for at in starts.tolist()]
    return np.frombuffer(b"".join(written.added), np.uint64), np.array(places, np.uint32)


class Read:
    """Answers for all rows at once whether they hold a facet."""

    def __init__(self, flat: Codes, starts: npt.NDArray[np.uint32]) -> None:
        places, self.mine = np.unique(starts, return_inverse=True)
        sets = [flat[at + 1 : at + 1 + int(flat[at])] for at in places.tolist()]
        codes, owners = np.concatenate(sets), np.repeat(np.arange(len(sets)), [len(one) for one in sets])
        order = np.argsort(codes, kind="stable")
        self.count, self.codes, self.owners = len(sets), codes[order], owners[order]

    def holding(self, group: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return for every row whether its set holds one of these facets."""
        asked = np.array([code(value) for value in group], np.uint64)
        found = np.zeros(self.count, np.bool_)
        lefts, rights = np.searchsorted(self.codes, asked), np.searchsorted(self.codes, asked, "right")
        for left, right in zip(lefts, rights, strict=True):
            found[self.owners[left:right]] = True
        held: npt.NDArray[np.bool_] = found[self.mine]
        return held
