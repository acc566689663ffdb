"""lyceum.toml and LYCEUM_… variables to one configuration, each value with where it came from; read once."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lyceum.core.errors import ConfigError
from lyceum.store import beside
from lyceum.wire import DEFAULTS

# Read on their own; every other LYCEUM_<TABLE>__<KEY> overrides a value of lyceum.toml.
PLAIN = (
    "LYCEUM_HOME",
    "LYCEUM_MODELS",
    "LYCEUM_TOKEN",
    "LYCEUM_CHAT_KEY",
    "LYCEUM_RERANK_KEY",
    "LYCEUM_TRACES_HEADERS",
    "LYCEUM_SHARED",
)
_secret = re.compile(r"://[^/@\s]*@")
PROOFS = ("key", "token", "dsn")  # names of values that are never shown
SECRET = {"dsn": "LYCEUM_DENSE_DSN", "key": "LYCEUM_DENSE_KEY"}  # of a database of vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective configuration; `origin` maps "table.key" to the file or variable that set it."""

    home: Path
    tables: Mapping[str, Mapping[str, Any]]
    origin: Mapping[str, str]
    models: str = ""
    token: str = ""


def load(home: str | None, environment: Mapping[str, str]) -> Settings:
    """Read HOME/lyceum.toml over the defaults and LYCEUM_… over both.

    The home is the argument, else LYCEUM_HOME, else ./.lyceum when it exists, else ~/.lyceum.
    """
    local = Path(".lyceum")
    chosen = home or environment.get("LYCEUM_HOME") or (local if local.is_dir() else Path.home() / ".lyceum")
    folder = Path(chosen).expanduser().absolute()
    tables: dict[str, dict[str, Any]] = {name: dict(table) for name, table in DEFAULTS.items()}
    origin = {f"{name}.{key}": "default" for name, table in tables.items() for key in table}
    file = folder / "lyceum.toml"
    _lay_over(tables, origin, read(file), str(file))
    given: dict[str, dict[str, Any]] = {}
    named = {}
    for variable, value in environment.items():
        if variable.startswith("LYCEUM_") and variable not in PLAIN and "__" in variable:
            name, *keys = variable.removeprefix("LYCEUM_").lower().split("__")
            nested: dict[str, Any] = {keys.pop(): _value(value)}
            for key in reversed(keys):  # LYCEUM_RETRIEVER__RETRIEVER__WEIGHT
                nested = {key: nested}
            given[name] = _laid(given.get(name, {}), nested)
            named.update({f"{name}.{key}": variable for key in nested})
    _lay_over(tables, origin, given, "the environment")
    origin |= named
    tables["dense"] = with_secrets(tables["dense"], environment)
    origin.update({f"dense.{key}": name for key, name in SECRET.items() if environment.get(name)})
    sides = beside.read(folder)
    for name, table in sides.tables[sides.active].items() if sides.tables else ():
        tables[name] = dict(table)
        origin.update({f"{name}.{key}": str(folder / beside.FILE) for key in table})
    if tables["chat"].get("kind") == "models.openai" and environment.get("LYCEUM_CHAT_KEY"):
        tables["chat"]["key"] = environment["LYCEUM_CHAT_KEY"]
        origin["chat.key"] = "LYCEUM_CHAT_KEY"
    if environment.get("LYCEUM_RERANK_KEY"):
        tables["retriever"] = _keyed(tables["retriever"], environment["LYCEUM_RERANK_KEY"])
    if environment.get("LYCEUM_TRACES_HEADERS") and tables["traces"].get("kind") == "observe.otlp":
        tables["traces"]["headers"] = environment["LYCEUM_TRACES_HEADERS"]
        origin["traces.headers"] = "LYCEUM_TRACES_HEADERS"
    return Settings(
        home=folder, tables=tables, origin=origin, models=environment.get("LYCEUM_MODELS", ""),
        token=environment.get("LYCEUM_TOKEN", ""),
    )  # fmt: skip


def _keyed(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a table in which every rerank API, however deep, has the key."""
    found = {name: _keyed(one, key) if isinstance(one, Mapping) else one for name, one in table.items()}
    return {**found, "key": key} if table.get("kind") == "models.rerank_api" else found


def with_secrets(table: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return a [dense] table with what the environment holds of a database: its address and key."""
    found = {key: environment[name] for key, name in SECRET.items() if environment.get(name)}
    return {**table, **(found if table.get("kind") != "store.vectors" else {})}


def overlaid(settings: Settings, tables: Mapping[str, Any], said: str) -> Settings:
    """Return the settings with other values laid over them; `said` names where they came from."""
    under, origin = {name: dict(table) for name, table in settings.tables.items()}, dict(settings.origin)
    _lay_over(under, origin, tables, said)
    return replace(settings, tables=under, origin=origin)


def _lay_over(
    tables: dict[str, dict[str, Any]], origin: dict[str, str], over: Mapping[str, Any], said: str
) -> None:
    for name, table in over.items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"{said}: {name!r} stands outside a table.", hint="Put it under a [table].")
        tables[name] = _laid(tables.get(name, {}), table)
        origin.update({f"{name}.{key}": said for key in table})


def _laid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one table laid over another, nested ones likewise: another kind starts from nothing."""
    kept = {} if "kind" in over and over["kind"] != under.get("kind", over["kind"]) else dict(under)
    for key, value in over.items():
        below = kept.get(key)
        nested = isinstance(value, Mapping) and isinstance(below, Mapping)
        kept[key] = _laid(below, value) if nested else value  # type: ignore[arg-type]
    return kept


def read(file: Path) -> dict[str, Any]:
    """Return the tables of a TOML file, none of one that is not there."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise ConfigError(f"{file} cannot be read: {problem}.", hint="Correct or remove it.") from problem


def _value(text: str) -> Any:
    """Return numbers and booleans as such, anything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def current() -> Mapping[str, str]:
    """Return the process's environment; nothing else in the package reads it."""
    return os.environ


def masked(value: Any) -> Any:
    """Return a value without what proves who calls: hashes of keys, and names and passwords in addresses."""
    if isinstance(value, dict):
        return {name: masked(one) for name, one in value.items() if name != "sha256"}
    if isinstance(value, list):
        return [masked(one) for one in value]
    return _secret.sub("://***@", value) if isinstance(value, str) else value
