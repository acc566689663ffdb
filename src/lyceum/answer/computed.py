"""An answerer around another: what a retrieved table can answer by computing, with the rows it was computed from.

Rules make the query; where they are not sure and a chat model is given, it writes SQL. Whatever fails, is refused or
is not sure enough leaves the question to the wrapped answerer. How sure: a logistic regression over what the plan
shows, fitted on development halves (docs/decisions/tables.md).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from lyceum.answer.cite import cite
from lyceum.answer.current import current
from lyceum.answer.table_asked import Asked
from lyceum.answer.table_chat import computed
from lyceum.answer.table_rules import Plan, Rules
from lyceum.answer.table_sheet import Line, Sheet, gathered, sheet, statement
from lyceum.answer.table_sql import Result, run
from lyceum.answer.table_sums import Sums
from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Analyzer, Answerer, Chat, Ledger, Retriever
from lyceum.core.text import has_cjk
from lyceum.core.trace import span, trace_id
from lyceum.core.types import Answer, Citation, Hit, Query

CITED = 5  # rows that are quoted
RECKONED = ("change", "percent_change", "average", "sum", "share", "minus")  # shapes whose result has a unit
DEPTH = 15  # hits among which tables are looked for
# Words without which nothing is to be computed.
COMPUTES = re.compile(
    r"\bhow (?:many|much|long|often)\b|\bnumber of\b|\b(?:total|sum|combined|average|mean|differen\w+|"
    r"change[ds]?|increase[ds]?|decrease[ds]?|"
    r"growth|grew|percent\w*|ratio|proportion|more|less|fewer|most|least|\w+est|first|last|next|previous|before|after|above|below|top|"
    r"at least|at most|longer|taller|older|larger|higher|lower|greater|earlier|later|latest|exceed\w*|both)\b|%|"
    r"多少|几|总|合计|平均|最|差|比|增|减|占|第一|超过|以上|以下|之前|之后|变化",
    re.I,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Computation:
    """A result with its plan and sheet, and the probability that it is right."""

    plan: Plan
    result: Result
    sheet: Sheet
    sure: float


class Computed:
    """`threshold` is the probability from which a computation is the answer; `tables` how many are tried."""

    def __init__(
        self, answerer: Answerer, retriever: Retriever, ledger: Ledger, analyzer: Analyzer, chat: Chat | None = None,
        threshold: float = 0.5, tables: int = 3, seconds: float = 20.0,
    ) -> None:  # fmt: skip
        assert 0 < threshold <= 1, threshold
        assert tables >= 1, tables
        self.answerer, self.retriever, self.ledger = answerer, retriever, ledger
        self.analyzer, self.chat = analyzer, chat
        self.threshold, self.tables, self.seconds = threshold, tables, seconds

    async def __call__(self, query: Query) -> Answer:
        """Return what was computed, else the wrapped answerer's answer."""
        return await self._own(query) or await self.answerer(query)

    async def stream(self, query: Query) -> AsyncGenerator[str | Answer, None]:
        """Yield the computed answer line by line, else what the wrapped answerer yields."""
        if (own := await self._own(query)) is not None:
            for line in own.text.split("\n"):
                yield line + "\n"
            yield own
            return
        async with aclosing(self.answerer.stream(query)) as pieces:
            async for piece in pieces:
                yield piece

    async def _own(self, query: Query) -> Answer | None:
        if not COMPUTES.search(query.text) or query.top_k < 1:
            return None
        started = time.perf_counter()
        with span("answer.computed") as facts:
            try:
                hits = await self.retriever(replace(query, top_k=max(query.top_k, DEPTH)))
                best = await self._best(query, current(query.text, hits))
            except LyceumError as problem:
                facts["warning"] = f"not computed: {problem.code}"
                return None
            if best is None:
                return None
            facts.update(shape=best.plan.shape, sure=round(best.sure, 3), rows=len(best.result.rows))
            if best.sure < self.threshold:
                return None
            return _answer(best, hits, time.perf_counter() - started)

    async def _best(self, query: Query, hits: list[Hit]) -> Computation | None:
        """Return the surest computation over the first tables; a model's only where no rule is sure."""
        sheets: list[Sheet] = []
        made: list[Computation] = []
        seen: set[int] = set()
        for hit in hits:
            if hit.chunk.kind != "table" or hit.chunk.number in seen or len(sheets) == self.tables:
                continue
            chunks = await gathered(self.ledger, query, hit)
            seen |= {chunk.number for chunk in chunks}
            if (found := sheet(chunks, hit)) is None:
                continue
            made += computations(query.text, found, self.analyzer, len(sheets))
            sheets.append(found)
        best = max(made, key=lambda one: one.sure, default=None)
        if self.chat is None or not sheets or (best and best.sure >= self.threshold):
            return best
        if (said := await computed(self.chat, query.text, sheets[0], self.seconds)) is None:
            return best
        plan = Plan(sql=said[0], shape="model")
        return Computation(plan=plan, result=said[1], sheet=sheets[0], sure=self.threshold)


def computations(question: str, found: Sheet, analyzer: Analyzer, rank: int = 0) -> list[Computation]:
    """Return what the first rules that fit make of a question over one table, with how sure it is."""
    asked = Asked(question, found, analyzer)
    if asked.has(TOLD):
        return []
    for rules in (Sums(asked), Rules(asked)):
        if (plan := rules()) is None:
            continue
        try:
            result = run(found, plan.sql, plan.arguments)
        except LyceumError:
            continue
        if result.rows and any(value.strip() for value in result.values):
            return [Computation(plan=plan, result=result, sheet=found, sure=sure(plan, result, asked, rank))]
    return []


# What is told, not computed; and words that ask for more than the rules know.
TOLD = (
    r"^(?:why|how (?:is|are|was|were|does|do|did the company)\b|what (?:caused|could|led|drove|method)|describe|"
    r"为什么|为何)"
)
HARDER = re.compile(
    r"\b(?:consecutive\w*|in a row|not|never|without|other|same|only|both|each|every|but|until|difference|least|"
    r"than|after|before)\b|n't\b"
)
WEIGHTS = {
    "average": -0.92, "beside": 1.61, "between": 1.58, "change": -1.59, "count": 0.36, "difference": 1.82,
    "ends": 0.74, "lookup": 0.15, "mean": 0.36, "percent_change": -0.15, "share": -2.47, "sum": -1.69,
    "superlative": 1.06, "value": -2.3, "values": 1.13, "which_year": -1.42,
}  # fmt: skip
SLOPES = (-0.38, -0.96, -1.47, -1.0, 4.1, -0.51)


def features(plan: Plan, result: Result, asked: Asked, rank: int) -> tuple[float, ...]:
    """Return what speaks for and against a plan.

    That is: words left over, guesses, several values, a later table, the fit of a sum's item, words that ask for
    more than the rules know.
    """
    harder = len(HARDER.findall(asked.text))
    several, later = float(len(result.values) > 1), float(rank > 0)
    return float(min(asked.left, 5)), float(plan.guessed), several, later, plan.fit, float(harder)


def sure(plan: Plan, result: Result, asked: Asked, rank: int) -> float:
    """Return the estimated probability that a computation answers the question."""
    parts = zip(SLOPES, features(plan, result, asked, rank), strict=True)
    total = WEIGHTS.get(plan.shape, -2.0) + sum(weight * value for weight, value in parts)
    return 1 / (1 + math.exp(-total))


def _answer(best: Computation, hits: list[Hit], seconds: float) -> Answer:
    rows = [best.sheet.lines[row] for row in best.result.rows]
    citations = tuple(
        _cited(line, number, best.result.values) for number, line in enumerate(rows[:CITED], start=1)
    )
    first, *others = [f"{one.quote} [{one.number}]" for one in citations]
    if left := len(rows) - len(citations):
        others.append(f"… 另有 {left} 行" if has_cjk(first) else f"… and {left} more rows")
    return Answer(
        text="\n".join([f"{_value(best)} — {first}", *others]), citations=citations,
        hits=tuple(hits), confidence=best.sure, trace_id=trace_id(), seconds=seconds,
    )  # fmt: skip


def _value(best: Computation) -> str:
    """Return the values as they are said: computed ones with the unit of the table or of the cells."""
    values = list(dict.fromkeys(best.result.values))
    unit = (best.plan.unit or best.sheet.scale) if best.plan.shape in RECKONED else ""
    if unit == "percent" and len(values) == 1:
        return f"{round(float(values[0]), 2):g}%"
    return ", ".join(values) + (f" {unit}" if unit not in ("", "none") else "")


def _cited(line: Line, number: int, values: Sequence[str]) -> Citation:
    quoted = statement(line)
    mark = next(((start, end) for _, start, end in quoted.cells if quoted.quote[start:end] in values), None)
    return cite(quoted, number, mark)
