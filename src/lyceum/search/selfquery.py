"""Filters out of a question's own words: a file's name, a type, "the 2023 report"; only where such documents exist.

What passes the filter comes first, the rest of the ranking after it, so that a wrong guess hides nothing. A rule is
a function of the words and the visible documents; a filter that the caller gave is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Ledger, Retriever
from lyceum.core.trace import span
from lyceum.core.types import Document, Hit, Query
from lyceum.search.checks import check

TYPES = {
    "pdf": ("pdf", "pdfs"), "docx": ("docx", "word"), "xlsx": ("xlsx", "excel", "spreadsheet", "电子表格"),
    "pptx": ("pptx", "powerpoint", "slides", "presentation", "幻灯片", "演示文稿"), "csv": ("csv",),
    "eml": ("email", "e-mail", "mail", "邮件"), "html": ("html", "web page", "网页"), "md": ("markdown",),
}  # fmt: skip
_kinds = {word: kind for kind, words in TYPES.items() for word in words}
_words = "|".join(sorted(map(re.escape, _kinds), key=len, reverse=True))
_type = re.compile(
    rf"\b(?:in|from|per|according to)\s+(?:the|this|that|our|an?)\s+(?:\w+\s+)?({_words})\b(?!\s+(?:of|address))"
    rf"|(?:在|根据|按照|依据)\S{{0,6}}?({_words})(?:文件|文档)?(?:中|里|内|，|,)", re.I,
)  # fmt: skip
_file = re.compile(r"(?<![\w.-])([\w\u4e00-\u9fff][\w\u4e00-\u9fff-]*(?:\.[\w-]+)*\.[A-Za-z]{2,4})(?![\w-])")
_noun = "report|policy|manual|handbook|guide|guideline|contract|plan|budget|minutes|agreement|price list"
_noun_zh = "报告|年报|制度|手册|指南|合同|计划|预算|纪要|协议|价目表|办法|规定"
_dated = re.compile(
    rf"\b(?P<year>(?:19|20)\d\d)\s+(?:\w+\s+){{0,2}}(?P<noun>{_noun})\b|"
    rf"\b(?P<noun2>{_noun})\s+(?:of|for|from)\s+(?P<year2>(?:19|20)\d\d)\b|"
    rf"(?P<year3>(?:19|20)\d\d)\s?年?度?的?[\u4e00-\u9fff]{{0,4}}?(?P<noun3>{_noun_zh})", re.I,
)  # fmt: skip


class SelfQuery:
    """Wraps any retriever; the documents are listed only where the words hint at some of them."""

    def __init__(self, retriever: Retriever, ledger: Ledger) -> None:
        self.retriever, self.ledger = retriever, ledger

    async def __call__(self, query: Query) -> list[Hit]:
        """Return the hits within what the words name, and after them the others."""
        check(query)
        hits = list[Hit]()
        if any(one.search(query.text) for one in (_file, _type, _dated)):
            with span("search.selfquery") as facts:
                try:
                    found = meant(query.text, await self.ledger.documents(query.readers))
                    fresh = {name: value for name, value in found.items() if name not in query.filters}
                    facts["filters"] = sorted(fresh)
                    if fresh:
                        hits = await self.retriever(replace(query, filters={**fresh, **query.filters}))
                except LyceumError as problem:
                    facts["warning"] = f"no filter: {problem.code}"
        if len(hits) == query.top_k:
            return hits
        known, least = {hit.chunk.id for hit in hits}, min((hit.score for hit in hits), default=0.0)
        others = [hit for hit in await self.retriever(query) if hit.chunk.id not in known]
        if hits and others:  # scores stay in the order of the ranks
            above = max(others[0].score - least, 0.0)
            hits = [replace(hit, score=hit.score + above) for hit in hits]
        return [*hits, *others][: query.top_k]


def meant(text: str, documents: Sequence[Document]) -> Mapping[str, str]:
    """Return the filters that a question's words name: the first rule that fits existing documents."""
    return next((found for rule in (by_name, by_date, by_type) if (found := rule(text, documents))), {})


def by_name(text: str, documents: Sequence[Document]) -> dict[str, str]:
    """Return the source that is named with its ending."""
    wanted = {name.lower() for name in _file.findall(text)}
    found = [one for one in documents if re.split(r"[/\\]", one.source)[-1].lower() in wanted]
    return {"source": found[0].source} if len(found) == 1 else {}


def by_date(text: str, documents: Sequence[Document]) -> dict[str, str]:
    """Return the one document whose title or source holds the year and the kind that are named."""
    if not (match := _dated.search(text)):
        return {}
    year, noun = (match[name] or match[f"{name}2"] or match[f"{name}3"] for name in ("year", "noun"))
    found = [
        one for one in documents
        if year in (told := f"{one.title} {one.source}".lower()) and noun.lower() in told
    ]  # fmt: skip
    return {"source": found[0].source} if len(found) == 1 else {}


def by_type(text: str, documents: Sequence[Document]) -> dict[str, str]:
    """Return the type that is named, where there are documents of it and of another."""
    if not (match := _type.search(text)):
        return {}
    kind = _kinds[(match[1] or match[2]).lower()]
    held = {one.media.lower() for one in documents}
    return {"type": kind} if kind in held and len(held) > 1 else {}
