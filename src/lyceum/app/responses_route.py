"""/v1/responses in the shape of OpenAI's Responses API: text or messages in, cited text out, whole or as events.

Nothing is stored: there is no previous response to go on from. Instructions are given back and change nothing,
for an answer consists of the documents' words. Reference: OpenAI API, responses and their streaming events.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field, StringConstraints

from lyceum.app import shapes
from lyceum.app.openai_routes import MODEL, Lenient, Turn, asked_last, check_model, marks
from lyceum.app.routes import Opened
from lyceum.app.session import ask, stream
from lyceum.core.errors import InvalidInput, LyceumError
from lyceum.core.ids import random_id
from lyceum.core.types import Answer, Query

router = APIRouter(prefix="/v1")


class Item(Turn):
    """One message of the input."""

    type: Literal["message"] = "message"


class Asked(Lenient):
    """The request; sampling parameters and the like are ignored."""

    model: Annotated[str, StringConstraints(min_length=1)]
    input: str | Annotated[list[Item], Field(min_length=1, max_length=1000)]
    instructions: str = ""
    stream: bool = False
    background: Literal[False] = False
    previous_response_id: str = ""
    tools: Annotated[tuple[Any, ...], Field(max_length=0)] = ()
    metadata: Annotated[dict[str, str], Field(max_length=16, default_factory=dict)]
    readers: tuple[str, ...] = ()

    def query(self) -> Query:
        """Return the input, or its last user message with what came before."""
        turns = [Turn(role="user", content=self.input)] if isinstance(self.input, str) else self.input
        return asked_last(turns, self.readers)


@router.post("/responses", response_model=None)
async def responses(asked: Asked, platform: Opened) -> dict[str, Any] | StreamingResponse:
    """Answer from the documents."""
    check_model(asked.model, MODEL)
    if asked.previous_response_id:
        raise InvalidInput(
            "Responses are not stored.", hint="Send the earlier messages in input.", code="not_stored"
        )
    made = _Response(asked)
    if asked.stream:
        # The first piece is awaited here, so that a bad question still becomes a status code.
        pieces = stream(platform, asked.query())
        first = await anext(pieces)
        return StreamingResponse(made.events(first, pieces), media_type="text/event-stream")
    return made.whole(await ask(platform, asked.query()))


class _Response:
    """One response while it is made: the same ids in every event and in the whole."""

    def __init__(self, asked: Asked) -> None:
        self.message = f"msg_{random_id()}"
        self.number = 0
        self.head = {
            "id": f"resp_{random_id()}", "object": "response", "created_at": int(time.time()),
            "model": MODEL, "instructions": asked.instructions or None, "metadata": asked.metadata,
            "error": None, "incomplete_details": None, "parallel_tool_calls": False, "tool_choice": "none",
            "tools": [], "temperature": None, "top_p": None, "previous_response_id": None, "store": False,
        }  # fmt: skip

    def begun(self) -> dict[str, Any]:
        """Return the response before its first word."""
        return {**self.head, "status": "in_progress", "output": [], "usage": None}

    def whole(self, found: Answer) -> dict[str, Any]:
        """Return the finished response; citations stand whole beside OpenAI's fields."""
        sent, made = found.usage.input_tokens, found.usage.output_tokens
        return {
            **self.head, "status": "completed", "output": [self._item("completed", [_text(found)])],
            "usage": {
                "input_tokens": sent, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": made, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": sent + made,
            },
            "citations": shapes.answer(found)["citations"], "abstained": found.abstained,
            "trace_id": found.trace_id,
        }  # fmt: skip

    async def events(self, first: str | Answer, pieces: AsyncIterator[str | Answer]) -> AsyncIterator[str]:
        """Yield server-sent events: begun, the words as they come, annotations, and last the whole."""
        yield self._event("response.created", response=self.begun())
        yield self._event("response.in_progress", response=self.begun())
        yield self._event("response.output_item.added", output_index=0, item=self._item("in_progress", []))
        yield self._part(
            "response.content_part.added", {"type": "output_text", "text": "", "annotations": []}
        )
        said, piece = "", first
        try:
            while not isinstance(piece, Answer):
                said += piece
                yield self._about("response.output_text.delta", delta=piece, logprobs=[])
                piece = await anext(pieces)
        except LyceumError as problem:
            error = {"code": "server_error", "message": str(problem)}
            yield self._event(
                "response.failed", response={**self.begun(), "status": "failed", "error": error}
            )
            return
        for event in self._ends(piece, said):
            yield event

    def _ends(self, found: Answer, said: str) -> Iterator[str]:
        part = _text(found)
        if not said.strip():
            yield self._about("response.output_text.delta", delta=part["text"], logprobs=[])
        for index, mark in enumerate(part["annotations"]):
            yield self._about(
                "response.output_text.annotation.added", annotation_index=index, annotation=mark
            )
        yield self._about("response.output_text.done", text=part["text"], logprobs=[])
        yield self._part("response.content_part.done", part)
        item = self._item("completed", [part])
        yield self._event("response.output_item.done", output_index=0, item=item)
        yield self._event("response.completed", response=self.whole(found))

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "type": "message", "id": self.message, "role": "assistant", "status": status, "content": content
        }  # fmt: skip

    def _about(self, kind: str, **more: Any) -> str:
        return self._event(kind, item_id=self.message, output_index=0, content_index=0, **more)

    def _part(self, kind: str, part: dict[str, Any]) -> str:
        return self._about(kind, part=part)

    def _event(self, kind: str, **more: Any) -> str:
        body = {"type": kind, "sequence_number": self.number, **more}
        self.number += 1
        return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n"


def _text(found: Answer) -> dict[str, Any]:
    """Return the text with its annotations, which lie flat here and not under their type's name."""
    flat = [{"type": one["type"], **one["url_citation"]} for one in marks(found)]
    return {"type": "output_text", "text": found.text or found.reason, "annotations": flat, "logprobs": []}
