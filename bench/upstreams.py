"""A stand-in for a model's server, named as such: OpenAI's shapes, made-up words, usage that can be foretold.

`python bench/upstreams.py --tokens 50 --delay 0.02` prints its port and serves until it is killed. A prompt costs a
token for each word of its messages, `prompt` or `input`; an answer has `max_tokens` words, or --tokens. GET /count
tells what was served to the end and what was cut off, GET /log the same of each request: its `user`, how it ended
(served, failed, cut), tokens read and written. In `metadata`, `fail` names servers that answer 503 ("*" is all),
`pause` the words of a stream after which nothing more comes, and `hang` never answers. Each answer names its server
in the header `x-upstream` and as `system_fingerprint`. Other benches use `started`.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httptools
import orjson


@dataclass
class Count:
    """`requests` were served to the end, with their tokens; `cut` were left by the client after `cut_tokens`."""

    requests: int = 0
    streams: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failed: int = 0
    cut: int = 0
    cut_tokens: int = 0
    by_model: dict[str, int] = field(default_factory=dict)
    busy: int = 0
    most_busy: int = 0


LOG: list[tuple[str, str, int, int]] = []


def words(value: Any) -> int:
    """Return how many words there are in what a request says."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, list):
        return sum(words(one) for one in value)
    if isinstance(value, dict):
        return words(value.get("content", value.get("text", "")))
    return 0


class Upstream(asyncio.Protocol):
    """One connection; what is asked while an answer is being sent waits for its end."""

    def __init__(self, options: argparse.Namespace, count: Count) -> None:
        self.options, self.count = options, count
        self.parser = httptools.HttpRequestParser(self)
        self.path, self.body = b"", b""
        self.waiting: list[tuple[bytes, bytes]] = []
        self.task: asyncio.Task[None] | None = None
        self.sent = 0  # tokens of the stream that is under way
        self.asked: dict[str, Any] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_url(self, url: bytes) -> None:
        self.path, self.body = url, b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.task is not None:
            self.waiting.append((self.path, self.body))
        elif self.path in (b"/count", b"/health", b"/v1/models", b"/log"):
            self._told()
        elif self.options.delay or self.options.gap:
            self.count.busy += 1
            self.count.most_busy = max(self.count.most_busy, self.count.busy)
            self.task = asyncio.get_running_loop().create_task(self._later(self.path, self.body))
        else:
            self._answer(self.path, orjson.loads(self.body))

    def connection_lost(self, problem: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()
            self.count.cut += 1
            self.count.cut_tokens += self.sent
            self.count.busy -= 1
            self._log("cut", self._tokens(self.asked)[0], self.sent)

    def _log(self, how: str, given: int, made: int) -> None:
        LOG.append((str(self.asked.get("user", "")), how, given, made))

    def _told(self) -> None:
        listed = {"object": "list", "data": [{"id": self.options.name, "object": "model"}]}
        told = {b"/v1/models": listed, b"/log": LOG}.get(self.path, self.count)
        self._write(orjson.dumps(told))

    def _write(self, body: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> None:
        self.transport.write(
            b"HTTP/1.1 %s\r\ncontent-type: %s\r\nx-upstream: %s\r\ncontent-length: %d\r\n\r\n%s"
            % (status, kind, self.options.name.encode(), len(body), body)
        )

    async def _later(self, path: bytes, body: bytes) -> None:
        self.asked = asked = orjson.loads(body)
        await asyncio.sleep(3600 if self._meta("hang") else self.options.delay)
        if asked.get("stream") and self.options.gap and not self._refused():
            await self._streamed(path, asked)
        else:
            self._answer(path, asked)
        self.task = None
        self.count.busy -= 1
        if self.waiting:
            self.path, self.body = self.waiting.pop(0)
            self.on_message_complete()

    def _refused(self) -> bool:
        """Fail each nth request, where --errors asks for it, and those that name this server."""
        if self._meta("fail") in ("*", self.options.name):
            return True
        every = self.options.errors
        served = self.count.requests + self.count.failed + 1
        return bool(every) and served % every == 0

    def _meta(self, name: str) -> Any:
        return (self.asked.get("metadata") or {}).get(name)

    def _answer(self, path: bytes, asked: dict[str, Any]) -> None:
        self.asked = asked
        if self._refused():
            self.count.failed += 1
            self._log("failed", 0, 0)
            self._write(b'{"error":{"message":"A made-up failure.","type":"server_error"}}', b"503 Busy")
            return
        if asked.get("stream"):
            head, *events = self._events(asked)
            self.transport.write(head + b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in events))
            self.transport.write(b"0\r\n\r\n")
        else:
            self._write(orjson.dumps(self._whole(path, asked)))
        self._counted(asked)

    async def _streamed(self, path: bytes, asked: dict[str, Any]) -> None:
        head, *events = self._events(asked)
        self.transport.write(head)
        for one in events:
            self.transport.write(b"%x\r\n%s\r\n" % (len(one), one))
            if b'"content"' in one:
                self.sent += 1
                await asyncio.sleep(3600 if self.sent == self._meta("pause") else self.options.gap)
        self.transport.write(b"0\r\n\r\n")
        self.sent = 0
        self._counted(asked)

    def _tokens(self, asked: dict[str, Any]) -> tuple[int, int]:
        given = words(asked.get("messages", asked.get("prompt", asked.get("input", asked.get("documents")))))
        made = asked.get("max_tokens", asked.get("max_completion_tokens", self.options.tokens))
        return given, made if "messages" in asked or "prompt" in asked else 0

    def _counted(self, asked: dict[str, Any]) -> None:
        given, made = self._tokens(asked)
        self._log("served", given, made)
        self.count.requests += 1
        self.count.streams += bool(asked.get("stream"))
        self.count.prompt_tokens += given
        self.count.completion_tokens += made
        model = str(asked.get("model"))
        self.count.by_model[model] = self.count.by_model.get(model, 0) + 1

    def _usage(self, asked: dict[str, Any]) -> dict[str, int]:
        given, made = self._tokens(asked)
        return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}

    def _whole(self, path: bytes, asked: dict[str, Any]) -> dict[str, Any]:
        shared = {"model": asked.get("model"), "usage": self._usage(asked)}
        if path.endswith(b"/embeddings"):
            given = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
            rows = [
                {"object": "embedding", "index": at, "embedding": [float(words(one)), 1.0]}
                for at, one in enumerate(given)
            ]
            return {"object": "list", "data": rows, **shared}
        if path.endswith(b"/rerank"):
            scores = [{"index": at, "relevance_score": 1 / (1 + at)} for at in range(len(asked["documents"]))]
            return {"results": scores, **shared}
        text = "word " * self._tokens(asked)[1]
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        choice |= (
            {"text": text}
            if path.endswith(b"/v1/completions")
            else {"message": {"role": "assistant", "content": text}}
        )
        return {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "choices": [choice],
            "system_fingerprint": self.options.name, **shared,
        }  # fmt: skip

    def _events(self, asked: dict[str, Any]) -> list[bytes]:
        """Return the head of a streamed answer and its events."""
        name = self.options.name.encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-upstream: %s\r\n" % name
        base = {
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": asked.get("model"),
            "system_fingerprint": self.options.name,
        }  # fmt: skip
        given, made = self._tokens(asked)
        told = [{**base, "choices": [{"index": 0, "delta": {"content": "word "}}]}] * made
        if (asked.get("stream_options") or {}).get("continuous_usage_stats"):
            told = [
                {**one, "usage": {"prompt_tokens": given, "completion_tokens": at + 1}}
                for at, one in enumerate(told)
            ]
        told.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (asked.get("stream_options") or {}).get("include_usage"):
            told.append({**base, "choices": [], "usage": self._usage(asked)})
        events = [b"data: " + orjson.dumps(one) + b"\n\n" for one in told]
        return [head + b"transfer-encoding: chunked\r\n\r\n", *events, b"data: [DONE]\n\n"]


async def serve(options: argparse.Namespace) -> None:
    """Serve until killed; the first line of output is the port."""
    count = Count()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(options, count), "127.0.0.1", options.port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def started(**options: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a stand-in in a process of its own; give the process and its address."""
    process, url = start(**options)
    try:
        yield process, url
    finally:
        process.kill()
        process.wait()


def start(**options: Any) -> tuple[subprocess.Popen[str], str]:
    """Start a stand-in and return the process and its address, without /v1."""
    flags = [f"--{name}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), *flags], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, f"http://127.0.0.1:{int(process.stdout.readline())}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", default="stand-in")
    parser.add_argument("--tokens", type=int, default=50, help="of an answer without max_tokens (50)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before an answer begins (0)")
    parser.add_argument("--gap", type=float, default=0.0, help="seconds between the tokens of a stream (0)")
    parser.add_argument("--errors", type=int, default=0, help="answer each nth request with 503 (never)")
    options = parser.parse_args()
    try:
        import uvloop

        uvloop.run(serve(options))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
