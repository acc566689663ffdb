"""Uploads as jobs over a real server: acknowledged, killed, resumed, cancelled, followed; and watched folders."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from reportlab.pdfgen import canvas

from lyceum import wire
from lyceum.app import jobs as app_jobs
from lyceum.app.jobs import Runner
from lyceum.app.server import create
from lyceum.app.settings import load
from lyceum.core.errors import ProviderError, RateLimited
from lyceum.store import jobs
from lyceum.store.jobs import Job
from tests.app.served import CLI, DEADLINE, LIBRARY, Server, environment, library, served, told
from tests.toys import ALL, ToyEncoder, run

SLOW = ("slow.md", "# Title\n\nSome *words* here.\n\n" * 100_000)  # a parser needs many seconds for it
GOOD = ("gate.txt", "The gate opens at seven.\n")
JOB = [
    "id", "kind", "source", "document_id", "state", "attempts", "pages", "total", "left", "outcome", "error",
    "created", "updated",
]  # fmt: skip


@contextmanager
def serving(home: Path, **given: str) -> Iterator[tuple[Server, httpx.Client]]:
    """Serve a home without an encoder, one parser at work; two jobs are begun at once."""
    with (
        served(
            home, LYCEUM_MODELS=str(home.parent / "models"), LYCEUM_READER__WORKERS="1", **given
        ) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=DEADLINE) as http,
    ):
        yield server, http


def sent(http: httpx.Client, file: tuple[str, str], **form: str) -> dict[str, Any]:
    """Upload without waiting and return the job."""
    response = http.post("/api/documents", params={"wait": "false"}, files={"file": file}, data=form)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert response.headers["Location"] == f"/api/jobs/{job['id']}"
    assert (list(job), job["state"]) == (JOB, "queued")
    return job


def until(look: Callable[[], Any], wanted: Any) -> Any:
    deadline = time.monotonic() + DEADLINE
    while (found := look()) != wanted:
        assert time.monotonic() < deadline, f"{found!r} instead of {wanted!r}"
        time.sleep(0.05)
    return found


def state(http: httpx.Client, job: dict[str, Any], wanted: str) -> dict[str, Any]:
    """Wait until a job is in a state and return it."""
    until(lambda: http.get(f"/api/jobs/{job['id']}").json()["state"], wanted)
    found: dict[str, Any] = http.get(f"/api/jobs/{job['id']}").json()
    return found


def events(
    http: httpx.Client, job: dict[str, Any], last: str = "", most: int = 10_000
) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of a job with their ids, at most so many."""
    found: list[tuple[str, dict[str, Any]]] = []
    with http.stream("GET", f"/api/jobs/{job['id']}/events", headers={"Last-Event-ID": last}) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        mark = ""
        for line in stream.iter_lines():
            if line.startswith("id: "):
                mark = line.removeprefix("id: ")
            elif line.startswith("data: "):
                found.append((mark, json.loads(line.removeprefix("data: "))))
                if len(found) == most:
                    break
    return found


def pages(number: int) -> tuple[str, bytes]:
    """Return a PDF of so many pages."""
    made = io.BytesIO()
    page = canvas.Canvas(made)
    for one in range(number):
        for line in range(40):
            page.drawString(
                72, 780 - 18 * line, f"Page {one} line {line}: the anchor weighs {one + line} kg."
            )
        page.showPage()
    page.save()
    return ("anchors.pdf", made.getvalue())


def spooled(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "spool").glob("*"))


def test_a_kill_in_the_middle_loses_no_acknowledged_upload(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home) as (server, http):
        first = sent(http, ("words.md", SLOW[1][: len(SLOW[1]) // 8]))
        second = sent(http, GOOD)
        third = sent(http, ("gate.txt", "The gate opens at nine.\n"))
        state(http, first, "running")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(DEADLINE)
    for name in ("lost-old", "lost-new"):
        (home / "spool" / name).mkdir()
        (home / "spool" / name / "upload").write_text("never acknowledged")
    os.utime(home / "spool" / "lost-old", (0, 0))
    with serving(home) as (server, http):
        for job in (first, second, third):
            done = state(http, job, "done")
            assert (done["error"], done["outcome"]["status"] in ("added", "updated")) == (None, True)
        listed = http.get("/api/documents").json()
        assert [one["source"] for one in listed] == ["gate.txt", "words.md"]
        hits = http.post("/api/search", json={"question": "gate opens"}).json()
        assert [hit["text"] for hit in hits] == ["The gate opens at nine."], (
            "uploads of one document keep their order"
        )
        assert [job["id"] for job in http.get("/api/jobs").json()] == [third["id"], second["id"], first["id"]]
        end = time.monotonic() + DEADLINE  # a file goes just after its job is said to be done
        while spooled(home) != ["lost-new"] and time.monotonic() < end:
            time.sleep(0.05)
        assert spooled(home) == ["lost-new"], "what may just be arriving at another server stays for a while"


def test_a_stopped_server_leaves_its_jobs_to_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home) as (server, http):
        job = sent(http, SLOW)
        state(http, job, "running")
        started = time.monotonic()
        with http.stream("GET", f"/api/jobs/{job['id']}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE) in (0, -signal.SIGTERM)
        assert time.monotonic() - started < 10, "a stream of progress holds no server up"
    assert spooled(home) == [job["id"]]
    with serving(home) as (_, http):
        found = state(http, job, "running")
        assert found["attempts"] == 1, "a stop is no attempt"
        assert http.delete(f"/api/jobs/{job['id']}").json()["state"] == "cancelled"


def test_cancel(tmp_path: Path) -> None:
    """Running and queued; nothing half visible, no process and no file left, and the queue goes on."""
    home = tmp_path / "home"
    with serving(home) as (server, http):
        http.post("/api/documents", files={"file": ("slow.md", "Some old words here.")})
        running = sent(http, SLOW)
        queued = sent(http, SLOW)
        state(http, running, "running")
        worker = until(lambda: bool(_children(server)), True) and _children(server)
        assert http.delete(f"/api/jobs/{queued['id']}").json()["state"] == "cancelled"
        cancelled = http.delete(f"/api/jobs/{running['id']}").json()
        assert (cancelled["state"], cancelled["error"], cancelled["outcome"]) == ("cancelled", None, None)
        assert not any(Path(f"/proc/{pid}").exists() for pid in worker), "the parser was stopped"
        assert http.post("/api/documents", files={"file": GOOD}).status_code == 201
        (old,) = http.post("/api/search", json={"question": "old words"}).json()
        assert old["text"] == "Some old words here."
        assert state(http, running, "cancelled")["attempts"] == 1
        done = http.get("/api/jobs").json()[0]
        assert http.delete(f"/api/jobs/{done['id']}").json()["state"] == "done", (
            "what has ended stays as it is"
        )
        assert spooled(home) == []


def _children(server: Server) -> list[str]:
    found = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return found.split()


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(tmp_path_factory.mktemp("jobs") / "home") as (_, client):
        yield client


def test_events_tell_pages_as_they_are_read(http: httpx.Client) -> None:
    job = sent(http, pages(60))  # type: ignore[arg-type]
    found = events(http, job)
    seen = [event for _, event in found]
    assert [list(event) for event in seen] == [JOB] * len(seen)
    (last,) = [event for event in seen if event["state"] == "done"]
    assert last == seen[-1]
    assert (last["pages"], last["outcome"]["pages"]) == (60, 60)
    reading = [event for event in seen if event["state"] == "running" and event["pages"]]
    assert reading, "some event told of pages before the end"
    assert {event["total"] for event in reading} == {60}
    counted = [event["pages"] for event in reading]
    assert counted == sorted(set(counted))
    assert all(event["left"] >= 0 for event in reading)
    assert len({mark for mark, _ in found}) == len(found)
    assert events(http, job, last=found[0][0]) == found[-1:], (
        "what is over is told again by its last state alone"
    )
    assert events(http, job, last=found[-1][0]) == found[-1:]


def test_events_go_on_where_they_were_left(http: httpx.Client) -> None:
    job = sent(http, SLOW)
    state(http, job, "running")
    ((mark, first),) = events(http, job, most=1)
    assert first["state"] == "running"
    with httpx.Client(base_url=http.base_url, trust_env=False) as other, pytest.raises(httpx.ReadTimeout):
        other.get(f"/api/jobs/{job['id']}/events", headers={"Last-Event-ID": mark}, timeout=1.0)
    http.delete(f"/api/jobs/{job['id']}")
    assert [event["state"] for _, event in events(http, job, last=mark)] == ["cancelled"]


def test_a_file_that_cannot_be_read_is_a_failed_job(http: httpx.Client) -> None:
    job = state(http, sent(http, ("empty.txt", "")), "failed")
    assert (job["attempts"], job["error"]["code"]) == (1, "empty"), "no retry would help"
    assert job["error"]["hint"]
    response = http.post("/api/documents", files={"file": ("empty.txt", "")})
    assert response.status_code == 422
    assert response.json()["error"]["message"] == job["error"]["message"]


def test_a_parser_that_crashes_is_tried_once_more(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as (server, http):
        job = sent(http, SLOW)
        for attempt in (1, 2):
            until(lambda: http.get(f"/api/jobs/{job['id']}").json()["attempts"], attempt)
            (worker,) = until(lambda: len(_children(server)), 1) and _children(server)
            time.sleep(0.3)
            os.kill(int(worker), signal.SIGKILL)
        failed = state(http, job, "failed")
        assert (failed["attempts"], failed["error"]["code"]) == (2, "crash")
        assert http.post("/api/documents", files={"file": GOOD}).status_code == 201


def test_only_readers_of_the_document_see_its_job(http: httpx.Client) -> None:
    job = sent(http, ("plan.txt", "A secret plan."), readers="boss,legal")
    until(lambda: http.get(f"/api/jobs/{job['id']}", params={"as": "boss"}).json()["state"], "done")
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        hidden = http.request(method, f"/api/jobs/{job['id']}{path}")
        absent = http.request(method, f"/api/jobs/0123456789abcdef{path}")
        assert (hidden.status_code, hidden.content) == (404, absent.content)
        told = [
            {name: value for name, value in one.headers.items() if name not in ("date", "x-request-id")}
            for one in (hidden, absent)
        ]
        assert told[0] == told[1]
    assert job["id"] not in [one["id"] for one in http.get("/api/jobs").json()]
    (mine,) = http.get("/api/jobs", params={"as": "legal", "limit": 1}).json()
    assert mine["id"] == job["id"]
    assert http.get(f"/api/jobs/{job['id']}/events", params={"as": "legal"}).status_code == 200


def test_in_one_process(tmp_path: Path) -> None:
    """The routes without a network between: queued, listed, told, cancelled."""
    settings = load(str(tmp_path / "home"), {"LYCEUM_MODELS": str(tmp_path / "models")})
    with TestClient(create(settings)) as client:
        job = sent(client, GOOD)
        assert [event["state"] for _, event in events(client, job)][-1] == "done"
        assert [one["id"] for one in client.get("/api/jobs").json()] == [job["id"]]
        assert client.delete(f"/api/jobs/{job['id']}").json()["state"] == "done"
        assert client.get("/api/jobs/absent").status_code == 404
        held = sent(client, SLOW)
        state(client, held, "running")
        assert client.delete(f"/api/jobs/{held['id']}").json()["state"] == "cancelled"
        assert [event["state"] for _, event in events(client, held)] == ["cancelled"]


# --- the runner in this process, with an encoder that can be held up or fail -----------------------------


class Held(ToyEncoder):
    """Encodes when `open` is set; before that it raises what is left in `problems`."""

    def __init__(self, *problems: Exception) -> None:
        super().__init__()
        self.problems, self.asked, self.open = list(problems), asyncio.Event(), asyncio.Event()

    async def __call__(self, texts: Sequence[str]) -> Any:
        self.asked.set()
        if self.problems:
            raise self.problems.pop(0)
        await self.open.wait()
        return await super().__call__(texts)


def working(home: Path, encoder: Held, work: Callable[[Runner], Coroutine[Any, Any, None]]) -> None:
    async def body() -> None:
        platform = wire.build({}, home, replace={"encoder": encoder})
        try:
            runner = Runner(platform)
            async with asyncio.timeout(DEADLINE), runner.working():
                await work(runner)
        finally:
            await platform.close()

    run(body())


async def put(runner: Runner, name: str, text: str) -> Job:
    return await runner.submit(io.BytesIO(text.encode()), name, name, None)


@pytest.mark.parametrize("how", ["cancelled", "removed", "removed before"])
def test_stopped_while_it_is_stored(tmp_path: Path, how: str) -> None:
    """The new version is staged and half in the views: it never becomes current, and a removal stays one."""
    encoder = Held()

    async def work(runner: Runner) -> None:
        store = runner.platform.store
        encoder.open.set()
        old = await runner.finished((await put(runner, "gate.txt", "The gate opens at seven.")).id)
        assert old.state == "done"
        encoder.open.clear()
        encoder.asked.clear()
        job = await put(runner, "gate.txt", "The gate opens at nine.")
        if how != "removed before":
            await encoder.asked.wait()
        doing = runner.cancel(job.id) if how == "cancelled" else store.remove(job.document, ALL)
        task = asyncio.create_task(doing)
        await asyncio.sleep(0.1)
        encoder.open.set()
        await task
        chunks = [chunk.text for chunk in await store.ledger.chunks(job.document)]
        if how == "cancelled":
            assert chunks == ["The gate opens at seven."]
            assert (await runner.finished(job.id)).state == "cancelled"
        else:
            assert chunks == []
            assert await store.ledger.documents(ALL) == []
        async with asyncio.timeout(10):
            while runner.live or await jobs.unfinished(store.ledger) or spooled(tmp_path):
                await runner.moved(0.05)
        assert await store.behind() == {}
        assert len(await store.ledger.documents(ALL)) == (how == "cancelled")

    working(tmp_path, encoder, work)


@pytest.mark.parametrize(
    ("problem", "state", "attempts", "code"),
    [
        (RateLimited("later"), "done", 3, ""),
        (ProviderError("gone"), "failed", 1, "provider"),
        (ValueError("a fault of ours"), "failed", 1, "unexpected"),
    ],
)
def test_what_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception, state: str, attempts: int, code: str
) -> None:
    monkeypatch.setattr(app_jobs, "TICK", 0.05)
    monkeypatch.setattr(jobs, "LEASE", 0.2)
    encoder = Held(problem, problem)
    encoder.open.set()

    async def work(runner: Runner) -> None:
        found = await runner.finished((await put(runner, "gate.txt", "The gate opens at seven.")).id)
        assert (found.state, found.attempts) == (state, attempts)
        assert found.state == "done" or found.code == code
        encoder.problems.clear()
        after = await runner.finished((await put(runner, "door.txt", "The door is shut.")).id)
        assert after.state == "done", "other jobs go on"
        assert "fault" not in found.message

    working(tmp_path, encoder, work)


def test_many_retries_come_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_jobs, "TICK", 0.05)
    monkeypatch.setattr(jobs, "LEASE", 0.1)
    encoder = Held(*[RateLimited("later")] * 99)

    async def work(runner: Runner) -> None:
        found = await runner.finished((await put(runner, "gate.txt", "The gate opens at seven.")).id)
        assert (found.state, found.attempts, found.code) == ("failed", app_jobs.TRIES, "rate_limited")

    working(tmp_path, encoder, work)


# --- folders that are watched ----------------------------------------------------------------------------


@contextmanager
def watching(
    home: Path, *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], Callable[[], dict[str, Any]]]]:
    """Watch in a process of its own; the function waits for what it says next."""
    given = environment(LYCEUM_MODELS=str(home.parent / "models"))
    log = home.parent / "watch.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [*CLI, "ingest", "--home", str(home), "--json", "--watch", *arguments], env=given, text=True,
            stdout=out, stderr=subprocess.STDOUT,
        ) as process,
    ):  # fmt: skip
        count = 0

        def next_line() -> dict[str, Any]:
            nonlocal count
            deadline = time.monotonic() + DEADLINE
            while len(lines := [line for line in log.read_text().splitlines() if line[:1] == "{"]) <= count:
                assert time.monotonic() < deadline, log.read_text()
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            count += 1
            found: dict[str, Any] = json.loads(lines[count - 1])
            return found

        try:
            yield process, next_line
        finally:
            if process.poll() is None:
                process.kill()


def brief(line: dict[str, Any]) -> tuple[str, str]:
    return Path(line["source"]).name, line["status"]


def test_watch(tmp_path: Path) -> None:
    files = library(tmp_path / "files")
    home = tmp_path / "home"
    with watching(home, str(files), "--delete") as (process, said):
        assert [brief(said()) for _ in LIBRARY] == [(name, "added") for name in sorted(LIBRARY)]
        (files / "new.txt").write_text("The tide turns late.")
        assert brief(said()) == ("new.txt", "added")
        (files / "new.txt").write_text("The tide turns early now.")
        assert brief(said()) == ("new.txt", "updated")
        (files / "broken.pdf").write_text("no PDF")
        assert brief(said()) == ("broken.pdf", "failed")
        (files / "new.txt").rename(files / "moved.txt")
        assert sorted(brief(said()) for _ in range(2)) == [("moved.txt", "added"), ("new.txt", "removed")]
        with (files / "half.txt").open(
            "w"
        ) as half:  # a slow writer: never still for a second, read once, whole
            for part in range(6):
                half.write(f"part {part} ")
                half.flush()
                time.sleep(0.4)
        line = said()
        assert (brief(line), line["chunks"]) == (("half.txt", "added"), 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
        assert "Traceback" not in (tmp_path / "watch.log").read_text()
    _, listed = told("docs", "--home", str(home))
    assert sorted(Path(one["source"]).name for one in listed) == sorted([*LIBRARY, "moved.txt", "half.txt"])


def test_watch_keeps_documents_without_delete_and_those_of_a_lost_folder(tmp_path: Path) -> None:
    files, home = library(tmp_path / "files"), tmp_path / "home"
    with watching(home, str(files)) as (process, said):
        for _ in LIBRARY:
            said()
        (files / "prices.csv").unlink()
        assert brief(said()) == ("prices.csv", "gone")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    files.rename(tmp_path / "unmounted")
    files.mkdir()
    with watching(home, str(files), "--delete") as (process, said):
        time.sleep(2.5)
        (tmp_path / "unmounted" / "harbour.txt").rename(files / "harbour.txt")
        assert sorted(brief(said()) for _ in range(3)) == [
            ("cold-store.md", "removed"), ("harbour.txt", "unchanged"), ("prices.csv", "removed"),
        ]  # fmt: skip
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    _, listed = told("docs", "--home", str(home))
    assert [Path(one["source"]).name for one in listed] == ["harbour.txt"]
