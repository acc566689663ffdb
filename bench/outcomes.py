"""Every shared document through one `lyceum ingest`: what became of each, and what was left behind.

The real command reads the whole folder into a fresh home, without an encoder and with the usual limits. Counted are
its outcomes by code, the peak of resident memory of the command and of its largest worker, and its CPU seconds
with those of its children. A document that was taken in must be found: for each one the rarest word of its chunks
is searched as `lyceum search` does. Afterwards no process, temporary file or held lock may be left. Controls:
a document without chunks, one whose word nobody holds, a process, a file and a lock left on purpose must be noticed.

Beside it LlamaIndex's SimpleDirectoryReader gets the same files, each in a child process with 60 CPU seconds and
4 GiB of addresses, in an environment with what all its readers ask for.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import fcntl
import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import common
from common import Figure
from peers import environments

from lyceum.app import session, settings
from lyceum.core.text import headline
from lyceum.core.types import EVERYONE, Chunk, Document, Query
from lyceum.search.analyzer import Standard
from lyceum.wire import Platform

PEER, PEER_CPU, PEER_MB = "llamaindex_reader", 60, 4096
CODES = {"password", "corrupt", "limit", "time", "empty", "unsupported", "mismatch", "crash"}
OTHERS, SMALL = 20, 1_000_000  # files besides the hostile ones in the short form, and their bytes at most
HEAVY = ("big1000.pdf", "truncated.pdf", "noxref.pdf", "flatebomb.pdf")  # left to the long form
PLAIN = {"LYCEUM_ENCODER__KIND": "none"}
TOP = 10
_word = re.compile(r"[^\W_]+")


@dataclass
class Watched:
    """What was seen of a process and of all that it started, by looking into /proc now and then."""

    parent: int
    parent_mb: float = 0.0
    worker_mb: float = 0.0
    sessions: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Note sessions and peaks; a worker has a session of its own, and what it starts stays in that."""
        for pid, above, its_session, _ in processes():
            if pid == self.parent:
                self.parent_mb = max(self.parent_mb, peak_mb(pid))
            elif above == self.parent or its_session in self.sessions:
                self.sessions.add(its_session)
                self.worker_mb = max(self.worker_mb, peak_mb(pid))


@dataclass(frozen=True)
class Run:
    """What `lyceum ingest` did."""

    outcomes: list[dict[str, Any]]
    watched: Watched
    seconds: float
    wall: float


def processes() -> Iterator[tuple[int, int, int, str]]:
    """Yield every process with its parent, its session and its state."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parts = stat.read_text().rsplit(")", 1)[1].split()
            yield int(stat.parent.name), int(parts[1]), int(parts[3]), parts[0]


def peak_mb(pid: int) -> float:
    """Return the largest resident memory that a process has had."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
    return 0.0


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ingested(paths: Sequence[Path], home: Path, temporary: Path) -> Run:
    """Run the command once and watch it."""
    command = common.ingest_command(home, paths)
    variables = {**os.environ, **PLAIN, "TMPDIR": str(temporary)}
    before, started = children_seconds(), time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=variables, stdout=out, stderr=said)
        watched = Watched(process.pid)
        while process.poll() is None:
            watched.look()
            time.sleep(0.1)
        out.seek(0), said.seek(0)
        if process.returncode not in (0, 4):  # 4: some files failed, as some must
            raise SystemExit(f"lyceum ingest ended with {process.returncode}: {said.read()[-500:]}")
        outcomes = json.load(out)
    return Run(outcomes, watched, children_seconds() - before, time.perf_counter() - started)


def left_behind(sessions: set[int], temporary: Path, home: Path) -> list[str]:
    """Return processes of these sessions, temporary files and held locks."""
    found = [f"process {pid}" for pid, _, its_session, state in processes()
             if its_session in sessions and state not in "ZX"]  # fmt: skip
    found += [str(path) for path in temporary.iterdir()]
    for path in home.rglob("*.lock"):
        with path.open("rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(f"held {path}")
    return found


class Words:
    """The rarest word of a document, rarity being the number of chunks that hold its rarest term."""

    def __init__(self) -> None:
        self.analyzer = Standard()
        self.terms = lru_cache(maxsize=1_000_000)(lambda word: frozenset(self.analyzer(word)))
        self.counts: collections.Counter[str] = collections.Counter()

    def count(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            self.counts.update(set(self.analyzer(f"{headline(chunk)} {chunk.text}")))

    def rarest(self, chunks: Iterable[Chunk]) -> tuple[int, str]:
        """Return in how many chunks it stands and the word, "" when there is none that can be searched."""
        best = (0, 0, "")
        for chunk in chunks:
            held = set(self.analyzer(chunk.text))
            for word in set(_word.findall(chunk.text)):
                terms = self.terms(word)
                if terms and terms <= held:  # "12" is no word of a text that holds 12.5 alone
                    rated = (min(self.counts[term] for term in terms), len(word), word)
                    best = rated if not best[2] else min(best, rated)
        return best[0], best[2]


async def silent(platform: Platform, words: Words, document: Document, chunks: Sequence[Chunk]) -> str:
    """Say why a document cannot be found, "" when it can be."""
    if not chunks:
        return f"{document.source}: no chunks"
    number, word = words.rarest(chunks)
    if not word:
        return f"{document.source}: no word in {len(chunks)} chunks"
    filters = {"source": document.source} if number > TOP else {}  # too many others hold it, too
    query = Query(text=word, top_k=TOP, readers=frozenset({EVERYONE}), filters=filters)
    found = await session.search(platform, query)
    if any(hit.document.id == document.id for hit in found):
        return ""
    return f"{document.source}: {word!r} of {number} chunks finds {len(found)} others"


@dataclass
class Judged:
    """The outcomes by code, and what is wrong about them."""

    codes: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    noticed: int = 0  # controls
    chunks: int = 0


async def judged(home: Path, outcomes: Sequence[dict[str, Any]], expected: int) -> Judged:
    """Count outcomes and look for every document that was taken in."""
    judgement, words = Judged(), Words()
    async with session.opened(settings.load(str(home), PLAIN)) as platform:
        ledger = platform.store.ledger
        documents = {one.id: one for one in await ledger.documents(frozenset({EVERYONE}))}
        for document in documents.values():
            words.count(await ledger.chunks(document.id))
        for outcome in outcomes:
            document = documents.pop(outcome["document_id"], None)
            if outcome["status"] == "failed":
                judgement.codes[outcome["code"]] += 1
                if outcome["code"] not in CODES or not outcome["message"] or not outcome["hint"]:
                    judgement.faults.append(
                        f"{outcome['source']}: says {outcome['code']!r} and not what to do"
                    )
            elif outcome["status"] != "added" or document is None:
                judgement.faults.append(f"{outcome['source']}: {outcome['status']}, and not in the library")
            else:
                judgement.codes["partly" if document.meta.get("incomplete") else "added"] += 1
                chunks = await ledger.chunks(document.id)
                judgement.chunks += len(chunks)
                if document.meta.get("incomplete") and not outcome["warnings"]:
                    judgement.faults.append(f"{outcome['source']}: partly, without a warning")
                if why := await silent(platform, words, document, chunks):
                    judgement.silent.append(why)
        judgement.faults += [f"{one.source}: in the library without an outcome" for one in documents.values()]
        if len(outcomes) != expected:
            judgement.faults.append(f"{expected} files, {len(outcomes)} outcomes")
        judgement.noticed = await unfindable(platform, words)
    return judgement


async def unfindable(platform: Platform, words: Words) -> int:
    """Return how many of two documents that cannot be found are noticed."""
    document = Document(id="none", source="none.txt", version="1")
    chunk = Chunk(id="none", doc_id="none", text="qzxvuntold")
    return sum([bool(await silent(platform, words, document, some)) for some in ((), (chunk,))])


def leftovers_noticed() -> int:
    """Return how many of three things left on purpose are noticed."""
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryDirectory() as home:
        (Path(temporary) / "left").touch()
        with (Path(home) / "write.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(["sleep", "60"], start_new_session=True)
            found = left_behind({process.pid}, Path(temporary), Path(home))
            process.send_signal(signal.SIGKILL)
            process.wait()
    return len(found)


def beside(files: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """Return what LlamaIndex's reader gives for each file; nothing where it cannot be had."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as job:
        json.dump({"files": list(map(str, files)), "cpu_seconds": PEER_CPU, "memory_mb": PEER_MB}, job)
        job.flush()
        try:
            command = [str(environments.environment(PEER)), str(environments.HERE / f"{PEER}.py"), job.name]
        except environments.Missing as problem:
            print(f"LlamaIndex is not measured: {problem}")
            return {}
        variables = {**os.environ, **environments.ONE_THREAD, **environments.QUIET}
        done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the peer's script ended with {done.returncode}: {done.stderr[-500:]}")
    found: dict[str, tuple[str, str]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def chosen(folder: Path, *, quick: bool) -> list[Path]:
    """Return all files; in the short form the lighter hostile ones and 20 small others, evenly by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not quick:
        return files
    hostile = [path for path in files if path.parent.name == "hostile" and path.name not in HEAVY]
    others = [path for path in files if path.parent.name != "hostile" and path.stat().st_size <= SMALL]
    return hostile + [others[int((n + 0.5) * len(others) / OTHERS)] for n in range(OTHERS)]


async def main() -> None:
    options = common.arguments(
        __doc__, peers="0 keeps the last figures of LlamaIndex; the short form has none"
    )
    folder = Path(options.shared) / "documents"
    if not (folder / "hostile").is_dir():
        print(f"No documents in {folder}: give --shared DIR or LYCEUM_SHARED.")
        raise SystemExit(77)
    files = await asyncio.to_thread(chosen, folder, quick=options.quick)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as temporary:
        paths = files if options.quick else [folder]
        run = await asyncio.to_thread(ingested, paths, Path(home), Path(temporary))
        left = left_behind(run.watched.sessions, Path(temporary), Path(home))
        judgement = await judged(Path(home), run.outcomes, len(files))
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    run.watched.worker_mb = max(run.watched.worker_mb, largest)  # the kernel misses no moment
    judgement.noticed += leftovers_noticed()
    told(run, judgement, left)
    peer: dict[str, tuple[str, str]] = {}
    if not options.quick and options.peers != "0":
        before = children_seconds()
        peer = await asyncio.to_thread(beside, files)
        told_peer(peer, run.outcomes, children_seconds() - before)
    report(run, judgement, left, peer, options)


def told(run: Run, judgement: Judged, left: Sequence[str]) -> None:
    """Print what Lyceum did."""
    print("\n".join([*judgement.silent[:20], *judgement.faults[:20], *left[:20]]))
    for outcome in run.outcomes:
        if outcome["status"] == "failed":
            print(f"{outcome['code']:12} {Path(outcome['source']).name}: {outcome['message'][:120]}")
    print(f"Lyceum: {counted(judgement.codes)}; {judgement.chunks} chunks, {run.wall:.0f} s of wall time")


def told_peer(peer: dict[str, tuple[str, str]], outcomes: Sequence[dict[str, Any]], seconds: float) -> None:
    """Print what LlamaIndex did, and where it and Lyceum differ."""
    mine = {Path(one["source"]).resolve(): one["code"] or one["status"] for one in outcomes}
    for file, (outcome, detail) in peer.items():
        if outcome != "usable":
            print(
                f"{outcome:12} {Path(file).name}: {detail[:120]} (Lyceum: {mine.get(Path(file).resolve())})"
            )
    quiet = sum(outcome == "nothing" and not detail for outcome, detail in peer.values())
    codes = collections.Counter(outcome for outcome, _ in peer.values())
    print(f"LlamaIndex: {counted(codes)} ({quiet} of nothing without a printed line); {seconds:.0f} CPU s")


def known_of_peer(options: Any) -> dict[str, Any]:
    """Return what the last result says of LlamaIndex: it changes only with its versions."""
    file = common.ROOT / "bench" / "results" / "outcomes.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() and not options.quick else {}
    return {name: value for name, value in known.items() if name.startswith("llamaindex")}


def counted(codes: collections.Counter[str]) -> str:
    return ", ".join(f"{number} {code}" for code, number in codes.most_common())


def report(
    run: Run, judgement: Judged, left: Sequence[str], peer: dict[str, tuple[str, str]], options: Any
) -> None:
    watched = run.watched
    figures = [
        Figure("files", len(run.outcomes)),
        Figure("taken_in", judgement.codes["added"] + judgement.codes["partly"]),
        Figure("silently_empty", len(judgement.silent), "0", not judgement.silent),
        Figure("faults", len(judgement.faults), "0", not judgement.faults),
        Figure("left_behind", len(left), "0", not left),
        Figure("controls", judgement.noticed, "5", judgement.noticed == 5),
        Figure("parent_mb", watched.parent_mb, "< 600", 0 < watched.parent_mb < 600),
        Figure("worker_mb", watched.worker_mb),
        Figure("cpu_s", run.seconds),
    ]
    failed = {Path(one["source"]).name: one["code"] for one in run.outcomes if one["status"] == "failed"}
    peers = known_of_peer(options)
    if peer:
        unread = {Path(file).name: outcome for file, (outcome, _) in peer.items() if outcome != "usable"}
        peers = {"llamaindex": dict(collections.Counter(outcome for outcome, _ in peer.values())),
                 "llamaindex_unread": unread}  # fmt: skip
    common.finish(
        "outcomes", figures, options, codes=dict(judgement.codes.most_common()), failed=failed,
        silent=judgement.silent[:20], faults=[*judgement.faults[:20], *left[:20]], **peers,
    )  # fmt: skip


if __name__ == "__main__":
    common.run(main)
