"""An answer without a language model: the one or two statements that answer best, each quoted and cited."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence

from lyceum.answer import refuse
from lyceum.answer.cite import cite
from lyceum.answer.evidence import Evidence, Judged
from lyceum.answer.values import value
from lyceum.core.protocols import Retriever
from lyceum.core.trace import span, trace_id
from lyceum.core.types import Answer, Citation, Hit, Query

SECOND = 0.8  # a second statement is shown when its score is at least this share of the best one's


class Extractive:
    """Takes any retriever; `threshold` is the confidence below which it refuses."""

    def __init__(
        self, retriever: Retriever, evidence: Evidence, threshold: float = refuse.THRESHOLD, hits: int = 8
    ) -> None:
        self.retriever, self.evidence = retriever, evidence
        self.threshold, self.hits = threshold, hits

    async def __call__(self, query: Query) -> Answer:
        """Return the answer, or a refusal with its reason."""
        started = time.perf_counter()
        with span("answer.extractive") as facts:
            found = await self.retriever(query)
            with span("answer.judge", hits=len(found)):
                judged = await self.evidence(query, found[: self.hits])
            sure = refuse.confidence(query.text, judged)
            facts.update(confidence=round(sure, 3), threshold=self.threshold)
            answer = self._compose(query, found, judged, sure)
            facts["abstained"] = answer[2]
            text, citations, abstained = answer
            return Answer(
                text="" if abstained else text, reason=text if abstained else "", citations=citations,
                hits=tuple(found), abstained=abstained, confidence=sure, trace_id=trace_id(),
                seconds=time.perf_counter() - started,
            )  # fmt: skip

    async def stream(self, query: Query) -> AsyncGenerator[str | Answer, None]:
        """Yield the text sentence by sentence, and last the whole answer."""
        answer = await self(query)
        for piece in (answer.text or answer.reason).split("\n"):
            yield piece + "\n"
        yield answer

    def _compose(
        self, query: Query, found: Sequence[Hit], judged: Sequence[Judged], sure: float
    ) -> tuple[str, tuple[Citation, ...], bool]:
        if not judged:
            return refuse.reason(query.text, "nothing"), (), True
        if sure < self.threshold:
            detail = refuse.missing_detail(query.text, judged)
            return refuse.reason(query.text, "detail" if detail else "weak", detail), (), True
        lines, citations = [], []
        for number, one in enumerate(chosen(judged), start=1):
            quote = one.statement.quote
            mark = value(query.text, quote) if number == 1 else None
            short = f"{quote[mark[0] : mark[1]].strip()} — " if mark else ""
            lines.append(f"{short}{quote} [{number}]")
            citations.append(cite(one.statement, number, mark))
        return "\n".join(lines), tuple(citations), False


def chosen(judged: Sequence[Judged]) -> list[Judged]:
    """Return the best statement, and the next one that says something else and is nearly as good."""
    best = judged[0]
    for other in judged[1:]:
        if other.score < SECOND * best.score:
            break
        if other.statement.quote not in best.statement.quote:
            return [best, other]
    return [best]
