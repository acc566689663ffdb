"""What a document can be filtered by, as plain strings that every view stores and compares the same way."""

from __future__ import annotations

from collections.abc import Mapping

from lyceum.core.errors import InvalidInput
from lyceum.core.types import Document

FILTERS = ("source", "type", "document")


def facets(document: Document) -> tuple[str, str, str, str]:
    """Return the document's values: its id, whole source, file name and type."""
    name = document.source.replace("\\", "/").rsplit("/", 1)[-1]
    source, kind = f"source={document.source}", f"type={document.media.lower()}"
    return f"document={document.id}", source, f"name={name}", kind


def wanted(filters: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return one group of alternatives per filter; a document passes when each group holds one of its facets.

    A source is given whole or as its file name.
    """
    groups: list[tuple[str, ...]] = []
    for name, value in filters.items():
        if name not in FILTERS:
            raise InvalidInput(f"Unknown filter {name!r}.", hint=f"Filters are {', '.join(FILTERS)}.")
        if name == "source":
            groups.append((f"source={value}", f"name={value}"))
        else:
            groups.append((f"{name}={value.lower()}",))
    return groups
