"""The nouns every room shares: frozen records without behaviour; they know no room, no file and no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EVERYONE = "*"

Kind = Literal["heading", "text", "table", "code", "image", "formula"]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in PDF points from the page's top-left corner, rotation and crop applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in its document; only what the format knows is set. Numbers count from one.

    `part` names the file inside an archive or mail that the other values belong to: "offer.zip/list.xlsx".
    """

    part: str | None = None
    page: int | None = None
    box: Box | None = None
    sheet: str | None = None
    row: int | None = None
    line: int | None = None
    xpath: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Characters `start` to `end` of a text stand at `place`: one per printed line or table row."""

    start: int
    end: int
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells by rows; the first `header` rows name the columns; `places` has one place a row."""

    rows: tuple[tuple[str, ...], ...]
    header: int = 1
    places: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        assert 0 <= self.header <= len(self.rows), (self.header, len(self.rows))
        assert len(self.places) in (0, len(self.rows)), (len(self.places), len(self.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One source and the version of it that is meant; `readers` empty means nobody."""

    id: str
    source: str
    version: str
    title: str = ""
    media: str = ""
    language: str = ""
    readers: frozenset[str] = frozenset({EVERYONE})
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A piece of a document as its author set it: a heading (with its level), a paragraph, a table.

    `pieces` place the characters of `text`; a table's `text` is its Markdown and `table` its cells.
    """

    doc_id: str
    kind: Kind
    text: str
    place: Place = Place()
    pieces: tuple[Piece, ...] = ()
    level: int = 0
    table: Table | None = None

    def __post_init__(self) -> None:
        assert (self.kind == "table") == (self.table is not None), self.kind
        assert self.kind != "heading" or self.level >= 1, "a heading has a level"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a parser gives at a time: a page, a slide, a sheet, or the whole of a format without pages.

    `ocr` when its words were recognised in a picture; `pictured` when a picture fills most of it; `total` is how
    many pages there will be, where the parser knows.
    """

    elements: tuple[Element, ...]
    title: str = ""
    warnings: tuple[str, ...] = ()
    place: Place = Place()
    ocr: bool = False
    pictured: bool = False
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What is searched and cited. `number` is the ledger's integer, 0 before it was stored.

    `path` holds the headings above the chunk; `kind` is "table" where `text` is table rows, so that each
    line is one row; `pieces` place its characters; `meta` keeps the table's header under "columns".
    """

    id: str
    doc_id: str
    text: str
    number: int = 0
    title: str = ""
    path: tuple[str, ...] = ()
    kind: Literal["text", "table", "code"] = "text"
    pieces: tuple[Piece, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question and who asks it. No readers sees nothing: there is no value that means "see all"."""

    text: str
    top_k: int = 10
    readers: frozenset[str] = frozenset({EVERYONE})
    filters: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Message, ...] = ()
    terms: Mapping[str, float] | None = None
    vector: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Which part found a hit, at which rank (from one) and with which score of its own scale."""

    part: str
    rank: int | None
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an encoder makes of a text: its unit vector, its words in lower case and their vectors (words x width)."""

    vector: Any
    words: tuple[str, ...]
    vectors: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk with the score that ranked it, its document, and the parts that found it."""

    chunk: Chunk
    document: Document
    score: float
    by: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What hits are worth as evidence: how likely they answer the question (0-1), and what of them speaks of it.

    `refined` are the hits without what is beside the matter, best first; text is cut, never written.
    """

    confidence: float
    refined: tuple[Hit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation; `images` are pictures that belong to it, as data: URLs."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one model call; `cached_tokens` of its input were read from the provider's own cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of text of a streamed reply."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The last event of a reply."""

    finish: str = "stop"
    usage: Usage = Usage()
    model: str = ""


Event = Delta | Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A stream of events, collected."""

    text: str
    finish: str = "stop"
    usage: Usage = Usage()
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Quoted words of a chunk and where they stand; `number` is the mark [n] in the answer's text.

    `boxes` cover the quote line by line; `start` and `end` mark the answer's own span inside the quote.
    """

    number: int
    document_id: str
    source: str
    title: str
    quote: str
    chunk_id: str
    media: str = ""
    place: Place = Place()
    boxes: tuple[Box, ...] = ()
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every answerer gives: text with citations, or a refusal with its reason.

    `unsupported` are sentences of a written answer that the passages they cite do not bear out; `conflicts` are pairs
    of citation numbers whose sources give different values for the same thing.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    hits: tuple[Hit, ...] = ()
    usage: Usage = Usage()
    abstained: bool = False
    reason: str = ""
    confidence: float = 0.0
    conflicts: tuple[tuple[int, int], ...] = ()
    trace_id: str = ""
    seconds: float = 0.0
    unsupported: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert not self.abstained or self.reason, "a refusal says why"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """Where an example's evidence stands: a document's source (or the end of its path), and what else is known.

    `grade` is its relevance; `text` the words that hold the answer, as they stand in the source.
    """

    document: str
    page: int | None = None
    text: str = ""
    grade: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question with what a right answer holds: one noun for evaluation and for tuning data.

    `answers` are parts that are all needed, each in its alternative spellings; with no answers only retrieval and
    refusal can be judged. `answerable` false means that refusing is right. `half` is "dev" or "test".
    """

    id: str
    question: str
    answers: tuple[tuple[str, ...], ...] = ()
    gold: tuple[Gold, ...] = ()
    tags: tuple[str, ...] = ()
    answerable: bool = True
    half: Literal["dev", "test"] = "test"
    history: tuple[Message, ...] = ()
    readers: frozenset[str] = frozenset({EVERYONE})
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.id, "an example has an id"
        assert self.question.strip(), "an example asks something"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a metric says of one answer; without a value it does not apply or could not be judged: `reason` says why.

    `failed` tells the two apart: a judge that returned junk failed, a question without gold is not this metric's.
    """

    value: float | None = None
    reason: str = ""
    failed: bool = False

    def __post_init__(self) -> None:
        assert self.value is not None or self.reason, "a missing score says why"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the ledger's log: chunk `number` was put, removed, or given other readers.

    A put carries the chunk, its document and readers as they are now; a removed chunk carries nothing.
    """

    sequence: int
    kind: Literal["put", "remove", "readers"]
    number: int
    chunk: Chunk | None = None
    document: Document | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A finished step of a trace: `start` is a wall-clock time in seconds, `seconds` its length."""

    name: str
    id: str
    trace_id: str
    parent: str
    start: float
    seconds: float
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
