"""Files inside a file to its pages, each place naming the member; nothing is ever written to a disk.

A member that cannot be read becomes a warning with its code and the others stay; when none can, that is an error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from lyceum.core.errors import ParseError
from lyceum.core.text import clean
from lyceum.core.types import Document, Element, Page, Place
from lyceum.ingest.lines import line
from lyceum.ingest.media import detect
from lyceum.ingest.preflight import ENTRIES, UNPACKED, check
from lyceum.ingest.reading import blamed, read

DEPTH = 3
CONTAINERS = frozenset({"zip", "tar", "gz", "eml", "msg"})
LONGEST = 200  # characters of a member's name

Load = Callable[[int], bytes]
"""At most so many bytes of a member; raises ParseError when it has more or cannot be unpacked."""


@dataclass(slots=True)
class Budget:
    """What all members of a file, at every depth, may still unpack to."""

    bytes: int = UNPACKED
    members: int = ENTRIES


def read_members(members: Iterable[tuple[str, Load]], document: Document, level: int = 1) -> Iterator[Page]:
    """Yield the pages of every member; a heading of `level` with its name stands above its own headings."""
    meta = {"budget": Budget(), **document.meta, "depth": document.meta.get("depth", 0) + 1}
    used: dict[str, int] = {}
    problem: ParseError | None = None
    found = False
    for name, load in members:
        stem = part = shown(name)
        while part in used:
            used[stem] += 1
            part = f"{stem} ({used[stem]})"
        used[part] = 1
        named = False
        meta["budget"].members -= 1
        if meta["budget"].members < 0:
            yield Page(elements=(), warnings=(f"Only {ENTRIES:,} files inside were read.",))
            break
        try:
            for page in _pages(load, replace(document, source=part, meta=meta)):
                below = moved(page, part, level)
                if page.elements and not named:  # so that a member can be found by its name
                    heading = line(document.id, part, Place(part=part), level=level)
                    below = replace(below, elements=(*heading, *below.elements))
                    named = True
                yield below
        except ParseError as raised:
            problem = problem or raised
            said = raised.message if part in raised.message else f"{part}: {raised.message}"
            yield Page(elements=(), warnings=(f"Left out ({raised.code}): {said} {raised.hint}",))
        found = found or named
    if problem is not None and not found:
        raise problem


def _pages(load: Load, document: Document) -> Iterator[Page]:
    """Yield what a member holds, after the checks that a file of its own would meet."""
    budget: Budget = document.meta["budget"]
    with blamed(document.source):
        data = load(budget.bytes)
    budget.bytes -= len(data)
    media = detect(data, document.source)
    if media in CONTAINERS and document.meta["depth"] >= DEPTH:
        raise _over(f"{document.source} lies {DEPTH} archives deep.")
    check(data, media, document.source)
    yield from read(data, replace(document, media=media))


def _over(what: str) -> ParseError:
    return ParseError(what, hint="Unpack it and add the files.", code="limit")


def taken(file: Any, most: int) -> bytes:
    """Read a stream to its end, counting as it grows: what a header says of its size may be a lie."""
    data: bytes = file.read(most + 1)
    if len(data) > most:
        raise _over(f"It unpacks to over {UNPACKED // 1_000_000} MB.")
    return data


def shown(name: str) -> str:
    """Return a member's name without what could lead out of a folder, hide or reorder what is seen."""
    plain = "".join(one for one in clean(name) if unicodedata.category(one) not in ("Cf", "Zl", "Zp"))
    steps = re.sub(r"^[A-Za-z]:", "", plain.replace("\\", "/").replace("\n", " ")).split("/")
    kept = (step.strip() for step in steps if step.strip() not in ("", ".", ".."))
    return "/".join(kept)[-LONGEST:] or "unnamed"


def moved(page: Page, part: str, level: int = 0) -> Page:
    """Return a member's page as one of the whole: places name the member, headings stand below its name."""

    @cache
    def at(place: Place) -> Place:
        return replace(place, part=f"{part}/{place.part}" if place.part else part)

    def element(one: Element) -> Element:
        pieces = tuple(replace(piece, place=at(piece.place)) for piece in one.pieces)
        grid = one.table and replace(one.table, places=tuple(map(at, one.table.places)))
        deeper = one.level + level if one.level else 0
        return replace(one, place=at(one.place), pieces=pieces, table=grid, level=deeper)

    elements = tuple(map(element, page.elements))
    warnings = tuple(f"{part}: {warning}" for warning in page.warnings)
    return replace(page, elements=elements, title="", warnings=warnings, place=at(page.place))
