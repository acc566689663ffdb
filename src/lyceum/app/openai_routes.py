"""The routes under /v1 in OpenAI's shape: model "lyceum" answers from the documents.

Citations come as `annotations` of the message (url_citation) and, whole, as a `citations` field beside it.
Reference: OpenAI API, chat completions (object and stream of chunks).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lyceum.app import shapes
from lyceum.app.routes import Opened
from lyceum.app.session import ask, stream
from lyceum.core.errors import InvalidInput, LyceumError, NotFound
from lyceum.core.ids import random_id
from lyceum.core.text import names
from lyceum.core.types import EVERYONE, Answer, Message, Query

router = APIRouter(prefix="/v1")
MODEL = "lyceum"
_mark = re.compile(r"\[(\d+)\]")


class Part(BaseModel):
    """A piece of a message's content; only text is read."""

    type: str
    text: str = ""


class Turn(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None

    def words(self) -> str:
        """Return the text of the message."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class Completion(BaseModel):
    """The request; parameters that do not apply to cited answers (temperature and the like) are ignored."""

    model_config = ConfigDict(extra="ignore")
    model: Annotated[str, StringConstraints(min_length=1)]
    messages: Annotated[list[Turn], Field(min_length=1, max_length=1000)]
    stream: bool = False
    readers: list[str] = []

    def query(self) -> Query:
        """Return the last user message as the question, and what came before as its history."""
        last = next(
            (i for i in range(len(self.messages) - 1, -1, -1) if self.messages[i].role == "user"), None
        )
        if last is None:
            raise InvalidInput("No user message.", hint='Send at least one message with role "user".')
        history = tuple(
            Message(role=turn.role, content=turn.words())
            for turn in self.messages[:last]
            if turn.role in ("user", "assistant")
        )
        readers = names(self.readers) | {EVERYONE}
        return Query(text=self.messages[last].words(), history=history, readers=readers)


@router.get("/models")
async def models() -> dict[str, Any]:
    """List the models that this server answers as."""
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "lyceum"}]}


@router.post("/chat/completions", response_model=None)
async def chat_completions(
    asked: Completion, platform: Opened, request: Request
) -> dict[str, Any] | StreamingResponse:
    """Answer the last user message from the documents."""
    if asked.model != MODEL:
        raise NotFound(
            f"There is no model {asked.model!r}.", hint=f"Use {MODEL!r}; GET /v1/models lists them."
        )
    query = asked.query()
    head = {"id": f"chatcmpl-{random_id()}", "created": int(time.time()), "model": MODEL}
    if asked.stream:
        # The first piece is awaited here, so that a bad question still becomes a status code.
        pieces = stream(platform, query)
        first = await anext(pieces)
        return StreamingResponse(_events(head, first, pieces), media_type="text/event-stream")
    found = await ask(platform, query)
    return {
        **head,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "content": found.text or found.reason,
                    "refusal": None,
                    "annotations": marks(found),
                },
            }
        ],
        "usage": _usage(found),
        "citations": shapes.answer(found)["citations"],
        "abstained": found.abstained,
        "trace_id": found.trace_id,
    }


async def _events(
    head: dict[str, Any], first: str | Answer, pieces: AsyncIterator[str | Answer]
) -> AsyncIterator[str]:
    """Yield server-sent events: the words as they come, then the citations, then [DONE]."""

    def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        body = {**head, "object": "chat.completion.chunk", "choices": [choice], **more}
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

    yield event({"role": "assistant", "content": ""})
    piece: str | Answer | None = first
    try:
        while piece is not None:
            if isinstance(piece, Answer):
                cited = shapes.answer(piece)["citations"]
                yield event(
                    {"annotations": marks(piece)}, "stop", usage=_usage(piece), citations=cited,
                    abstained=piece.abstained, trace_id=piece.trace_id,
                )  # fmt: skip
            else:
                yield event({"content": piece})
            piece = await anext(pieces, None)
    except LyceumError as problem:
        yield f"data: {json.dumps(shapes.error(problem), ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"


def marks(found: Answer) -> list[dict[str, Any]]:
    """Return one url_citation for each mark [n] in the text."""
    by_number = {cited.number: cited for cited in found.citations}
    listed = []
    for match in _mark.finditer(found.text):
        cited = by_number.get(int(match.group(1)))
        if cited is None:
            continue
        page = f"#page={cited.place.page}" if cited.place.page else ""
        listed.append(
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": match.start(),
                    "end_index": match.end(),
                    "title": cited.title or cited.source,
                    "url": f"/api/documents/{cited.document_id}{page}",
                },
            }
        )
    return listed


def _usage(found: Answer) -> dict[str, int]:
    sent, made = found.usage.input_tokens, found.usage.output_tokens
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
