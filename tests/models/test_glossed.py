"""An English encoder that reads Chinese through glosses: what it is given, what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lyceum.core.types import Reading
from lyceum.models.glossed import TRUST, Glossed
from lyceum.search.gloss import Gloss
from tests.toys import ToyEncoder, run


class Heard(ToyEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    async def __call__(self, texts: Sequence[str]) -> Any:
        self.texts += texts
        return await super().__call__(texts)


def test_the_encoder_is_given_english_words() -> None:
    heard = Heard()
    glossed = Glossed(heard, Gloss(), "gloss")
    vectors = run(glossed(["备用柴油发电机", "spare diesel generator", "kitchen"]))
    assert heard.texts == ["spare diesel generator", "spare diesel generator", "kitchen"]
    assert np.array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], vectors[2])


class Reads(Heard):
    async def read(self, texts: Sequence[str]) -> Any:
        return [Reading(vector=None, words=tuple(text.split()), vectors=None) for text in texts]


def test_words_are_those_of_the_gloss() -> None:
    (told,) = run(Glossed(Reads(), Gloss(), "gloss").read(["备用柴油发电机"]))
    assert told.words == ("spare", "diesel", "generator")
    assert not hasattr(Glossed(Heard(), Gloss(), "gloss"), "read"), "an encoder without words gives none"


def test_its_name_and_languages_tell_it_from_the_encoder_alone() -> None:
    glossed = Glossed(ToyEncoder(), Gloss(), "gloss")
    assert (glossed.name, glossed.dimension) == ("toy-1+gloss", 64)
    assert glossed.languages == {"en": 1.0, "zh": TRUST}
    assert glossed.count("备用柴油发电机") == glossed.count("spare diesel generator")
