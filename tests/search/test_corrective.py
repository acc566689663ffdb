"""Evidence that is kept, refined, looked for again, or left weak; a grader that fails changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum import wire
from lyceum.core.errors import ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Graded, Hit, Query, Span
from lyceum.search.corrective import Corrective
from tests.toys import Home, document, run

TEXTS = ("pump pressure", "pump pressure valve", "pump pressure valve colour", "pump motor")


class Grader:
    """Says what it was told to say, in turn; the last again and again."""

    def __init__(self, *grades: float | Exception) -> None:
        self.grades, self.seen = list(grades), list[int]()

    async def __call__(self, query: Query, hits: Sequence[Hit]) -> Graded:
        self.seen.append(len(hits))
        grade = self.grades.pop(0) if len(self.grades) > 1 else self.grades[0]
        if isinstance(grade, Exception):
            raise grade
        return Graded(confidence=grade, refined=tuple(hits[::-1]))


def asked(folder: Path, grader: Grader, **options: Any) -> tuple[list[str], dict[str, Any]]:
    async def check() -> tuple[list[str], dict[str, Any]]:
        home = Home(folder)
        await home.store.put([document(f"{n}.md", text) for n, text in enumerate(TEXTS)])
        spans: list[Span] = []

        async def motors(query: Query) -> list[Hit]:
            return await home.hybrid(replace(query, text="motor"))

        if options.pop("other", False):
            options["other"] = motors
        with tracing(spans.append):
            hits = await Corrective(home.hybrid, grader, **options)(Query(text="pump pressure", top_k=2))
        (told,) = [one for one in spans if one.name == "search.corrective"]
        return [hit.document.source for hit in hits], dict(told.facts)

    return run(check())


def test_good_evidence_is_kept(tmp_path: Path) -> None:
    names, facts = asked(tmp_path, Grader(0.9))
    assert names == ["0.md", "1.md"]
    assert facts == {"action": "keep", "tried": ["first 0.90"], "confidence": 0.9}


def test_middling_evidence_is_refined(tmp_path: Path) -> None:
    assert asked(tmp_path / "a", Grader(0.5))[0] == ["1.md", "0.md"]
    assert asked(tmp_path / "b", Grader(0.5), refine=False)[0] == ["0.md", "1.md"]


def test_bad_evidence_is_looked_for_elsewhere(tmp_path: Path) -> None:
    grader = Grader(0.1, 0.2, 0.9)
    names, facts = asked(tmp_path, grader, other=True)
    assert names[0] == "3.md"
    assert facts["tried"] == ["first 0.10", "wider 0.20", "other 0.90"]
    assert grader.seen == [2, 4, 2]


def test_the_wider_search_gives_no_more_than_was_asked_for(tmp_path: Path) -> None:
    names, facts = asked(tmp_path, Grader(0.1, 0.8))
    assert names == ["3.md", "2.md"]
    assert facts["action"] == "keep"


def test_steps_and_seconds_end_the_loop(tmp_path: Path) -> None:
    assert asked(tmp_path / "a", Grader(0.1), other=True, steps=0)[1]["tried"] == ["first 0.10"]
    facts = asked(tmp_path / "b", Grader(0.1), other=True, seconds=-1.0)[1]
    assert facts["warning"] == "out of time before wider"
    assert facts["action"] == "weak"


def test_weak_evidence_stays_as_it_was(tmp_path: Path) -> None:
    names, facts = asked(tmp_path, Grader(0.1), other=True)
    assert names == ["0.md", "1.md"]
    assert facts["action"] == "weak"


@pytest.mark.parametrize("broken", [ProviderError("away", hint="Try again."), float("nan"), 2.0])
def test_a_grader_that_fails_changes_nothing(tmp_path: Path, broken: Any) -> None:
    names, facts = asked(tmp_path, Grader(broken))
    assert names == ["0.md", "1.md"]
    assert "not graded" in facts["warning"]


def test_another_retriever_that_fails_is_passed_over(tmp_path: Path) -> None:
    async def away(query: Query) -> list[Hit]:
        raise ProviderError("away", hint="Try again.")

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document(f"{n}.md", text) for n, text in enumerate(TEXTS)])
        hits = await Corrective(home.hybrid, Grader(0.1), away)(Query(text="pump pressure", top_k=2))
        assert len(hits) == 2

    run(check())


def test_configured(tmp_path: Path) -> None:
    table = {
        "kind": "search.corrective", "retriever": {"kind": "search.lexical"}, "grader": {"kind": "answer.grade"},
    }  # fmt: skip
    platform = wire.build({"retriever": table, "encoder": {"kind": "none"}}, tmp_path, tmp_path)
    assert isinstance(platform.retriever, Corrective)


def test_what_is_good_enough_ends_the_search(tmp_path: Path) -> None:
    grader = Grader(0.1, 0.5, 0.9)
    facts = asked(tmp_path, grader, other=True)[1]
    assert facts["tried"] == ["first 0.10", "wider 0.50"]
