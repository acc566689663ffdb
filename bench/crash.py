"""kill -9 at random moments of ingest, replacement and removal; what was confirmed must be there, once, whole.

A child process works through a fixed list of operations on a home and writes a line for each one that was
confirmed. It is killed at a random moment and started again on the same home, until the list is done.
Afterwards the chunk ids must equal those of a run that nobody disturbed. After every kill a reader checks that
each document shows exactly one version, that nothing confirmed is missing and that nothing stands twice.
A kill keeps the page cache: what a power cut does is not measured here. The encoder is a stand-in.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import common
from common import Figure

from lyceum.core.errors import NotFound, StoreError
from lyceum.core.types import Query
from tests.toys import ALL, Home, document

DOCUMENTS = 24


def operations() -> list[tuple[str, int, int]]:
    """Return (put | remove, document, version): every document comes, most change, some go and come back."""
    rng = random.Random(3)
    found = [("put", n, 1) for n in range(DOCUMENTS)]
    found += [("put", n, 2) for n in range(DOCUMENTS) if rng.random() < 0.8]
    found += [("remove", n, 0) for n in range(0, DOCUMENTS, 3)]
    found += [("put", n, 3) for n in range(0, DOCUMENTS, 6)]
    return found


def made(number: int, version: int) -> tuple:  # type: ignore[type-arg]
    texts = [f"marker{number}v{version} part{part} common words here" for part in range(12)]
    return document(f"doc{number}.md", *texts, version=str(version))


async def work(home: Home, attempts: int = 1) -> None:
    """Do what is left of the operations; a line in `confirmed` says that one is safe."""
    log = home.folder / "confirmed"
    done = len(log.read_text().splitlines()) if log.exists() else 0
    await home.store.catch_up()
    with log.open("a") as file:
        for kind, number, version in operations()[done:]:
            await once(home, kind, number, version, attempts)
            file.write(f"{kind} {number} {version}\n")
            file.flush()
    await home.store.catch_up()


async def once(home: Home, kind: str, number: int, version: int, attempts: int) -> None:
    """Do one operation; after a failure the ledger is opened again and it is tried again."""
    try:
        if kind == "put":
            await home.store.put([made(number, version)])
        else:
            with suppress(NotFound):
                await home.store.remove(document(f"doc{number}.md")[0].id, ALL)
    except StoreError:
        if attempts <= 1:
            raise
        await home.ledger.close()
        await home.ledger.sequence()
        await once(home, kind, number, version, attempts - 1)


async def inspect(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return what is wrong in a home just after a kill, and its chunk ids by document."""
    home = Home(folder)
    log = folder / "confirmed"
    done = len(log.read_text().splitlines()) if log.exists() else 0
    sure: dict[int, int] = {}
    for kind, number, version in operations()[:done]:
        sure[number] = version if kind == "put" else 0
    # The operation that was under way may or may not have been confirmed.
    under_way = operations()[done][1] if done < len(operations()) else -1
    await home.store.catch_up()
    wrong, shown = [], {}
    for number in range(DOCUMENTS):
        doc_id = document(f"doc{number}.md")[0].id
        chunks = await home.ledger.chunks(doc_id)
        versions = {chunk.text.split()[0] for chunk in chunks}
        shown[str(number)] = [chunk.id for chunk in chunks]
        if len(versions) > 1 or len(chunks) not in (0, 12):
            wrong.append(f"document {number}: half a version, {versions}, {len(chunks)} chunks")
        expected = {f"marker{number}v{sure.get(number)}"} if sure.get(number) else set()
        if number != under_way and versions != expected:
            wrong.append(f"document {number}: {versions} instead of {expected}")
        if versions:
            hits = await home.hybrid(Query(text=f"{min(versions)} common", top_k=50))
            mine = [hit.chunk.id for hit in hits if hit.document.id == doc_id]
            if sorted(mine) != sorted(shown[str(number)]):
                wrong.append(f"document {number}: {len(mine)} found, {len(set(mine))} different, 12 expected")
    return wrong, shown


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--child", str(folder)])


async def main() -> None:
    options = common.arguments(
        __doc__,
        child="work in this home (used by the bench itself)",
        kills="how many (100; 1000 is the long form)",
    )
    if options.child:
        await work(Home(Path(options.child)))
        return
    kills = int(options.kills or (12 if options.quick else 100))
    rng = random.Random(11)
    with tempfile.TemporaryDirectory() as calm_folder:
        started = time.perf_counter()
        assert start(Path(calm_folder)).wait() == 0
        length = time.perf_counter() - started
        _, calm = await inspect(Path(calm_folder))
    wrong: list[str] = []
    happened = rounds = 0
    while happened < kills:
        rounds += 1
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(8):
                child = start(Path(folder))
                await asyncio.sleep(rng.uniform(0.35, max(0.8, length * 0.7)))
                if child.poll() is None:
                    child.send_signal(signal.SIGKILL)
                    child.wait()
                    happened += 1
                    problems, _ = await inspect(Path(folder))
                    wrong += problems
                if (Path(folder) / "confirmed").exists() and child.returncode == 0:
                    break
            assert start(Path(folder)).wait() == 0
            problems, final = await inspect(Path(folder))
            wrong += problems
            wrong += [f"document {n}: other chunk ids than undisturbed" for n in calm if final[n] != calm[n]]
    print("\n".join(wrong[:20]))
    print(f"{happened} kills in {rounds} homes, {len(operations())} operations each; {len(wrong)} faults")
    figures = [
        Figure("kills", happened, f">= {kills}", happened >= kills),
        Figure("faults", len(wrong), "0", not wrong),
    ]
    common.finish("crash", figures, options, faults=json.loads(json.dumps(wrong[:20])))


if __name__ == "__main__":
    common.run(main)
