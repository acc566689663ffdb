"""The routes under /v1 in OpenAI's shape: model "lyceum" answers from the documents.

Citations come as `annotations` of the message (url_citation) and, whole, as a `citations` field beside it.
Reference: OpenAI API, chat completions (object and stream of chunks).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lyceum.app import shapes
from lyceum.app.routes import Opened
from lyceum.app.session import ask, stream
from lyceum.core.errors import InvalidInput, LyceumError, NotFound
from lyceum.core.ids import random_id
from lyceum.core.text import names
from lyceum.core.types import EVERYONE, Answer, Message, Query

router = APIRouter(prefix="/v1")
MODEL, ENCODER = "lyceum", "minilm"
TEXTS = ("text", "input_text", "output_text")
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


class Completion(Lenient):
    """The request; parameters that do not apply to cited answers (temperature and the like) are ignored."""

    model: Annotated[str, StringConstraints(min_length=1)]
    messages: Annotated[list[Turn], Field(min_length=1, max_length=1000)]
    stream: bool = False
    n: Literal[1] = 1
    readers: tuple[str, ...] = ()

    def query(self) -> Query:
        """Return what is asked."""
        return asked_last(self.messages, self.readers)


def asked_last(turns: Sequence[Turn], readers: Sequence[str]) -> Query:
    """Return the last user message as the question, and what came before as its history."""
    last = next((i for i in range(len(turns) - 1, -1, -1) if turns[i].role == "user"), None)
    if last is None:
        raise InvalidInput("No user message.", hint='Send at least one message with role "user".')
    history = tuple(
        Message(role=turn.role, content=turn.words())
        for turn in turns[:last]
        if turn.role in ("user", "assistant")
    )
    return Query(text=turns[last].words(), history=history, readers=names(readers) | {EVERYONE})


def check_model(given: str, *served: str) -> None:
    """Raise unless a request names a model that its route answers as."""
    if given not in served:
        raise NotFound(
            f"There is no model {given!r} here.", hint=f"Use {served[0]!r}; GET /v1/models lists them."
        )


@router.get("/models")
async def models(platform: Opened) -> dict[str, Any]:
    """List the models that this server answers as."""
    served = [MODEL, *([ENCODER] if platform.embedder else [])]
    listed = [{"id": one, "object": "model", "created": 0, "owned_by": "lyceum"} for one in served]
    return {"object": "list", "data": listed}


@router.post("/chat/completions", response_model=None)
async def chat_completions(
    asked: Completion, platform: Opened, request: Request
) -> dict[str, Any] | StreamingResponse:
    """Answer the last user message from the documents."""
    check_model(asked.model, MODEL)
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
