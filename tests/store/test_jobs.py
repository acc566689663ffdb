"""The queue: order, leases, fences, who sees a job; and a simulator of crashes, duplicates and clocks gone wrong."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lyceum.core import ids
from lyceum.core.errors import Busy, ParseError
from lyceum.store import jobs
from lyceum.store.jobs import LEASE, Job
from lyceum.store.schema import migrate
from tests.toys import ALL, Home, document, run

BOSS = frozenset({"boss"})
SEEDS = 500


def made(number: int, source: str = "a.md", readers: frozenset[str] | None = None) -> Job:
    return Job(
        id=f"job{number}", source=source, document=ids.document_id(source), path=f"spool/{number}", readers=readers
    )  # fmt: skip


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with_tables = sqlite3.connect(":memory:", isolation_level=None)
    migrate(with_tables)
    yield with_tables
    with_tables.close()


def states(db: sqlite3.Connection) -> dict[str, str]:
    return dict(db.execute("SELECT id, state FROM jobs"))


def test_jobs_come_in_order_and_those_of_one_document_one_after_the_other(db: sqlite3.Connection) -> None:
    for number, source in enumerate(("a.md", "a.md", "b.md")):
        jobs.submit(db, made(number, source))
    first = jobs.take(db, "w1", 100.0)
    other = jobs.take(db, "w2", 100.0)
    assert first is not None
    assert other is not None
    assert (first.id, other.id) == ("job0", "job2"), "job1 waits for the earlier upload of its document"
    assert jobs.take(db, "w3", 100.0) is None
    jobs.finish(db, first, {"chunks": 3})
    later = jobs.take(db, "w3", 100.0)
    assert later is not None
    assert (later.id, later.attempts, later.worker, later.state) == ("job1", 1, "w3", "running")


def test_a_lease_runs_out_and_the_late_worker_has_no_effect(db: sqlite3.Connection) -> None:
    jobs.submit(db, made(1))
    late = jobs.take(db, "w1", 100.0)
    assert late is not None
    assert jobs.renew(db, [late], 105.0) == {"job1"}
    assert jobs.take(db, "w2", 105.0 + LEASE - 0.1) is None
    fresh = jobs.take(db, "w2", 105.0 + LEASE)
    assert fresh is not None
    assert (fresh.id, fresh.attempts) == ("job1", 2)
    with pytest.raises(Busy, match="not this worker's"):
        jobs.finish(db, late, {})
    jobs.fail(db, late, ParseError("x"))
    jobs.release(db, late)
    assert jobs.renew(db, [late], 120.0) == set()
    assert states(db) == {"job1": "running"}
    jobs.finish(db, fresh, {"chunks": 1})
    with pytest.raises(Busy):
        jobs.finish(db, fresh, {"chunks": 1})
    assert states(db) == {"job1": "done"}


@pytest.mark.parametrize("back", [0.5, LEASE, 99.0, 1e6])
def test_a_clock_set_back_holds_nobody_up_longer_than_a_lease(db: sqlite3.Connection, back: float) -> None:
    jobs.submit(db, made(1))
    assert jobs.take(db, "w1", 1e6)
    now = 1e6 + 5.0 - back
    again = jobs.take(db, "w2", now)
    assert (again is None) == (back < 1), "only a time that lies further ahead than a lease is no lease"
    assert again or jobs.take(db, "w2", now + LEASE)


def test_a_job_that_never_ends_is_given_up(db: sqlite3.Connection) -> None:
    jobs.submit(db, made(1))
    jobs.submit(db, made(2))
    for start in range(jobs.STARTS):
        taken = jobs.take(db, f"w{start}", start * 100.0)
        assert taken is not None
        assert (taken.id, taken.attempts) == ("job1", start + 1)
    following = jobs.take(db, "w", 1e4)
    assert following is not None
    assert following.id == "job2"
    assert states(db) == {"job1": "failed", "job2": "running"}
    code, message, hint = db.execute("SELECT code, message, hint FROM jobs WHERE id = 'job1'").fetchone()
    assert (code, bool(hint)) == ("crash", True)
    assert f"{jobs.STARTS} times" in message


def test_a_retry_waits_and_a_stopped_job_does_not_count(db: sqlite3.Connection) -> None:
    jobs.submit(db, made(1))
    taken = jobs.take(db, "w1", 100.0)
    assert taken is not None
    jobs.fail(db, taken, Busy("full"), again=103.0)
    assert jobs.take(db, "w2", 102.9) is None
    taken = jobs.take(db, "w2", 103.0)
    assert taken is not None
    assert (taken.attempts, taken.failures, taken.code) == (2, 1, "busy")
    jobs.release(db, taken)
    taken = jobs.take(db, "w3", 103.0)
    assert taken is not None
    assert taken.attempts == 2


def test_a_cancelled_job_has_no_effect(tmp_path: Path) -> None:
    """Its document was staged and applied to every view; nothing of it becomes visible, nothing of it is left."""

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("a.md", "old words")])
        await home.ledger.write(lambda db: jobs.submit(db, made(1)))
        job = await home.ledger.write(lambda db: jobs.take(db, "w", 1.0))
        assert job is not None
        await home.ledger.write(lambda db: jobs.cancel(db, job.id))
        batch = [document("a.md", "new words", version="2")]
        with pytest.raises(Busy):
            await home.store.put(batch, lambda db: jobs.finish(db, job, {}))
        assert await home.texts("words") == ["old words"]
        assert await home.store.behind() == {}
        rows = sqlite3.connect(tmp_path / "ledger.db")
        assert rows.execute("SELECT text FROM chunks").fetchall() == [("old words",)]
        rows.close()
        with pytest.raises(Busy):
            await home.store.set_readers(job.document, BOSS, lambda db: jobs.finish(db, job, {}))
        assert await home.texts("words") == ["old words"]

    run(check())


def test_who_sees_a_job(tmp_path: Path) -> None:
    """Who may read the document, as it is now and as the upload makes it; a removed one takes its jobs along."""

    async def check() -> None:
        home = Home(tmp_path)
        await home.store.put([document("secret.md", "words", readers=BOSS), document("open.md", "words")])
        given = [
            made(1, "new.md"), made(2, "secret.md"), made(3, "open.md", BOSS), made(4, "secret.md", ALL),
            made(5, "open.md"), made(6, "open.md", frozenset()),
        ]  # fmt: skip

        def write(db: sqlite3.Connection) -> None:
            for job in given:
                jobs.submit(db, job)

        await home.ledger.write(write)

        async def seen(*readers: str) -> list[str]:
            return [job.id for job in await jobs.visible(home.ledger, frozenset(readers))]

        assert await seen("*") == ["job5", "job1"]
        assert await seen("*", "boss") == ["job5", "job4", "job3", "job2", "job1"]
        assert await seen() == []
        assert await jobs.visible(home.ledger, ALL, "job2") == await jobs.visible(home.ledger, ALL, "absent")
        secret = document("secret.md")[0].id
        await home.store.set_readers(document("open.md")[0].id, BOSS)
        assert await seen("*") == ["job1"], "revoked is revoked"

        taken = await home.ledger.write(lambda db: jobs.take(db, "w", 1.0))
        assert taken is not None
        await home.ledger.write(lambda db: jobs.finish(db, taken, {}))
        await home.store.remove(secret, BOSS)
        assert await seen("*", "boss") == ["job5", "job4", "job3", "job2", "job1"]
        assert await seen("*") == ["job4", "job1"], "job2 kept the readers of what it was to replace"
        found = {job.id: job.state for job in await jobs.visible(home.ledger, BOSS | ALL)}
        assert (found["job1"], found["job2"], found["job4"]) == ("done", "cancelled", "cancelled")
        await home.ledger.write(lambda db: jobs.forget(db, given[0].document))
        assert "job1" not in await seen("*", "boss"), "what was done is forgotten with its document"

    run(check())


def test_finished_jobs_are_forgotten_after_a_while(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        jobs.submit(db, made(number, f"{number}.md"))
    for number in range(4):
        jobs.cancel(db, f"job{number}")
    db.execute("UPDATE jobs SET updated = updated - 1e7 WHERE id IN ('job0', 'job5')")
    jobs.prune(db)
    assert sorted(states(db)) == ["job1", "job2", "job3", "job4", "job5"], "old, and finished"
    monkeypatch.setattr(jobs, "KEPT", 3)
    jobs.prune(db)
    assert sorted(states(db)) == ["job3", "job4", "job5"]


# --- the simulator ---------------------------------------------------------------------------------------


class Simulator:
    """Workers that crash, stall, repeat themselves and report late, on clocks that jump; and a model beside them.

    The effect of a job is a row in `effects`, written in the transaction that finishes it, as a flip is.
    """

    def __init__(self, seed: int, *, fenced: bool = True) -> None:
        self.rng, self.fenced = random.Random(seed), fenced
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.db)
        self.db.execute("CREATE TABLE effects (document TEXT, job TEXT)")
        self.clock, self.clocks = 1000.0, 0
        self.submitted: list[Job] = []
        self.cancelled: set[str] = set()
        self.held: list[Job] = []  # what workers believe to be theirs, the stalled and late ones included
        self.leases: dict[str, tuple[str, float, int]] = {}
        self.wrong: list[str] = []

    def step(self) -> None:
        getattr(self, self.rng.choice(
            ("submit", "take", "take", "commit", "commit", "repeat", "crash", "renew", "fail", "release", "cancel",
             "forward", "forward", "back")
        ))()  # fmt: skip

    def submit(self) -> None:
        job = made(len(self.submitted), self.rng.choice(("a.md", "b.md", "c.md")))
        jobs.submit(self.db, job)
        self.submitted.append(job)

    def take(self) -> None:
        worker = f"w{self.rng.random()}"
        job = jobs.take(self.db, worker, self.clock)
        if job is None:
            return
        _, until, clocks = self.leases.get(job.id, ("", 0.0, -1))
        if clocks == self.clocks and until > self.clock:
            self.wrong.append(f"{job.id} was taken while another's lease held")
        self.leases[job.id] = (worker, self.clock + LEASE, self.clocks)
        self.held.append(job)

    def _some(self) -> Job | None:
        return self.rng.choice(self.held) if self.held else None

    def commit(self, *, forget: bool = True) -> None:
        """Finish any job that some worker believes to hold: perhaps long after another took it over."""
        job = self._some()
        if job is None:
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self.db.execute("INSERT INTO effects VALUES (?, ?)", (job.document, job.id))
            if self.fenced:
                jobs.finish(self.db, job, {})
            else:
                jobs.describe(self.db, job, {})
            self.db.execute("COMMIT")
            self._let_go(job)
        except Busy:
            self.db.execute("ROLLBACK")
        if forget:
            self.held.remove(job)

    def repeat(self) -> None:
        """Commit and keep the job in mind, so that it is committed once more."""
        self.commit(forget=False)

    def crash(self) -> None:
        if job := self._some():
            self.held.remove(job)

    def renew(self) -> None:
        some = [job for job in self.held if self.rng.random() < 0.7]
        for job_id in jobs.renew(self.db, some, self.clock):
            if job_id in self.leases:
                self.leases[job_id] = (self.leases[job_id][0], self.clock + LEASE, self.clocks)

    def fail(self) -> None:
        if job := self._some():
            again = self.clock + self.rng.uniform(0, LEASE) if self.rng.random() < 0.7 else None
            jobs.fail(self.db, job, Busy("x") if again else ParseError("x"), again)
            self._let_go(job)

    def release(self) -> None:
        if job := self._some():
            jobs.release(self.db, job)
            self._let_go(job)

    def _let_go(self, job: Job) -> None:
        if self.leases.get(job.id, ("",))[0] == job.worker:
            del self.leases[job.id]

    def cancel(self) -> None:
        if self.submitted and self.rng.random() < 0.3:
            job = self.rng.choice(self.submitted)
            before = states(self.db)[job.id]
            jobs.cancel(self.db, job.id)
            if before in ("queued", "running"):
                self.cancelled.add(job.id)

    def forward(self) -> None:
        self.clock += self.rng.choice((0.5, 3.0, LEASE, 30.0))

    def back(self) -> None:
        if self.rng.random() < 0.3:
            self.clock -= self.rng.choice((1.0, LEASE, 500.0))
            self.clocks += 1

    def drain(self) -> None:
        """Every worker is gone; a healthy one must bring all that is left to an end within a lease each."""
        self.held.clear()
        for _ in range(2 * len(self.submitted) + 2):
            self.take()
            while self.held:
                self.commit()
            self.clock += LEASE / 2

    def verdict(self) -> list[str]:
        found = states(self.db)
        effects = self.db.execute("SELECT document, job FROM effects ORDER BY rowid").fetchall()
        for job in self.submitted:
            times = sum(done == job.id for _, done in effects)
            state = found[job.id]
            if state not in jobs.FINAL:
                self.wrong.append(f"{job.id} is lost: {state}")
            if times != (state == "done"):
                self.wrong.append(f"{job.id} is {state} and had its effect {times} times")
            if job.id in self.cancelled and state != "cancelled":
                self.wrong.append(f"{job.id} was cancelled and is {state}")
        for one in {job.document for job in self.submitted}:
            numbers = [int(done.removeprefix("job")) for held, done in effects if held == one]
            if numbers != sorted(numbers):
                self.wrong.append(f"uploads of one document took effect in the order {numbers}")
        self.db.close()
        return self.wrong


def simulated(seeds: range, *, fenced: bool = True) -> dict[int, list[str]]:
    wrong = {}
    for seed in seeds:
        simulator = Simulator(seed, fenced=fenced)
        for _ in range(simulator.rng.randint(10, 80)):
            simulator.step()
        simulator.drain()
        if found := simulator.verdict():
            wrong[seed] = found
    return wrong


def test_whatever_happens_each_job_has_its_effect_once() -> None:
    assert simulated(range(SEEDS)) == {}


@pytest.mark.parametrize(
    ("rule", "broken", "said"),
    [
        ("FREE", "until <= :now", "is lost"),  # a lease of a clock that was set back since never ends
        ("FREE", "until >= 0", "while another's lease held"),
        ("FIRST", "1", "in the order"),
    ],
)
def test_a_broken_rule_is_caught(monkeypatch: pytest.MonkeyPatch, rule: str, broken: str, said: str) -> None:
    monkeypatch.setattr(jobs, rule, broken)
    assert any(said in line for found in simulated(range(60)).values() for line in found)


def test_an_effect_beside_the_fence_is_caught() -> None:
    found = simulated(range(60), fenced=False)
    assert any("had its effect 2 times" in line for lines in found.values() for line in lines)


def test_a_job_is_read_back_as_it_was_given(tmp_path: Path) -> None:
    async def check() -> None:
        home = Home(tmp_path)
        job = replace(made(1, readers=BOSS), options={"name": "a.md"})
        await home.ledger.write(lambda db: jobs.submit(db, job))
        found = await jobs.find(home.ledger, job.id)
        assert found is not None
        assert replace(found, created=0.0, updated=0.0) == job
        assert await jobs.find(home.ledger, "absent") is None
        assert await jobs.unfinished(home.ledger) == {job.id}

    run(check())
