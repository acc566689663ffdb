"""Opening a home and asking it: what the command line, HTTP and tests do alike, so that all give one result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

from lyceum import wire
from lyceum.app.settings import Settings
from lyceum.core.errors import LyceumError
from lyceum.core.trace import span, tracing
from lyceum.core.types import Answer, Document, Hit, Query


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[wire.Platform]:
    """Build the platform of a home, bring its views up to date, and close it afterwards."""
    platform = wire.build(settings.tables, settings.home, wire.models_folder(settings.models))
    try:
        await platform.store.catch_up()
        yield platform
    finally:
        await platform.close()


@contextmanager
def question(platform: wire.Platform, name: str, query: Query) -> Iterator[None]:
    """Open the root span of a question; it keeps whose rights it used, so that only they may read it."""
    with tracing(platform.spans), span(name, readers=sorted(query.readers), top_k=query.top_k):
        yield


async def ask(platform: wire.Platform, query: Query) -> Answer:
    """Return the answer of the configured answerer."""
    with counted(platform) as outcome, question(platform, "ask", query):
        found = await platform.answerer(query)
        outcome["is"] = "refused" if found.abstained else "answered"
    return found


@contextmanager
def counted(platform: wire.Platform) -> Iterator[dict[str, str]]:
    """Count a question with its time under the outcome that it is given, else under the code of its error."""
    started, outcome = time.perf_counter(), {"is": "left"}
    try:
        yield outcome
    except LyceumError as problem:
        outcome["is"] = problem.code
        raise
    finally:
        platform.metrics.answered(outcome["is"], time.perf_counter() - started)


async def stream(platform: wire.Platform, query: Query) -> AsyncGenerator[str | Answer, None]:
    """Yield pieces of text, and last the whole answer.

    The answerer runs in a task of its own: whoever consumes may go on in another context, as a server does
    between the first piece and the rest, and a span must end in the context in which it began.
    """
    pieces: asyncio.Queue[str | Answer] = asyncio.Queue(maxsize=16)

    async def produce() -> None:
        with counted(platform) as outcome, question(platform, "ask", query):
            async with aclosing(platform.answerer.stream(query)) as made:
                async for piece in made:
                    if isinstance(piece, Answer):
                        outcome["is"] = "refused" if piece.abstained else "answered"
                    await pieces.put(piece)

    producer = asyncio.create_task(produce())
    try:
        while not (producer.done() and pieces.empty()):
            waiting = asyncio.create_task(pieces.get())
            await asyncio.wait((waiting, producer), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                yield waiting.result()
            else:
                waiting.cancel()
        await producer
    finally:
        producer.cancel()
        await asyncio.wait((producer,))


async def documents(platform: wire.Platform) -> list[Document]:
    """Return all documents, whoever may read them: for who holds the home, and never for who asks it."""
    versions = (await platform.store.ledger.versions()).values()
    return await platform.store.ledger.documents(frozenset[str]().union(*(held for _, held in versions)))


async def search(platform: wire.Platform, query: Query) -> list[Hit]:
    """Return the hits of the configured retriever."""
    with question(platform, "search", query):
        return await platform.retriever(query)
