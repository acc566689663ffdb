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

HIGH = 1 << 18  # bytes held of one response before the upstream is made to wait
IDLE = 64  # connections that are kept for one upstream
HEAD_BYTES = 1 << 16
FRAMED = (b"content-length", b"transfer-encoding")


class Connection(asyncio.Protocol):
    """One connection: sends a request, gathers its response; `reusable` says that it may serve another.

    It looks after its own time: at `deadline` whoever waits is told. The timer is left to run out and set again, for
    to cancel one for each request costs more than the rest of the waiting.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.parser = httptools.HttpResponseParser(self)
        self.reusable = self.closed = self.asked = False
        self.waiter: asyncio.Future[None] | None = None
        self.whole = False  # whoever waits wants all of the body
        self.deadline, self.rings = 0.0, 0.0
        self.timer: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self.status, self.told = 0, dict[bytes, bytes]()
        self.complete = self.paused = self.started = False  # started: a byte of the response has come
        self.held = self.head_bytes = 0
        self.chunks: list[bytes] = []
        self.problem: Exception | None = None

    # --- what asyncio calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.started = True
        if not self.asked:  # bytes that nobody asked for
            self.close()
            return
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as problem:
            self._fail(ProviderError(f"The upstream sent no HTTP: {problem}.", hint="Check its address."))
        if not self.whole or self.complete or self.problem is not None or self.held > HIGH:
            self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, problem: Exception | None) -> None:
        self.closed = True
        if not self.complete and self.asked:
            # A body without a length ends with the connection; every other response was cut off.
            if self.status and problem is None and not any(one in self.told for one in FRAMED):
                self.complete = True
            else:
                self._fail(
                    ProviderError("The upstream closed the connection.", hint="See its log.", retryable=True)
                )
        self._wake()

    # --- what httptools calls ----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("more than was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head_bytes += len(name) + len(value)
        if self.head_bytes > HEAD_BYTES:
            self._fail(ProviderError("The upstream's headers are too long.", hint="See its log."))
            return
        self.told[name.lower()] = value

    def on_headers_complete(self) -> None:
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
        self.complete, self.reusable = True, self.parser.should_keep_alive()

    # --- what the client calls ---------------------------------------------------------------------------

    def send(self, request: bytes) -> None:
        assert self.transport is not None
        self._begin()
        self.reusable, self.asked = False, True
        self.transport.write(request)

    async def head(self, seconds: float) -> None:
        """Wait for status and headers. Raises TimeoutError."""
        self.deadline = self.loop.time() + seconds
        while not self.status or 100 <= self.status < 200:
            if self.problem is not None:
                raise self.problem
            await self._wait(seconds)

    async def read(self, seconds: float, whole: bool = False) -> bytes:
        """Return what has come of the body, waiting for something, or for most of it where the `whole` is wanted;
        empty at its end. Raises TimeoutError.
        """
        self.deadline, self.whole = self.loop.time() + seconds, whole
        while not self.chunks or (whole and not self.complete and self.held <= HIGH):
            if self.problem is not None:
                raise self.problem
            if self.complete:
                return b""
            await self._wait(seconds)
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

    async def _wait(self, seconds: float) -> None:
        if self.timer is None or self.rings > self.deadline:
            self._ring(seconds)
        self.waiter = self.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def _ring(self, seconds: float) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.rings = self.loop.time() + seconds
        self.timer = self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        """Tell who waits that it has been too long, or look again later."""
        self.timer = None
        if self.waiter is None or self.waiter.done():
            return
        left = self.deadline - self.loop.time()
        if left <= 0.001:  # the loop's clock is that coarse
            self.waiter.set_exception(TimeoutError())
        else:
            self._ring(left)

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

    __slots__ = ("connection", "pool", "seconds", "status", "told")

    def __init__(self, connection: Connection, pool: deque[Connection], seconds: float) -> None:
        self.connection, self.pool, self.seconds = connection, pool, seconds
        self.status, self.told = connection.status, connection.told

    @property
    def headers(self) -> dict[str, str]:
        """Its headers by their names in small letters; `told` holds them as they came."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.told.items()}

    async def read(self, longest: int = 1 << 62) -> bytes:
        """Return the whole body. Raises ProviderError where it is longer than `longest` bytes."""
        data = await self._next(whole=True)
        if self.connection.complete and not self.connection.chunks:
            self.close()
            return data
        parts, size = [data], len(data)
        while data and size <= longest:
            data = await self._next(whole=True)
            parts.append(data)
            size += len(data)
        self.close()
        if size > longest:
            raise ProviderError("The upstream's reply is too long.", hint="Ask for less.")
        return b"".join(parts)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes; whoever stops early closes it (`aclosing`)."""
        try:
            while chunk := await self._next():
                yield chunk
        finally:
            self.close()

    async def _next(self, whole: bool = False) -> bytes:
        try:
            return await self.connection.read(self.seconds, whole)
        except TimeoutError as problem:
            self.close()
            raise Timeout(
                f"The upstream was silent for {self.seconds:g} s.", hint="Raise its idle_seconds."
            ) from problem
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back when its response is complete, else end it: the upstream stops working."""
        connection = self.connection
        if connection.complete and connection.reusable and not connection.chunks and not connection.closed:
            connection.reusable = False  # a second close must not give it back twice
            connection.asked = connection.whole = False
            self.pool.append(connection)
            if len(self.pool) > IDLE:
                self.pool.popleft().close()
        elif connection.asked:
            connection.close()


class Destination:
    """Where requests go, worked out once: a method, an address and the headers that all of them have."""

    __slots__ = ("head", "host", "pool", "port", "secure")

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        pools: dict[tuple[str, int, bool], deque[Connection]],
    ) -> None:
        parts = urlsplit(url)
        self.secure = parts.scheme == "https"
        self.host, self.port = parts.hostname or "", parts.port or (443 if self.secure else 80)
        self.pool = pools.setdefault((self.host, self.port, self.secure), deque())
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        lines = [f"{method} {path} HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any("\r" in line or "\n" in line for line in lines):
            raise ProviderError(
                "A header holds a line end.", hint="Leave line ends out of headers and addresses."
            )
        self.head = "\r\n".join([*lines, "content-length: "]).encode("latin-1", "replace")


class Client:
    """Keeps connections for each upstream; `connect`, `first` and `idle` are seconds until there is a connection,
    until the first byte has come, and between two pieces of a body.
    """

    def __init__(self, connect: float = 5.0, first: float = 120.0, idle: float = 60.0) -> None:
        self.connect, self.first, self.idle = connect, first, idle
        self._pools: dict[tuple[str, int, bool], deque[Connection]] = {}
        self._secure: ssl.SSLContext | None = None

    def to(self, method: str, url: str, headers: Mapping[str, str]) -> Destination:
        """Return where `send` sends. Raises ProviderError where a header holds a line end."""
        return Destination(method, url, headers, self._pools)

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """Send one request to an address; see `send`."""
        return await self.send(self.to(method, url, headers), body)

    async def send(self, to: Destination, body: bytes = b"") -> Response:
        """Send a request and return when status and headers have come. Raises ProviderError and Timeout."""
        request = b"%b%d\r\n\r\n%b" % (to.head, len(body), body)
        while True:
            kept = self._kept(to.pool)
            connection = kept or await self._connection(to)
            try:
                connection.send(request)
                await connection.head(self.first)
                return Response(connection, to.pool, self.idle)
            except TimeoutError as problem:
                connection.close()
                raise Timeout(
                    f"The upstream did not begin to answer in {self.first:g} s.",
                    hint="Raise its first_seconds.",
                ) from problem
            except ProviderError:
                connection.close()
                # The upstream ended a kept connection just when it was used again: nothing was answered yet.
                if kept is None or connection.started:
                    raise
            except BaseException:
                connection.close()
                raise

    def _kept(self, pool: deque[Connection]) -> Connection | None:
        while pool:
            connection = pool.pop()
            if not (connection.closed or connection.transport is None or connection.transport.is_closing()):
                return connection
        return None

    async def _connection(self, to: Destination) -> Connection:
        if to.secure and self._secure is None:
            self._secure = ssl.create_default_context()
        try:
            async with asyncio.timeout(self.connect):
                loop = asyncio.get_running_loop()
                _, made = await loop.create_connection(
                    Connection, to.host, to.port, ssl=self._secure if to.secure else None
                )
        except TimeoutError as problem:
            raise Timeout(
                f"{to.host}:{to.port} did not take a connection in {self.connect:g} s.", hint="Is it up?"
            ) from problem
        except OSError as problem:
            raise ProviderError(
                f"{to.host}:{to.port} cannot be reached: {problem.strerror or problem}.",
                hint="Start it, or correct its address.", retryable=True,
            ) from problem  # fmt: skip
        return made

    def close(self) -> None:
        """End the idle connections."""
        for pool in self._pools.values():
            while pool:
                pool.pop().close()
