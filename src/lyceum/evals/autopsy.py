"""A failed question and its pipeline to the stage that lost it: each stage in turn is repaired, and the rest runs.

The first stage in order whose repair alone mends the answer is named; if none does, the first pair. A repair changes
nothing where nothing is wrong: words that were parsed are not put in again, a rank that was kept is not raised. Each
stage answers for what the next one takes: fusion for the hits that the reader asks for, or a reranker.
The pipeline, its documents and the gold are all that is known here; no pipeline that works is ever asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, partialmethod
from typing import Any

from lyceum.core.ids import digest
from lyceum.core.types import Answer, Change, Chunk, Document, Example, Place, Query
from lyceum.evals import gold as golden
from lyceum.evals import repairs, words
from lyceum.evals.gold import Stand
from lyceum.evals.stages import PARTS, PLACES, STAGES, Seen, Subject, Wrap, watched

EXTRA = 1 << 40  # numbers of chunks that only a repair adds
STEPS = ("parse", "split", "index", "visible", "candidates", "fuse", "rerank", "pack", "read", "cite")
WEIGHTS = (0.4, 0.6, 0.2, 0.8, 0.0, 1.0)  # of the dense part, the likelier first
SAME = 0.05
ROOM = 10  # times the budget, for a reader that was cut short
MOST = 1 << 30  # a rank below all
SAID = 200  # characters of an answer that facts quote
FEW = 5  # a reader that takes less than this part of the hits is cut short, whatever their order
# Shares by which a score may differ from that in a view built anew.
TOLERANCE = {"lexical": 0.2, "dense": 0.02}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A pipeline with some stages repaired, asked once; `numbers` are the chunks that hold gold."""

    query: Query
    stages: tuple[str, ...] = ()
    wraps: tuple[Mapping[str, Wrap], ...] = ()
    numbers: tuple[int, ...] = ()
    answer: Answer
    seen: Seen
    mended: bool
    fix: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What an autopsy found: the stage to repair ("sound": none is needed, "none": none helps), and its pair if any.

    `lost` is the stage that no longer had the gold, as observed.
    """

    example: str
    stage: str
    pair: tuple[str, ...] = ()
    lost: str = ""
    facts: str = ""
    fix: str = ""


async def examine(subject: Subject, example: Example, advised: str = "") -> Cause:
    """Return why a question fails in a pipeline; the fix is said in the language `advised`, or the question's."""
    return await Autopsy(subject, example, advised)()


def waterfall(lost: Sequence[str], answerable: int) -> list[tuple[str, float, int]]:
    """Return for every step the share of answerable questions whose gold is there after it, and of how many.

    `lost` are the steps at which questions lost theirs; those that it does not name kept it to the end.
    """
    kept, made = answerable, []
    for step in STEPS:
        kept -= sum(one == step for one in lost)
        made.append((step, kept / max(answerable, 1), answerable))
    return made


class Autopsy:
    """One question; what a repair puts into fresh views is taken out again at the end."""

    def __init__(self, subject: Subject, example: Example, advised: str = "") -> None:
        self.subject, self.example, self.advised = subject, example, advised
        self.stands: list[Stand] = []
        self.added: dict[int, tuple[Chunk, Document]] = {}
        self.weighed: dict[tuple[object, ...], list[Trial]] = {}

    async def __call__(self) -> Cause:
        """Return the cause."""
        try:
            first = await self.look()
            return await self._cause(first, None if first.mended else await self._mended(first))
        finally:
            await self._clean()

    async def look(self) -> Trial:
        """Return the pipeline as it is, asked once."""
        query = Query(text=self.example.question, readers=self.example.readers, history=self.example.history)
        self.stands = [await golden.stand(self.subject, self.example, gold) for gold in self.example.gold]
        numbers = tuple(chunk.number for stand in self._needed() for chunk in stand.held)
        blank = Trial(query=query, numbers=numbers, answer=Answer(text=""), seen=Seen(), mended=False)
        return await self._try(blank)

    async def _mended(self, first: Trial) -> Trial | None:
        """Return the first repair, in the order of stages, that mends the answer alone, or else with another one."""
        halves = []
        async for repaired in self._repaired(first):
            if repaired.mended:
                return repaired
            halves.append(repaired)
        for half in halves:
            async for repaired in self._repaired(half):
                if repaired.mended:
                    return repaired
        return None

    async def _repaired(self, trial: Trial) -> AsyncIterator[Trial]:
        """Yield the trial with one more stage repaired, in their order, each as often as it has forms."""
        last = STAGES.index(trial.stages[-1]) + 1 if trial.stages else 0
        for stage in STAGES[last:] if not self._told(trial) else ("cite",):
            async for repaired in getattr(self, f"_{stage}")(trial):
                yield repaired

    async def _try(self, trial: Trial, stage: str = "", **changes: Any) -> Trial:
        """Return the trial with changes, asked."""
        wraps = changes.pop("wraps", None)
        stages = (*trial.stages, stage) if stage else trial.stages
        asked = replace(
            trial, stages=stages, wraps=(*trial.wraps, wraps) if wraps else trial.wraps, **changes
        )
        answer, seen = await watched(self.subject, asked.query, asked.wraps)
        return replace(asked, answer=answer, seen=seen, mended=golden.mended(self.example, answer))

    def _needed(self) -> list[Stand]:
        return golden.needed(self.example, self.stands)

    # --- one repair a stage: nothing is yielded where nothing is wrong ------------------------------------

    async def _parse(self, trial: Trial) -> AsyncIterator[Trial]:
        """Give the splitter the gold words as they stand in the source."""
        if trial.numbers or any(one.parsed for one in self._needed()):
            return
        new: list[tuple[Chunk, Document]] = []
        gone: list[int] = []
        for stand in self._needed():
            pages = await self.subject.plain(stand.gold.document)
            document = stand.document or golden.lost(self.example, stand.gold, pages)
            wanted = golden.needles(self.example, stand.gold) or golden.answers_of(self.example)
            for needle in wanted:
                elements = golden.ideal(document, needle, pages, Place(page=stand.gold.page))
                new += [(chunk, document) for chunk in self.subject.split(document, elements)]
                gone += [chunk.number for chunk in golden.resembling(needle, stand.chunks)]
        if new:
            yield await self._add(trial, "parse", new, gone)

    async def _split(self, trial: Trial) -> AsyncIterator[Trial]:
        """Put the gold words into one chunk, out of those over which they are scattered."""
        if trial.numbers:
            return
        new: list[tuple[Chunk, Document]] = []
        gone: list[int] = []
        for stand in self._needed():
            for needle in golden.needles(self.example, stand.gold) if stand.document else ():
                whole, some = golden.joined(needle, stand.chunks, stand.elements)
                if whole and stand.document:
                    new.append((replace(whole, id=digest(whole.id, "whole")), stand.document))
                    gone += [one.number for one in some]
        if new:
            yield await self._add(trial, "split", new, gone)

    async def _index(self, trial: Trial) -> AsyncIterator[Trial]:
        """Build views anew that know the gold's chunks otherwise than a new one does."""
        stale = await self._stale(trial)
        for parts in [*([part] for part in stale), *([stale] if len(stale) > 1 else [])]:
            fresh = {part: await self.subject.fresh(part) for part in parts}
            wraps = {part: (lambda _, view=view: view) for part, view in fresh.items()}
            yield await self._try(trial, "index", wraps=wraps, fix={"part": " + ".join(parts)})

    async def _stale(self, trial: Trial) -> list[str]:
        numbers = [number for number in trial.numbers if number < EXTRA]
        query = replace(trial.query, readers=trial.query.readers | _owners(self.stands))
        stale = []
        for part in PARTS:
            if part in self.subject.parts and numbers:
                view, fresh = self.subject.parts[part], await self.subject.fresh(part)
                mine = dict(await view.find(query, len(numbers), numbers))
                right = dict(await fresh.find(query, len(numbers), numbers))
                if mine.keys() != right.keys() or any(
                    abs(mine[n] - right[n]) > TOLERANCE[part] * max(abs(right[n]), 0.1) for n in right
                ):
                    stale.append(part)
        return stale

    async def _visible(self, trial: Trial) -> AsyncIterator[Trial]:
        """Ask with the rights of the gold's readers."""
        owners = self._hidden(trial)
        if owners:
            query = replace(trial.query, readers=trial.query.readers | owners)
            yield await self._try(trial, "visible", query=query)

    def _hidden(self, trial: Trial) -> frozenset[str]:
        owners = [one.document.readers for one in self._needed() if one.document]
        seen = any(some & trial.query.readers for some in owners)
        return frozenset() if seen else _owners(self._needed())

    async def _candidate(self, trial: Trial, part: str) -> AsyncIterator[Trial]:
        """Let a part rank gold first, where no part does so well enough for any fusion to deliver it."""
        if part not in self.subject.parts or not trial.numbers:
            return
        enough = trial.seen.asked["fused"]
        if (self._rank(trial) or enough + 1) <= enough:
            return
        for other in await self._weighed(trial):
            if (other.seen.best("fused", trial.numbers) or enough + 1) <= enough:
                return
        yield await self._try(trial, part, wraps={part: lambda view: repairs.Lifted(view, trial.numbers)})

    _lexical = partialmethod(_candidate, part="lexical")
    _dense = partialmethod(_candidate, part="dense")

    def _rank(self, trial: Trial) -> int | None:
        """Return the best rank that a part gave gold."""
        return min((rank for part in PARTS if (rank := trial.seen.best(part, trial.numbers))), default=None)

    async def _weighed(self, trial: Trial) -> list[Trial]:
        """Return the trial with other weights of fusion, where there is one."""
        now = getattr(self.subject.parts["engine"], "weight", None)
        key = (*trial.stages, *trial.numbers)
        if now is not None and key not in self.weighed:
            self.weighed[key] = [
                await self._try(
                    trial, "fuse", fix={"weight": other},
                    wraps={"engine": partial(repairs.changed, weight=other)},
                )
                for other in WEIGHTS if abs(other - now) > SAME
            ]  # fmt: skip
        return self.weighed.get(key, [])

    async def _fuse(self, trial: Trial) -> AsyncIterator[Trial]:
        """Let fusion keep the rank that a part gave gold, or weigh the parts otherwise.

        Where gold is among the hits that were asked for, fusion is to blame only if most other weights mend, and the
        reader took more than a few of them.
        """
        seen, numbers = trial.seen, trial.numbers
        rank, fused = self._rank(trial), seen.best("fused", numbers)
        if not numbers or not all(part in self.subject.parts for part in PARTS):
            return
        lost = fused is None or fused > seen.asked["fused"]
        few = FEW * len(seen.ranks["read"]) < len(seen.ranks["offered"])
        deaf = getattr(self.subject.parts["engine"], "weight", None) in (0.0, 1.0)  # to one of its parts
        starved = seen.best("read", numbers) is None and few and not deaf
        if not lost and ("reranker" in self.subject.parts or starved):
            return
        weighed = await self._weighed(trial)
        better = [
            other for other in weighed
            if other.mended and (deaf or (other.seen.best("fused", numbers) or MOST) < (fused or MOST))
        ]  # fmt: skip
        if lost or 2 * len(better) > len(weighed):
            for other in better:
                yield other
        if lost and rank is not None and (fused is None or rank < fused):
            wrap = partial(repairs.Promoted, numbers=numbers, rank=rank)
            yield await self._try(trial, "fuse", wraps={"engine": wrap})

    async def _rerank(self, trial: Trial) -> AsyncIterator[Trial]:
        """Let the reranker rank gold first, where it ranks it lower than before or does nothing."""
        seen, numbers = trial.seen, trial.numbers
        fused, offered = seen.best("fused", numbers), seen.best("offered", numbers)
        if "reranker" not in self.subject.parts or fused is None:
            return
        if offered is None or offered > min(fused, seen.asked["offered"]) or (seen.passed and offered > 1):
            for real in (True, False):
                wrap = partial(repairs.First, numbers=numbers, real=real)
                yield await self._try(trial, "rerank", wraps={"reranker": wrap})

    async def _pack(self, trial: Trial) -> AsyncIterator[Trial]:
        """Give the reader all that the search offers, gold first, or more room, where what is offered is lost."""
        seen, numbers = trial.seen, trial.numbers
        offered, read = seen.best("offered", numbers), seen.ranks["read"]
        if offered is None:
            return
        if not all(number in read for number, rank in seen.ranks["offered"].items() if rank <= offered):
            kept = repairs.Kept(numbers)
            yield await self._try(trial, "pack", wraps={"retriever": kept.found, "asks": kept.given})
        budget = getattr(self.subject.parts.get("reader"), "budget", None)
        if budget is not None and FEW * len(read) < len(seen.ranks["offered"]):
            wrap = partial(repairs.changed, budget=ROOM * budget)
            yield await self._try(trial, "pack", wraps={"reader": wrap})

    async def _read(self, trial: Trial) -> AsyncIterator[Trial]:
        """Answer in the gold's place: what it read held the answer."""
        read = trial.seen.best("read", trial.numbers) is not None or not self.example.answerable
        if read and not self._told(trial):
            yield replace(trial, stages=(*trial.stages, "read"), mended=True)

    async def _cite(self, trial: Trial) -> AsyncIterator[Trial]:
        """Cite in the answer's place: what it says stands in the gold that it read."""
        if trial.seen.best("read", trial.numbers) is not None and self._told(trial):
            yield replace(trial, stages=(*trial.stages, "cite"), mended=True)

    def _told(self, trial: Trial) -> bool:
        """Say whether the answer is right and its words are those of the gold's chunks."""
        texts = [chunk.text for chunk in self._chunks(trial)]
        return golden.right(self.example, trial.answer) and golden.quotes(trial.answer, texts)

    def _chunks(self, trial: Trial) -> list[Chunk]:
        """Return the chunks that hold gold."""
        held = [chunk for stand in self._needed() for chunk in stand.held]
        return [*held, *(self.added[number][0] for number in trial.numbers if number in self.added)]

    async def _add(
        self, trial: Trial, stage: str, new: Sequence[tuple[Chunk, Document]], gone: Sequence[int] = ()
    ) -> Trial:
        """Try a pipeline that holds some more chunks: each is scored by views built anew, with all others there."""
        first = EXTRA + len(self.added)
        extra = {n: (replace(chunk, number=n), document) for n, (chunk, document) in enumerate(new, first)}
        self.added.update(extra)
        wraps: dict[str, Wrap] = {"ledger": lambda part: repairs.AddedLedger(part, extra, gone)}
        for part in PARTS:
            if part in self.subject.parts:
                fresh = await self.subject.fresh(part)
                start = await fresh.position() + 1
                await fresh.apply([
                    Change(sequence=at, kind="put", number=n, chunk=chunk, document=document)
                    for at, (n, (chunk, document)) in enumerate(extra.items(), start)
                ])  # fmt: skip
                wraps[part] = partial(repairs.AddedView, fresh=fresh, extra=extra, gone=gone)
        chunks = [chunk for chunk, _ in extra.values()]
        held = {
            one.number: None
            for gold in self.example.gold
            for one in golden.holding(self.example, gold, chunks)
        }
        return await self._try(trial, stage, wraps=wraps, numbers=tuple(held))

    async def _clean(self) -> None:
        """Take what was added out of the views that are shared with other questions."""
        for part in PARTS if self.added else ():
            if part in self.subject.parts:
                fresh = await self.subject.fresh(part)
                start = await fresh.position() + 1
                await fresh.apply([
                    Change(sequence=at, kind="remove", number=number) for at, number in enumerate(self.added, start)
                ])  # fmt: skip

    async def _cause(self, first: Trial, found: Trial | None) -> Cause:
        stages = ("sound",) if first.mended else found.stages if found else ("none",)
        measured = {**self.measured(first), **(found.fix if found else {})}
        facts, fix = words.facts(self.example.question, stages, measured, self.advised)
        lost = "" if first.mended else await self._lost(first)
        return Cause(
            example=self.example.id, stage=stages[0], pair=stages[1:], lost=lost, facts=facts, fix=fix
        )

    def measured(self, trial: Trial) -> dict[str, Any]:
        """Return where gold stood at every stage; ranks are None where it did not."""
        seen, needed = trial.seen, self._needed()
        names = {
            "owners": _owners(needed), "readers": self.example.readers,
            "cited": {one.source for one in trial.answer.citations},
        }  # fmt: skip
        ranks = {place: seen.best(place, trial.numbers) for place in PLACES}
        return {
            **ranks, **{name: ", ".join(sorted(one)) or "–" for name, one in names.items()},
            "document": ", ".join(one.gold.document for one in needed),
            "elements": sum(len(one.elements) for one in needed), "chunks": sum(len(one.chunks) for one in needed),
            "parsed": any(one.parsed for one in needed), "held": len(trial.numbers),
            "visible": not self._hidden(trial), "wanted": seen.asked["fused"], "asked": seen.asked["offered"],
            "hits": len(seen.ranks["read"]), "lacks": [part for part in PARTS if part not in self.subject.parts],
            "said": (trial.answer.text or trial.answer.reason)[:SAID], "right": trial.mended,
        }  # fmt: skip

    async def _lost(self, trial: Trial) -> str:
        """Return the first stage after which the gold is not there any more, as observed."""
        seen, numbers = trial.seen, trial.numbers
        if not self.example.answerable:
            return "read"
        there = {
            "parse": bool(numbers) or any(one.parsed for one in self._needed()),
            "split": bool(numbers),
            "index": not await self._stale(trial),
            "visible": not self._hidden(trial),
            "candidates": self._rank(trial),
            "fuse": seen.best("fused", numbers),
            "rerank": seen.best("offered", numbers),
            "pack": seen.best("read", numbers),
            "read": golden.right(self.example, trial.answer),
        }
        return next((stage for stage, kept in there.items() if not kept), "cite")


def _owners(stands: Sequence[Stand]) -> frozenset[str]:
    """Return who may read the gold's documents."""
    return frozenset[str]().union(*(one.document.readers for one in stands if one.document))
