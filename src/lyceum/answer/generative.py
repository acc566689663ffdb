"""An answer in a model's words: packed passages, demanded citations, each checked; refusals as in `refuse`.

Sentences that the passages they cite do not support are named in the answer, or struck out of it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from lyceum.answer import refuse
from lyceum.answer.cite import cite
from lyceum.answer.current import current
from lyceum.answer.evidence import Evidence, Judged
from lyceum.answer.marks import Marks
from lyceum.answer.pack import NOT_FOUND, messages, pack
from lyceum.answer.statements import whole
from lyceum.answer.verify import verified
from lyceum.core.errors import ConfigError
from lyceum.core.protocols import Chat, Retriever, Support
from lyceum.core.text import count_tokens, headline
from lyceum.core.trace import span, trace_id
from lyceum.core.turns import alone
from lyceum.core.types import Answer, Citation, Done, Hit, Query, Usage


class Generative:
    """`budget` is the tokens of passages; below `threshold` the model is not asked at all.

    `instructions` are added to the system prompt: who speaks, to whom, in which tone. With `support` each sentence
    is held against what it cites; `strike` takes out what fails, and so shows nothing before the reply has ended.
    """

    def __init__(
        self,
        retriever: Retriever,
        evidence: Evidence,
        chat: Chat,
        threshold: float = refuse.THRESHOLD,
        budget: int = 3000,
        instructions: str = "",
        support: Support | None = None,
        strike: bool = False,
    ) -> None:
        if chat is None:
            raise ConfigError("The generative answerer needs a model.", hint="Fill in [chat] in lyceum.toml.")
        self.retriever, self.evidence, self.chat = retriever, evidence, chat
        self.threshold, self.budget, self.instructions = threshold, budget, instructions
        self.support, self.strike = support, strike

    async def __call__(self, query: Query) -> Answer:
        """Return the whole answer: the stream, collected."""
        answer: Answer | None = None
        async with aclosing(self.stream(query)) as pieces:
            async for piece in pieces:
                answer = piece if isinstance(piece, Answer) else answer
        assert answer is not None
        return answer

    async def stream(self, query: Query) -> AsyncGenerator[str | Answer, None]:
        """Yield words as the model writes them, and last the whole answer."""
        started = time.perf_counter()
        with span("answer.prepare") as facts:
            trace = trace_id()
            found = await self.retriever(query)
            told = alone(query)
            kept = pack(current(told.text, found), self.budget)
            judged = await self.evidence(told, kept)
            sure = refuse.confidence(told.text, judged)
            facts.update(hits=len(found), packed=len(kept), confidence=round(sure, 3))

        def done(text: str, citations: tuple[Citation, ...], reason: str, usage: Usage, *lost: str) -> Answer:
            return Answer(
                text=text, citations=citations, hits=tuple(found), usage=usage, abstained=bool(reason),
                reason=reason, unsupported=lost, confidence=sure, trace_id=trace,
                seconds=time.perf_counter() - started,
            )  # fmt: skip

        if sure < self.threshold:
            yield done("", (), refuse.explained(told.text, judged), Usage())
            return
        marks, text, usage = Marks(len(kept)), "", Usage()
        async with aclosing(self.chat(messages(query, kept, self.instructions))) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Done):
                    usage = _counted(event.usage, query, kept, text)
                    piece = marks.end()
                else:
                    piece = marks.feed(event.text)
                text += piece
                # Nothing is shown while the reply may still turn out to be the word for "not found".
                if piece and not self.strike and not NOT_FOUND.startswith(text.strip()[: len(NOT_FOUND)]):
                    yield (
                        text if text == piece or NOT_FOUND.startswith(text[: -len(piece)].strip()) else piece
                    )
        if text.strip().startswith(NOT_FOUND):
            yield done("", (), refuse.reason(query.text, "model"), usage)
        elif not marks.cited:
            yield done("", (), refuse.reason(query.text, "uncited"), usage)
        else:
            text, lost = await self._verified(text.strip(), marks.cited, kept)
            if self.strike and text:
                yield text
            every = self._citations(marks.cited, kept, judged)
            citations = tuple(one for one in every if f"[{one.number}]" in text)
            if text:
                yield done(text, citations, "", usage, *lost)
            else:
                yield done("", (), refuse.reason(query.text, "uncited"), usage, *lost)

    async def _verified(
        self, text: str, cited: Sequence[int], kept: Sequence[Hit]
    ) -> tuple[str, tuple[str, ...]]:
        """Return the text, without what is unsupported where that is struck, and what is."""
        if self.support is None:
            return text, ()
        passages = {
            number: f"{headline(kept[place - 1].chunk)}\n{kept[place - 1].chunk.text}"
            for number, place in enumerate(cited, start=1)
        }
        with span("answer.verify") as facts:
            found = await verified(self.support, text, passages)
            facts["unsupported"] = len(found.unsupported)
        return (found.rest if self.strike else text), found.unsupported

    def _citations(
        self, cited: Sequence[int], kept: Sequence[Hit], judged: Sequence[Judged]
    ) -> tuple[Citation, ...]:
        """Quote of every cited passage the statement that answers the question best."""
        citations = []
        for number, passage in enumerate(cited, start=1):
            hit = kept[passage - 1]
            own = (one.statement for one in judged if one.statement.hit.chunk.id == hit.chunk.id)
            citations.append(cite(next(own, whole(hit)), number))
        return tuple(citations)


def _counted(usage: Usage, query: Query, kept: Sequence[Hit], text: str) -> Usage:
    """Return the server's count, or our estimate where it sends none."""
    if usage.input_tokens or usage.output_tokens:
        return usage
    sent = sum(count_tokens(message.content) for message in messages(query, kept))
    return Usage(input_tokens=sent, output_tokens=count_tokens(text))
