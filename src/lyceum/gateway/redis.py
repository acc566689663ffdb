"""Entries in Redis, for several hosts: its protocol over one connection, commands of the same moment sent together.

Written here because the general client costs several times the rest of a call (docs/decisions/gateway.md). A Redis
that is away, slow or full costs no call: what it does not say in time counts as absent, and it is asked again after
a second. It knows no entry, only bytes.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from typing import cast
from urllib.parse import unquote, urlsplit

SLOW = 0.25  # seconds that a call waits for an answer
AGAIN = 1.0  # seconds until a Redis that failed is tried again
HELD = 1 << 24  # bytes that wait for a slow Redis; more are not kept there
PREFIX = b"lyceum:cache:"


class Connection(asyncio.Protocol):
    """Sends commands and gives each its answer, in order: bytes, None for nothing and for errors."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self._waiting: deque[asyncio.Future[bytes | None]] = deque()
        self._read, self._write = bytearray(), bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        self._read += data
        start = 0
        try:
            while (answer := _answer(self._read, start)) is not None:
                value, start = answer
                if not (one := self._waiting.popleft()).done():
                    one.set_result(value)
        except (ValueError, IndexError):  # no number, or nothing was asked: this is no Redis
            self.close()
        del self._read[:start]

    def connection_lost(self, problem: Exception | None) -> None:
        self.closed = True
        while self._waiting:
            if not (one := self._waiting.popleft()).done():
                one.set_result(None)

    def ask(self, *words: bytes) -> asyncio.Future[bytes | None]:
        """Send a command, together with others of this turn of the loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes | None] = loop.create_future()
        self._waiting.append(future)
        if not self._write:
            loop.call_soon(self._flush)
        self._write += b"*%d\r\n" % len(words)
        for word in words:
            self._write += b"$%d\r\n%s\r\n" % (len(word), word)
        return future

    def held(self) -> int:
        """Return how many bytes have not been sent."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def close(self) -> None:
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    def _flush(self) -> None:
        if self.transport is not None and not self.closed:
            self.transport.write(bytes(self._write))
        self._write.clear()


def _answer(data: bytearray, start: int) -> tuple[bytes | None, int] | None:
    """Return one answer of RESP2 and where the next begins; None while it is not whole."""
    if (end := data.find(b"\r\n", start)) < 0:
        return None
    kind, said, after = data[start : start + 1], bytes(data[start + 1 : end]), end + 2
    if kind != b"$":
        return (None if kind == b"-" else said), after
    if (size := int(said)) < 0:
        return None, after
    if len(data) < after + size + 2:
        return None
    return bytes(data[after : after + size]), after + size + 2


class Redis:
    """A layer at `url`: redis://, rediss:// or unix:///path, with user, password and number as usual."""

    name = "redis"

    def __init__(self, url: str) -> None:
        self.url = urlsplit(url)
        self.failed = 0
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._retry = 0.0  # not before, on the clock that only goes forward

    async def get(self, key: bytes) -> bytes | None:
        """Return what is kept; None as well while there is no connection."""
        return await self.ask(b"GET", PREFIX + key)

    async def ask(self, *words: bytes) -> bytes | None:
        """Return the answer to a command; None for nothing, for an error, and while there is no connection."""
        if (connection := self._ready()) is None:
            return None
        answer = connection.ask(*words)
        try:
            async with asyncio.timeout(SLOW):
                return await answer
        except TimeoutError:
            self._away(connection)
            return None

    def tell(self, *words: bytes) -> None:
        """Send a command whose answer nobody waits for."""
        if (connection := self._ready()) is not None and connection.held() < HELD:
            connection.ask(*words)

    def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Send a value on its way; nobody waits for it."""
        if (connection := self._ready()) is not None and connection.held() < HELD:
            connection.ask(b"SET", PREFIX + key, value, b"PX", b"%d" % max(1, int(seconds * 1000)))

    def close(self) -> None:
        """End the connection."""
        if self._opening is not None:
            self._opening.cancel()
        if self._connection is not None:
            self._connection.close()

    def _ready(self) -> Connection | None:
        """Return the connection; where there is none, begin to open one and return None: no call waits for it."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if time.monotonic() >= self._retry and (self._opening is None or self._opening.done()):
            self._retry = time.monotonic() + AGAIN
            self._opening = asyncio.get_running_loop().create_task(self._open())
        return None

    def _away(self, connection: Connection) -> None:
        self.failed += 1
        self._retry = time.monotonic() + AGAIN
        connection.close()

    async def _open(self) -> None:
        loop, url = asyncio.get_running_loop(), self.url
        connection: Connection | None = None
        try:
            async with asyncio.timeout(AGAIN):
                if url.scheme == "unix":
                    _, connection = await loop.create_unix_connection(Connection, url.path)
                else:
                    secure = ssl.create_default_context() if url.scheme == "rediss" else None
                    _, connection = await loop.create_connection(
                        Connection, url.hostname or "127.0.0.1", url.port or 6379, ssl=secure
                    )
                await self._greeted(connection)
        except (OSError, TimeoutError):
            self.failed += 1
            if connection is not None:
                connection.close()
            return
        self._connection = connection

    async def _greeted(self, connection: Connection) -> None:
        """Say who asks and which number is meant; refused is as bad as absent."""
        number = self.url.path.strip("/") if self.url.scheme != "unix" else ""
        words: list[list[bytes]] = [[b"PING"]]
        if self.url.password:
            names = [one for one in (self.url.username, self.url.password) if one]
            words.insert(0, [b"AUTH", *(unquote(one).encode() for one in names)])
        if number:
            words.append([b"SELECT", number.encode()])
        for one in words:
            if await connection.ask(*one) is None:
                raise OSError(f"Redis refuses {one[0].decode()}")
