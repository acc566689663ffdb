"""Two views of one ledger to where they differ: counts, every single chunk, and the hits of sample questions.

What one of them holds and the other does not is lost, whatever the counts say; scores that differ are another
vector. Knows no store by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lyceum.core.protocols import Embedder, View
from lyceum.core.types import Query
from lyceum.store.ledger import Ledger
from lyceum.store.store import Store
from lyceum.store.vectors import packed_of, unpacked

STEP, SAMPLES, DEPTH = 500, 50, 10
NEAR = 0.01  # how far apart scores of one vector may be: stores keep 8, 16 or 32 bits a number
ENOUGH = 0.95  # of the hits, for stores that search approximately
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """`lost` chunks are in the first alone, `strange` in the second, `off` have other scores; `same` of the hits."""

    first: int
    second: int
    compared: int
    lost: Sequence[int]
    strange: Sequence[int]
    off: Sequence[int]
    questions: int
    same: float

    @property
    def good(self) -> bool:
        """Whether the second can take the place of the first."""
        wrong = self.lost or self.strange or self.off or self.first != self.second
        return not wrong and self.same >= ENOUGH


async def follow(store: Store, view: View, tell: Tell = lambda done, total, said: None) -> None:
    """Bring a view that is not the store's own up to date in small steps, so that others write in between."""
    while True:
        async with store.writing():
            since, last = await store.position(view), await store.ledger.sequence()
            tell(min(since, last), last, "changes")
            if not (changes := await store.ledger.changes(since, STEP)):
                return
            await view.apply(changes)


async def compare(
    ledger: Ledger, first: View, second: View, embedder: Embedder, tell: Tell = lambda done, total, said: None
) -> Parity:
    """Compare two views that have followed the same ledger; sample questions are vectors of chunks here and there."""
    readers = frozenset[str]().union(*(held for _, held in (await ledger.versions()).values()))
    numbers = [row[0] for row in await ledger.rows("SELECT number FROM chunks ORDER BY number")]
    probe = np.random.default_rng(1).normal(size=embedder.dimension)
    whole = Query(text="", vector=tuple(probe / np.linalg.norm(probe)), readers=readers)
    lost, strange, off = [], [], []
    for start in range(0, len(numbers), STEP):
        some = numbers[start : start + STEP]
        one, two = [dict(await view.find(whole, len(some), some)) for view in (first, second)]
        lost += sorted(one.keys() - two.keys())
        strange += sorted(two.keys() - one.keys())
        off += sorted(number for number in one.keys() & two.keys() if abs(one[number] - two[number]) > NEAR)
        tell(start + len(some), len(numbers), "chunks compared")
    chosen = numbers[:: max(1, len(numbers) // SAMPLES)][:SAMPLES]
    shares = []
    held = await ledger.get(chosen, readers)
    packed = await packed_of([chunk for chunk, _ in held.values()], embedder, ledger, _dropped)
    for number, (_, document) in held.items():
        asked = Query(text="", vector=tuple(unpacked(packed[number]).tolist()), readers=document.readers)
        shares.append(agreement(await first.find(asked, DEPTH), await second.find(asked, DEPTH)))
    counts = [(await view.check())[0] for view in (first, second)]
    return Parity(
        first=counts[0], second=counts[1], compared=len(numbers), lost=lost, strange=strange, off=off,
        questions=len(shares), same=sum(shares) / len(shares) if shares else 1.0,
    )  # fmt: skip


async def _dropped(encoder: str, rows: list[tuple[bytes, bytes]]) -> None:
    """Keep no vector: comparing writes nothing."""


def agreement(one: Sequence[tuple[int, float]], two: Sequence[tuple[int, float]]) -> float:
    """Return the share of the first hits that are among the second, where an equal score is as good."""
    if not one:
        return float(not two)
    held, least = {number for number, _ in one}, one[-1][1] - NEAR / 10
    return min(1.0, sum(number in held or score >= least for number, score in two) / len(one))
