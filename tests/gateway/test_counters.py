"""What is counted for limits: over minutes and days, clocks that step, workers at once and killed, damaged files."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lyceum.gateway.counters import WORDS, Counters, Refused, Scope

FOREVER = 10**9


class Clock:
    """Two clocks that are set by hand."""

    def __init__(self) -> None:
        self.now, self.wall = 1000.0, datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()

    def set(self, *date: int) -> None:
        self.wall = datetime(*date, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


class Spent:
    """A usage book: money by day."""

    def __init__(self) -> None:
        self.days: dict[str, int] = {}
        self.asked = 0

    def __call__(self, kind: str, name: str, first: str, last: str) -> int:
        self.asked += 1
        return sum(money for day, money in self.days.items() if first <= day <= last)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spent() -> Spent:
    return Spent()


@pytest.fixture
def counters(tmp_path: Path, clock: Clock, spent: Spent) -> Iterator[Counters]:
    made = opened(tmp_path, clock, spent)
    yield made
    made.close()


def opened(folder: Path, clock: Clock, spent: Spent, worker: int = 0) -> Counters:
    return Counters(folder / "limits", worker, spent, lambda: clock.now, lambda: clock.wall)


def scope(counters: Counters, name: str = "ann", **limits: int) -> tuple[Scope]:
    told = {"requests": 0, "tokens": 0, "calls": 0, "day": 0, "month": 0, **limits}
    return (Scope(counters.slot("key", name), "key", name, **told),)


def admitted(
    counters: Counters, scopes: tuple[Scope, ...], tokens: int = 0, cost: int = 0, tries: int = 100
) -> int:
    return sum(not isinstance(counters.admit(scopes, tokens, cost), Refused) for _ in range(tries))


def refusal(counters: Counters, scopes: tuple[Scope, ...], tokens: int = 0, cost: int = 0) -> Refused:
    found = counters.admit(scopes, tokens, cost)
    assert isinstance(found, Refused)
    return found


def test_no_minute_has_more_than_its_limit(counters: Counters, clock: Clock) -> None:
    scopes = scope(counters, requests=20)
    rng, taken = random.Random(3), []
    for _ in range(4000):
        clock.now += rng.choice([0.0, 0.01, 0.3, 2.0, 9.0]) * rng.random()
        if not isinstance(counters.admit(scopes, 0, 0), Refused):
            taken.append(clock.now)
    most = max(sum(start <= one < start + 60 for one in taken) for start in taken)
    assert most == 20
    assert len(taken) >= 18 * ((clock.now - 1000) // 61)


def test_who_waits_as_long_as_was_said_is_let_through(counters: Counters, clock: Clock) -> None:
    scopes = scope(counters, requests=5, tokens=1000)
    for _ in range(5):
        assert counters.admit(scopes, 10, 0) == int(clock.now)
        clock.now += 7
    told = refusal(counters, scopes)
    assert (told.limit, told.wait) == ("requests_per_minute", 61 - 35)
    clock.now += told.wait - 1
    assert isinstance(counters.admit(scopes, 0, 0), Refused)
    clock.now += 1
    assert not isinstance(counters.admit(scopes, 960, 0), Refused)
    assert refusal(counters, scope(counters, "bob", tokens=1000), 2000).wait == -1


def test_tokens_are_reserved_and_settled(counters: Counters, clock: Clock) -> None:
    scopes = scope(counters, tokens=100)
    second = counters.admit(scopes, 100, 0)
    assert isinstance(second, int)
    assert refusal(counters, scopes, 1).limit == "tokens_per_minute"
    counters.settle(scopes, second, counters.today(), (100, 0), (30, 0))
    assert admitted(counters, scopes, 10) == 7
    clock.now += 61
    assert counters.admit(scopes, 100, 0) == int(clock.now)
    clock.now += 200  # settled after its minute has gone: nothing is given back twice
    counters.settle(scopes, int(clock.now) - 200, counters.today(), (100, 0), (0, 0))
    assert admitted(counters, scopes, 10) == 10


def test_all_scopes_or_none(counters: Counters) -> None:
    scopes = (*scope(counters, "ann", requests=50), *scope(counters, "acme", calls=3))
    assert admitted(counters, scopes) == 3
    assert admitted(counters, scopes[:1]) == 47


def test_concurrent_calls_are_given_back(counters: Counters) -> None:
    scopes = scope(counters, calls=2)
    assert admitted(counters, scopes) == 2
    assert refusal(counters, scopes).limit == "concurrent"
    for _ in range(2):
        counters.settle(scopes, 0, 0, (0, 0), (0, 0))
    assert admitted(counters, scopes) == 2


def test_budgets_roll_over(counters: Counters, clock: Clock, spent: Spent) -> None:
    scopes = scope(counters, day=100, month=250)

    def use(money: int) -> bool:
        second = counters.admit(scopes, 0, money)
        if isinstance(second, Refused):
            return False
        counters.settle(scopes, second, counters.today(), (0, money), (0, money))
        spent.days[counters.date] = spent.days.get(counters.date, 0) + money
        return True

    clock.set(2026, 11, 28)
    assert [use(60), use(40), use(1)] == [True, True, False]
    told = refusal(counters, scopes, 0, 1)
    assert (told.limit, told.wait) == ("budget_day", 86_400)
    clock.set(2026, 11, 29)
    assert use(100)
    clock.set(2026, 11, 30, 18)
    assert [use(50), use(1)] == [True, False]
    told = refusal(counters, scopes, 0, 1)
    assert (told.limit, told.wait) == ("budget_month", 6 * 3600)
    clock.set(2026, 12, 1)
    assert [use(100), use(1)] == [True, False]
    clock.set(2026, 12, 31, 23)
    assert use(100)
    clock.set(2027, 1, 1)
    assert use(100)


def test_a_clock_that_steps_back_makes_no_new_budget(counters: Counters, clock: Clock, spent: Spent) -> None:
    scopes = scope(counters, day=100)
    clock.set(2026, 11, 29, 0, 5)
    spent.days = {"2026-11-28": 90, "2026-11-29": 0}
    assert admitted(counters, scopes, 0, 100) == 1
    clock.set(2026, 11, 28, 23, 55)
    spent.days["2026-11-29"] = 100
    for _ in range(3):
        assert refusal(counters, scopes, 0, 11).limit == "budget_day"
    clock.set(2026, 11, 29, 0, 10)
    assert isinstance(counters.admit(scopes, 0, 1), Refused)


def test_a_worker_that_is_a_second_behind_resets_nothing(tmp_path: Path, clock: Clock, spent: Spent) -> None:
    behind = Clock()
    first, second = opened(tmp_path, clock, spent, 0), opened(tmp_path, behind, spent, 1)
    clock.now = behind.now + 1
    scopes = scope(first, requests=10)
    scope(second)
    assert [admitted(one, scopes, tries=4) for one in (first, second, first, second)] == [4, 4, 2, 0]
    first.close()
    second.close()


def test_minutes_do_not_follow_the_calendar(counters: Counters, clock: Clock) -> None:
    scopes = scope(counters, requests=5)
    assert admitted(counters, scopes) == 5
    clock.wall -= 86_400 * 400
    assert admitted(counters, scopes) == 0
    clock.wall += 86_400 * 900
    assert admitted(counters, scopes) == 0
    clock.now = 3.0  # the machine was started again
    assert admitted(counters, scopes) == 5


def test_a_call_of_yesterday_is_yesterdays_money(counters: Counters, clock: Clock, spent: Spent) -> None:
    scopes = scope(counters, day=100)
    second, day = counters.admit(scopes, 0, 80), counters.today()
    assert isinstance(second, int)
    clock.wall += 86_400
    assert isinstance(counters.admit(scopes, 0, 80), Refused)  # what is still reserved may yet be spent
    counters.settle(scopes, second, day, (0, 80), (0, 80))
    assert admitted(counters, scopes, 0, 100) == 1


# --- over processes --------------------------------------------------------------------------------------

WORKER = """
import sys
from pathlib import Path
from lyceum.gateway.counters import Counters, Refused, Scope
path, number, tries = Path(sys.argv[1]) if sys.argv[1] else None, int(sys.argv[2]), int(sys.argv[3])
counters = Counters(path, number, lambda *_: 0)
scopes = (Scope(counters.slot("key", "ann"), "key", "ann", 1000, 0, 900, 500_000, 0),)
print("ready", flush=True)
sys.stdin.readline()
print(sum(not isinstance(counters.admit(scopes, 1, 1000), Refused) for _ in range(tries)), flush=True)
sys.stdin.readline()
"""


def workers(path: str, many: int, tries: int) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WORKER, path]
    started = [
        subprocess.Popen(
            [*command, str(n), str(tries)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for n in range(many)
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return started


def told(started: list[subprocess.Popen[str]]) -> list[int]:
    return [int(one.stdout.readline()) for one in started]  # type: ignore[union-attr]


def ended(started: list[subprocess.Popen[str]]) -> None:
    for one in started:
        one.kill()
        one.communicate()


def test_four_workers_let_no_more_through_than_one(tmp_path: Path) -> None:
    started = workers(str(tmp_path / "limits"), 4, 1500)
    assert sum(told(started)) == 500  # the day's budget is the least
    ended(started)
    control = workers("", 2, 1500)  # each by itself: the test sees what leaks
    assert told(control) == [500, 500]
    ended(control)


def test_a_killed_worker_gives_back_what_it_had_under_way(tmp_path: Path) -> None:
    started = workers(str(tmp_path / "limits"), 2, 1500)
    shares = told(started)
    assert sum(shares) == 500
    counters = Counters(tmp_path / "limits", 2, lambda *_: 0)
    scopes = (Scope(counters.slot("key", "ann"), "key", "ann", 0, 0, 900, 500_000, 0),)
    assert admitted(counters, scopes, 0, 1000, 600) == 0
    ended(started[:1])
    counters.reap(0)
    assert admitted(counters, scopes, 0, 1000, 600) == shares[0]
    ended(started[1:])
    counters.close()


@pytest.mark.parametrize("damage", ["garbage", "short", "tail", "empty"])
def test_a_damaged_file_is_counted_anew(
    tmp_path: Path, clock: Clock, spent: Spent, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(tmp_path, clock, spent)
    assert admitted(first, scope(first, day=100), 0, 60) == 1
    first.close()
    file = tmp_path / "limits"
    data = bytearray(file.read_bytes())
    if damage == "garbage":
        data[: 64 * 8] = random.Random(1).randbytes(64 * 8)
    elif damage == "tail":
        data[8 * WORDS : 16 * WORDS] = random.Random(1).randbytes(8 * WORDS)
    file.write_bytes(data[:1000] if damage == "short" else b"" if damage == "empty" else data)
    spent.days[first.date] = 75
    again = opened(tmp_path, clock, spent)
    assert ("damaged" in caplog.text) == (damage in ("garbage", "tail"))
    scopes = scope(again, day=100, requests=10)
    assert admitted(again, scopes, 0, 10) == 2
    again.close()


def test_names_beyond_the_file_are_refused(counters: Counters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lyceum.gateway.counters.SLOTS", 2)
    assert counters.slot("key", "a") != counters.slot("key", "b")
    assert counters.slot("key", "c") == -1
    assert counters.slot("key", "a") > 0
