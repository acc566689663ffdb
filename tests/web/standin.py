"""A chat server of the test's own, in OpenAI's shape: it says what it is told to, piece by piece, as slowly."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Standin:
    """Set `pieces` and `pause` (seconds between two of them) before a question is asked."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.pause, self.status = 0.0, 200
        self.port = 0

    def environment(self) -> dict[str, str]:
        """Return what makes a server write its answers with this one."""
        return {
            "LYCEUM_ANSWERER__KIND": "answer.generative", "LYCEUM_COMPUTED__KIND": "none",
            "LYCEUM_CHAT__KIND": "models.openai", "LYCEUM_CHAT__MODEL": "standin",
            "LYCEUM_CHAT__BASE_URL": f"http://127.0.0.1:{self.port}/v1",
        }  # fmt: skip


@contextmanager
def standin() -> Iterator[Standin]:
    """Run one on a free port."""
    told = Standin()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(told.status)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                for piece in told.pieces if told.status == 200 else ():
                    self.say({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
                    time.sleep(told.pause)
                self.say({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                pass  # whoever asked has gone

        def say(self, body: object) -> None:
            self.wfile.write(f"data: {json.dumps(body)}\n\n".encode())
            self.wfile.flush()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told.port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        yield told
        server.shutdown()
