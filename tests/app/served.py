"""A small library of three files, and a server of its own process over it; several tests share both."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lyceum.app.cli import main

DEADLINE = 30.0
CLI = (sys.executable, "-m", "lyceum.app.cli")
LIBRARY = {
    "harbour.txt": "The Kestrel warehouse opens at seven in the morning. Visitors wear a green badge.\n",
    "cold-store.md": "# 赤水冷库\n\n冷库的温度必须保持在零下二十度。保修期为十八个月。\n",
    "prices.csv": "part,price\nvalve V7,42 EUR\npump P3,310 EUR\n",
}


def library(folder: Path) -> Path:
    """Write the three files and return their folder."""
    folder.mkdir(parents=True)
    for name, text in LIBRARY.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def told(name: str, *arguments: str) -> tuple[int, Any]:
    """Run a command ("ask", "eval run") in this process with --json; return its exit code and what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main([*name.split(), "--json", *arguments])
    return code, json.loads(out.getvalue())


def environment(**given: str) -> dict[str, str]:
    """Return this process's environment; of LYCEUM_ variables only where models lie, and the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LYCEUM_")}
    models = {"LYCEUM_MODELS": os.environ["LYCEUM_MODELS"]} if "LYCEUM_MODELS" in os.environ else {}
    return {**kept, **models, "PYTHONUTF8": "1", **given}


def command(arguments: Sequence[str | bytes], **given: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [*CLI, *arguments], env=environment(**given), capture_output=True, text=True, timeout=DEADLINE,
        check=False, errors="replace",
    )  # fmt: skip


def free_port() -> int:
    """Return a port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Server:
    """A running server; `log` is the file of what it prints."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End it as a service manager would; it must close its home, say so and go."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE)
        assert code == 0, (code, self.printed())
        assert "Application shutdown complete" in self.printed()


@contextmanager
def served(home: Path, *more: str, **given: str) -> Iterator[Server]:
    """Serve a home on a free port of the loopback address; no test may leave the process behind."""
    port = free_port()
    log = home.parent / f"server-{port}.log"
    arguments = [*CLI, "serve", "--home", str(home), "--port", str(port), *more]
    with (
        log.open("wb") as out,
        subprocess.Popen(arguments, env=environment(**given), stdout=out, stderr=out) as process,
    ):
        server = Server(process, port, log)
        try:
            _wait(server)
            yield server
            if process.poll() is None:
                server.stop()
        finally:
            if process.poll() is None:
                process.kill()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.printed()
        try:
            if httpx.get(f"{server.url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError(f"not ready within {DEADLINE:g} s: {server.printed()}")
