"""HTTP/1.1 as the server speaks it: heads that must come in time, and calls that are answered without a task.

A call that the gateway can answer at once (from its cache, in memory) is answered in the callback in which its last
byte has come, past ASGI and the event loop's queue; that is most of what such a call costs. Whole replies of other
calls are written in one piece, past ASGI's two messages: each write is a call of the kernel, the dearest of them all.
Everything else goes on as uvicorn has it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from lyceum.app.gateway import CALLS
from lyceum.app.guard import HEAD_BYTES
from lyceum.gateway.call import Reply

HEAD_SECONDS = 15.0  # in which the head of a request has to arrive
AT_ONCE = {path.encode(): path for path in CALLS}


class Protocol(HttpToolsProtocol):
    """Closes a connection whose next head is too long or does not come to its end in time; when it is lost, cancels
    the work for it that asked to be.
    """

    waiting: asyncio.TimerHandle | None = None
    part, headed = "", 0  # of the request that is coming in; the bytes of its head so far
    held: bytes | None = None  # the body so far of a call that may be answered at once
    heard = 0.0  # when a call was last answered so

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.leaving: set[asyncio.Task[Any]] = set()
        self._expect(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["leaving"] = self.leaving
        self.part, self.headed = "head", 0

    def on_headers_complete(self) -> None:
        self.part = "body"
        if self.url in AT_ONCE and self._simple():
            self.held = b""
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.held is None:
            super().on_body(body)
        else:
            self.held += body

    def on_message_complete(self) -> None:
        self.part = ""
        if self.held is not None:
            path, body = AT_ONCE[self.url], self.held
            reply: Reply | None = self.config.app.at_once(self.scope, path, self.headers, body)  # type: ignore
            if reply is not None:
                self.held = None
                self.server_state.total_requests += 1
                self._write(reply)
                return
            self._hand_on()
        super().on_message_complete()
        self.scope["state"]["whole"] = True  # whoever reads the body has to wait for nothing

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.held is not None:  # there is more to come: nothing is answered in one go
            self._hand_on()
        if self.part == "head":
            self.headed += len(data)
            if self.headed > 2 * HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")
        if self.part == "body" or not self._idle():
            self._forget()
        elif self.waiting is None:
            self._expect(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)
        while self.leaving:
            self.leaving.pop().cancel()

    def _simple(self) -> bool:
        """Say whether nothing is under way on the connection, and nothing odd is asked of it."""
        parser, waits = self.parser, self.expect_100_continue or self.flow.write_paused
        return self._idle() and not waits and parser.get_method() == b"POST" and parser.should_keep_alive()

    def _hand_on(self) -> None:
        """Let uvicorn serve what was held."""
        body, self.held = self.held, None
        super().on_headers_complete()
        self.scope["state"]["write"] = partial(self._whole, self.cycle)
        if body:
            super().on_body(body)

    def _whole(self, cycle: RequestResponseCycle, reply: Reply) -> bool:
        """Write a reply to its end; False where that is not possible, or not in one piece."""
        if cycle.disconnected or cycle.response_started or not cycle.keep_alive or self.flow.write_paused:
            return False
        self._write(reply)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self.on_response_complete()
        return True

    def _write(self, reply: Reply) -> None:
        lines = [STATUS_LINE[reply.status]]
        lines += [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
        lines += [f"{name}: {value}\r\n".encode("latin-1") for name, value in reply.headers.items()]
        lines.append(b"content-length: %d\r\n\r\n" % len(reply.body))
        lines.append(reply.body)
        self.transport.write(b"".join(lines))
        self.heard = self.loop.time()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect(self, seconds: float) -> None:
        self.waiting = self.loop.call_later(seconds, self._given_up)

    def _given_up(self) -> None:
        self.waiting = None
        left = self.heard + HEAD_SECONDS - self.loop.time()
        if left > 0:
            self._expect(left)
        elif self._idle():
            self.transport.close()

    def _forget(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
