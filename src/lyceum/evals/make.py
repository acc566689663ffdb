"""Documents to questions with gold answer, place and words, without a model: facts of tables and of sentences.

Honest about its limits: a question takes the words of its fact (search by words has it easy, which the command
measures and says), asks for one value, and joins no two places. What it gives is a smoke test and a regression
test of one's own documents, to be read before use; it is no sample of what people ask. A question whose answer is
ambiguous in these documents, that holds its answer, or that stands there already is dropped and counted. One
without answer asks for an attribute that a table lacks; other words for it elsewhere in the documents go unseen.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from lyceum.core.text import has_cjk, language, squeeze
from lyceum.core.types import Document, Element, Example, Gold
from lyceum.evals import made_of_tables, made_of_text
from lyceum.evals.examples import half
from lyceum.evals.facts import Fact
from lyceum.evals.metrics import holds

UNANSWERABLE = 10  # one in so many may be a question without answer
Pages = Sequence[tuple[Document, Sequence[Element]]]


@dataclass(slots=True)
class Made:
    """Questions, and how many were dropped for which reason."""

    examples: list[Example] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def make(pages: Pages, name: Callable[[Document], str], most: int = 200) -> Made:
    """Return at most `most` questions about documents, spread over documents and kinds; `name` is the gold's name."""
    made = Made()
    asked: dict[str, list[tuple[Document, Fact]]] = defaultdict(list)
    for document, elements in pages:
        for fact in _facts(document, elements):
            asked[key(fact.ask)].append((document, fact))
    texts = [one.text.lower() for _, elements in pages for one in elements]
    chosen: dict[str, tuple[str, Document, Fact]] = {}
    for found in asked.values():
        alike = len({(document.id, key(fact.answer)) for document, fact in found}) == 1
        for document, fact in found[:1] if alike else found:
            question = fact.ask if alike and not fact.vague else _placed(document, fact)
            if known := chosen.get(key(question)):
                made.dropped["ambiguous" if known[2].answer != fact.answer else "twice"] += 1
                known[2].spoilt |= known[2].answer != fact.answer
            elif fact.answer and holds(question, fact.answer):
                made.dropped["leading"] += 1
            elif not fact.answer and _known(fact, texts):
                made.dropped["perhaps answerable"] += 1
            else:
                chosen[key(question)] = (question, document, fact)
    good = [one for one in chosen.values() if not one[2].spoilt]
    made.dropped["ambiguous"] += len(chosen) - len(good)
    for question, document, fact in _spread(good, most):
        made.examples.append(_example(question, name(document), fact))
    made.dropped["over the limit"] += len(good) - len(made.examples)
    return made


def _facts(document: Document, elements: Sequence[Element]) -> Iterator[Fact]:
    tables = [(one, path) for one, path in _with_paths(elements) if one.table]
    yield from made_of_tables.facts(tables)
    yield from made_of_tables.lacking(tables)
    for element, path in _with_paths(elements):
        if element.kind == "text" or element.kind == "heading":
            yield from made_of_text.facts(element, path)


def _with_paths(elements: Sequence[Element]) -> Iterator[tuple[Element, tuple[str, ...]]]:
    path: list[tuple[int, str]] = []
    for element in elements:
        if element.kind == "heading":
            path = [one for one in path if one[0] < element.level]
        yield element, tuple(text for _, text in path)
        if element.kind == "heading":
            path.append((element.level, element.text))


def key(text: str) -> str:
    """Return a text without case and signs: what is alike asks, or answers, the same."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def titled(document: Document) -> str:
    """Return how a person would name a document."""
    title = squeeze(document.title)
    file = document.source.rpartition("/")[2]
    return file if title.lower() in ("", "untitled") or title == file.rpartition(".")[0] else title


def _placed(document: Document, fact: Fact) -> str:
    """Return a question that names its document, for it would mean nothing, or too much, without it."""
    title, under = titled(document), re.sub(r"^[\d.]+ +", "", fact.under)
    under = "" if under in title or len(under) > 60 else under
    if has_cjk(fact.ask):
        return f"根据《{title}》{f'（{under}）' if under else ''}，{fact.ask}"
    return f"According to “{title}”{f' ({under})' if under else ''}, {fact.ask[0].lower()}{fact.ask[1:]}"


def _known(fact: Fact, texts: Sequence[str]) -> bool:
    """Say whether any text names both the thing and the attribute that its table lacks."""
    return any(fact.about[0] in text and any(word in text for word in fact.about[1:]) for text in texts)


def _spread(found: Sequence[tuple[str, Document, Fact]], most: int) -> list[tuple[str, Document, Fact]]:
    """Return the first of each document and kind, then the second, and so on, in an order that chance gave."""

    def chance(one: tuple[str, Document, Fact]) -> str:
        return hashlib.sha256(one[0].encode()).hexdigest()

    rank: Counter[tuple[str, str]] = Counter()
    ranked = []
    for one in sorted(found, key=chance):
        rank[one[1].id, one[2].kind] += 1
        ranked.append((rank[one[1].id, one[2].kind], chance(one), one))
    ordered = [one for *_, one in sorted(ranked, key=lambda entry: entry[:2])]
    lacking = [one for one in ordered if not one[2].answer][: most // UNANSWERABLE]
    return [one for one in ordered if one[2].answer][: most - len(lacking)] + lacking


def _example(question: str, name: str, fact: Fact) -> Example:
    parts = fact.answer.split(", ") if fact.kind == "list" else [fact.answer]
    return Example(
        id=hashlib.sha256(f"{name}\n{question}".encode()).hexdigest()[:10], question=question,
        answers=tuple((one, *fact.also) for one in parts) if fact.answer else (), answerable=bool(fact.answer),
        gold=(Gold(document=name, page=fact.page, text=fact.text),) if fact.answer else (),
        tags=(fact.kind, language(question)), half=half(name), meta={"state": "open"},
    )  # fmt: skip
