"""Late interaction: its formula by hand, its weights by idf, its memory, and what it does without words."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lyceum import wire
from lyceum.core.errors import ConfigError
from lyceum.core.types import Query, Reading
from lyceum.models.minilm import open_encoder
from lyceum.models.weights import models_home
from lyceum.search.maxsim import MaxSim, maxsim, packed
from lyceum.search.reranked import Reranked
from tests.search.hits_made import made, numbers
from tests.toys import ToyEncoder, run

# Directions of the stand-in's words; "motor" lies between "pump" and "valve".
ALONG = {"pump": (1, 0, 0), "valve": (0, 1, 0), "motor": (1, 1, 0), "colour": (0, 0, 1)}


class Spelled(ToyEncoder):
    """A stand-in encoder that reads words with the vectors above; all it does not know points nowhere near."""

    languages: Mapping[str, float] = {"en": 1.0, "zh": 0.0}  # type: ignore[misc]

    async def read(self, texts: Sequence[str]) -> list[Reading]:
        self.encoded += len(texts)
        return [reading(text) for text in texts]


def reading(text: str) -> Reading:
    words = tuple(text.split())
    vectors = np.array([ALONG.get(word, (-1, -1, -1)) for word in words], np.float16).reshape(len(words), 3)
    return Reading(vector=None, words=words, vectors=vectors)


def scores(question: str, *texts: str, idf: bool = False) -> list[float]:
    return maxsim(packed(reading(question)), [packed(reading(text)) for text in texts], idf).tolist()


def test_each_word_by_its_best_cosine() -> None:
    """Khattab and Zaharia 2020, equation 3, as a mean: pump 1 and valve .7071 in "pump motor"."""
    assert scores("pump valve", "pump motor", "colour", "pump valve") == pytest.approx(
        [(1 + math.sqrt(0.5)) / 2, 0.0, 1.0], abs=0.005
    )


def test_idf_weighs_rare_words_more() -> None:
    """Three candidates: ln(1 + 4 / 3.5) for the word of all of them, ln(1 + 4 / 1.5) for the word of one."""
    found = scores("pump colour", "pump", "pump", "pump colour", idf=True)
    often, rare = math.log(1 + 4 / 3.5), math.log(1 + 4 / 1.5)
    assert found == pytest.approx([often / (often + rare)] * 2 + [1.0], abs=0.005)


def test_a_passage_without_words_counts_nothing() -> None:
    assert scores("pump", "", "pump") == pytest.approx([0.0, 1.0], abs=0.005)


def test_mixed_with_the_retrievers_score() -> None:
    hits = made("colour", "motor", "pump valve")
    assert numbers(run(MaxSim(Spelled(), 0.0)(Query(text="pump valve"), hits))) == [1, 2, 3]
    assert numbers(run(MaxSim(Spelled(), 1.0)(Query(text="pump valve"), hits))) == [3, 2, 1]


@pytest.mark.parametrize("question", ["水泵", ""])
def test_nothing_to_compare_leaves_the_hits(question: str) -> None:
    hits = made("a", "b")
    assert run(MaxSim(Spelled(), 1.0)(Query(text=question), hits)) == hits
    assert run(MaxSim(Spelled(), 1.0)(Query(text="pump"), [])) == []


def test_passages_are_read_once_and_memory_has_an_end() -> None:
    encoder = Spelled()
    ranker = MaxSim(encoder, 1.0)
    hits = made("pump", "valve", "pump")
    for _ in range(2):
        run(ranker(Query(text="motor"), hits))
    assert (ranker.encoded, encoder.encoded) == (2, 4)  # two texts, and the question twice
    held = ranker.held
    ranker.most = held - 1
    run(ranker(Query(text="motor"), made("colour pump")))
    assert ranker.held < held
    run(ranker(Query(text="motor"), made("pump")))
    assert ranker.encoded == 4  # the oldest was forgotten


def test_an_encoder_without_words_is_refused() -> None:
    for encoder in (None, ToyEncoder()):
        with pytest.raises(ConfigError, match="single words"):
            MaxSim(encoder)


def test_int8_is_near_the_encoders_own_vectors_and_it_ranks() -> None:
    encoder = open_encoder(models_home(os.environ.get("LYCEUM_MODELS", "")))
    if encoder is None:
        pytest.skip("the encoder is not installed: lyceum models add minilm")
    texts = [
        "The painter mixed blue and red.",
        "The machine is serviced once a year by its maker.",
        "Ships leave at noon.",
    ]
    asked, *read = run(encoder.read(["How often is the pump maintained?", *texts]))

    def unit(vectors: Any) -> Any:
        return vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)

    exact = [float((unit(asked.vectors) @ unit(one.vectors).T).max(axis=1).mean()) for one in read]
    assert maxsim(packed(asked), [packed(one) for one in read], idf=False) == pytest.approx(exact, abs=0.003)
    assert (
        numbers(run(MaxSim(encoder, 1.0)(Query(text="How often is the pump maintained?"), made(*texts))))[0]
        == 2
    )


def test_a_configuration_names_it(tmp_path: Path) -> None:
    tables = {
        "retriever": {
            "kind": "search.reranked", "retriever": {"kind": "search.hybrid"}, "depth": 20, "seconds": 2,
            "reranker": {"kind": "search.maxsim", "weight": 0.3, "idf": True},
        }
    }  # fmt: skip
    platform = wire.build(tables, tmp_path, replace={"encoder": Spelled(), "gloss": None, "spans": None})
    assert isinstance(platform.retriever, Reranked)
    assert isinstance(platform.retriever.reranker, MaxSim)
    assert run(platform.retriever(Query(text="anything"))) == []
    run(platform.close())
