"""What a person says of an answer: kept in HOME/feedback.jsonl as an example; and the answer as a Markdown file."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, Response
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from lyceum.app.routes import Opened
from lyceum.app.web.frame import Paged
from lyceum.app.web.quotes import where
from lyceum.core.errors import InvalidInput
from lyceum.core.types import Example, Place
from lyceum.evals import examples

router = APIRouter(include_in_schema=False)
FILE = "feedback.jsonl"
_special = re.compile(r"([\\`*_<\[])")


class Cited(BaseModel):
    """What of a citation is needed again."""

    model_config = ConfigDict(extra="ignore")
    number: int
    document_id: str
    source: str
    title: str
    quote: str
    part: str | None = None
    page: int | None = None
    sheet: str | None = None
    row: int | None = None
    line: int | None = None
    span: tuple[int, int] | None = None


class Told(BaseModel):
    """An answer as the page was given it, with its question."""

    model_config = ConfigDict(extra="ignore")
    question: str
    answer: str
    reason: str = ""
    abstained: bool
    trace_id: str
    citations: list[Cited]


def told_of(told: Annotated[str, Form()]) -> Told:
    """Return the answer that a form sends back."""
    try:
        return Told.model_validate_json(told)
    except ValidationError as problem:
        raise InvalidInput("That is no answer of this page.", hint="Ask again, then say it.") from problem


Shown = Annotated[Told, Depends(told_of)]


@router.post("/feedback")
async def keep(
    request: Request, page: Paged, platform: Opened, told: Shown, thumb: Annotated[Literal["good", "bad"], Form()],
    reason: Annotated[str, Form(max_length=2000)] = "", right: Annotated[str, Form(max_length=2000)] = "",
) -> Response:  # fmt: skip
    """Keep a judged answer as an example; said again of the same answer, the last word counts."""
    good = thumb == "good"
    one = examples.judged(told.model_dump(), good=good, answer=right.strip(), readers=page.readers)
    if reason.strip():
        one = replace(one, meta={**one.meta, "why": reason.strip()})
    await asyncio.to_thread(_add, platform.home / FILE, one)
    if "text/html" in request.headers.get("accept", ""):
        return page("thanks.html", question=told.question)
    return JSONResponse({"id": one.id, "file": FILE})


def _add(file: Path, one: Example) -> None:
    with FileLock(file.with_suffix(".lock")):
        known = examples.read(file) if file.exists() else []
        examples.write(file, [*(other for other in known if other.id != one.id), one])


@router.post("/markdown")
async def export(page: Paged, told: Shown) -> Response:
    """Return an answer with its sources as a Markdown file."""
    parts = [f"# {_plain(told.question)}", _written(told.answer) or f"*{_plain(told.reason)}*"]
    if told.citations:
        parts.append(f"## {page.say('ask.sources')}")
    for cited in told.citations:
        place = Place(**{name: getattr(cited, name) for name in ("part", "page", "sheet", "row", "line")})
        name = cited.source.rsplit("/", 1)[-1]
        stands = ", ".join(filter(None, (name, where(page, name.rpartition(".")[2], place))))
        words = _plain(cited.quote).replace("\n", "\n   > ")
        parts.append(f"{cited.number}. **{_plain(cited.title or name)}** ({_plain(stands)})\n\n   > {words}")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(told.question[:60], safe='')}.md"}
    return Response("\n\n".join(parts) + "\n", headers=headers, media_type="text/markdown; charset=utf-8")


def _plain(text: str) -> str:
    """Return text of a document as Markdown that shows it as it stands: no tag, link or picture comes of it."""
    return _special.sub(r"\\\1", text)


def _written(text: str) -> str:
    """Return an answer's Markdown without tags, links and pictures."""
    return text.replace("<", "\\<").replace("](", "] (").replace("![", "!\\[")
