"""A question by the cheap retriever or the better one, as the model's file says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lyceum.core.errors import ConfigError
from lyceum.core.types import Hit, Query
from lyceum.search.routed import FEATURES, Routed, features, probability
from tests.toys import run


def model(folder: Path, **told: float) -> Path:
    file = folder / "route.json"
    weights = [told.get(name, 0.0) for name in FEATURES]
    file.write_text(json.dumps({"features": FEATURES, "weights": weights}))
    return file


def test_the_model_decides(tmp_path: Path) -> None:
    heard: list[str] = []

    async def cheap(query: Query) -> list[Hit]:
        heard.append("cheap")
        return []

    async def better(query: Query) -> list[Hit]:
        heard.append("better")
        return []

    routed = Routed(better, cheap, model(tmp_path, digits=6.0, one=-3.0))
    run(routed(Query(text="What was due in 2023?")))
    run(routed(Query(text="What was due?")))
    assert heard == ["cheap", "better"]


def test_features_and_probability_by_hand() -> None:
    values = dict(zip(FEATURES, features(Query(text="Who sold Kestrel 12?")), strict=True))
    assert values["one"] == values["digits"] == values["asks_who"] == 1.0
    assert values["words"] == 3 / 20
    assert values["capitals"] == pytest.approx(1 / 3)
    assert values["cjk"] == values["turns"] == 0.0
    assert probability([math.log(3)], [1.0]) == pytest.approx(0.75)
    assert probability([9e9], [1.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"features": ["one"], "weights": [1]}', "NaN"])
def test_a_file_that_is_no_model(tmp_path: Path, text: str) -> None:
    file = tmp_path / "route.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match="no routing model"):
        Routed(None, None, file)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        Routed(None, None, tmp_path / "none")  # type: ignore[arg-type]
    model(tmp_path, one=math.nan)
    with pytest.raises(ConfigError):
        Routed(None, None, file)  # type: ignore[arg-type]
