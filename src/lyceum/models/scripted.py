"""A stand-in for a Chat, named as such: it says what a test wrote down, word by word."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from lyceum.core.types import Delta, Done, Event, Message

Script = Callable[[Sequence[Message]], str]


class ScriptedChat:
    """`replies` are given in turn, the last one again and again; an exception among them is raised."""

    name = "scripted"

    def __init__(self, replies: Sequence[str | Exception] | Script = ("",)) -> None:
        self.replies = replies
        self.heard: list[list[Message]] = []

    async def __call__(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[Event]:
        """Stream the next reply."""
        self.heard.append(list(messages))
        if callable(self.replies):
            reply: str | Exception = self.replies(messages)
        else:
            reply = self.replies[min(len(self.heard), len(self.replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        for word in re.findall(r"\S+\s*", reply):
            yield Delta(text=word)
        yield Done(model=self.name)
