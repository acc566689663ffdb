"""Questions widened by their own first hits and by other words: formulas by hand, readers, nothing to widen by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lyceum.core.errors import ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Chunk, Document, Hit, Query, Span
from lyceum.search.analyzer import Standard
from lyceum.search.feedback import RM3, Rocchio, Synonymous, introduced
from lyceum.search.thesaurus import Thesaurus
from tests.toys import Home, ToyEncoder, document, run


def hit(text: str, score: float) -> Hit:
    told = Document(id="d", source="d.md", version="1")
    return Hit(chunk=Chunk(id=text, doc_id="d", text=text), document=told, score=score)


class Heard:
    """A retriever that gives the same hits and keeps what it was asked."""

    def __init__(self, *hits: Hit) -> None:
        self.hits, self.queries = list(hits), list[Query]()

    async def __call__(self, query: Query) -> list[Hit]:
        self.queries.append(query)
        return self.hits[: query.top_k]


def test_rm3_by_hand() -> None:
    """Abdul-Jaleel et al. 2004: own share of the question's model plus the rest of P(w|d) weighted by the hits."""
    heard = Heard(hit("pump valve", 1.0), hit("pump", 1.0 - math.log(3)))
    run(RM3(heard, Standard(), words=2)(Query(text="pump")))
    first, second = heard.queries
    assert (first.top_k, first.terms) == (5, None)
    # pump: 1 * 1/2 + 1/3 * 1 = 5/6, valve: 1/2; normalised 5/8 and 3/8
    assert second.terms == {"pump": pytest.approx(0.7 + 0.3 * 5 / 8), "valv": pytest.approx(0.3 * 3 / 8)}
    assert second.top_k == 10


def test_rm3_without_hits_or_words_asks_as_it_was_asked() -> None:
    for heard, text in ((Heard(), "pump"), (Heard(hit("pump", 1.0)), "the of")):
        run(RM3(heard, Standard())(Query(text=text)))
        assert heard.queries[-1] == Query(text=text)


def test_rocchio_by_hand() -> None:
    encoder, heard = ToyEncoder(), Heard(hit("valve oil", 2.0), hit("motor", 1.0))
    run(Rocchio(heard, encoder, documents=2)(Query(text="pump")))
    own, one, two = run(encoder(["pump", "valve oil", "motor"]))
    wanted = own + 0.5 * (one + two) / 2
    assert heard.queries[-1].vector == pytest.approx(tuple(wanted / np.linalg.norm(wanted)), abs=1e-6)


def test_of_a_passage_the_best_sentence_counts() -> None:
    encoder, heard = ToyEncoder(), Heard(hit("Motors hum. The pump leaks. Oil burns.", 2.0))
    run(Rocchio(heard, encoder, documents=1, sentences=1)(Query(text="the pump")))
    own, best = run(encoder(["the pump", "The pump leaks."]))
    wanted = own + 0.5 * best
    assert heard.queries[-1].vector == pytest.approx(tuple(wanted / np.linalg.norm(wanted)), abs=1e-6)


def test_an_encoder_that_fails_or_is_absent_leaves_the_question() -> None:
    async def broken(texts: Sequence[str]) -> Any:
        raise ProviderError("The encoder is away.", hint="Try again.")

    heard, spans = Heard(hit("valve", 1.0)), list[Span]()
    with tracing(spans.append):
        assert run(Rocchio(heard, broken)(Query(text="pump"))) == heard.hits  # type: ignore[arg-type]
    assert spans[0].facts["warning"] == "searched as it stands: provider"
    assert run(Rocchio(heard, None)(Query(text="pump"))) == heard.hits  # type: ignore[arg-type]
    assert heard.queries[-1].vector is None


def test_other_words_of_the_thesaurus_weigh_less() -> None:
    heard, analyzer = Heard(), Standard()
    words = Thesaurus(analyzer, [["pump", "lifter"]])
    run(Synonymous(heard, analyzer, words, documents=0)(Query(text="pump oil")))
    assert heard.queries[-1].terms == {"lifter": 0.3, "pump": 1, "oil": 1}


@pytest.mark.parametrize(
    ("question", "text", "other"),
    [
        ("What is the LTT threshold?", "We use Learn then Test (LTT) for it.", ["Learn then Test"]),
        ("learn then test thresholds", "We use Learn then Test (LTT) for it.", ["LTT"]),
        ("差旅管理办法何时生效", "《差旅管理办法》（以下简称“办法”）自一月起施行", ["办法"]),
        ("What is the LTT threshold?", "They saw it then (LTT) elsewhere.", []),
        ("What is the RCPS?", "We use Learn then Test (LTT) for it.", []),
    ],
)
def test_what_a_text_introduces(question: str, text: str, other: list[str]) -> None:
    assert list(introduced(question, text)) == other


def test_nobody_learns_words_from_what_he_may_not_read(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([
            document("a.md", "pump oil"), document("b.md", "canary seed"),
            document("c.md", "pump canary canary", readers=frozenset({"boss"})),
        ])  # fmt: skip
        kept: list[Query] = []

        async def noted(query: Query) -> list[Hit]:
            kept.append(query)
            return await home.hybrid(query)

        query = Query(text="pump", top_k=2)
        await RM3(noted, home.lexical.analyzer, documents=1)(query)
        assert "canari" not in (kept[-1].terms or {})
        boss = replace(query, readers=frozenset({"*", "boss"}))
        await RM3(noted, home.lexical.analyzer, documents=2)(boss)
        assert "canari" in (kept[-1].terms or {}), "the control sees it"

    run(check())
