"""Two real servers on one home: both take uploads and answer; one is killed, and the other loses nothing."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from lyceum.store import health
from tests.app.served import DEADLINE, Server, served


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, trust_env=False, timeout=DEADLINE)


def sources(http: httpx.Client, question: str) -> list[str]:
    """Return the sources of the hits, whole once the other server's work has been caught up."""
    found = http.post("/api/search", json={"question": question, "top_k": 50})
    assert found.status_code == 200, found.text
    return sorted(hit["source"] for hit in found.json())


def upload(http: httpx.Client, number: int) -> str:
    text = f"The barge number{number} moors at quay {number}.\n"
    sent = http.post("/api/documents", files={"file": (f"barge{number}.txt", text)})
    assert sent.status_code in (200, 201), sent.text
    return f"barge{number}.txt"


def test_two_servers_share_a_home_and_one_dies(tmp_path: Path) -> None:
    home, models = tmp_path / "home", str(tmp_path / "models")
    with (
        served(home, LYCEUM_MODELS=models) as one, served(home, LYCEUM_MODELS=models) as two,
        client(one) as first, client(two) as second,
    ):  # fmt: skip
        with ThreadPoolExecutor(4) as pool:  # both at once, two uploads each at a time
            halves = [pool.submit(upload, (first, second)[n % 2], n) for n in range(8)]
            confirmed = sorted(done.result() for done in halves)
        assert sources(first, "barge moors quay") == sources(second, "barge moors quay") == confirmed
        one.process.send_signal(signal.SIGKILL)
        one.process.wait(DEADLINE)
        confirmed = sorted([*confirmed, upload(second, 8), upload(second, 9)])
        began = time.monotonic()
        assert sources(second, "barge moors quay") == confirmed
        assert time.monotonic() - began < 10, "a dead server's locks hold nobody up"
        assert len(second.get("/api/documents").json()) == 10
    assert health.faults(home / "ledger.db") == []
