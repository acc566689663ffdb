"""The grade of evidence, and text cut so that its places hold."""

from __future__ import annotations

import pytest

from lyceum.answer.evidence import Evidence
from lyceum.answer.grade import ChatGrade, Grade
from lyceum.core.errors import ConfigError, ProviderError
from lyceum.core.types import Piece, Place, Query
from lyceum.models.scripted import ScriptedChat
from lyceum.search.analyzer import Standard
from tests.answer.made import hit, prose, table
from tests.toys import run

QUESTION = Query(text="Which pressure does the pump need?")
TEXT = "Lunch is at noon. The pump needs a pressure of 6 bar. Dogs stay outside."


def grade() -> Grade:
    return Grade(Evidence(Standard()))


def test_confidence_is_that_of_refusals() -> None:
    good = run(grade()(QUESTION, [hit(prose(TEXT))])).confidence
    bad = run(grade()(QUESTION, [hit(prose("Lunch is at noon."))])).confidence
    assert good > 0.5 > 0.2 > bad


def test_no_hits() -> None:
    found = run(grade()(QUESTION, []))
    assert (found.confidence, found.refined) == (0.0, ())


def test_text_is_cut_to_what_speaks_of_the_question() -> None:
    chunk = prose(TEXT)
    lines = (Piece(start=0, end=17, place=Place(line=1)), Piece(start=18, end=72, place=Place(line=2)))
    first = hit(chunk)
    marked = hit(type(chunk)(id="x", doc_id="d", text=TEXT, pieces=lines))
    (cut,) = run(grade()(QUESTION, [marked])).refined
    assert cut.chunk.text == "The pump needs a pressure of 6 bar."
    assert cut.chunk.pieces == (Piece(start=0, end=35, place=Place(line=2)),)
    assert (cut.chunk.id, first.chunk.text) == ("x", TEXT)


def test_headings_move_along_and_the_one_above_stays() -> None:
    text = "Pumps\nLunch is at noon.\nPressure\nThe pump needs a pressure of 6 bar."
    (cut,) = run(grade()(QUESTION, [hit(prose(text, "Pumps", "Pressure"))])).refined
    assert cut.chunk.text == "The pump needs a pressure of 6 bar."
    assert cut.chunk.path == ("Pressure",)
    assert cut.chunk.meta["headings"] == ()


def test_the_best_comes_first_and_what_says_nothing_goes() -> None:
    hits = [hit(prose("Dogs stay outside."), 3.0), hit(prose("A pump hums.", title="b"), 2.0),
            hit(prose(TEXT, title="c"), 1.0)]  # fmt: skip
    assert run(grade()(QUESTION, hits)).refined[0].document.title == "c"
    assert all("Dogs stay" not in one.chunk.text for one in run(grade()(QUESTION, hits)).refined)


def test_tables_stay_whole() -> None:
    chunk = table(("part", "pressure"), ("pump", "6 bar"), ("valve", "3 bar"))
    (cut,) = run(grade()(QUESTION, [hit(chunk)])).refined
    assert cut.chunk.text == chunk.text


def test_a_model_grades() -> None:
    chat = ScriptedChat(["1: yes\n2: no\n3. yes"])
    hits = [hit(prose(f"text {n}", title=str(n))) for n in range(3)]
    found = run(ChatGrade(chat)(QUESTION, hits))
    assert found.confidence == pytest.approx(2 / 3)
    assert [one.document.title for one in found.refined] == ["0", "2"]
    assert "text 1" in chat.heard[0][1].content


@pytest.mark.parametrize("reply", ["", "I cannot say.", "1: yes", "99: yes\n98: no"])
def test_a_reply_that_says_nothing_is_an_error(reply: str) -> None:
    hits = [hit(prose(f"text {n}", title=str(n))) for n in range(3)]
    with pytest.raises(ProviderError):
        run(ChatGrade(ScriptedChat([reply]))(QUESTION, hits))


def test_without_a_model() -> None:
    with pytest.raises(ConfigError):
        ChatGrade(None)  # type: ignore[arg-type]
