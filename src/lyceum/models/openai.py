"""A Chat over any OpenAI-compatible endpoint: messages in, streamed words out, retries by error class.

A retry happens only before the first word, for what may pass (429, 5xx, no connection). It knows no passage
and no question. Reference: OpenAI API, chat completions, server-sent events.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from lyceum.core.errors import LyceumError, ProviderError, RateLimited, Timeout
from lyceum.core.trace import traced
from lyceum.core.types import Delta, Done, Event, Message, Usage

LONGEST_WAIT = 30.0  # seconds that a server's Retry-After may make us wait


class OpenAIChat:
    """`timeout` is the longest silence in seconds, `retries` how often a passing failure is tried again."""

    def __init__(
        self, base_url: str, model: str, key: str = "", timeout: float = 60.0, retries: int = 2
    ) -> None:
        self.url = base_url.rstrip("/") + "/chat/completions"
        self.name, self.model = model, model
        self.key, self.timeout, self.retries = key, timeout, retries
        self._client: httpx.AsyncClient | None = None

    def __call__(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[Event]:
        """Stream the reply; options such as temperature, max_tokens and stop are passed on."""
        return traced("chat", self._retried(messages, options), model=self.model)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _retried(self, messages: Sequence[Message], options: dict[str, Any]) -> AsyncIterator[Event]:
        for attempt in range(self.retries + 1):
            begun = False
            try:
                async with aclosing(self._once(messages, options)) as events:  # type: ignore[type-var]
                    async for event in events:
                        begun = True
                        yield event
                return
            except LyceumError as problem:
                if begun or not problem.retryable or attempt == self.retries:
                    raise
                wait = problem.wait or 0.25 * 2**attempt * (1 + random.random())
                await asyncio.sleep(min(wait, LONGEST_WAIT))

    async def _once(self, messages: Sequence[Message], options: dict[str, Any]) -> AsyncIterator[Event]:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=httpx.Timeout(self.timeout, connect=10.0))
        body = {
            "model": self.model,
            "messages": [{"role": one.role, "content": _content(one)} for one in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            **options,
        }
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            async with self._client.stream("POST", self.url, json=body, headers=headers) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise refusal(
                        response, {401: "Set LYCEUM_CHAT_KEY.", 404: "Check chat.base_url and chat.model."}
                    )
                async for event in _events(response.aiter_lines()):
                    yield event
        except httpx.TimeoutException as problem:
            raise Timeout(
                f"{self.url} was silent for {self.timeout:g} s.",
                hint="Raise chat.timeout, or check the server.",
            ) from problem
        except httpx.HTTPError as problem:
            raise ProviderError(
                f"{self.url} cannot be reached: {type(problem).__name__}.",
                hint="Start the model's server, or correct chat.base_url.",
                retryable=isinstance(problem, httpx.ConnectError),
            ) from problem


def _content(message: Message) -> str | list[dict[str, Any]]:
    """Return a message's content: plain text, or parts where pictures belong to it."""
    if not message.images:
        return message.content
    shown = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
    return [{"type": "text", "text": message.content}, *shown]


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """Read server-sent events: only `data:` lines count, [DONE] or the connection's end closes them."""
    finish, model, usage = "", "", Usage()
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            break
        chunk = _chunk(data)
        model = chunk.get("model") or model
        if counted := chunk.get("usage"):
            usage = Usage(
                input_tokens=counted.get("prompt_tokens") or 0,
                output_tokens=counted.get("completion_tokens") or 0,
            )
        for choice in chunk.get("choices") or ():
            if text := (choice.get("delta") or {}).get("content"):
                yield Delta(text=text)
            finish = choice.get("finish_reason") or finish
    if not finish:
        raise ProviderError("The model's stream broke off.", hint="Ask again; see the model server's log.")
    yield Done(finish=finish, usage=usage, model=model)


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except ValueError as problem:
        raise ProviderError(
            f"The model's server sent no JSON: {data[:80]!r}.",
            hint="Is chat.base_url an OpenAI-style endpoint?",
        ) from problem
    if not isinstance(chunk, dict) or "error" in chunk:
        raise ProviderError(f"The model's server failed: {data[:200]}.", hint="See the model server's log.")
    return chunk


def refusal(response: httpx.Response, hints: Mapping[int, str]) -> LyceumError:
    """Return the error that a model server's status means; `hints` say what to do about some of them."""
    status, text = response.status_code, response.text[:200]
    if status == 429:
        given = response.headers.get("retry-after", "")
        wait = float(given) if given.replace(".", "", 1).isdigit() else None
        return RateLimited("The model's server asks to wait.", hint="Ask again later.", wait=wait)
    hint = hints.get(status, "See the model server's log.")
    return ProviderError(f"The model's server answered {status}: {text}", hint=hint, retryable=status >= 500)
