"""The verbs: a component is anything callable with one of these shapes. They know no implementation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Protocol

from lyceum.core.types import (
    Answer,
    Box,
    Change,
    Chunk,
    Document,
    Element,
    Event,
    Example,
    Graded,
    Hit,
    Message,
    Page,
    Query,
    Score,
)


class Parser(Protocol):
    """Bytes of one media type to pages of elements in reading order; pure, may be slow, may be killed."""

    def __call__(self, data: bytes, document: Document) -> Iterator[Page]: ...


class Splitter(Protocol):
    """Elements to chunks; `name` stands in every chunk id, so another splitter gives other ids."""

    name: str

    def __call__(self, document: Document, elements: Sequence[Element]) -> list[Chunk]: ...


class Analyzer(Protocol):
    """Text to index terms; the same object serves the index and the question."""

    name: str

    def __call__(self, text: str) -> list[str]: ...


class Synonyms(Protocol):
    """Text to the phrases it holds, each with other words for it, in any language."""

    def __call__(self, text: str) -> Sequence[tuple[str, tuple[str, ...]]]: ...


class Embedder(Protocol):
    """Texts to unit vectors; row i of the float32 array (texts x `dimension`) belongs to text i.

    `languages` says how far cosines within a language can be trusted, 1 for one that the encoder has learnt.
    """

    name: str
    dimension: int
    languages: Mapping[str, float]

    async def __call__(self, texts: Sequence[str]) -> Any: ...


class Ledger(Protocol):
    """The truth. Reading only; writing goes through the store, which keeps views and ledger in step."""

    async def get(self, numbers: Sequence[int], readers: frozenset[str]) -> dict[int, tuple[Chunk, Document]]:
        """Return chunks of current versions that one of `readers` may see; others are left out.

        Chunks of one version have numbers in a row, in the document's order: neighbours differ by one.
        """
        ...

    async def documents(self, readers: frozenset[str], document_id: str | None = None) -> list[Document]:
        """Return the visible documents in the order of their sources."""
        ...

    async def sequence(self) -> int:
        """Return the number of the last change."""
        ...


class View(Protocol):
    """A derived index that follows the ledger's log; it may be thrown away and rebuilt.

    `ledger` is the identity of the ledger it follows, set by the store; position is 0 after another one.
    """

    name: str
    ledger: str

    async def apply(self, changes: Sequence[Change]) -> None:
        """Take changes in order; applying one twice is harmless. `position` moves when they are safe."""
        ...

    async def position(self) -> int:
        """Return the sequence of the last change applied, 0 when there is none or the view was unusable."""
        ...

    async def reset(self) -> None:
        """Forget everything: position is 0."""
        ...

    async def check(self) -> tuple[int, list[str]]:
        """Return how many chunks can be found, and the names of broken files."""
        ...

    async def find(self, query: Query, k: int, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """Return at most k (number, score), best first, readable by `query.readers` and passing its filters.

        With `among` the candidates are those numbers and nothing else.
        """
        ...


class Vocabulary(Protocol):
    """The terms of a lexical view, counted over all that it holds, whoever may read it."""

    async def counts(self, terms: Sequence[str]) -> tuple[int, dict[str, int]]:
        """Return the number of chunks, and for each term in how many of them it stands."""
        ...


class Links(View, Protocol):
    """A view that knows which chunks name which documents; `find` gives those whose title stands in a question."""

    async def around(self, query: Query, numbers: Sequence[int]) -> dict[int, dict[int, float]]:
        """Return for chunks those around them that `query` may see, each with the share of its link, up to 1."""
        ...


class Retriever(Protocol):
    """Query to hits, ranked, alive and readable."""

    async def __call__(self, query: Query) -> list[Hit]: ...


class Reranker(Protocol):
    """Hits to the same hits in another order."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> list[Hit]: ...


class Grader(Protocol):
    """Hits to what they are worth as evidence for a question; calibrated, so that a threshold has a meaning."""

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> Graded: ...


class Support(Protocol):
    """Claims (a question and its answer, or nothing and a statement) and texts to probabilities, claims x texts."""

    async def __call__(self, claims: Sequence[tuple[str, str]], texts: Sequence[str]) -> Any: ...


class Draw(Protocol):
    """A page of a document as PNG, with boxes marked; raises NotFound where it has no pages or has gone."""

    async def __call__(
        self, document: Document, page: int, boxes: Sequence[Box] = (), dpi: int = 110
    ) -> bytes: ...


class PictureEncoder(Protocol):
    """Texts and pictures (PNG or JPEG) to vectors of one space: rows, or a matrix of rows each (late interaction)."""

    async def texts(self, texts: Sequence[str]) -> list[Any]: ...

    async def pictures(self, pictures: Sequence[bytes]) -> list[Any]: ...


class Chat(Protocol):
    """Messages to a stream of Delta, ended by one Done."""

    name: str

    def __call__(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[Event]: ...


class Answerer(Protocol):
    """A question to an answer with citations, or a refusal with its reason."""

    async def __call__(self, query: Query) -> Answer: ...

    def stream(self, query: Query) -> AsyncGenerator[str | Answer, None]:
        """Yield pieces of text, and last the whole Answer."""
        ...


class Build(Protocol):
    """Configuration to an answerer, with parts exchanged by their path: wire implements it."""

    def __call__(self, configuration: Mapping[str, Any], replace: Mapping[str, Any] = ...) -> Answerer: ...


class Metric(Protocol):
    """An example and its answer to a score; pure."""

    def __call__(self, example: Example, answer: Answer) -> Score: ...


class Judge(Protocol):
    """A metric that asks a model."""

    async def __call__(self, example: Example, answer: Answer) -> Score: ...
