"""The guide to routing: its examples are configurations, and it knows every strategy and option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lyceum.gateway.config import Model, parsed
from lyceum.gateway.pick import ORDERS

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "routing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_is_a_configuration(block: str) -> None:
    assert parsed(block).model


def test_it_knows_what_there_is() -> None:
    assert all(f"| `{name}`" in GUIDE for name in (*ORDERS, "difficulty"))
    shown = parsed(BLOCKS[2]).model[0]
    for name in "retries retry_share breaker_seconds probe_seconds hedge_after queue queue_seconds".split():
        assert getattr(shown, name) == Model.model_fields[name].default, name
