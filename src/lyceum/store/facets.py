"""What a document can be filtered by, as plain strings that every view stores and compares the same way.

A range of dates is made of alternatives, too: a document of 2024-03-09 has the facets date=2, date=20, date=202,
date=2024, date=2024-03 and date=2024-03-09, and "since 2024-02-28" names the two last days of that February, the
months after it, the years after it in that decade, and so on: some seventy strings at most.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import date

from lyceum.core.dates import dated
from lyceum.core.errors import InvalidInput
from lyceum.core.text import names
from lyceum.core.types import Document

RECIPE = "facets-2"  # a view that was made with other facets is rebuilt
FILTERS = ("source", "type", "document", "path", "tag", "since", "until")
DEEP, CHAIN = 24, 4  # folders of a path that count, and how many in a row can be named without the whole path
LENGTHS = (1, 2, 3, 4, 7, 10)  # of the beginnings of a date that are facets
_date = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")


def facets(document: Document) -> tuple[str, ...]:
    """Return the document's values: its id, source, file name and type, its folders, date and tags."""
    *folders, name = document.source.replace("\\", "/").split("/")
    day = dated(document)
    return (
        f"document={document.id}", f"source={document.source}", f"name={name}", f"type={document.media.lower()}",
        *(f"path={one}" for one in _chains(folders[:DEEP])),
        *(f"date={day[:length]}" for length in LENGTHS if length <= len(day)),
        *(f"tag={tag.lower()}" for tag in document.meta.get("tags", ())),
    )  # fmt: skip


def _chains(folders: list[str]) -> list[str]:
    """Return the path from its start to each folder, and each few folders in a row."""
    ends = range(1, len(folders) + 1)
    runs = ("/".join(folders[start:end]) for end in ends for start in {0, *range(max(end - CHAIN, 0), end)})
    return sorted({run for run in runs if run})


def wanted(filters: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return one group of alternatives per filter; a document passes when each group holds one of its facets.

    A source is given whole or as its file name; of types and tags several may be given, separated by commas.
    """
    groups: list[tuple[str, ...]] = []
    for name, value in filters.items():
        if name not in FILTERS:
            raise _refused(f"Unknown filter {name!r}.", f"Filters are {', '.join(FILTERS)}.")
        if name == "source":
            groups.append((f"source={value}", f"name={value}"))
        elif name == "document":
            groups.append((f"document={value.lower()}",))
        elif name == "path":
            groups.append((f"path={_folder(value)}",))
        elif name in ("since", "until"):
            groups.append(tuple(f"date={one}" for one in _range(value, after=name == "since")))
        elif not (given := sorted(names(value.lower()))):
            raise _refused(f"The filter {name} is empty.", f"Give a {name}, or several with commas.")
        else:
            groups.append(tuple(f"{name}={one}" for one in given))
    return groups


def _refused(message: str, hint: str) -> InvalidInput:
    return InvalidInput(message, hint=hint, code="filter")


def _folder(value: str) -> str:
    path = re.sub("/+", "/", value.replace("\\", "/")).removeprefix("./").rstrip("/")
    if not path or re.search(r"[*?\[]", path):
        raise _refused(
            f"path = {value!r} is no folder.", "Name a folder, like hr/ or /home/me/hr; for endings: type."
        )
    if not path.startswith("/") and path.count("/") >= CHAIN:
        raise _refused(
            f"path = {value!r} is long.", f"Name at most {CHAIN} folders, or all from the root on."
        )
    return path


def _range(value: str, *, after: bool) -> list[str]:
    """Return the beginnings of all dates from `value` on, or up to it, its own day, month or year included."""
    try:
        if not _date.fullmatch(value):
            raise ValueError(value)
        day = date.fromisoformat(f"{value}-01-01"[:10] if len(value) < 10 else value)
    except ValueError as problem:
        raise _refused(f"{value!r} is no date.", "Write 2024, 2024-05 or 2024-05-31.") from problem
    last = monthrange(day.year, day.month)[1]
    if len(value) == 10 and day.day == (1 if after else last):
        value = value[:7]  # the whole month
    if len(value) == 7 and day.month == (1 if after else 12):
        value = value[:4]

    def beyond(number: int, lowest: int, highest: int) -> range:
        return range(number + 1, highest + 1) if after else range(lowest, number)

    year, month = value[:4], value[:7]
    found = [value]
    found += [f"{year[:place]}{digit}" for place in range(4) for digit in beyond(int(year[place]), 0, 9)]
    if len(value) > 4:
        found += [f"{year}-{number:02}" for number in beyond(day.month, 1, 12)]
    if len(value) > 7:
        found += [f"{month}-{number:02}" for number in beyond(day.day, 1, last)]
    return found
