"""The stores of vectors side by side: what 100,000 chunks cost to bring in, to keep and to ask, and what is found.

Vectors are stand-ins: 384 numbers in clusters, no encoder's; every store gets them from one ledger. Each document
has readers: "open" asks as one who may read all, "few" as three principals who may read a tenth. CPU is that of the
asking process plus that of its server, where there is one. Exact is float32 by numpy. Afterwards the migration of
the same home into PostgreSQL is killed twice and resumed, and an encoder changes under a load of questions over HTTP.
Stores that are not installed are left out and named.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import common
import httpx
import numpy as np
from common import Figure

from lyceum.core.errors import LyceumError
from lyceum.core.types import Query
from lyceum.models.minilm import MiniLM
from lyceum.search.gloss import Gloss
from lyceum.store.database import InDatabase
from lyceum.store.ledger import Ledger
from lyceum.store.store import Store
from lyceum.store.vectors import Vectors
from tests import databases
from tests.toys import document

NAMES = ("vectors", "pgvector", "milvus", "chroma", "qdrant_edge")
PER, PRINCIPALS, STAFF = 10, 60, "staff"
LOADED = 4  # askers at once while the encoder changes


class StandIn:
    """Vectors by the number in a text; its name is the real encoder's, so that the commands take them for its."""

    name, dimension = f"{MiniLM.name}+{Gloss.name}", 384
    languages = {"en": 1.0}  # noqa: RUF012

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(3)
        latent = rng.normal(size=(96, self.dimension)).astype(np.float32)
        centres = rng.normal(size=(3000, 96)).astype(np.float32)
        chosen = np.minimum(rng.zipf(1.3, count + 200) - 1, 2999)
        made = (centres[chosen] + 0.6 * rng.normal(size=(count + 200, 96)).astype(np.float32)) @ latent
        self.vectors = made / np.linalg.norm(made, axis=1, keepdims=True)

    async def __call__(self, texts: Any) -> Any:
        return self.vectors[[int(text.rsplit(" ", 1)[1]) for text in texts]]


def readers(n: int) -> frozenset[str]:
    rng = random.Random(n)
    return frozenset({STAFF, *(f"p{one}" for one in rng.sample(range(PRINCIPALS), rng.randint(1, 3)))})


async def filled(folder: Path, count: int, encoder: StandIn) -> None:
    """Write a home's ledger with its vectors; each document has ten chunks."""
    ledger = Ledger(folder)
    store = Store(folder, ledger)
    store.views.append(Vectors(folder, encoder, ledger, store.keep_vectors))
    for start in range(0, count, 2_000):
        batch = [
            document(f"d{n}.md", *(f"chunk {n + at}" for at in range(PER)), readers=readers(n))
            for n in range(start, min(start + 2_000, count), PER)
        ]
        await store.put(batch)
    await ledger.close()


def cpu() -> tuple[float, float]:
    """Return the CPU seconds of this process and of those that it started."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
        used[int(stat.parent.name)] = sum(map(int, fields[11:15]))  # with its ended children
    mine, below = os.getpid(), 0
    for pid in used:
        above = parents[pid]
        while above not in (mine, 0, 1) and above in parents:
            above = parents[above]
        below += used[pid] * (above == mine)
    return time.process_time(), below / os.sysconf("SC_CLK_TCK")


async def measured(name: str, folder: Path, count: int, asked: int) -> dict[str, float]:
    """Bring a home's chunks into a store and ask it."""
    encoder = StandIn(count)
    ledger = Ledger(folder)
    store = Store(folder, ledger)
    apart = folder / "bench" / name
    apart.mkdir(parents=True)
    view: Any
    if name == "vectors":
        view = Vectors(apart, encoder, ledger, store.keep_vectors)
    else:
        view = InDatabase(databases.database(name, apart), apart, encoder, ledger, store.keep_vectors)
    last, since = await ledger.sequence(), 0
    view.ledger = await ledger.identity()
    before, held = cpu(), {}
    while changes := await ledger.changes(since, 2_000):
        await view.apply(changes)
        since = changes[-1].sequence
    after = cpu()
    held["ingest_cpu_s"] = sum(after) - sum(before)
    held["server_ingest_cpu_s"] = after[1] - before[1]
    held["chunks"] = (await view.check())[0]
    held["complete"] = float(held["chunks"] == count and await view.position() == last)
    held["mb"] = await size(view, apart)
    held |= await questioned(view, encoder, count, asked)
    if name != "vectors":
        await view.close()
    await ledger.close()
    return held


async def questioned(view: Any, encoder: StandIn, count: int, asked: int) -> dict[str, float]:
    """Ask a view as two kinds of readers: CPU a question, recall@10 against exact, and what nobody may see."""
    held: dict[str, float] = {}
    owners = [readers(n // PER * PER) for n in range(count)]
    rng = np.random.default_rng(4)
    for kind in ("open", "few"):
        asking = []
        for turn in range(asked):
            who = frozenset({STAFF} if kind == "open" else {f"p{n}" for n in rng.integers(0, PRINCIPALS, 3)})
            vector = encoder.vectors[count + turn % 200]
            asking.append(Query(text="", vector=tuple(vector.tolist()), readers=who))
        await view.find(asking[0], 10)
        start = cpu()
        answers = [await view.find(query, 10) for query in asking]
        spent = sum(cpu()) - sum(start)
        right, wrong = [], 0
        for query, found in zip(asking, answers, strict=True):
            may = np.array([bool(one & query.readers) for one in owners])
            scores = np.where(may, encoder.vectors[:count] @ np.array(query.vector, np.float32), -9)
            best = np.argsort(-scores, kind="stable")[:10] + 1
            right.append(len({n for n, _ in found} & set(best.tolist())) / len(best))
            wrong += sum(not may[number - 1] for number, _ in found)
        held |= {f"{kind}_cpu_ms": 1000 * spent / asked, f"{kind}_recall": float(np.mean(right))}
        held[f"{kind}_unreadable"] = wrong
    return held


async def size(view: Any, apart: Path) -> float:
    """Return the megabytes of a store's files, for PostgreSQL those of the table and its indexes."""
    if view.name.startswith("pgvector"):
        database = view.database
        sql = f"SELECT pg_total_relation_size('{database.collection}')"
        return float(await (await database._pool()).fetchval(sql)) / 1e6
    files = await asyncio.to_thread(lambda: [one.stat().st_size for one in apart.rglob("*") if one.is_file()])
    return sum(files) / 1e6


def one(name: str, folder: Path, count: int, asked: int) -> dict[str, float] | None:
    """Measure a store in a process of its own; None when it is not installed."""
    program = [sys.executable, __file__, "--one", name, "--folder", str(folder), "--chunks", str(count)]
    done = subprocess.run([*program, "--asked", str(asked)], capture_output=True, text=True)
    if done.returncode == 77:
        return None
    if done.returncode:
        print(done.stderr[-2000:])
        raise SystemExit(1)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def command(*words: str, home: Path, dsn: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "LYCEUM_DENSE_DSN": dsn}
    program = [sys.executable, "-m", "lyceum.app.cli", *words, "--home", str(home), "--json"]
    return subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


async def migrated(home: Path, count: int) -> dict[str, Any]:
    """Migrate a home into PostgreSQL, kill the command twice on the way, and let the third one end."""
    server = databases.postgres()
    assert server is not None
    encoder = StandIn(1)
    watched = databases.Pgvector(server.dsn)
    InDatabase(watched, home, encoder, None, None)  # type: ignore[arg-type]  # names the collection
    kills: list[int] = []
    rng = random.Random(int(time.time()))
    for part in (0.3, 0.7):
        running = command("store", "migrate", "vectors", "pgvector", home=home, dsn=server.dsn)
        target = count * (part + rng.uniform(-0.15, 0.15))
        while running.poll() is None:
            at = int((await watched.mark()).get("position", 0))
            if at >= target:
                running.send_signal(signal.SIGKILL)
                kills.append(at)
                break
            await asyncio.sleep(0.02)
        running.communicate()
    last = command("store", "migrate", "vectors", "pgvector", home=home, dsn=server.dsn)
    out, err = await asyncio.to_thread(last.communicate)
    await watched.close()
    assert last.returncode in (0, 5), err
    return {"kills": kills, **json.loads(out)}


def changed(folder: Path) -> dict[str, Any]:
    """Change the encoder of a served home, there and back, while questions are asked over HTTP."""
    home, examples = folder / "changing", common.ROOT / "examples" / "documents"
    subprocess.run(common.ingest_command(home, [examples]), capture_output=True)  # pictures need OCR
    (folder / "other.toml").write_text('[gloss]\nkind = "none"\n')
    port = 20_000 + os.getpid() % 20_000
    served = command("serve", "--port", str(port), home=home, dsn="")
    url, counts, done = f"http://127.0.0.1:{port}", {"asked": 0, "failed": 0}, threading.Event()
    while True:
        try:
            httpx.get(f"{url}/healthz")
            break
        except httpx.HTTPError:
            time.sleep(0.1)

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not done.is_set():
                reply = client.post(f"{url}/api/search", json={"question": "How long is the warranty?"})
                counts["asked"] += 1
                counts["failed"] += reply.status_code != 200 or not reply.json()

    askers = [threading.Thread(target=ask) for _ in range(LOADED)]
    for asker in askers:
        asker.start()
    steps = []
    for words in (["build", str(folder / "other.toml")], ["switch"], ["back"], ["switch"], ["drop"]):
        running = command("store", "encoder", *words, home=home, dsn="")
        out, err = running.communicate()
        steps.append(json.loads(out)[0]["name"] if running.returncode == 0 else err)
        time.sleep(1)
    done.set()
    for asker in askers:
        asker.join()
    served.terminate()
    served.communicate()
    return {**counts, "steps": steps}


async def main() -> None:
    options = common.arguments(
        __doc__, chunks="how many (100,000; quick 3,000)", one="measure one store", folder="of its home",
        asked="questions of each kind (40)", stores="which, with commas (all)",
    )  # fmt: skip
    count = int(options.chunks or (3_000 if options.quick else 100_000))
    asked = int(options.asked or (10 if options.quick else 40))
    if options.one:
        try:
            print(json.dumps(await measured(options.one, Path(options.folder), count, asked)))
        except (LyceumError, BaseException) as problem:
            if type(problem).__name__ == "Skipped":
                raise SystemExit(77) from problem
            raise
        return
    folder = Path(tempfile.mkdtemp(prefix="lyceum-stores-"))
    home = folder / "home"
    home.mkdir()
    await filled(home, count, StandIn(count))
    found: dict[str, Any] = {}
    chosen = options.stores.split(",") if options.stores else NAMES
    for name in chosen:
        held = one(name, home, count, asked)
        print(
            name, "not installed" if held is None else {key: round(value, 3) for key, value in held.items()}
        )
        found |= {name: held} if held else {}
    figures = []
    for name, held in found.items():
        whole = held["complete"] == 1 and not held["open_unreadable"] + held["few_unreadable"]
        figures.append(Figure(f"{name}_complete_and_readable", float(whole), "1", whole))
        figures += [Figure(f"{name}_{key}", held[key]) for key in ("ingest_cpu_s", "mb")]
        for kind in ("open", "few"):
            figures.append(Figure(f"{name}_{kind}_cpu_ms", held[f"{kind}_cpu_ms"]))
            enough = held[f"{kind}_recall"] >= 0.9
            figures.append(Figure(f"{name}_{kind}_recall", held[f"{kind}_recall"], ">= .9", enough))
    extra: dict[str, Any] = {"stores": found}
    if common.encoder() is not None and "pgvector" in found:
        extra["migration"] = moved = await migrated(home, count)
        lost = len(moved["lost"]) + len(moved["strange"]) + len(moved["off"]) + abs(count - moved["second"])
        kills = len(moved["kills"])
        figures += [
            Figure("migration_kills", kills, "2", kills == 2),
            Figure("migration_lost", lost, "0", lost == 0),
        ]
        figures.append(Figure("migration_same", moved["same"], ">= .95", moved["good"]))
    if common.encoder() is not None:
        extra["change"] = change = await asyncio.to_thread(changed, folder)
        good = change["failed"] == 0 and change["asked"] >= 50 and len({*change["steps"]}) == 2
        figures.append(Figure("change_asked", change["asked"], ">= 50", change["asked"] >= 50))
        figures.append(Figure("change_failed", change["failed"], "0", good))
        print(change)
    shutil.rmtree(folder, ignore_errors=True)
    common.finish("stores", figures, options, chunks=count, **extra)


if __name__ == "__main__":
    common.run(main)
