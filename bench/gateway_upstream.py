"""The fast upstream of bench/gateway.py, a stand-in named as such: fixed bytes, so that gateways are measured.

`python bench/gateway_upstream.py` prints its port. A request whose body holds `"stream"` gets 50 events, each in a
write of its own, with 0.1 s between them if it says "paced", the first after 20 ms if "waiting". GET tells how many
streams were open at once. Usage: 24 tokens in, 50 out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httptools
import orjson
import uvloop

USAGE = {"prompt_tokens": 24, "completion_tokens": 50, "total_tokens": 74}
BASE = {"id": "chatcmpl-0123456789abcdef", "created": 1, "model": "real"}
WORDS = "The quick brown fox jumps over the lazy dog. " * 5


def _whole(kind: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (kind, len(body), body)


def _event(**more: object) -> bytes:
    data = b"data: " + orjson.dumps({**BASE, "object": "chat.completion.chunk", **more}) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


CHOICE = {"index": 0, "message": {"role": "assistant", "content": WORDS}, "finish_reason": "stop"}
ANSWER = _whole(
    b"application/json",
    orjson.dumps({**BASE, "object": "chat.completion", "choices": [CHOICE], "usage": USAGE}),
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TOKENS = [_event(choices=[{"index": 0, "delta": {"content": f"word{at} "}}]) for at in range(50)]
END = (
    _event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + _event(choices=[], usage=USAGE)
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)
open_streams = most_open = 0


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.streaming = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def connection_lost(self, problem: Exception | None) -> None:
        self._closed()

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        wait = 0.02 if b"waiting" in self.body else 0.0
        self.gap = 0.1 if b"paced" in self.body else 0.0
        if self.parser.get_method() == b"GET":
            self.transport.write(_whole(b"application/json", orjson.dumps({"most_open": most_open})))
        elif b'"stream"' not in self.body:
            self._after(wait, self.transport.write, ANSWER)
        else:
            self._opened()
            self._after(wait, self._next, HEAD + TOKENS[0], 1)

    def _after(self, seconds: float, what: Callable[..., object], *given: object) -> None:
        if seconds:
            self.loop.call_later(seconds, what, *given)
        else:
            self.loop.call_soon(what, *given)

    def _next(self, data: bytes, at: int) -> None:
        if self.transport.is_closing():
            return
        if at == len(TOKENS):
            self.transport.write(data + END)
            self._closed()
            return
        self.transport.write(data)
        self._after(self.gap, self._next, TOKENS[at], at + 1)

    def _opened(self) -> None:
        global open_streams, most_open
        self.streaming = True
        open_streams += 1
        most_open = max(most_open, open_streams)

    def _closed(self) -> None:
        global open_streams
        open_streams -= self.streaming
        self.streaming = False


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
