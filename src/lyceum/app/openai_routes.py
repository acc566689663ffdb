"""/v1/chat/completions and /v1/responses in OpenAI's shapes: model "lyceum" answers from the documents.

Citations come as annotations (url_citation) and, whole, as a `citations` field beside them. No response is
stored; instructions are given back and change nothing, for an answer consists of the documents' words.
Reference: OpenAI API, chat completions and responses, each with its stream.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lyceum.app import gateway, shapes
from lyceum.app.routes import Opened
from lyceum.app.session import ask, stream
from lyceum.core.errors import InvalidInput, LyceumError, NotFound
from lyceum.core.ids import random_id
from lyceum.core.text import names
from lyceum.core.types import EVERYONE, Answer, Message, Query
from lyceum.store.facets import wanted
from lyceum.wire import Platform

router = APIRouter(prefix="/v1")
MODEL, ENCODER = "lyceum", "minilm"
TEXTS = ("text", "input_text", "output_text")
DONE = "data: [DONE]\n\n"
_mark = re.compile(r"\[(\d+)\]")

# Parameters of OpenAI's and of common servers that change nothing about quoted words.
IGNORED = frozenset(
    """best_of cache_prompt chat_template_kwargs enable_thinking extra_body frequency_penalty ignore_eos include
    keep_alive logit_bias logprobs max_completion_tokens max_output_tokens max_tokens metadata min_p min_tokens
    modalities num_ctx num_predict options parallel_tool_calls prediction presence_penalty prompt_cache_key
    prompt_cache_retention reasoning reasoning_effort repeat_penalty repetition_penalty safety_identifier seed
    service_tier session_id skip_special_tokens stop store stream_options temperature text thinking tool_choice
    top_k top_logprobs top_p truncation typical_p user verbosity""".split()
)


class Lenient(BaseModel):
    """A body in OpenAI's shape: what does not apply to cited answers is dropped, an unknown name is an error."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        dropped = IGNORED - cls.model_fields.keys()
        return {name: value for name, value in given.items() if name not in dropped and value is not None}


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
            return "\n".join(part.text for part in self.content if part.type in TEXTS)
        return self.content or ""


class Item(Turn):
    """One message of the input of a response."""

    type: Literal["message"] = "message"


class Asked(Lenient):
    """What both requests have."""

    model: Annotated[str, StringConstraints(min_length=1)]
    stream: bool = False
    readers: tuple[str, ...] = ()
    filters: Annotated[dict[str, str], Field(default_factory=dict)]


class Completion(Asked):
    """The request for a chat completion."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=1000)]
    n: Literal[1] = 1


class Response(Asked):
    """The request for a response."""

    input: str | Annotated[list[Item], Field(min_length=1, max_length=1000)]
    instructions: str = ""
    background: Literal[False] = False
    previous_response_id: str = ""
    tools: Annotated[tuple[Any, ...], Field(max_length=0)] = ()
    metadata: Annotated[dict[str, str], Field(max_length=16, default_factory=dict)]


def query_of(turns: Sequence[Turn], readers: Sequence[str], filters: Mapping[str, str]) -> Query:
    """Return the last user message as the question, and what came before as its history."""
    last = next((i for i in range(len(turns) - 1, -1, -1) if turns[i].role == "user"), None)
    if last is None:
        raise InvalidInput("No user message.", hint='Send at least one message with role "user".')
    history = tuple(
        Message(role=turn.role, content=turn.words())
        for turn in turns[:last]
        if turn.role in ("user", "assistant")
    )
    wanted(filters)
    whose = names(readers) | {EVERYONE}
    return Query(text=turns[last].words(), history=history, readers=whose, filters=filters)


def check_model(given: str, *served: str) -> None:
    """Raise unless a request names a model that its route answers as."""
    if given not in served:
        raise NotFound(f"There is no model {given!r} here.", hint=f"Use {served[0]!r}; see GET /v1/models.")


@router.get("/models")
async def models(request: Request, platform: Opened) -> dict[str, Any]:
    """List the models that this server answers as, and those that its gateway forwards to."""
    served = [MODEL, *([ENCODER] if platform.embedder else [])]
    listed = [{"id": one, "object": "model", "created": 0, "owned_by": "lyceum"} for one in served]
    forwarded = gateway.listed(request.app.state.gateway.serving)["data"]
    named = {one["id"] for one in forwarded}
    return {"object": "list", "data": [*forwarded, *(one for one in listed if one["id"] not in named)]}


@router.post("/chat/completions", response_model=None)
async def chat_completions(asked: Completion, platform: Opened) -> dict[str, Any] | StreamingResponse:
    """Answer the last user message from the documents."""
    return await _replied(platform, asked, asked.messages, _Chat())


@router.post("/responses", response_model=None)
async def responses(asked: Response, platform: Opened) -> dict[str, Any] | StreamingResponse:
    """Answer the input, or its last user message, from the documents."""
    if asked.previous_response_id:
        raise InvalidInput("No response is stored.", hint="Send earlier messages too.", code="not_stored")
    turns = [Turn(role="user", content=asked.input)] if isinstance(asked.input, str) else asked.input
    return await _replied(platform, asked, turns, _Response(asked))


async def _replied(
    platform: Platform, asked: Asked, turns: Sequence[Turn], made: _Chat | _Response
) -> dict[str, Any] | StreamingResponse:
    check_model(asked.model, MODEL)
    query = query_of(turns, asked.readers, asked.filters)
    if not asked.stream:
        return made.whole(await ask(platform, query))
    # The first piece is awaited here, so that a bad question still becomes a status code.
    pieces = stream(platform, query)
    first = await anext(pieces)
    return StreamingResponse(_events(made, first, pieces), media_type="text/event-stream")


async def _events(
    made: _Chat | _Response, piece: str | Answer, pieces: AsyncIterator[str | Answer]
) -> AsyncIterator[str]:
    """Yield server-sent events: the beginning, the words as they come, and last the whole with its citations."""
    for event in made.begun():
        yield event
    try:
        while not isinstance(piece, Answer):
            yield made.said(piece)
            piece = await anext(pieces)
        await anext(pieces, None)  # until its trace is kept
        last = made.ended(piece)
    except LyceumError as problem:
        last = made.failed(problem)
    for event in last:
        yield event


class _Chat:
    """One chat completion while it is made."""

    def __init__(self) -> None:
        self.head = {"id": f"chatcmpl-{random_id()}", "created": int(time.time()), "model": MODEL}

    def whole(self, found: Answer) -> dict[str, Any]:
        message = {
            "role": "assistant", "content": found.text or found.reason, "refusal": None,
            "annotations": _marks(found),
        }  # fmt: skip
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return {**self.head, "object": "chat.completion", "choices": [choice], **self._cited(found)}

    def begun(self) -> Iterable[str]:
        return [self._event({"role": "assistant", "content": ""})]

    def said(self, piece: str) -> str:
        return self._event({"content": piece})

    def ended(self, found: Answer) -> Iterable[str]:
        return [self._event({"annotations": _marks(found)}, "stop", **self._cited(found)), DONE]

    def failed(self, problem: LyceumError) -> Iterable[str]:
        return [_sent(shapes.error(problem)), DONE]

    def _cited(self, found: Answer) -> dict[str, Any]:
        sent, made = found.usage.input_tokens, found.usage.output_tokens
        usage = {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
        return {"usage": usage, **_beside(found)}

    def _event(self, delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _sent({**self.head, "object": "chat.completion.chunk", "choices": [choice], **more})


class _Response:
    """One response while it is made: the same ids in every event and in the whole."""

    def __init__(self, asked: Response) -> None:
        self.message = f"msg_{random_id()}"
        self.number = 0
        self.silent = True
        self.head = {
            "id": f"resp_{random_id()}", "object": "response", "created_at": int(time.time()),
            "model": MODEL, "instructions": asked.instructions or None, "metadata": asked.metadata,
            "error": None, "incomplete_details": None, "parallel_tool_calls": False, "tool_choice": "none",
            "tools": [], "temperature": None, "top_p": None, "previous_response_id": None, "store": False,
            "status": "in_progress", "output": [], "usage": None,
        }  # fmt: skip

    def whole(self, found: Answer) -> dict[str, Any]:
        sent, made = found.usage.input_tokens, found.usage.output_tokens
        return {
            **self.head, "status": "completed", "output": [self._item("completed", _text(found))],
            "usage": {
                "input_tokens": sent, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": made, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": sent + made,
            },
            **_beside(found),
        }  # fmt: skip

    def begun(self) -> Iterable[str]:
        yield self._event("created", response=self.head)
        yield self._event("in_progress", response=self.head)
        yield self._event("output_item.added", output_index=0, item=self._item("in_progress"))
        yield self._about("content_part.added", part={"type": "output_text", "text": "", "annotations": []})

    def said(self, piece: str) -> str:
        self.silent = self.silent and not piece.strip()
        return self._about("output_text.delta", delta=piece, logprobs=[])

    def ended(self, found: Answer) -> Iterable[str]:
        part = _text(found)
        if self.silent:
            yield self.said(part["text"])
        for index, mark in enumerate(part["annotations"]):
            yield self._about("output_text.annotation.added", annotation_index=index, annotation=mark)
        yield self._about("output_text.done", text=part["text"], logprobs=[])
        yield self._about("content_part.done", part=part)
        yield self._event("output_item.done", output_index=0, item=self._item("completed", part))
        yield self._event("completed", response=self.whole(found))

    def failed(self, problem: LyceumError) -> Iterable[str]:
        error = {"code": "server_error", "message": str(problem)}
        return [self._event("failed", response={**self.head, "status": "failed", "error": error})]

    def _item(self, status: str, *content: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "message", "id": self.message, "role": "assistant", "status": status, "content": content
        }  # fmt: skip

    def _about(self, kind: str, **more: Any) -> str:
        return self._event(kind, item_id=self.message, output_index=0, content_index=0, **more)

    def _event(self, kind: str, **more: Any) -> str:
        body = {"type": f"response.{kind}", "sequence_number": self.number, **more}
        self.number += 1
        return f"event: response.{kind}\n{_sent(body)}"


def _sent(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _beside(found: Answer) -> dict[str, Any]:
    """Return what stands beside OpenAI's fields: whole citations, whether it was refused, and the trace."""
    told = shapes.answer(found)
    return {name: told[name] for name in ("citations", "abstained", "unsupported", "trace_id")}


def _text(found: Answer) -> dict[str, Any]:
    """Return the text with its annotations, which lie flat here and not under their type's name."""
    flat = [{"type": one["type"], **one["url_citation"]} for one in _marks(found)]
    return {"type": "output_text", "text": found.text or found.reason, "annotations": flat, "logprobs": []}


def _marks(found: Answer) -> list[dict[str, Any]]:
    """Return one url_citation for each mark [n] in the text."""
    by_number = {cited.number: cited for cited in found.citations}
    listed = []
    for match in _mark.finditer(found.text):
        if cited := by_number.get(int(match[1])):
            page = f"#page={cited.place.page}" if cited.place.page else ""
            marked = {
                "start_index": match.start(), "end_index": match.end(), "title": cited.title or cited.source,
                "url": f"/api/documents/{cited.document_id}{page}",
            }  # fmt: skip
            listed.append({"type": "url_citation", "url_citation": marked})
    return listed
