"""An answer without a language model: the one or two statements that answer best, each quoted and cited."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from lyceum.answer import refuse
from lyceum.answer.asked import parts, refers_back
from lyceum.answer.cite import cite
from lyceum.answer.conflicts import conflicting
from lyceum.answer.current import current
from lyceum.answer.evidence import Evidence, Judged
from lyceum.core.protocols import Retriever
from lyceum.core.trace import span, trace_id
from lyceum.core.turns import alone
from lyceum.core.types import Answer, Citation, Hit, Query

SECOND = 0.45  # a second statement is shown when its score is at least this share of the best one's
# What a score with the whole question, or with the first answer's words, counts beside that of a part alone; and
# what a statement gains that holds most of the names and codes of the first answer.
CONTEXT, BACK, NAMED = 0.25, 0.5, 0.5
FOLLOWED = (
    1.0  # what a statement's score with the turns before counts beside that with a follow-up's own words
)


class Extractive:
    """Takes any retriever; `threshold` is the confidence below which it refuses, `hits` how many it reads."""

    def __init__(
        self, retriever: Retriever, evidence: Evidence, threshold: float = refuse.THRESHOLD, hits: int = 15
    ) -> None:
        self.retriever, self.evidence = retriever, evidence
        self.threshold, self.hits = threshold, hits

    async def __call__(self, query: Query) -> Answer:
        """Return the answer, or a refusal with its reason; a question of two parts is answered part by part."""
        started = time.perf_counter()
        with span("answer.extractive") as facts:
            asked = parts(query.text)
            part = await self._single(query) if len(asked) == 1 else await self._double(query, asked)
            facts.update(confidence=round(part.sure, 3), threshold=self.threshold, parts=len(asked))
            facts["abstained"] = not part.best
            citations = tuple(
                cite(one.statement, number, self.evidence.mark(text, one.statement) if text else None)
                for number, (text, one) in enumerate(part.best, start=1)
            )
            lines = [*map(_line, citations), part.reason]
            return Answer(
                text="\n".join(filter(None, lines)) if part.best else "",
                reason="" if part.best else part.reason, citations=citations, hits=tuple(part.hits),
                abstained=not part.best, conflicts=((1, 2),) if part.conflict else (),
                confidence=part.sure, trace_id=trace_id(), seconds=time.perf_counter() - started,
            )  # fmt: skip

    async def stream(self, query: Query) -> AsyncGenerator[str | Answer, None]:
        """Yield the text line by line, and last the whole answer."""
        answer = await self(query)
        for piece in (answer.text or answer.reason).split("\n"):
            yield piece + "\n"
        yield answer

    async def _single(self, query: Query) -> _Part:
        hits, judged = await self.judged(query)
        own, whole = replace(query, history=()), alone(query)
        sure = refuse.confidence(whole.text, judged)
        if (
            judged and whole.text != own.text
        ):  # what the turns before add may be beside the point: its own words say, too
            around = {_key(one): one.score for one in judged}
            plain = await self.evidence(own, current(own.text, hits))
            plain.sort(key=lambda one: -(one.score + FOLLOWED * around.get(_key(one), 0.0)))
            again = sorted(judged, key=lambda one: _key(one) != _key(plain[0]))
            sure = max(refuse.confidence(own.text, plain), refuse.confidence(whole.text, again))
            judged = plain
        query = own
        if not judged or sure < self.threshold:
            return _Part(hits, [], sure, refuse.explained(query.text, judged))
        if found := conflicting(query.text, judged, self.evidence):
            both = [(query.text, judged[0]), (query.text, found[0])]
            return _Part(hits, both, sure, found[1], conflict=True)
        best, *second = chosen(judged)
        return _Part(hits, [(query.text, best), *(("", one) for one in second)], sure)

    async def _double(self, query: Query, asked: Sequence[str]) -> _Part:
        """Answer two questions, one statement each.

        The second often speaks of what the first one found ("and what is her extension?"): then it is asked
        together with what the first answer adds, else together with the whole question. Where the first is
        answered, half the confidence is enough for the second: they are about one matter.
        """
        found: list[Hit] = []
        best: list[tuple[str, Judged]] = []
        reasons: list[str] = []
        sure, enough = 0.0, self.threshold
        for text in asked:
            first = best[0][1] if best else None
            known, weight = "", CONTEXT
            names: list[str] = []
            if first and refers_back(text):
                known, weight = self.evidence.news(query.text, first.statement), BACK
                names = self.evidence.names(query.text, first.statement)
            context = replace(query, text=f"{text} {known}" if known else query.text)
            if query.history:  # the first part leans on the turns before, the second on the first
                context, weight = replace(query, text=text), FOLLOWED
                query = replace(query, history=())
            hits, around = await self.judged(context)
            found, own = await self.judged(replace(query, text=text), [*hits, *found])
            if first and self._also(text, first, own):
                best.append((text, first))
                continue
            held = _held(names, [one for one in around if first is None or not _same(one, first)])
            scores = {_key(one): weight * one.score + NAMED * held.get(_key(one), 0.0) for one in around}
            ranked = sorted(own, key=lambda one: -(one.score + scores.get(_key(one), 0.0)))
            fresh = [one for one in ranked if first is None or not _same(one, first)]
            confidence = max(refuse.confidence(text, fresh), refuse.confidence(context.text, fresh))
            sure = max(sure, confidence)
            if not fresh or confidence < enough:
                reasons.append(refuse.explained(text, fresh))
            else:
                best.append((text, fresh[0]))
                enough = self.threshold / 2
        return _Part(found, best, sure, reasons[0] if reasons else "")

    def _also(self, text: str, first: Judged, own: Sequence[Judged]) -> bool:
        """Say whether the row that answered the first part holds the second's value too, as well as any other."""
        if not first.statement.row or not self.evidence.mark(text, first.statement):
            return False
        covered = {_key(one): one.coverage for one in own}
        return covered.get(_key(first), 0.0) >= max(covered.values())

    async def judged(self, query: Query, known: Sequence[Hit] = ()) -> tuple[list[Hit], list[Judged]]:
        """Return the hits of a question, with those known already, and their statements, best first."""
        depth = max(query.top_k, self.hits) if query.top_k > 0 else query.top_k
        found = await self.retriever(replace(query, top_k=depth))
        query = alone(query)  # retrievers weigh the turns before; statements are judged by one text
        if wider := self.evidence.wider(query.text):
            known = [*known, *await self.retriever(replace(query, text=wider, top_k=self.hits // 2))]
        seen = {hit.chunk.id for hit in found}
        found += {hit.chunk.id: hit for hit in known if hit.chunk.id not in seen}.values()
        with span("answer.judge", hits=len(found)):
            return found, await self.evidence(query, current(query.text, found))


@dataclass(frozen=True, slots=True)
class _Part:
    """What was found: all hits, the statements to show, the confidence, and why something is missing.

    With each statement stands the question whose short answer is marked in it, empty for none.
    """

    hits: list[Hit]
    best: list[tuple[str, Judged]]
    sure: float
    reason: str = ""
    conflict: bool = False


def _key(one: Judged) -> tuple[str, int]:
    return one.statement.hit.chunk.id, one.statement.start


def _same(one: Judged, other: Judged) -> bool:
    """Say whether two statements are one, or rows of one table: its other rows tell the same of other things."""
    mine, theirs = one.statement, other.statement
    if mine.hit.chunk.id != theirs.hit.chunk.id:
        return False
    return mine.row or mine.start == theirs.start


def _held(names: Sequence[str], judged: Sequence[Judged]) -> dict[tuple[str, int], float]:
    """Return what each statement holds of the names, the rarer the more, as a share of the most that one holds."""
    rows = {_key(one): [name for name in names if name in one.statement.quote] for one in judged}
    seen = Counter(name for row in rows.values() for name in row)
    sums = {key: sum(1 / seen[name] for name in row) for key, row in rows.items()}
    most = max(sums.values(), default=0.0) or 1.0
    return {key: one / most for key, one in sums.items()}


def _line(cited: Citation) -> str:
    short = f"{cited.quote[cited.start : cited.end].strip()} — " if cited.start is not None else ""
    return f"{short}{cited.quote} [{cited.number}]"


def chosen(judged: Sequence[Judged]) -> list[Judged]:
    """Return the best statement, and the next best that is nearly as good and says something else."""
    best = judged[0]
    others = (other for other in judged[1:] if other.statement.quote not in best.statement.quote)
    return [best, *(other for other in islice(others, 1) if other.score >= SECOND * best.score)]
