"""A home for programs that are not async: opened in a thread of its own, asked by plain calls; knows no framework."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from lyceum.app import session, settings
from lyceum.core.types import EVERYONE, Answer, Hit, Place, Query
from lyceum.wire import Platform

T = TypeVar("T")


class Home:
    """The documents of a folder as `lyceum` keeps them; `readers` are who asks, everyone's documents always count.

    Close it, or use it in a `with`. A call gives what the command line and HTTP give for the same question.
    """

    def __init__(self, folder: str | Path | None = None, readers: Sequence[str] = ()) -> None:
        self.readers = frozenset((EVERYONE, *readers))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="lyceum")
        self._stack = AsyncExitStack()
        self._thread.start()
        chosen = settings.load(str(folder) if folder else None, settings.current())
        try:
            self.platform: Platform = self._run(
                lambda: self._stack.enter_async_context(session.opened(chosen))
            ).result()
        except BaseException:
            self._end()
            raise

    def search(self, question: str, top_k: int = 10, filters: Mapping[str, str] | None = None) -> list[Hit]:
        """Return the hits of the configured retriever."""
        return self.searching(question, top_k, filters).result()

    def searching(self, question: str, top_k: int, filters: Mapping[str, str] | None) -> Future[list[Hit]]:
        """Begin a search; an async caller awaits it by `asyncio.wrap_future`."""
        query = Query(text=question, top_k=top_k, readers=self.readers, filters=filters or {})
        return self._run(lambda: session.search(self.platform, query))

    def ask(self, question: str, top_k: int = 10, filters: Mapping[str, str] | None = None) -> Answer:
        """Return the answer of the configured answerer."""
        query = Query(text=question, top_k=top_k, readers=self.readers, filters=filters or {})
        return self._run(lambda: session.ask(self.platform, query)).result()

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        if self._thread.is_alive():
            self._run(self._stack.aclose).result()
            self._end()

    def __enter__(self) -> Home:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work(), self._loop)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def told(hit: Hit) -> dict[str, Any]:
    """Return what a framework keeps beside a passage: where it stands, and its score."""
    place = hit.chunk.pieces[0].place if hit.chunk.pieces else Place()
    facts = {
        "document_id": hit.document.id, "source": hit.document.source, "title": hit.document.title,
        "chunk_id": hit.chunk.id, "score": hit.score, "headings": " > ".join(hit.chunk.path),
        "part": place.part, "page": place.page, "sheet": place.sheet, "row": place.row, "line": place.line,
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value not in (None, "")}
