"""A chat's stream of events to its whole text, within a time; knows no prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from lyceum.core.errors import Timeout
from lyceum.core.protocols import Chat
from lyceum.core.types import Delta, Message


async def replied(chat: Chat, messages: Sequence[Message], seconds: float, **options: Any) -> str:
    """Return what a model says. Raises Timeout when it takes longer than `seconds`."""
    text = ""
    try:
        async with asyncio.timeout(seconds), aclosing(chat(messages, **options)) as events:  # type: ignore[type-var]
            async for event in events:
                text += event.text if isinstance(event, Delta) else ""
    except TimeoutError as problem:
        raise Timeout(
            f"The model said nothing whole in {seconds:g} s.",
            hint="Give it more time, or choose a faster one.",
        ) from problem
    return text
