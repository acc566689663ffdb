"""Numbers that processes share: added up, kept when one is killed, begun anew when all are gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from lyceum.observe.slots import Slots

KEY = ("calls", (("model", "a"),))
COUNTING = """
import sys, time
from pathlib import Path
from lyceum.observe.slots import Slots
slots = Slots(Path(sys.argv[1]))
place = slots.take(("calls", (("model", "a"),)), 2)
for _ in range(1000): slots.values[place] += 1
slots.values[place + 1] = 0.5
print("ready", flush=True)
time.sleep(60)
"""


def counting(folder: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", COUNTING, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


def test_processes_add_up_and_a_killed_one_still_counts(tmp_path: Path) -> None:
    mine = Slots(tmp_path)
    mine.values[mine.take(KEY, 2)] += 5
    other = counting(tmp_path)
    try:
        assert mine.sums() == {KEY: [1005, 0.5]}
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert mine.sums() == {KEY: [1005, 0.5]}
        assert mine.sums(now=frozenset({"calls"})) == {
            KEY: [5, 0]
        }  # what is under way in a dead process is not
        again = Slots(tmp_path)  # the worker that takes its place
        assert again.sums() == {KEY: [1005, 0.5]}
        again.close()
    finally:
        other.kill()
        other.wait()
        mine.close()


def test_a_new_server_begins_at_nothing(tmp_path: Path) -> None:
    other = counting(tmp_path)
    other.kill()
    other.wait()
    mine = Slots(tmp_path)
    assert mine.sums() == {}
    assert len(list(tmp_path.iterdir())) == 2
    mine.close()


def test_a_name_that_is_half_written_is_left_out(tmp_path: Path) -> None:
    mine = Slots(tmp_path)
    mine.values[mine.take(KEY, 1)] += 1
    with mine.names as names:
        names.write('["calls", [["mod')
    assert mine.sums() == {KEY: [1]}


def test_threads_get_places_of_their_own() -> None:
    slots, places = Slots(), list[int]()

    def some(thread: int) -> None:
        places.extend(slots.take((f"{thread} {number}", ()), 3) for number in range(500))

    threads = [threading.Thread(target=some, args=(one,)) for one in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(places) == list(range(0, 6000, 3))
