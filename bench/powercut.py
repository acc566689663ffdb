"""The power goes at any moment: what was confirmed must be there, whole, and nothing of what was not.

The operations of bench/crash.py are done once under strace; from the recorded calls states of the disk are built
in which unsynced writes are lost, reordered or torn, and names that no folder sync has saved are lost (see
recorded.py). Ledger states: the file opens, its integrity check passes, and what it shows is exactly the work up
to what was confirmed, or one operation more. Application states: the home is opened, every view catches up, and
search finds each confirmed document once. Syncs that fail (EIO) are a form of their own: the operation is tried
again, and what is confirmed afterwards must be there although what the failed sync left is not.
Controls that must lose something: synchronous=NORMAL and OFF, folders that are never synced, and going on after
a failed sync as if nothing had been.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import common
import crash
import recorded
from common import Figure

from lyceum.store import health
from lyceum.store.ledger import Ledger
from tests.toys import Home

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # no sync costs anything there
# What is done with unsynced writes, and with unsynced names; the first ones are the extremes.
POLICIES = (
    ("none", "none"), ("none", "all"), ("all", "none"), ("all", "all"), ("prefix", "prefix"),
    ("some", "all"), ("torn", "all"), ("torn", "some"), ("some", "prefix"), ("torn", "prefix"),
)  # fmt: skip
FAILING = "inject=fdatasync:error=EIO:when=6+7"


async def child(folder: Path, form: str) -> None:
    """Do the operations in a form: [unsettled-](ledger|home)-SYNCHRONOUS."""
    *more, kind, synchronous = form.split("-")
    Ledger.synchronous = synchronous
    if "unsettled" in more:
        Ledger._settle = lambda self: True  # type: ignore[method-assign]
    home = Home(folder)
    if kind == "ledger":
        home.store.views.clear()
        if (
            "reader" in more
        ):  # a reader, as a server has one: nothing is moved out of the log when a writer closes
            await crash.once(home, *crash.operations()[0], attempts=9)
            await home.ledger.sequence()
    await crash.work(home, attempts=9)


def recording(folder: Path, form: str) -> Path:
    """Record a form; return the file of its calls. The home is folder/FORM."""
    home, calls = folder / form, folder / f"{form}.calls"
    home.mkdir()
    failing = ["-e", FAILING] if "failing" in form else []
    done = recorded.record([__file__, "--child", str(home), "--form", form], calls, *failing)
    assert done == 0, f"the workload {form} ended with {done}"
    return calls


def expected() -> list[dict[str, str]]:
    """Return what is visible after each number of operations: source -> version."""
    states: list[dict[str, str]] = [{}]
    for kind, number, version in crash.operations():
        state = dict(states[-1])
        if kind == "put":
            state[f"doc{number}.md"] = str(version)
        else:
            state.pop(f"doc{number}.md", None)
        states.append(state)
    return states


def judged(folder: Path, confirmed: int, states: list[dict[str, str]], thorough: bool) -> str:
    """Return what is wrong with a ledger: lost, half, corrupt or nothing."""
    file = folder / "ledger.db"
    visible: dict[str, str] = {}
    try:
        if file.exists() and file.stat().st_size:
            with closing(sqlite3.connect(file)) as db:
                if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                    return "corrupt"
                if db.execute("PRAGMA user_version").fetchone()[0]:
                    shown = _visible(db)
                    if shown is None:
                        return "half"
                    visible = shown
            if thorough and db_is_made(file) and health.faults(file):
                return "corrupt"
    except sqlite3.DatabaseError:
        return "corrupt"
    if visible in states[confirmed : confirmed + 2]:
        return ""
    return "lost" if visible in states[:confirmed] else "half"


def db_is_made(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as db:
        return bool(db.execute("PRAGMA user_version").fetchone()[0])


def _visible(db: sqlite3.Connection) -> dict[str, str] | None:
    """Return source -> version of what can be seen; None when one is not whole."""
    found: dict[str, list[str]] = {}
    for source, version, text in db.execute(
        "SELECT d.source, v.version, c.text FROM documents d JOIN versions v ON v.key = d.current"
        " LEFT JOIN chunks c ON c.version = v.key ORDER BY c.number"
    ):
        found.setdefault(f"{source}@{version}", []).append(text)
    visible = dict(one.split("@") for one in found)
    for one, texts in found.items():
        source, version = one.split("@")
        number = int(source.removeprefix("doc").removesuffix(".md"))
        if texts != [chunk.text for chunk in crash.made(number, int(version))[2]]:
            return None
    return visible if len(visible) == len(found) else None


def confirmed_of(disk: recorded.Disk) -> int:
    """Return how many operations the process had been told are safe."""
    inode = disk.names.get("confirmed")
    if inode is None:
        return 0
    content = bytearray(inode.safe)
    recorded.apply(content, inode.pending)
    return content.count(b"\n")


def laid_out(state: dict[str, bytes | None], folder: Path, only: str = "") -> None:
    """Write a state into an empty folder."""
    for path, content in state.items():
        if path and path.startswith(only) and not path.endswith("-shm"):
            if content is None:
                (folder / path).mkdir(parents=True, exist_ok=True)
            else:
                (folder / path).write_bytes(content)


def ledger_states(
    calls: Path, home: Path, wanted: int, rng: random.Random, folders: bool = True
) -> Counter[str]:
    """Judge so many different states, spread over every call; return how many had which fault."""
    cuts = sum(1 for _ in recorded.replay(calls, home))
    states, found = expected(), Counter[str]()
    for cut, (disk, _) in enumerate(recorded.replay(calls, home, folders=folders)):
        seen = set()
        due = (cut + 1) * wanted // cuts - found["states"]
        for turn in range(max(due * 2, 0)):
            if len(seen) >= due:
                break
            policy = POLICIES[(cut + turn) % len(POLICIES)]
            state, choices = disk.state(rng, *policy)
            if choices in seen:
                continue
            seen.add(choices)
            with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
                laid_out(state, Path(folder), "ledger.db")
                fault = judged(Path(folder), confirmed_of(disk), states, found["states"] % 20 == 0)
            found["states"] += 1
            found[fault or "well"] += 1
    return found


async def application_states(
    calls: Path, home: Path, wanted: int, rng: random.Random
) -> tuple[int, list[str]]:
    """Open the home in so many states; return how many there were and what was wrong."""
    cuts = sum(1 for _ in recorded.replay(calls, home))
    chosen = Counter(rng.randrange(cuts) for _ in range(wanted))
    wrong: list[str] = []
    for cut, (disk, name) in enumerate(recorded.replay(calls, home)):
        for _ in range(chosen[cut]):
            policy = rng.choice(POLICIES)
            state, _choices = disk.state(rng, *policy)
            with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
                laid_out(state, Path(folder))
                done = crash.operations()[: confirmed_of(disk)]
                (Path(folder) / "confirmed").write_text("".join(f"{k} {n} {v}\n" for k, n, v in done))
                problems, _shown = await crash.inspect(Path(folder))
                wrong += [f"call {cut} ({name}), {'/'.join(policy)}: {one}" for one in problems]
    return wanted, wrong


async def main() -> None:
    options = common.arguments(
        __doc__, child="do the operations in this home (used by the bench itself)", form="of the child",
        states="ledger states (20000)", homes="application states (300)",
    )  # fmt: skip
    if options.child:
        await child(Path(options.child), options.form)
        return
    recorded.needs_strace()
    wanted = int(options.states or (1600 if options.quick else 20000))
    homes = int(options.homes or (12 if options.quick else 300))
    control = max(wanted // 10, 200)
    rng = random.Random(5)
    with tempfile.TemporaryDirectory(dir=MEMORY) as work:
        folder = Path(work)

        def run(form: str, states: int, **more: bool) -> Counter[str]:
            calls = folder / f"{form}.calls"
            calls = calls if calls.exists() else recording(folder, form)
            found = ledger_states(calls, folder / form, states, rng, **more)
            print(f"{form:34} {dict(found)}")
            return found

        full = run("ledger-FULL", wanted * 6 // 10) + run("reader-ledger-FULL", wanted * 3 // 10)
        full += run("failing-reader-ledger-FULL", wanted // 10)
        lost = {
            "normal": run("reader-ledger-NORMAL", control),
            "off": run("reader-ledger-OFF", control),
            "folders": run("ledger-FULL", control, folders=False),
            "unsettled": run("unsettled-failing-reader-ledger-FULL", control),
        }
        calls = recording(folder, "home-FULL")
        opened, wrong = await application_states(calls, folder / "home-FULL", homes, rng)
        shutil.rmtree(folder / "home-FULL")
    print("\n".join(wrong[:20]))
    bad = full["states"] - full["well"]
    figures = [
        Figure("states", full["states"], f">= {wanted * 0.9:g}", full["states"] >= wanted * 0.9),
        Figure("bad", bad, "0", not bad),
        Figure("homes", opened, f">= {homes}", opened >= homes),
        Figure("homes_bad", len(wrong), "0", not wrong),
    ]
    for name, found in lost.items():
        missed = found["states"] - found["well"]
        figures.append(Figure(f"control_{name}", missed / found["states"], "> 0", missed > 0))
    common.finish("powercut", figures, options, sqlite=sqlite3.sqlite_version, faults=wrong[:20])


if __name__ == "__main__":
    asyncio.run(main())
