"""Configuration to a working platform: the only module that knows every room.

A table's `kind` names a maker ("search.hybrid" is entry "hybrid" of the search room); its other keys are the
maker's parameters; a nested table is a nested part. A parameter that is left out is filled from the part
of the same name that was built before. An unknown kind, key or type stops the start with the choices.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import inspect
import os
import typing
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lyceum.core.errors import ConfigError, NotFound, ParseError
from lyceum.core.protocols import Answerer, Build, Chat, Embedder, Retriever, Splitter
from lyceum.core.types import Answer, Box, Document, Query

if typing.TYPE_CHECKING:
    from lyceum.answer.evidence import Evidence
    from lyceum.ingest.isolate import Isolated
    from lyceum.ingest.pipeline import Ingest
    from lyceum.observe.metrics import Metrics
    from lyceum.observe.spans import Spans
    from lyceum.store.store import Store

ROOMS = ("ingest", "search", "answer", "models", "observe", "evals", "store")
SIMPLE = (bool, int, float, str)
# In this order: later parts are filled from earlier ones.
BUILT = "chat synonyms evidence support retriever answerer reader splitter spans traces log".split()
LISTENING = ("spans", "traces", "log")
GONE = ("changed", "page")  # what a drawing process says of a page that is not there any more

# What is built when lyceum.toml is silent; `lyceum config` prints it with where each value came from.
DEFAULTS: dict[str, dict[str, Any]] = {
    "analyzer": {"kind": "search.analyzer"},
    "reader": {"kind": "ingest.isolated"},
    "splitter": {"kind": "ingest.structured"},
    "encoder": {"kind": "models.minilm"},
    "gloss": {"kind": "search.gloss"},
    "dense": {"kind": "store.vectors"},
    "retriever": {
        "kind": "search.history",
        "retriever": {"kind": "search.linked", "retriever": {"kind": "search.hybrid"}},
    },
    "synonyms": {"kind": "search.thesaurus"},
    "evidence": {"kind": "answer.evidence"},
    "chat": {"kind": "none"},
    "support": {"kind": "evals.support"},
    "answerer": {"kind": "answer.extractive"},
    "computed": {"kind": "answer.computed", "chat": {"kind": "none"}},
    "spans": {"kind": "observe.spans"},
    "traces": {"kind": "none"},
    "log": {"kind": "none"},
    "serve": {
        "host": "127.0.0.1", "port": 8420, "body_mb": 200, "concurrency": 16, "rate": 0.0, "burst": 20,
        "body_seconds": 20.0, "grace_seconds": 30.0,
    },
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Platform:
    """The parts that a command or a server uses, built once; called with a query it is an Answerer."""

    home: Path
    store: Store
    ingest: Ingest
    retriever: Retriever
    answerer: Answerer
    spans: Spans
    embedder: Embedder | None
    chat: Chat | None
    splitter: Splitter
    evidence: Evidence
    draw: Drawn
    metrics: Metrics
    notes: list[str] = field(default_factory=list)
    closing: list[Any] = field(default_factory=list)
    parts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    async def __call__(self, query: Query) -> Answer:
        """Answer as configured."""
        return await self.answerer(query)

    def stream(self, query: Query) -> AsyncGenerator[str | Answer, None]:
        """Answer as configured, piece by piece."""
        return self.answerer.stream(query)

    async def close(self) -> None:
        """Close files, workers and connections."""
        for part in self.closing:
            done = part.close()
            if inspect.isawaitable(done):
                await done


def build(
    configuration: Mapping[str, Mapping[str, Any]],
    home: Path,
    models: Path | None = None,
    replace: Mapping[str, Any] | None = None,
) -> Platform:
    """Build every part; `replace` exchanges parts by name ("retriever", "chat", …) for an experiment."""
    tables = {name: dict(configuration.get(name, table)) for name, table in DEFAULTS.items()}
    if unknown := set(configuration) - set(tables):
        raise ConfigError(f"Unknown table [{min(unknown)}].", hint=f"Tables are {', '.join(sorted(tables))}.")
    from lyceum.observe.metrics import Metrics

    metrics = Metrics()
    parts: dict[str, Any] = {"folder": home, "home": models, "metrics": metrics, **(replace or {})}
    notes: list[str] = []

    def part(name: str) -> Any:
        if name not in parts:
            parts[name] = make(name, tables[name], parts)
        return parts[name]

    def once(name: str, made: Callable[[], Any]) -> Any:
        if name not in parts:
            parts[name] = made()
        return parts[name]

    from lyceum.ingest.pipeline import Ingest
    from lyceum.store.ledger import Ledger
    from lyceum.store.links import Links
    from lyceum.store.postings import Postings
    from lyceum.store.store import Store

    ledger = once("ledger", lambda: Ledger(home))
    store = once("library", lambda: Store(home, ledger))
    lexical = parts["view"] = once("lexical", lambda: Postings(home, part("analyzer")))
    embedder = once("embedder", lambda: _glossed(part("encoder"), part("gloss")))
    # A reader of its own: a long document that is being read holds up no picture.
    pictures = once("pictures", lambda: make("reader", tables["reader"], parts))
    once("draw", lambda: Drawn(store, pictures))
    dense = once("dense", lambda: _dense(tables, parts, store, embedder))
    links = once("links", lambda: Links(home))
    if "library" not in (replace or {}):  # a store that is shared keeps the views that it writes
        store.views[:] = [view for view in (lexical, dense, links) if view is not None]
    if dense is None:
        notes.append("No encoder: lexical search only. `lyceum models add minilm` installs one.")
        tables["retriever"] = _lexical(tables["retriever"])
    for name in BUILT:
        part(name)
    if "answerer" not in (replace or {}) and tables["answerer"].get("kind") != "answer.computed":
        parts["answerer"] = part("computed") or parts["answerer"]
    reader = parts["reader"]
    _followed(parts["spans"], parts["traces"])
    # One more than there are workers: a file is split while the workers read the next ones.
    at_once = getattr(reader, "workers", 0) + 1
    ingest = Ingest(store, reader, parts["splitter"], at_once, metrics.ingested)
    opened = (reader, pictures, parts["chat"], dense, ledger, *(parts[one] for one in LISTENING), metrics)
    closing = [one for one in opened if hasattr(one, "close")]
    return Platform(
        home=home, store=store, ingest=ingest, retriever=parts["retriever"], answerer=parts["answerer"],
        spans=parts["spans"], embedder=embedder, chat=parts["chat"], splitter=parts["splitter"],
        evidence=parts["evidence"], draw=parts["draw"], metrics=metrics, notes=notes, closing=closing, parts=parts,
    )  # fmt: skip


def _followed(spans: Any, traces: Any) -> None:
    """Let what exports traces have those that are kept."""
    if spans is not None and traces is not None:
        spans.also = traces.trace


class Drawn:
    """Draws pages of the documents of a store from their files, in a process that may be killed."""

    def __init__(self, store: Store, pictures: Isolated) -> None:
        self.store, self.pictures = store, pictures

    async def __call__(
        self, document: Document, page: int, boxes: Sequence[Box] = (), dpi: int = 110
    ) -> bytes:
        """Return a page as PNG with the boxes marked."""
        drawn = await self._drawn(document, page, boxes, dpi)
        return base64.b64decode(drawn["png"])

    async def size(self, document: Document, page: int) -> tuple[float, float]:
        """Return width and height of a page, in the units of boxes."""
        wide, high = (await self._drawn(document, page, (), 0))["size"]
        return wide, high

    async def _drawn(self, document: Document, page: int, boxes: Sequence[Box], dpi: int) -> dict[str, Any]:
        from lyceum.ingest.drawing import DRAWN

        if document.media not in DRAWN:
            raise NotFound(
                f"Pages of {document.media.upper()} documents cannot be drawn.",
                hint="PDF files and pictures have pages; GET the document for its text.", code="not_drawn",
            )  # fmt: skip
        path = await asyncio.to_thread(self.original, document)
        wanted = {"page": page, "dpi": dpi, "boxes": boxes, "sha256": document.meta["sha256"]}
        try:
            return await self.pictures.draw(path, "The file", document.media, wanted)
        except ParseError as problem:
            if problem.code in GONE:
                raise NotFound(problem.message, hint=problem.hint, code=problem.code) from problem
            raise

    def original(self, document: Document) -> Path:
        """Return the file that a document was read from; whoever reads it checks that it is still the same."""
        sha256 = document.meta.get("sha256")
        if sha256:
            kept = bool(document.meta.get("kept"))
            path = self.store.files.path(sha256) if kept else Path(document.source)
            if path.is_absolute() and path.is_file():
                return path
        raise NotFound("The file itself is not here any more.", hint="Ingest it again.", code="no_file")


def builder(platform: Platform) -> Build:
    """Return the Build that makes other answerers over an open platform's documents; it closes them, too."""
    below = (
        "pictures draw ledger library lexical dense links embedder analyzer encoder gloss spans traces log"
    )

    def made(configuration: Mapping[str, Any], replace: Mapping[str, Any] | None = None) -> Answerer:
        shared = {name: platform.parts[name] for name in below.split()}
        built = build(configuration, platform.home, platform.parts["home"], {**shared, **(replace or {})})
        platform.closing += [one for one in built.closing if one not in platform.closing]
        return built

    return made


def _glossed(embedder: Embedder | None, gloss: Any) -> Embedder | None:
    """Let an encoder that has not learnt Chinese read it in English words."""
    if embedder is None or gloss is None or "zh" in embedder.languages:
        return embedder
    from lyceum.models.glossed import Glossed

    return Glossed(embedder, gloss, gloss.name)


def _dense(
    tables: Mapping[str, Any], parts: Mapping[str, Any], store: Store, embedder: Embedder | None
) -> Any:
    """Return the view of meanings, able to change its encoder while it answers (docs/guides/stores.md)."""
    from lyceum.store.beside import Beside

    def made(side: Mapping[str, Mapping[str, Any]]) -> Any:
        encoder, gloss = (make(name, side[name], parts) for name in ("encoder", "gloss"))
        return dense_view(tables["dense"], store, _glossed(encoder, gloss))

    own = dense_view(tables["dense"], store, embedder)
    side = {name: tables[name] for name in ("encoder", "gloss")}
    return own and Beside(store.folder, own, side, made)


def dense_view(table: Mapping[str, Any], store: Store, embedder: Embedder | None) -> Any:
    """Return the view that a [dense] table names, over a store's ledger; None without an encoder."""
    from lyceum.store.database import InDatabase

    if embedder is None:
        return None
    folder, ledger, keep = store.folder, store.ledger, store.keep_vectors
    given = {"folder": folder, "embedder": embedder, "vectors": ledger, "keep": keep}
    made = make("dense", table, given)
    return made if made is None or hasattr(made, "find") else InDatabase(made, folder, embedder, ledger, keep)


def _lexical(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a retriever's table with the hybrid in it, at any depth, replaced by search by words."""
    if table.get("kind") == "search.hybrid":
        return {"kind": "search.lexical"}
    return {key: _lexical(one) if isinstance(one, Mapping) else one for key, one in table.items()}


def makers() -> dict[str, str]:
    """Return every kind that a configuration may name, with the place of its maker."""
    found = {}
    for room in ROOMS:
        table: dict[str, str] = importlib.import_module(f"lyceum.{room}").MAKERS
        found.update({f"{room}.{name}": target for name, target in table.items()})
    return found


def make(path: str, table: Mapping[str, Any], parts: Mapping[str, Any]) -> Any:
    """Build one part from its table; `path` names it in errors."""
    kind = table.get("kind", "")
    if kind == "none":
        return None
    known = makers()
    if not isinstance(kind, str) or kind not in known:
        raise ConfigError(
            f"[{path}] kind = {kind!r} is unknown.", hint=f"Choose one of {', '.join(sorted(known))}, none."
        )
    return fitted(path, _maker(known[kind]), table, parts)


def _maker(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def numbers(path: str, table: Mapping[str, Any]) -> dict[str, bool | int | float]:
    """Return the numbers and switches that a part and those nested in it take, each as it is now, by dotted path."""
    target = makers().get(table.get("kind", ""))
    if target is None:
        return {}
    maker, found = _maker(target), {}
    hints = typing.get_type_hints(maker.__init__ if inspect.isclass(maker) else maker)
    for name, parameter in inspect.signature(maker).parameters.items():
        value = table.get(name, parameter.default)
        if isinstance(value, Mapping):
            found.update(numbers(f"{path}.{name}", value))
        elif hints.get(name) in (bool, int, float) and value is not inspect.Parameter.empty:
            found[f"{path}.{name}"] = hints[name](value)
    return found


def fitted(path: str, maker: Callable[..., Any], table: Mapping[str, Any], parts: Mapping[str, Any]) -> Any:
    """Call a maker with the keys of its table, and with parts for what is left out."""
    taken = inspect.signature(maker).parameters
    given = {key: value for key, value in table.items() if key != "kind"}
    if unknown := set(given) - set(taken):
        raise ConfigError(
            f"[{path}] has an unknown key {sorted(unknown)[0]!r}.",
            hint=f"{table.get('kind', path)} takes {', '.join(taken) or 'nothing'}.",
        )
    arguments = _arguments(path, maker, given, parts)
    try:
        return maker(**arguments)
    except AssertionError as problem:
        said = ", ".join(f"{key} = {value!r}" for key, value in given.items() if key != "key")
        raise ConfigError(
            f"[{path}] cannot work with {said}.", hint="See the comments in lyceum.toml."
        ) from problem


def _arguments(
    path: str, maker: Callable[..., Any], given: Mapping[str, Any], parts: Mapping[str, Any]
) -> dict[str, Any]:
    hints = typing.get_type_hints(maker.__init__ if inspect.isclass(maker) else maker)
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(maker).parameters.items():
        if name in given:
            value = given[name]
            if isinstance(value, Mapping) and "kind" in value:
                arguments[name] = make(f"{path}.{name}", value, parts)
            else:
                arguments[name] = _typed(path, name, value, hints)
        elif name in parts and hints.get(name) not in SIMPLE:
            arguments[name] = parts[name]
        elif parameter.default is inspect.Parameter.empty:
            raise ConfigError(f"[{path}] lacks {name!r}.", hint="Add it to lyceum.toml.")
    return arguments


def _typed(path: str, name: str, value: Any, hints: Mapping[str, Any]) -> Any:
    wanted = hints.get(name, Any)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a key of digits out of the environment
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if wanted in SIMPLE and type(value) is not wanted:
        raise ConfigError(
            f"[{path}] {name} = {value!r} is not {wanted.__name__}.", hint="Correct it in lyceum.toml."
        )
    return value


def models_folder(value: str) -> Path:
    """Return where models live, from the value of LYCEUM_MODELS or the default."""
    from lyceum.models.weights import models_home

    return models_home(os.path.expanduser(value))
