"""A tree of summaries: nodes lift real chunks, of the same readers alone, and may be thrown away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lyceum import wire
from lyceum.core.errors import ConfigError, ProviderError
from lyceum.core.trace import tracing
from lyceum.core.types import Hit, Query, Span
from lyceum.models.scripted import ScriptedChat
from lyceum.search.tree import Abstractive, Tree, clusters
from tests.toys import Home, ToyEncoder, document, run

BOSS = frozenset({"boss"})
PUMPS = [f"pump valve seal {word}" for word in ("red", "blue", "green", "black")]
SAILS = [f"sail mast rope {word}" for word in ("north", "south", "east", "west")]


def filled(folder: Path) -> Home:
    home = Home(folder)
    batch = [document(f"{n}.md", text) for n, text in enumerate((*PUMPS, *SAILS))]
    batch += [document(f"s{n}.md", f"sail mast treasure {n}", readers=BOSS) for n in range(4)]
    run(home.store.put(batch))
    return home


def tree(home: Home, **options: object) -> Tree:
    given = {"size": 4, "nodes": 1, "weight": 1.0, **options}
    return Tree(home.hybrid, home.ledger, home.dense, home.encoder, home.folder, **given)  # type: ignore[arg-type]


def ids(hits: list[Hit]) -> list[str]:
    return [hit.chunk.id for hit in hits]


def test_clusters_are_found_and_stay_the_same() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(8, dtype=np.float32)[:4]
    vectors = np.repeat(centres, 5, axis=0) + rng.normal(0, 0.05, (20, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = clusters(vectors, 5)
    assert [len(set(labels[start : start + 5])) for start in range(0, 20, 5)] == [1, 1, 1, 1]
    assert len(set(labels.tolist())) == 4
    assert (clusters(vectors, 5) == labels).all()
    assert set(clusters(np.ones((6, 2), np.float32), 2).tolist()) == {0}, "equal vectors are one cluster"


def test_a_node_lifts_what_is_beneath_it_and_says_so(tmp_path: Path) -> None:
    search = tree(filled(tmp_path))
    hits = run(search(Query(text="mast rope", top_k=8)))
    lifted = [hit for hit in hits if any(by.part == "tree" for by in hit.by)]
    assert {hit.chunk.text for hit in lifted} == set(SAILS)
    assert hits[:4] == lifted
    assert all(hit.chunk.number > 0 and hit.document.source for hit in hits)


def test_a_node_brings_in_what_was_not_found(tmp_path: Path) -> None:
    home = filled(tmp_path)
    home.hybrid.depth = 1
    spans: list[Span] = []
    with tracing(spans.append):
        hits = run(tree(home, depth=1)(Query(text="sail north", top_k=1)))
    assert hits[0].chunk.text == SAILS[0]
    wide = run(tree(home, depth=8)(Query(text="sail north", top_k=8)))
    assert {hit.chunk.text for hit in wide} >= set(SAILS)
    assert next(one for one in spans if one.name == "search.tree").facts["nodes"] > 0


def test_summaries_are_made_of_what_the_same_readers_see(tmp_path: Path) -> None:
    home = filled(tmp_path)
    search = tree(home)
    everyone = run(search(Query(text="sail mast treasure", top_k=20)))
    assert all("treasure" not in hit.chunk.text for hit in everyone)
    nodes = search._held[1]
    assert {node.readers for node in nodes} == {frozenset({"*"}), BOSS}
    assert all(("treasure" in node.text) == (node.readers == BOSS) for node in nodes)
    boss = run(search(Query(text="sail mast treasure", top_k=20, readers=BOSS | {"*"})))
    assert any("treasure" in hit.chunk.text for hit in boss)
    assert run(search(Query(text="sail", readers=frozenset()))) == []


def test_filters_hold_for_what_a_node_brings(tmp_path: Path) -> None:
    hits = run(tree(filled(tmp_path))(Query(text="sail mast", top_k=20, filters={"source": "4.md"})))
    assert [hit.document.source for hit in hits] == ["4.md"]


def test_a_change_makes_it_anew_and_its_file_may_go(tmp_path: Path) -> None:
    home = filled(tmp_path)
    asked = Query(text="mast rope", top_k=20)
    first = run(tree(home)(asked))
    encoded = home.encoder.encoded
    again = tree(home)
    assert ids(run(again(asked))) == ids(first)
    assert home.encoder.encoded - encoded <= 2, "it was read from its file"
    run(home.store.remove(document("4.md")[0].id, frozenset({"*"})))
    assert all(hit.document.source != "4.md" for hit in run(again(asked)))
    for content in (b"", b"PK rubbish"):
        again.file.write_bytes(content)
        assert ids(run(tree(home)(asked))) == ids(run(again(asked)))
    again.file.unlink()
    assert ids(run(tree(home)(asked))) == ids(run(again(asked)))


def test_too_much_is_a_warning_and_the_hits_as_they_were(tmp_path: Path) -> None:
    home = filled(tmp_path)
    spans: list[Span] = []
    with tracing(spans.append):
        hits = run(tree(home, most=3)(Query(text="mast rope", top_k=8)))
    assert hits == run(home.hybrid(Query(text="mast rope", top_k=8)))
    assert "tree_size" in next(one for one in spans if one.name == "search.tree").facts["warning"]


@pytest.mark.parametrize(
    ("replies", "said"),
    [(["All about  sails."], "All about sails."), ([""], "mast"), ([ProviderError("away", hint="wait")], "mast")],
)  # fmt: skip
def test_a_model_may_write_the_summaries(tmp_path: Path, replies: list[str | Exception], said: str) -> None:
    home = filled(tmp_path)
    chat = ScriptedChat(replies)
    search = tree(home, summary=Abstractive(chat))
    assert run(search(Query(text="mast rope", top_k=4)))
    assert any(said in node.text for node in search._held[1])
    assert "treasure" not in "".join(
        m.content for heard in chat.heard for m in heard if PUMPS[0] in m.content
    )
    with pytest.raises(ConfigError):
        Abstractive(None)


def test_an_empty_home_and_a_configuration(tmp_path: Path) -> None:
    table = {"kind": "search.tree", "size": 6, "retriever": {"kind": "search.hybrid"}}
    platform = wire.build({"retriever": table}, tmp_path, replace={"encoder": ToyEncoder(), "spans": None})
    assert isinstance(platform.retriever, Tree)
    assert platform.retriever.summary is None
    assert run(platform.retriever(Query(text="anything"))) == []
    run(platform.close())
