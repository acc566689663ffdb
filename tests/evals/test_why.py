"""The stage that lost a document, by where its passages were seen; whole pipelines stand in test_autopsy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lyceum.core.types import Document, Query
from lyceum.evals.stages import PLACES, Seen
from lyceum.evals.why import _lost
from tests.toys import run

OPEN = Document(id="d", source="d.txt", version="v")
OTHER = 99  # a passage of another document, which is there at every stage


def seen(*places: str, read: bool = True) -> Seen:
    """Return what was seen of passage 1 at these places."""
    made = Seen()
    for place in PLACES:
        if read or place != "read":
            made.ranks[place][OTHER] = 1
        if place in places:
            made.ranks[place][1] = 2
    return made


@pytest.mark.parametrize(
    ("places", "reranker", "stage"),
    [
        ((), False, "candidates"),
        (("lexical",), False, "fuse"),
        (("dense",), True, "fuse"),
        (("lexical", "fused"), True, "rerank"),
        (("lexical", "fused"), False, "fuse"),
        (("lexical", "dense", "fused", "offered"), True, "pack"),
        (("lexical", "fused", "offered", "read"), True, "read"),
    ],
)
def test_the_first_stage_without_it(places: tuple[str, ...], reranker: bool, stage: str) -> None:
    subject: Any = SimpleNamespace(parts={"reranker": None} if reranker else {})
    assert run(_lost(subject, Query(text="x"), OPEN, [1], seen(*places))) == stage


def test_before_any_search() -> None:
    subject: Any = SimpleNamespace(parts={})
    assert run(_lost(subject, Query(text="x"), OPEN, [], seen())) == "index"
    closed = Document(id="d", source="d.txt", version="v", readers=frozenset({"hr"}))
    assert run(_lost(subject, Query(text="x"), closed, [1], seen())) == "visible"
    offered = ("lexical", "fused", "offered")
    computed = seen(*offered, read=False)
    assert run(_lost(subject, Query(text="x"), OPEN, [1], computed)) == "read", "no passage is read by itself"
