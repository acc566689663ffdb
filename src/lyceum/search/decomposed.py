"""A question about several things, searched whole and in its parts, cut by rules for English and Chinese.

Measured as no gain with search by words and meaning (docs/log.md), hence off; with a model: rewritten, way "parts".
"""

from __future__ import annotations

import re
from dataclasses import replace

from lyceum.core.protocols import Retriever
from lyceum.core.text import squeeze
from lyceum.core.trace import span
from lyceum.core.types import Hit, Query
from lyceum.search.checks import check
from lyceum.search.hits import together

PARTS, LONGEST = 4, 500  # how many; characters of a question that is looked at
_name = r"[A-Z][\w'-]*(?:\s[A-Z][\w'-]*)*"
_between = re.compile(
    rf"^(?P<head>.*?\b(?:both|between|of|compare|does|do|did|is|are|were|was)\s)(?P<one>{_name})"
    rf",?\s+(?:and|or|with|to|versus|vs\.?)\s+(?P<two>{_name})(?P<tail>.*)$"
)
_either = re.compile(
    r"^(?P<head>(?:which|who|what|where)\b.*?[,:]\s*)(?P<one>[^,?]+?),?\s+or\s+(?P<two>[^?]+)(?P<tail>\?)?$",
    re.I,
)
_zh = re.compile(
    r"^(?P<head>(?:请?比较|对比)?)(?P<one>.{2,20}?)(?:以及|和|与|及|跟|还是)(?P<two>.{2,20}?)(?P<tail>(?:分别|各自|之间|相比|哪个|谁).*)$"
)
_join = re.compile(
    r"[;；?？]\s*(?=\S)|,?\s+and\s+(?=(?:what|how|who|when|where|which|why|is|are|does|do|did|can)\b)", re.I
)


class Decomposed:
    """The parts share `weight` beside the whole question's 1."""

    def __init__(self, retriever: Retriever, weight: float = 0.3) -> None:
        self.retriever, self.weight = retriever, weight

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits of the question and its parts."""
        check(query)
        with span("search.parts") as facts:
            found = parts(query.text)
            facts["parts"] = len(found)
        others = [replace(query, text=one, terms=None, vector=None) for one in found]
        return (
            await together(self.retriever, query, others, self.weight)
            if others
            else await self.retriever(query)
        )


def parts(text: str) -> list[str]:
    """Return the questions that a question consists of, none where it is one."""
    text = squeeze(text)
    if len(text) > LONGEST:
        return []
    asked = [one.strip(" ?？;；") for one in _join.split(text)]
    if len(asked) > 1 and all(len(one) > 3 for one in asked):
        return asked[:PARTS]
    for rule in (_between, _either, _zh):
        if match := rule.match(text):
            head, tail = match["head"], match["tail"] or ""
            return [f"{head}{one.strip()}{tail}" for one in (match["one"], match["two"])]
    return []
