"""Passages to questions through any Chat, each checked by a second call and by retrieval; knows no provider.

The second call sees the passage and the question, not the answer: it must find the question answerable and give the
same answer. Retrieval drops nothing, for then a set would fit the retriever that it shall judge: what is not found
is tagged `not-found`, to be read first in the review. A reply that is no JSON of the asked shape is counted.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lyceum.core.errors import LyceumError
from lyceum.core.protocols import Chat
from lyceum.core.replies import replied
from lyceum.core.text import count_tokens, language, squeeze
from lyceum.core.types import Chunk, Document, Example, Gold, Message
from lyceum.evals.examples import half
from lyceum.evals.make import Made, key
from lyceum.evals.metrics import holds

SHORT = 25  # tokens; a passage with fewer says too little to ask about
AT_ONCE = 4
SECONDS = 120.0  # for one reply
Find = Callable[[str], Awaitable[Sequence[Document]]]
Passage = tuple[Document, Chunk]
Shape = TypeVar("Shape", bound=BaseModel)

ASK = """Write one question that an employee or customer might type and that this passage alone answers, in the
language of the passage. Use other words than the passage where you can, name what is asked about, and do not refer to
"the passage". Give the shortest complete answer as it stands in the passage, and the sentence or table row, copied
exactly, that holds it. Reply with JSON: {"question": …, "answer": …, "passage": …}."""
CHECK = """Answer the question from the passage alone, as briefly as possible, in words of the passage. If the passage
does not answer it, or more than one answer is possible, say so. Reply with JSON: {"answerable": true or false,
"answer": …}."""


class Asked(BaseModel):
    """A question with its answer and the words that hold it."""

    question: str
    answer: str
    passage: str


class Checked(BaseModel):
    """What a second reading of the passage answers."""

    answerable: bool
    answer: str = ""


async def make(
    chat: Chat, passages: Sequence[Passage], find: Find, name: Callable[[Document], str], most: int = 200
) -> Made:
    """Return at most `most` checked questions, one a passage, passages in an order that chance gave.

    Raises the model's error when no call succeeded.
    """
    made, turns, problems = Made(), asyncio.Semaphore(AT_ONCE), list[LyceumError]()

    async def one(passage: Passage) -> None:
        async with turns:
            try:
                found = (
                    await _question(chat, passage, find, name)
                    if len(made.examples) < most
                    else "over the limit"
                )
            except LyceumError as problem:
                problems.append(problem)
                found = "the model failed"
        if isinstance(found, Example) and any(
            key(found.question) == key(other.question) for other in made.examples
        ):
            found = "twice"
        if isinstance(found, Example) and len(made.examples) < most:
            made.examples.append(found)
        else:
            made.dropped[found if isinstance(found, str) else "over the limit"] += 1

    good = [one for one in passages if count_tokens(one[1].text) >= SHORT]
    await asyncio.gather(*(one(each) for each in sorted(good, key=lambda each: each[1].id)))
    if problems and not made.examples and made.dropped.total() == len(problems):
        raise problems[0]
    return made


async def _question(
    chat: Chat, passage: Passage, find: Find, name: Callable[[Document], str]
) -> Example | str:
    """Return the question of a passage, or why there is none."""
    document, chunk = passage
    text = "\n".join((chunk.title, *chunk.path, chunk.text))
    asked = await _reply(chat, ASK, f"Passage:\n{text}", Asked)
    if asked is None or not asked.question.strip() or not asked.answer.strip():
        return "junk reply"
    if squeeze(asked.passage) not in squeeze(chunk.text) or not asked.passage.strip():
        return "its passage does not stand there"
    if holds(asked.question, asked.answer):
        return "leading"
    checked = await _reply(chat, CHECK, f"Passage:\n{text}\n\nQuestion: {asked.question}", Checked)
    if checked is None:
        return "junk reply"
    if not checked.answerable:
        return "not answerable from its passage"
    if not (holds(checked.answer, asked.answer) or holds(asked.answer, checked.answer or "?")):
        return "the second answer differs"
    known = document.id in [one.id for one in await find(asked.question)]
    page = next((piece.place.page for piece in chunk.pieces), None)
    return Example(
        id=hashlib.sha256(f"{name(document)}\n{asked.question}".encode()).hexdigest()[:10],
        question=squeeze(asked.question), answers=((asked.answer.strip(),),),
        gold=(Gold(document=name(document), page=page, text=asked.passage.strip()),),
        tags=("written", language(asked.question), *(() if known else ("not-found",))), half=half(name(document)),
        meta={"state": "open", "model": chat.name},
    )  # fmt: skip


async def _reply(chat: Chat, system: str, text: str, shape: type[Shape]) -> Shape | None:
    """Return a reply in the asked shape, None for any other."""
    form = {"name": shape.__name__, "schema": shape.model_json_schema()}
    options = {"temperature": 0, "response_format": {"type": "json_schema", "json_schema": form}}
    messages = [Message(role="system", content=system), Message(role="user", content=text)]
    said = await replied(chat, messages, SECONDS, **options)
    try:
        return shape.model_validate_json(said[said.find("{") : said.rfind("}") + 1])
    except ValidationError:
        return None
