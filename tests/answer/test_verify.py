"""Sentences of a model held against what they cite: named, or struck out."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.answer.evidence import Evidence
from lyceum.answer.generative import Generative
from lyceum.answer.verify import verified
from lyceum.core.types import Answer, Query
from lyceum.evals.support import Support
from lyceum.models.scripted import ScriptedChat
from tests.toys import Home, document, run

PASSAGES = {
    1: "The pump needs a pressure of 40 bar. It is painted red.",
    2: "Leave is 28 days a year. Unused days end in March.",
}
GOOD = "The pump needs a pressure of 40 bar [1]. Leave is 28 days a year [2]."


def lost(text: str) -> tuple[str, ...]:
    return run(verified(Support(), text, PASSAGES)).unsupported


def test_what_stands_there_is_supported() -> None:
    found = run(verified(Support(), GOOD, PASSAGES))
    assert (found.unsupported, found.rest) == ((), GOOD)


@pytest.mark.parametrize(
    "wrong", ["The pump needs a pressure of 60 bar [1].", "The pump is not painted red [1].",
              "The canteen serves pizza on Fridays [2]."],
)  # fmt: skip
def test_what_stands_nowhere_is_not(wrong: str) -> None:
    found = run(verified(Support(), f"Leave is 28 days a year [2]. {wrong}", PASSAGES))
    assert found.unsupported == (wrong,)
    assert found.rest == "Leave is 28 days a year [2]."


def test_a_sentence_is_held_against_its_own_citation() -> None:
    assert lost("Leave is 28 days a year [1].") == ("Leave is 28 days a year [1].",)
    assert lost("Leave is 28 days a year [1][2].") == ()


def test_without_a_citation_all_that_is_cited_counts() -> None:
    assert lost("Leave is 28 days a year. The pump needs a pressure of 40 bar [1].") == ()


def test_marks_behind_the_full_stop() -> None:
    assert lost("Leave is 28 days a year.[2] The pump needs a pressure of 60 bar. [1]") == (
        "The pump needs a pressure of 60 bar [1].",
    )


def test_what_says_nothing_is_passed_over() -> None:
    assert lost("— … —\n\n") == ()


def test_lines_stay_lines() -> None:
    text = (
        "Leave is 28 days a year [2].\nThe canteen serves pizza on Fridays [2].\nThe pump is painted red [1]."
    )
    found = run(verified(Support(), text, PASSAGES))
    assert found.rest.split("\n")[0] == "Leave is 28 days a year [2]."
    assert "pizza" not in found.rest


async def written(folder: Path, reply: str, strike: bool) -> tuple[list[str], Answer]:
    home = Home(folder)
    await home.store.put([document("a.md", PASSAGES[1]), document("b.md", PASSAGES[2])])
    answerer = Generative(
        home.hybrid, Evidence(home.lexical.analyzer), ScriptedChat([reply]), threshold=0.2, support=Support(),
        strike=strike,
    )  # fmt: skip
    pieces = [piece async for piece in answerer.stream(Query(text="Which pressure does the pump need?"))]
    answer = pieces.pop()
    assert isinstance(answer, Answer)
    return [piece for piece in pieces if isinstance(piece, str)], answer


REPLY = "The pump needs a pressure of 40 bar [1]. The canteen serves pizza on Fridays [2]."


def test_flagged(tmp_path: Path) -> None:
    pieces, answer = run(written(tmp_path, REPLY, strike=False))
    assert answer.text == "".join(pieces).strip() == REPLY
    assert answer.unsupported == ("The canteen serves pizza on Fridays [2].",)


def test_struck(tmp_path: Path) -> None:
    pieces, answer = run(written(tmp_path, REPLY, strike=True))
    assert answer.text == "The pump needs a pressure of 40 bar [1]."
    assert pieces == [answer.text]
    assert [one.number for one in answer.citations] == [1]
    assert answer.unsupported


def test_nothing_left_is_a_refusal(tmp_path: Path) -> None:
    _, answer = run(written(tmp_path, "The canteen serves pizza on Fridays [2].", strike=True))
    assert answer.abstained
    assert answer.citations == ()
