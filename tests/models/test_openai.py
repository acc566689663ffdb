"""The chat client against a real server on loopback that behaves well and badly; and what builds on a Chat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from lyceum.answer.evidence import Evidence
from lyceum.answer.generative import Generative
from lyceum.answer.marks import Marks
from lyceum.core.errors import ProviderError, RateLimited, Timeout
from lyceum.core.types import Answer, Delta, Done, Message, Query
from lyceum.models.openai import OpenAIChat
from lyceum.models.scripted import ScriptedChat
from tests.toys import Home, document, run

ASK = [Message(role="user", content="hi")]


def chunk(text: str = "", finish: str | None = None, **more: object) -> str:
    body = {"model": "m", "choices": [{"delta": {"content": text}, "finish_reason": finish}], **more}
    return f"data: {json.dumps(body)}\n\n"


GOOD = ": hello\n\n" + chunk("Hel") + chunk("lo") + chunk(
    finish="stop", usage={"prompt_tokens": 5, "completion_tokens": 2}
) + "data: [DONE]\n\n"  # fmt: skip


async def said(replies: Sequence[tuple[int, str, str]], **options: object) -> tuple[list[object], int]:
    """Serve the replies in turn (status, extra header, body) and return the events and the number of calls."""
    calls = 0
    finished = asyncio.Semaphore(0)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(
            next(line for line in head.lower().split(b"\r\n") if b"content-length" in line).split(b":")[1]
        )
        await reader.readexactly(length)
        status, header, body = replies[min(calls, len(replies) - 1)]
        calls += 1
        if status == 0:
            await reader.read()  # silence, until the client gives up
        else:
            writer.write(f"HTTP/1.1 {status} X\r\n{header}Connection: close\r\n\r\n{body}".encode())
        writer.close()
        await writer.wait_closed()
        finished.release()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    chat = OpenAIChat(f"http://127.0.0.1:{port}/v1", "m", **options)  # type: ignore[arg-type]
    try:
        return [event async for event in chat(ASK)], calls
    finally:
        said.calls = calls  # type: ignore[attr-defined]
        await chat.close()
        for _ in range(calls):
            await finished.acquire()
        server.close()


def test_stream() -> None:
    events, _ = run(said([(200, "", GOOD)]))
    assert events[:2] == [Delta(text="Hel"), Delta(text="lo")]
    assert isinstance(events[2], Done)
    assert events[2].usage.input_tokens == 5


def test_retries_what_may_pass() -> None:
    events, calls = run(said([(429, "Retry-After: 0.01\r\n", ""), (503, "", "busy"), (200, "", GOOD)]))
    assert (len(events), calls) == (3, 3)


@pytest.mark.parametrize(
    ("reply", "error", "calls"),
    [
        ((429, "Retry-After: 0.01\r\n", ""), RateLimited, 3),
        ((401, "", "no"), ProviderError, 1),
        ((200, "", chunk("Hel")), ProviderError, 1),
        ((200, "", "data: <html>\n\n"), ProviderError, 1),
        ((200, "", 'data: {"error": "overloaded"}\n\n'), ProviderError, 1),
    ],
)
def test_failures(reply: tuple[int, str, str], error: type[Exception], calls: int) -> None:
    with pytest.raises(error):
        run(said([reply]))
    assert said.calls == calls  # type: ignore[attr-defined]


def test_silence_and_absence() -> None:
    with pytest.raises(Timeout):
        run(said([(0, "", "")], timeout=0.2, retries=0))

    async def nobody() -> None:
        chat = OpenAIChat("http://127.0.0.1:9", "m", retries=0)
        try:
            async for _ in chat(ASK):
                pass
        finally:
            await chat.close()

    with pytest.raises(ProviderError, match="cannot be reached"):
        run(nobody())


async def generated(
    folder: Path, reply: str, question: str = "pump pressure bar"
) -> tuple[list[str], Answer]:
    home = Home(folder)
    await home.store.put([document("a.md", "The pump pressure is forty bar.", "Valves are red.")])
    chat = ScriptedChat([reply])
    answerer = Generative(home.hybrid, Evidence(home.lexical.analyzer), chat, threshold=0.2)
    pieces: list[str] = []
    answer: Answer | None = None
    stream: AsyncIterator[str | Answer] = answerer.stream(Query(text=question))
    async for piece in stream:
        if isinstance(piece, Answer):
            answer = piece
        else:
            pieces.append(piece)
    assert answer is not None
    return pieces, answer


def test_generated_answers_are_cited(tmp_path: Path) -> None:
    pieces, answer = run(generated(tmp_path, "It is forty bar [1], not fifty [9]."))
    assert answer.text == "It is forty bar [1], not fifty."
    assert "".join(pieces).strip() == answer.text
    assert [cited.quote for cited in answer.citations] == ["The pump pressure is forty bar."]
    assert answer.usage.input_tokens > 0


@pytest.mark.parametrize("reply", ["NOT_FOUND", "It is forty bar.", "It is forty bar [7]."])
def test_what_cannot_be_cited_is_refused(tmp_path: Path, reply: str) -> None:
    pieces, answer = run(generated(tmp_path, reply))
    assert answer.abstained
    assert answer.citations == ()
    assert not pieces or reply != "NOT_FOUND"


def test_below_the_threshold_the_model_is_not_asked(tmp_path: Path) -> None:
    _, answer = run(generated(tmp_path, "Anything [1].", "zebra migration"))
    assert answer.abstained


def test_marks_across_pieces() -> None:
    marks = Marks(3)
    shown = "".join(marks.feed(piece) for piece in ("a [", "2", "] b [2", ", 3] c [", "x")) + marks.end()
    assert shown == "a [1] b [1][2] c [x"
    assert marks.cited == [2, 3]
