"""HTTP/1.1 to an upstream: one request's bytes to status, headers and a stream of bytes, over kept connections.

Written on asyncio.Protocol and httptools because every general client costs several times the rest of the gateway
(docs/decisions/gateway.md). A connection goes back to the pool only when its response has been read to the end; a
reader that stops early closes it, which tells the upstream to stop. A kept connection that turns out to be closed
before the first byte is replaced once. It knows no model, no key and no JSON.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import cast
from urllib.parse import urlsplit

import httptools

from lyceum.core.errors import ProviderError, Timeout

HIGH, LOW = 1 << 18, 1 << 16  # bytes held of one response before the upstream is made to wait, and goes on
IDLE = 64  # connections that are kept for one upstream
HEAD_BYTES = 1 << 16


class Connection(asyncio.Protocol):
    """One connection: sends a request, gathers its response; `reusable` says that it may serve another."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.parser: httptools.HttpResponseParser | None = None
        self.reusable = False
        self.closed = False
        self.started = False  # a byte of the response has come
        self.waiter: asyncio.Future[None] | None = None
        self._begin()

    def _begin(self) -> None:
        self.status, self.headers = 0, dict[str, str]()
        self.complete, self.paused, self.held, self.head_bytes = False, False, 0, 0
        self.chunks: deque[bytes] = deque()
        self.problem: Exception | None = None
        self.started = False

    # --- what asyncio calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self.started = True
        if self.parser is None:  # bytes that nobody asked for
            self.close()
            return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            self._fail(ProviderError(f"The upstream sent no HTTP: {problem}.", hint="Check its address."))
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, problem: Exception | None) -> None:
        self.closed = True
        if not self.complete and self.parser is not None:
            # A body without a length ends with the connection; every other response was cut off.
            framed = "content-length" in self.headers or "transfer-encoding" in self.headers
            if self.status and not framed and problem is None:
                self.complete = True
            else:
                self._fail(
                    ProviderError("The upstream closed the connection.", hint="See its log.", retryable=True)
                )
        self._wake()

    # --- what httptools calls ----------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head_bytes += len(name) + len(value)
        if self.head_bytes > HEAD_BYTES:
            self._fail(ProviderError("The upstream's headers are too long.", hint="See its log."))
            return
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)
        self.held += len(body)
        if self.held > HIGH and not self.paused and self.transport is not None:
            self.paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        if 100 <= self.status < 200:  # 100 Continue and 103 Early Hints come before the response
            self._begin()
            return
        assert self.parser is not None
        self.complete, self.reusable = True, self.parser.should_keep_alive()

    # --- what the client calls ---------------------------------------------------------------------------

    def send(self, request: bytes) -> None:
        assert self.transport is not None
        self._begin()
        self.reusable = False
        self.parser = httptools.HttpResponseParser(self)
        self.transport.write(request)

    async def head(self) -> None:
        """Wait for status and headers."""
        while not self.status or 100 <= self.status < 200:
            if self.problem is not None:
                raise self.problem
            await self._wait()

    async def read(self) -> bytes:
        """Return what has come of the body, waiting for something; empty at its end."""
        while not self.chunks:
            if self.problem is not None:
                raise self.problem
            if self.complete:
                return b""
            await self._wait()
        data = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        self.held = 0
        if self.paused and self.transport is not None:
            self.paused = False
            self.transport.resume_reading()
        return data

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        self.closed = True

    async def _wait(self) -> None:
        self.waiter = asyncio.get_running_loop().create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def _fail(self, problem: Exception) -> None:
        self.problem = self.problem or problem
        self.reusable = False
        if self.transport is not None:
            self.transport.abort()


class Response:
    """Status and headers of an upstream, and its body as it comes; `close` it unless it was read to the end."""

    def __init__(self, connection: Connection, pool: deque[Connection], seconds: float) -> None:
        self.connection, self.pool, self.seconds = connection, pool, seconds
        self.status, self.headers = connection.status, connection.headers

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes; whoever stops early closes it (`aclosing`)."""
        connection = self.connection
        try:
            while True:
                try:
                    async with asyncio.timeout(self.seconds):
                        chunk = await connection.read()
                except TimeoutError as problem:
                    raise Timeout(
                        f"The upstream was silent for {self.seconds:g} s.", hint="Raise its idle_seconds."
                    ) from problem
                if not chunk:
                    break
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back when its response is complete, else end it: the upstream stops working."""
        connection = self.connection
        if connection.complete and connection.reusable and not connection.chunks and not connection.closed:
            connection.reusable = False  # a second close must not give it back twice
            connection.parser = None
            self.pool.append(connection)
            if len(self.pool) > IDLE:
                self.pool.popleft().close()
        elif connection.parser is not None:
            connection.close()


class Client:
    """Keeps connections for each upstream; `connect`, `first` and `idle` are seconds until there is a connection,
    until the first byte has come, and between two pieces of a body.
    """

    def __init__(self, connect: float = 5.0, first: float = 120.0, idle: float = 60.0) -> None:
        self.connect, self.first, self.idle = connect, first, idle
        self._pools: dict[tuple[str, int, bool], deque[Connection]] = {}
        self._secure: ssl.SSLContext | None = None

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Send a request and return when status and headers have come. Raises ProviderError and Timeout."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        pool = self._pools.setdefault((host, port, secure), deque())
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        lines = [f"{method} {path} HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any("\r" in line or "\n" in line for line in lines):
            raise ProviderError(
                "A header holds a line end.", hint="Leave line ends out of headers and addresses."
            )
        request = ("\r\n".join([*lines, f"content-length: {len(body)}"]) + "\r\n\r\n").encode(
            "latin-1", "replace"
        ) + body
        while True:
            connection, kept = await self._connection(pool, host, port, secure)
            try:
                return await self._sent(connection, request, pool)
            except ProviderError as problem:
                # The upstream ended a kept connection just when it was used again: nothing was answered yet.
                if not kept or connection.started or isinstance(problem, Timeout):
                    raise

    async def _sent(self, connection: Connection, request: bytes, pool: deque[Connection]) -> Response:
        try:
            connection.send(request)
            async with asyncio.timeout(self.first):
                await connection.head()
        except TimeoutError as problem:
            connection.close()
            raise Timeout(
                f"The upstream did not begin to answer in {self.first:g} s.", hint="Raise its first_seconds."
            ) from problem
        except BaseException:
            connection.close()
            raise
        return Response(connection, pool, self.idle)

    async def _connection(
        self, pool: deque[Connection], host: str, port: int, secure: bool
    ) -> tuple[Connection, bool]:
        while pool:
            connection = pool.pop()
            if (
                not connection.closed
                and connection.transport is not None
                and not connection.transport.is_closing()
            ):
                return connection, True
        if secure and self._secure is None:
            self._secure = ssl.create_default_context()
        try:
            async with asyncio.timeout(self.connect):
                loop = asyncio.get_running_loop()
                _, made = await loop.create_connection(
                    Connection, host, port, ssl=self._secure if secure else None
                )
        except TimeoutError as problem:
            raise Timeout(
                f"{host}:{port} did not take a connection in {self.connect:g} s.", hint="Is it up?"
            ) from problem
        except OSError as problem:
            raise ProviderError(
                f"{host}:{port} cannot be reached: {problem.strerror or problem}.",
                hint="Start it, or correct its address.", retryable=True,
            ) from problem  # fmt: skip
        return made, False

    def close(self) -> None:
        """End the idle connections."""
        for pool in self._pools.values():
            while pool:
                pool.pop().close()
