"""gateway.toml to a checked configuration: models, their targets, keys, prices; knows no connection.

The file is watched: a new one takes effect whole or not at all. Secrets are named, `key = "env:NAME"`, never written.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lyceum.core.errors import ConfigError

Share = Annotated[float, Field(ge=0)]


class Strict(BaseModel):
    """A table in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(Strict):
    """Money for a million tokens read, read from the provider's cache, and written."""

    input: Share = 0.0
    cached: Share | None = None
    output: Share = 0.0


class Target(Strict):
    """One place where a model runs; `model` is its name there, `key` where the secret is ("env:NAME")."""

    url: str = Field(pattern=r"^(https?://|lyceum:)")
    model: str = ""
    kind: Literal["openai", "anthropic", "ollama", "lyceum"] = "openai"
    key: str = Field(default="", pattern=r"^(env:\w+)?$")
    weight: Share = 1.0
    context: int = Field(default=0, ge=0)
    features: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    price: Price = Price()
    concurrent: int = Field(default=0, ge=0)
    health: str = ""

    @model_validator(mode="after")
    def _placed(self) -> Target:
        if (self.kind == "lyceum") != self.url.startswith("lyceum:"):
            raise ValueError('kind = "lyceum" and url = "lyceum:" belong together')
        return self


class Model(Strict):
    """A name that clients ask for and how it is served.

    Embeddings and reranks that come within `batch_ms` are sent as one, of at most `batch_items` texts; 0 sends each.
    """

    name: str = Field(min_length=1)
    targets: tuple[Target, ...] = Field(min_length=1)
    route: Literal["weighted", "least_busy", "peak_ewma", "session", "prefix", "cheapest", "difficulty"] = (
        "weighted"
    )
    fallback: tuple[str, ...] = ()
    retries: int = Field(default=2, ge=0, le=10)
    retry_share: float = Field(default=0.2, ge=0, le=1)
    breaker_seconds: float = Field(default=30.0, gt=0)
    probe_seconds: float = Field(default=5.0, gt=0)
    hedge_after: Share = 0.0
    shadow: str = ""
    shadow_share: float = Field(default=0.0, ge=0, le=1)
    canary: str = ""
    canary_share: float = Field(default=0.0, ge=0, le=1)
    connect_seconds: float = Field(default=5.0, gt=0)
    first_seconds: float = Field(default=120.0, gt=0)
    idle_seconds: float = Field(default=60.0, gt=0)
    queue: int = Field(default=64, ge=0)
    queue_seconds: float = Field(default=30.0, gt=0)
    batch_ms: float = Field(default=0.0, ge=0, le=50)
    batch_items: int = Field(default=64, ge=1)


class Limits(Strict):
    """What may be used in any minute, at once, and in a day or month (UTC, money); 0 is no limit."""

    requests_per_minute: int = Field(default=0, ge=0)
    tokens_per_minute: int = Field(default=0, ge=0)
    concurrent: int = Field(default=0, ge=0)
    budget_day: Share = 0.0
    budget_month: Share = 0.0


class Key(Limits):
    """A virtual key, kept as the SHA-256 of its secret."""

    id: str = Field(min_length=1, max_length=100)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str = Field(default="", max_length=100)
    user: str = Field(default="", max_length=100)
    readers: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()


class Limit(Limits):
    """Limits of all keys of a user or tenant together, or of a model; `name` "*" is each that has none of its own."""

    of: Literal["user", "tenant", "model"]
    name: str = Field(min_length=1, max_length=100)


class Money(Strict):
    """How calls are counted: `output` tokens are reserved where a call does not say how many it may write.

    With `redis` the limits hold over all hosts that name it. `closed` refuses calls when Redis does not answer, or
    when the usage book has not been written for so long that no more can be kept; otherwise they are served.
    """

    output: int = Field(default=1024, ge=0)
    redis: str = Field(default="", pattern=r"^(redis://.*)?$")
    closed: bool = False


class Cache(Strict):
    """Answers that are given again, each of "memory", "lmdb" and "redis" with those before it.

    Only calls of at most `temperature` share replies (none given counts as 1); `semantic` is the least cosine at
    which a question gets the answer of another one, 0 for none; `redis` may be "env:NAME".
    """

    exact: Literal["none", "memory", "lmdb", "redis"] = "none"
    seconds: float = Field(default=3600.0, gt=0)
    megabytes: int = Field(default=64, gt=0)
    temperature: Share = 0.3
    redis: str = Field(default="", pattern=r"^(rediss?://|unix://|env:\w+$|$)")
    semantic: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _layers(self) -> Cache:
        if (self.exact == "redis") != bool(self.redis):
            raise ValueError('exact = "redis" and redis = "redis://…" belong together')
        if self.semantic and self.exact == "none":
            raise ValueError('semantic needs exact = "memory", "lmdb" or "redis": answers are kept there')
        return self


class Gateway(Strict):
    """The whole file."""

    model: tuple[Model, ...] = ()
    key: tuple[Key, ...] = ()
    limit: tuple[Limit, ...] = ()
    money: Money = Money()
    alias: Mapping[str, str] = {}
    cache: Cache = Cache()

    @model_validator(mode="after")
    def _whole(self) -> Gateway:
        names = [one.name for one in self.model]
        if len(set(names)) < len(names):
            raise ValueError("two models have one name")
        if len({one.id for one in self.key}) < len(self.key) or len({one.sha256 for one in self.key}) < len(
            self.key
        ):
            raise ValueError("two keys have one id or one secret")
        if len({(one.of, one.name) for one in self.limit}) < len(self.limit):
            raise ValueError("two limits are of one name")
        known = {*names, *self.alias}
        meant = [
            *self.alias.values(),
            *(one for model in self.model for one in (*model.fallback, model.shadow, model.canary) if one),
        ]
        meant += [one for key in self.key for one in key.models]
        if lost := sorted(set(meant) - known):
            raise ValueError(f"{lost[0]!r} is no model")
        for model in self.model:
            if len({one.url for one in model.targets}) < len({(one.url, one.price) for one in model.targets}):
                raise ValueError(f"two targets of {model.name!r} have one url and different prices")
        for name in self.alias:
            self.resolved(name)
        return self

    def resolved(self, name: str) -> str:
        """Return the model that a name means, aliases followed."""
        seen: list[str] = []
        while name in self.alias:
            if name in seen:
                raise ValueError(f"alias {name!r} means itself")
            seen.append(name)
            name = self.alias[name]
        return name


def parsed(text: str, where: str = "gateway.toml") -> Gateway:
    """Return the configuration of a file. Raises ConfigError with the place and what is wrong there."""
    try:
        return Gateway.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(
            f"{where} is no TOML: {problem}.", hint="Correct it; what was in use stays in use."
        ) from problem
    except ValidationError as problem:
        first: Any = problem.errors()[0]
        place = ".".join(str(one) for one in first["loc"]) or "the file"
        raise ConfigError(
            f"{where}: {place}: {first['msg']}.", hint="Correct it; what was in use stays in use."
        ) from problem


def written(tables: Mapping[str, Any]) -> str:
    """Return tables as TOML: values first, then tables, each list of tables that has a name of its own one by one."""
    tables = {name: one for name, one in tables.items() if one not in ([], {})}
    plain = [f"{_key(name)} = {_value(one)}\n" for name, one in tables.items() if not _nested(one)]
    parts = ["".join(plain)] if plain else []
    for name, one in tables.items():
        if isinstance(one, Mapping):
            parts.append(f"[{_key(name)}]\n" + _lines(one))
        elif _nested(one):
            parts += [f"[[{_key(name)}]]\n" + _lines(each) for each in one]
    return "\n".join(parts)


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    )


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(name)} = {_value(one)}\n" for name, one in table.items())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple | frozenset):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    # A JSON value is a TOML value, but for one character in texts and for null, which has none.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
