"""A written answer to the sentences that the passages they cite do not support; judges by a `Support`, asks no model.

A sentence without a citation rests on every passage cited in the answer. What says nothing (no letters or digits)
is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lyceum.core.protocols import Support
from lyceum.core.text import sentences

SUPPORTED = 0.5
_late = re.compile(
    r"([.!?。！？])((?:\s?\[\d+\])+)"
)  # marks behind the full stop belong to the sentence before it
_mark = re.compile(r"\s?\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The sentences that lack support, as written, and the text without them."""

    unsupported: tuple[str, ...]
    rest: str


async def verified(support: Support, text: str, passages: Mapping[int, str]) -> Verified:
    """Compare each sentence with the passages [n] that it cites."""
    lines = [_told(line) for line in _late.sub(r"\2\1", text).split("\n")]
    told = [one for line in lines for one in line if re.search(r"\w", _mark.sub("", one))]
    numbers = sorted(passages)
    if not told or not numbers:
        return Verified(unsupported=(), rest=text)
    claims = [("", _mark.sub("", one).strip()) for one in told]
    found = await support(claims, [passages[number] for number in numbers])
    lost = []
    for one, row in zip(told, found.tolist(), strict=True):
        cited = {int(number) for number in _mark.findall(one)} & passages.keys() or passages.keys()
        best = max(chance for number, chance in zip(numbers, row, strict=True) if number in cited)
        lost += [one] * (best < SUPPORTED)
    kept = [" ".join(one for one in line if one not in lost) for line in lines]
    return Verified(unsupported=tuple(lost), rest="\n".join(kept).strip() if lost else text)


def _told(line: str) -> list[str]:
    return [line[start:end] for start, end in sentences(line)]
