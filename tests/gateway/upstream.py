"""A server that plays scenes byte by byte, for what a real one does seldom: a stand-in, named as such."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

Scene = Callable[[bytes, asyncio.StreamWriter], Awaitable[bool | None]]


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return a whole response."""
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """Return a response in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body + (b"0\r\n\r\n" if end else b"")


class Played:
    """`url` is where the server listens; `requests` what it was sent, `connections` how many it took."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.url = ""
        self.requests: list[bytes] = []
        self.connections = self.ended = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests and let the scene answer; a scene that returns False ends the connection."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(
                    line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line
                )
                request = head + await reader.readexactly(int(fields.get(b"content-length", b"0")))
                self.requests.append(request)
                if await self.scene(request, writer) is False:
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def played(scene: Scene) -> AsyncIterator[Played]:
    """Serve a scene on a port of its own."""
    made = Played(scene)
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


@contextmanager
def playing(scene: Scene) -> Iterator[Played]:
    """Serve a scene from a thread of its own, for clients that are not async."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = played(scene)
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(_ended(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ended() -> None:
    """Cancel what serves connections that clients keep."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for one in rest:
        one.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
