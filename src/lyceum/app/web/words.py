"""Which language a request is answered in, and the words for a key in it; one file of messages a language."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request

from lyceum.core.errors import LyceumError

LANGUAGES = {"en": "en", "zh": "zh-Hans"}  # with the tag that HTML takes
COOKIE = "lyceum_lang"


@cache
def table(language: str) -> Mapping[str, str]:
    """Return all messages of a language, each under its dotted key."""
    text = files(__package__).joinpath("messages", f"{language}.toml").read_text(encoding="utf-8")
    return dict(_flat(tomllib.loads(text), ""))


def _flat(node: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in node.items():
        found += _flat(value, f"{path}{name}.") if isinstance(value, dict) else [(path + name, value)]
    return found


def chosen(request: Request) -> str:
    """Return the language of ?lang=, else of the cookie, else the first known one of Accept-Language."""
    for given in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if given in LANGUAGES:
            return given
    wanted = []
    for part in request.headers.get("accept-language", "").split(","):
        tag, _, quality = part.strip().partition(";q=")
        wanted.append((-float(quality) if quality.replace(".", "", 1).isdecimal() else -1.0, tag[:2].lower()))
    return next(
        (tag for weight, tag in sorted(wanted, key=lambda one: one[0]) if tag in LANGUAGES and weight), "en"
    )


def say(language: str, key: str, **values: object) -> str:
    """Return the words for a key; values fill the braces."""
    text = table(language)[key]
    return text.format(**values) if values else text


@cache
def of_script(language: str, name: str) -> str:
    """Return as JSON what the script of a page says: [script.shared], its own table, and errors by their code."""
    said = table(language)
    tables = ("script.shared.", f"script.{name}.")
    found = {
        key.removeprefix(start): text
        for start in tables for key, text in said.items() if key.startswith(start)
    }  # fmt: skip
    found |= {key: text for key, text in said.items() if key.startswith(("errors.", "hints."))}
    return json.dumps(found, ensure_ascii=False)


def problem(language: str, found: LyceumError) -> tuple[str, str]:
    """Return an error's message and hint; in another language than English by its code, where that is known."""
    said = table(language)
    if language == "en" or f"errors.{found.code}" not in said:
        return found.message, found.hint
    return said[f"errors.{found.code}"], said.get(f"hints.{found.code}", "")
