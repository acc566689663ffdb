"""Metrics of an example and its answer: by hand, for the right thing and for what it must not reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from lyceum.core.types import Answer, Chunk, Citation, Document, Example, Gold, Hit, Piece, Place
from lyceum.evals.metrics import DEFAULT, METRICS, named

WORDS = "The notice period is three months to the end of a quarter"


def hit(source: str, text: str = "words", page: int | None = None) -> Hit:
    pieces = (Piece(start=0, end=len(text), place=Place(page=page)),) if page else ()
    document = Document(id=source, source=source, version="1")
    return Hit(chunk=Chunk(id=text, doc_id=source, text=text, pieces=pieces), document=document, score=1.0)


def cited(source: str, quote: str = "words", page: int | None = None, **more: Any) -> Citation:
    return Citation(
        number=more.pop("number", 1), document_id=source, source=source, title="", quote=quote, chunk_id="",
        place=Place(page=page), **more,
    )  # fmt: skip


def asked(gold: Sequence[Gold] = (), **more: Any) -> Example:
    return Example(id="1", question="What?", gold=tuple(gold), **more)


def value(name: str, example: Example, answer: Answer) -> float | None:
    score = METRICS[name](example, answer)
    assert not score.failed
    return score.value


def test_documents_count_once_where_their_first_hit_stands() -> None:
    example = asked([Gold(document="b.pdf"), Gold(document="c.pdf", grade=2), Gold(document="b.pdf", page=2)])
    hits = tuple(hit(f"in/{name}.pdf") for name in ("a", "a", "b", "b", "c", "xc"))
    answer = Answer(text="", hits=hits)
    expected = {
        "recall@1": 0, "hit@1": 0, "recall@5": 1.0, "recall@10": 1.0, "mrr": 1 / 2, "mrr@10": 1 / 2, "hit@5": 1,
        "all-gold@5": 1, "precision@5": 2 / 5, "map": (1 / 2 + 2 / 3) / 2, "r-precision": 1 / 2,
    }  # fmt: skip
    assert {name: value(name, example, answer) for name in expected} == pytest.approx(expected)
    assert value("ndcg@10", example, answer) == pytest.approx((1 / 1.58496250 + 2 / 2) / (2 + 1 / 1.58496250))


def test_two_files_that_end_alike_are_one_gold_document() -> None:
    answer = Answer(text="", hits=(hit("one/a.pdf"), hit("two/a.pdf")))
    example = asked([Gold(document="a.pdf"), Gold(document="b.pdf")])
    assert value("recall@10", example, answer) == 0.5
    assert value("precision@10", example, answer) == 0.1


def test_a_name_is_a_whole_part_of_a_path() -> None:
    assert named("notes.md", "notes.md")
    assert named("/home/a/notes.md", "notes.md")
    assert named("/home/a/notes.md", "a/notes.md")
    assert not named("/home/a/footnotes.md", "notes.md")


def test_passages_are_of_the_page_or_hold_the_words() -> None:
    example = asked([Gold(document="a.pdf", page=3, text=WORDS), Gold(document="b.md", text=WORDS)])
    hits = (hit("a.pdf", WORDS, page=2), hit("a.pdf", page=3), hit("b.md", f"Before. {WORDS}, after."))
    answer = Answer(text="", hits=hits)
    expected = {
        "passage-recall@10": 1.0,
        "passage-mrr@10": 0.5,
        "passage-all-gold@10": 1.0,
        "passage-hit@10": 1.0,
    }
    assert {name: value(name, example, answer) for name in expected} == expected
    short = replace(answer, hits=hits[:2])
    assert [value(name, example, short) for name in expected] == [0.5, 0.5, 0.0, 1.0]
    assert [value(name, example, Answer(text="")) for name in expected] == [0, 0, 0, 0]
    assert METRICS["passage-hit@10"](asked([Gold(document="a")]), answer).reason == "no gold passage"


def test_words_of_the_short_answer_or_of_the_text() -> None:
    example = asked(answers=(("Paris", "the city of Paris"), ("1999",)))
    marked = Answer(
        text="x", citations=(cited("a", "In Paris.", start=3, end=8), cited("a", "1999", start=0, end=4))
    )
    assert value("exact", example, marked) == value("f1", example, marked) == 1.0
    told = Answer(text="It was Paris [1] in 1999.")
    assert value("exact", example, told) == 0
    assert value("f1", example, told) == pytest.approx(2 * 2 / 7)
    assert value("rouge-l", example, told) == pytest.approx(2 * 2 / 7)
    refused = Answer(text="Paris 1999", abstained=True, reason="unsure")
    assert [value(name, example, refused) for name in ("f1", "correct", "exact")] == [0, 0, 0]


def test_numbers_of_the_answer() -> None:
    example = asked(answers=(("$1,496.5",), ("Paris",)), meta={"scale": "million"})
    assert value("number", example, Answer(text="It was 1.4965 billion.")) == 1
    assert value("number", example, Answer(text="It was $1,496.5.")) == 1
    assert value("number", example, Answer(text="It was $1,496.5 thousand.")) == 0
    assert METRICS["number"](asked(answers=(("Paris",),)), Answer(text="5")).value is None


def test_a_cell_is_the_answer_whole() -> None:
    example = asked(answers=(("EUR 20",),), tags=("table",))
    row = cited("a", "Lamp | 20 EUR | 120 EUR")
    assert value("table-cell", example, Answer(text="x", citations=(row,))) == 1
    wrong = replace(row, start=16, end=23)
    assert value("table-cell", example, Answer(text="x", citations=(wrong,))) == 0
    assert value("table-cell", replace(example, tags=()), Answer(text="x")) is None


def test_citations_of_the_gold_page_or_words() -> None:
    example = asked([Gold(document="a.pdf", page=3), Gold(document="b.md", text=WORDS)])
    right = (cited("x/a.pdf", page=3), cited("b.md", "is three months to the end of a quarter."))
    wrong = (cited("x/a.pdf", page=4), cited("b.md", "Something else."), cited("c.md", WORDS))
    assert value("citation-precision", example, Answer(text="x", citations=right + wrong)) == 2 / 5
    assert value("citation-recall", example, Answer(text="x", citations=right[:1] + wrong)) == 1 / 2
    assert value("citation-recall", example, Answer(text="x")) == 0
    assert METRICS["citation-precision"](example, Answer(text="x")).reason == "nothing is cited"


def test_statements_without_a_citation_count() -> None:
    answer = Answer(text="One [1]. Two. Three [9]. Four. [1]", citations=(cited("a"),))
    assert value("cited-statements", asked(), answer) == 0.5
    assert value("cited-statements", asked(), Answer(text="", abstained=True, reason="no")) is None


def test_refusals() -> None:
    refused, told = Answer(text="", abstained=True, reason="no"), Answer(text="Yes.")
    open_, none = asked(answers=(("Yes",),)), asked(answerable=False)
    expected = {
        ("answered", True): (0.0, 1.0), ("answered", False): (None, None), ("refusal-precision", True): (0.0, None),
        ("refusal-precision", False): (1.0, None), ("refusal-recall", False): (1.0, 0.0),
        ("refusal-recall", True): (None, None), ("correct", False): (1.0, 0.0), ("correct", True): (0.0, 1.0),
    }  # fmt: skip
    for (name, answerable), values in expected.items():
        example = open_ if answerable else none
        assert (value(name, example, refused), value(name, example, told)) == values, name


def test_every_metric_says_why_it_does_not_apply() -> None:
    blank, empty = Answer(text=""), asked()
    for name, metric in METRICS.items():
        score = metric(empty, blank)
        assert score.value is not None or score.reason, name
    assert set(DEFAULT) <= METRICS.keys()
