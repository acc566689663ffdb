"""What calls cost: an estimate of their tokens before they are made, and the money for what was used; pure functions.

Money is counted in whole thousand-millionths of the currency that the prices are in, so that sums are exact.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lyceum.core.errors import ConfigError
from lyceum.core.types import Usage
from lyceum.gateway.call import Call
from lyceum.gateway.config import Gateway, Model, Price, Target

UNIT = 1_000_000_000
BYTES = 4  # of a request for a token: JSON around text evens out what tokenizers differ in
PICTURE = 1000  # tokens of a picture or sound in a message, about
MOST = 10_000_000  # tokens: what is reported beyond is no usage
ASKED = ("max_completion_tokens", "max_tokens", "max_output_tokens")
FILE = "prices.toml"


def read(file: Path) -> Mapping[str, Price]:
    """Return the prices of HOME/prices.toml, by the name of the model at its target. Raises ConfigError."""
    try:
        return TypeAdapter(dict[str, Price]).validate_python(tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, ValidationError) as problem:
        raise ConfigError(
            f"{file} is no table of prices: {problem}.", hint='Write ["MODEL"], input = 0.15, output = 0.6.'
        ) from problem


def applied(gateway: Gateway, table: Mapping[str, Price]) -> Gateway:
    """Return a configuration whose targets without a price have the table's, by their name of the model."""

    def target(one: Target, model: Model) -> Target:
        price = None if "price" in one.model_fields_set else table.get(one.model or model.name)
        return one if price is None else one.model_copy(update={"price": price})

    models = [
        one.model_copy(update={"targets": tuple(target(place, one) for place in one.targets)})
        for one in gateway.model
    ]
    return gateway.model_copy(update={"model": tuple(models)}) if table else gateway


def estimated(call: Call, output: int) -> tuple[int, int]:
    """Return the tokens that a call will read and, at most, write; `output` where it does not say how many."""
    size = len(call.body)
    if b";base64," in call.body:
        size = _text(call.asked)
    given = size // BYTES + 1
    if call.path in ("/v1/embeddings", "/v1/rerank"):
        return given, 0
    for name in ASKED:
        if isinstance(most := call.asked.get(name), int):
            output = max(0, most)
            break
    several = call.asked.get("n")
    return given, min(output * (several if isinstance(several, int) and several > 0 else 1), MOST)


def _text(asked: Any) -> int:
    """Return the length of all text in a body, data in base64 as a picture's."""
    if isinstance(asked, str):
        data = ";base64," in asked[:100] or (len(asked) > 1 << 15 and " " not in asked)
        return PICTURE * BYTES if data else len(asked)
    if isinstance(asked, Mapping):
        return sum(map(_text, asked.values()))
    return sum(map(_text, asked)) if isinstance(asked, list) else 4


def cost(price: Price, usage: Usage) -> int:
    """Return the money for what was used; tokens read from the provider's cache have a price of their own."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    again = price.input if price.cached is None else price.cached
    millions = (
        (usage.input_tokens - cached) * price.input + cached * again + usage.output_tokens * price.output
    )
    return round(millions * (UNIT // 1_000_000))


def shown(money: int) -> str:
    """Return money as a decimal number."""
    return f"{money // UNIT}.{money % UNIT:09d}".rstrip("0").rstrip(".") or "0"
