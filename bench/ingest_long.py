"""A thousand documents through two workers: the parent's memory over time, and questions asked meanwhile.

Used by `ingest.py --long`. The documents are the bench's under other bytes (a comment after the end of a PDF or
page, a comment in an office file's archive), so their passages repeat: the encoder reads each once, its vectors come
from the ledger afterwards. A second process asks a question every half second while the first ingests, and another
the same questions when nothing is ingested; no question comes twice to a process. Waiting is wall time, which other
work on the machine lengthens: its load stands beside it, and the CPU of a question.

Judged is the second half of the documents. In the first the encoder works, queues and allocators fill, and the home
holds few copies, so that a question reads more different passages than it does afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import common
import numpy as np
from common import Figure
from peers.environments import ONE_THREAD

DOCUMENTS = 1000
EVERY = 0.5
IDLE = 120  # questions when nothing is ingested
COLD = 3  # first questions of a process, in which it loads its parts
GROWTH = 64  # megabytes that the parent may grow while it reads the second half
CHINESE = 5  # every fifth question
Sample = tuple[float, float, float, int]


def questions(folder: Path) -> list[str]:
    """Return different questions in a fixed order, so that none is answered out of what was remembered of it."""
    english, chinese = (
        [row["text"] for row in common.dataset(folder, name).queries] for name in ("squad_en", "cmrc2018_zh")
    )
    found = english[: len(chinese) * (CHINESE - 1)]
    for number, text in enumerate(chinese[: len(found) // (CHINESE - 1)]):
        found.insert(number * CHINESE, text)
    return found


def copies(files: Sequence[Path], folder: Path, count: int) -> None:
    """Write `count` documents: each file again and again, with other bytes and the same words."""
    for number in range(count):
        file = files[number % len(files)]
        target = folder / f"{number // len(files):03}" / file.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes())
        if zipfile.is_zipfile(target):
            with zipfile.ZipFile(target, "a") as package:
                package.comment = f"copy {number}".encode()
        else:
            comment = f"\n<!-- copy {number} -->\n" if file.suffix == ".html" else f"\n% copy {number}\n"
            with target.open("ab") as out:
                out.write(comment.encode())


ASK = """
import asyncio, json, os, sys, time
from pathlib import Path
from lyceum.app.session import ask, opened
from lyceum.app.settings import load
from lyceum.core.types import Query
async def main(home, questions, every, count):
    async with opened(load(home, os.environ)) as platform:
        for number in range(count):
            wall, cpu = time.perf_counter(), time.process_time()
            found = await ask(platform, Query(text=questions[number % len(questions)]))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(json.dumps([wall, cpu, len(found.hits), time.perf_counter()]), flush=True)
            await asyncio.sleep(max(0.0, every - wall))
asyncio.run(main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), float(sys.argv[3]), int(sys.argv[4])))
"""


def asking(home: Path, out: Path, count: int, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the process that asks; each question's wall and CPU seconds become a line of `out`."""
    command = [sys.executable, "-c", ASK, str(home), str(home.parent / "questions"), str(EVERY), str(count)]
    with out.open("wb") as file:
        return subprocess.Popen(command, env=variables, stdout=file)


def asked(out: Path, since: float = 0.0) -> dict[str, float]:
    """Return what the process that asked wrote after a moment, without its first questions."""
    rows = np.array([json.loads(line) for line in out.read_text().splitlines()][COLD:], float)
    rows = rows[rows[:, 3] >= since]
    assert len(rows), "no question was answered"
    wall, cpu = rows[:, 0] * 1e3, rows[:, 1] * 1e3
    return {
        "questions": len(rows), "p50_ms": float(np.median(wall)), "p95_ms": float(np.quantile(wall, 0.95)),
        "cpu_p50_ms": float(np.median(cpu)), "cpu_p95_ms": float(np.quantile(cpu, 0.95)),
        "with_hits": float((rows[:, 2] > 0).mean()),
    }  # fmt: skip


def memory(pid: int) -> tuple[float, float]:
    """Return a process's resident and anonymous megabytes; (0, 0) when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    found = dict(line.split(":", 1) for line in lines)
    return tuple(int(found.get(name, "0 kB").split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))  # type: ignore[return-value]


def documents(home: Path) -> int:
    """Return how many documents a home holds, read beside its writer."""
    with closing(sqlite3.connect(f"{(home / 'ledger.db').as_uri()}?mode=ro", uri=True)) as ledger:
        return int(ledger.execute("SELECT COUNT(*) FROM documents").fetchone()[0])


def slope(samples: Sequence[Sample], column: int) -> tuple[float, float]:
    """Return megabytes a minute and in all by a straight line through samples (moment, resident, own, documents)."""
    some = np.array(samples, float)
    rise = float(np.polyfit(some[:, 0], some[:, column], 1)[0])
    return rise * 60, rise * float(some[-1, 0] - some[0, 0])


def run(files: Sequence[Path], options: argparse.Namespace, reader: Mapping[str, str]) -> None:
    """Ingest, sample, ask, ask again; ends the bench."""
    count = 120 if options.quick else DOCUMENTS
    variables = {**os.environ, **ONE_THREAD, **reader}
    if "LYCEUM_READER__WORKERS" not in reader:
        print("This version has no reader.workers: one worker.")
    with tempfile.TemporaryDirectory() as work:
        folder, home = Path(work, "documents"), Path(work, "home")
        folder.mkdir()
        copies(files, folder, count)
        Path(work, "questions").write_text(json.dumps(questions(Path(options.shared))), encoding="utf-8")
        command = common.ingest_command(home, [Path(folder)])
        outcomes = Path(work, "outcomes.json")
        with outcomes.open("wb") as file:
            process = subprocess.Popen(command, env=variables, stdout=file, stderr=subprocess.DEVNULL)
        asker: subprocess.Popen[bytes] | None = None
        samples: list[Sample] = []
        loads: list[float] = []
        while process.poll() is None:
            time.sleep(EVERY)
            if asker is None and (home / "views").is_dir():
                asker = asking(home, Path(work, "busy"), 10**6, variables)
            now = memory(process.pid)
            if now[0] and asker is not None:
                samples.append((time.perf_counter(), *now, documents(home)))
                loads.append(os.getloadavg()[0])
        assert asker is not None
        asker.terminate()
        asker.wait()
        late = [sample for sample in samples if sample[3] * 2 >= samples[-1][3]]
        busy = {**asked(Path(work, "busy"), late[0][0]), "load": float(np.mean(loads[-len(late) :]))}
        load = os.getloadavg()[0]
        asking(home, Path(work, "idle"), IDLE + COLD, variables).wait()
        idle = {**asked(Path(work, "idle")), "load": (load + os.getloadavg()[0]) / 2}
        rows = json.loads(outcomes.read_text())
    report(options, count, rows, samples, late, busy, idle)


def report(
    options: argparse.Namespace, count: int, rows: Sequence[Mapping[str, Any]],
    samples: Sequence[Sample], late: Sequence[Sample], busy: Mapping[str, float], idle: Mapping[str, float],
) -> None:  # fmt: skip
    """Print and save the figures."""
    per_minute, grown = slope(late, 2)
    resident_per_minute, resident = slope(late, 1)
    added = sum(row["status"] == "added" for row in rows)
    print(
        f"{len(rows)} documents, {added} added, {sum(row['chunks'] for row in rows)} chunks,"
        f" {samples[-1][0] - samples[0][0]:.0f} s"
    )
    print(
        f"parent: {samples[-1][1]:.0f} MB resident at the end, {samples[-1][2]:.0f} of them its own; second"
        f" half: own {per_minute:+.2f} MB a minute ({grown:+.1f} in all), resident {resident_per_minute:+.2f}"
        f" ({resident:+.1f})"
    )
    for name, one in (("meanwhile", busy), ("idle", idle)):
        print(f"questions {name}: " + ", ".join(f"{key} {value:.4g}" for key, value in one.items()))
    ratio = busy["p95_ms"] / idle["p95_ms"]
    figures = [
        Figure("documents", len(rows), f"{count}", len(rows) == count),
        Figure("grown_mb", grown, f"<= {GROWTH}", grown <= GROWTH),
        Figure("grown_mb_per_min", per_minute),
        Figure("resident_mb", samples[-1][1]),
        Figure("p95_times_idle", ratio, "<= 2", ratio <= 2),
        Figure("cpu_p95_times_idle", busy["cpu_p95_ms"] / idle["cpu_p95_ms"]),
    ]
    begun = samples[0][0]
    thin = samples[:: max(1, len(samples) // 60)]
    common.finish(
        "ingest_long", figures, options, meanwhile=dict(busy), idle=dict(idle),
        memory=[[round(at - begun), round(rss), round(own), held] for at, rss, own, held in thin],
    )  # fmt: skip
