"""What every Reranker promises: the hits that it was given, each once, otherwise as they were, best first."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lyceum.answer.evidence import Evidence
from lyceum.answer.rerank import Rerank
from lyceum.core.types import Hit, Query
from lyceum.models.cross_encoder import CrossEncoder
from lyceum.models.rerank_api import RerankAPI
from lyceum.models.scripted import ScriptedChat
from lyceum.search.analyzer import Standard
from lyceum.search.learned import Learned
from lyceum.search.listwise import Listwise
from lyceum.search.maxsim import MaxSim
from lyceum.search.mixed import Mixed
from tests.models.test_cross_encoder import folder, graph
from tests.models.test_rerank_api import standing
from tests.search.hits_made import made
from tests.search.test_maxsim import Spelled
from tests.toys import ToyEncoder, run

HITS = made("valve colour", "pump motor", "pump valve", "red motor pump")
NAMES = ("maxsim", "mixed", "judge", "judge without encoder", "listwise", "learned", "cross-encoder")
QUESTION = Query(text="pump valve")


def ranker(name: str, path: Path) -> Any:
    file = path / "weights.json"
    file.write_text(json.dumps({"weights": {"overlap": 1.0, "read": 0.5}}))
    evidence = Evidence(Standard(), ToyEncoder())
    return {
        "maxsim": lambda: MaxSim(Spelled()),
        "mixed": lambda: Mixed(Rerank(evidence), 0.5),
        "judge": lambda: Rerank(evidence),
        "judge without encoder": lambda: Rerank(Evidence(Standard())),
        "listwise": lambda: Listwise(ScriptedChat(["[3] > [2] > [3] > [77]"])),
        "learned": lambda: Learned(file, Standard(), evidence),
        "cross-encoder": lambda: CrossEncoder(folder(path, graph())),
    }[name]()


def holds(found: Sequence[Hit]) -> None:
    """Check the promise for an order of HITS."""
    scores = [hit.score for hit in found]
    assert all(map(math.isfinite, scores))
    assert scores == sorted(scores, reverse=True)
    known = {hit.chunk.id: hit for hit in HITS}
    assert [replace(hit, score=0) for hit in found] == [
        replace(known[hit.chunk.id], score=0) for hit in found
    ]
    assert sorted(hit.chunk.id for hit in found) == sorted(known)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_hits_best_first(name: str, tmp_path: Path) -> None:
    made_ranker = ranker(name, tmp_path)
    holds(run(made_ranker(QUESTION, HITS)))
    holds(run(made_ranker(replace(QUESTION, text="水泵"), HITS)))
    assert run(made_ranker(QUESTION, [])) == []
    assert len(run(made_ranker(QUESTION, HITS[:1]))) == 1


def test_a_server_too() -> None:
    rows = [{"index": place, "relevance_score": score} for place, score in enumerate((0.1, 0.9, 0.9, 0.3))]
    with standing({"results": rows}) as server:
        holds(run(RerankAPI(server.url)(QUESTION, HITS)))


@pytest.mark.parametrize(
    "broken",
    [HITS[:3], [*HITS[:3], HITS[0]], [replace(HITS[0], by=()), *HITS[1:]][::-1], [*made("other"), *HITS[1:]]],
)
def test_the_check_can_fail(broken: list[Hit]) -> None:
    with pytest.raises(AssertionError):
        holds(broken)
