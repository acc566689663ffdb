"""Where calls go: the share each target gets, what an affinity keeps together, what fits a call."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter

import pytest

from lyceum.core.errors import InvalidInput
from lyceum.gateway.fit import features, fitting
from lyceum.gateway.lane import Lane
from lyceum.gateway.pick import ORDERS, beginning, cheapest, least_busy, peak_ewma, prefix, session, weighted
from tests.gateway.pools import Made, call


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(7)


def lanes(*weights: float, **more: object) -> list[Lane]:
    return [Made(f"t{at}", weight=weight, **more).lane(at) for at, weight in enumerate(weights)]


def shares(order: object, found: list[Lane], times: int = 6000) -> list[float]:
    counted = Counter(order(found, call(), 0.0)[0].number for _ in range(times))  # type: ignore[operator]
    return [counted[at] / times for at in range(len(found))]


def test_weights_are_shares() -> None:
    assert shares(weighted, lanes(6, 3, 1, 0)) == pytest.approx([0.6, 0.3, 0.1, 0.0], abs=0.025)


def test_the_second_choice_is_drawn_by_weight_too() -> None:
    found = lanes(6, 3, 1)
    second = Counter(
        order[1].number for _ in range(6000) if (order := weighted(found, call(), 0.0))[0].number == 0
    )
    assert second[1] / (second[1] + second[2]) == pytest.approx(0.75, abs=0.03)


def test_every_order_holds_every_lane_once() -> None:
    found = lanes(1, 2, 3, 0)
    for order in ORDERS.values():
        assert sorted(one.number for one in order(found, call(), 0.0)) == [0, 1, 2, 3]


def test_least_busy_counts_calls_for_a_weight() -> None:
    found = lanes(1, 1, 4)
    for one, busy in zip(found, (2, 1, 6), strict=True):
        one.state.busy = busy
    assert [one.number for one in least_busy(found, call(), 0.0)] == [2, 1, 0]
    equal = shares(least_busy, lanes(1, 1), 2000)
    assert equal == pytest.approx([0.5, 0.5], abs=0.05)


def test_peak_ewma_avoids_the_slow_one_and_forgives_it() -> None:
    found = lanes(1, 1, 1)
    for one, seconds in zip(found, (0.1, 0.1, 1.0), strict=True):
        one.state.observe(0.0, seconds)
    # Of two drawn the slow one never wins; three lanes are drawn in pairs.
    assert shares(peak_ewma, found)[2] == 0.0
    for one in found[:2]:
        one.state.observe(100.0, 0.1)
    after = [peak_ewma(found, call(), 100.0)[0].number for _ in range(600)]
    assert after.count(2) > 200  # nothing was heard of it for long: it is tried again


def test_peak_ewma_counts_what_is_under_way() -> None:
    found = lanes(1, 1)
    for one in found:
        one.state.observe(0.0, 0.1)
    found[0].state.busy = 1
    assert shares(peak_ewma, found, 500) == [0.0, 1.0]


def test_a_latency_peak_counts_at_once_and_fades() -> None:
    state = lanes(1)[0].state
    state.observe(0.0, 0.1)
    state.observe(0.1, 5.0)
    assert state.latency == 5.0
    state.observe(0.2, 0.1)
    assert 4.0 < state.latency < 5.0
    for second in range(1, 60):
        state.observe(float(second), 0.1)
    assert state.latency == pytest.approx(0.1, abs=0.05)


def sessions(order: object, found: list[Lane], times: int = 3000) -> list[int]:
    return [order(found, call(user=f"u{at}"), 0.0)[0].number for at in range(times)]  # type: ignore[operator]


def test_sessions_stay_and_only_those_of_a_lost_lane_move() -> None:
    found = lanes(1, 1, 2)
    before = sessions(session, found)
    assert before == sessions(session, found)
    assert [before.count(at) / 3000 for at in range(3)] == pytest.approx([0.25, 0.25, 0.5], abs=0.03)
    after = sessions(session, found[1:])
    moved = [at for at in range(3000) if before[at] != after[at]]
    assert {before[at] for at in moved} == {0}
    assert len(moved) == before.count(0)


def test_a_session_is_a_header_a_user_or_a_key() -> None:
    found = lanes(*[1] * 50)
    by_header = [
        session(found, call(headers={"x-session-id": "s"}, user=f"u{at}"), 0.0)[0].number for at in range(5)
    ]
    by_key = [session(found, call(key="k", text=str(at)), 0.0)[0].number for at in range(5)]
    assert len(set(by_header)) == len(set(by_key)) == 1


def test_every_process_sends_a_session_to_the_same_lane() -> None:
    code = (
        "import json; from tests.gateway.test_pick import *;"
        "print(json.dumps(sessions(session, lanes(1, 1, 1), 40)))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(other.stdout) == sessions(session, lanes(1, 1, 1), 40)


def test_a_conversation_goes_where_its_beginning_was_read() -> None:
    found = lanes(*[1] * 20)
    system = {"role": "system", "content": "You are brief."}
    places = set()
    for turns in range(4):
        told = [system, {"role": "user", "content": "A long document."}]
        told += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": "And?"}] * turns
        places.add(prefix(found, call(messages=told), 0.0)[0].number)
    assert len(places) == 1
    spread = {prefix(found, call(text=f"Document {at}"), 0.0)[0].number for at in range(200)}
    assert len(spread) > 15
    assert len(beginning({"messages": [{"role": "user", "content": "x" * 9000}]})) == 1024


def test_an_affinity_does_not_overload_a_lane() -> None:
    found = lanes(1, 1, 1)
    home = session(found, call(user="u"), 0.0)[0]
    home.state.busy = 30
    others = session(found, call(user="u"), 0.0)
    assert others[0] is not home
    assert others[-1] is home


def test_the_cheapest_hangs_on_what_is_read_and_written() -> None:
    reads = Made("reads", price={"input": 1, "output": 10}).lane(0)
    writes = Made("writes", price={"input": 4, "output": 2}).lane(1)
    assert cheapest([reads, writes], call(text="x" * 30_000, max_tokens=10), 0.0)[0] is reads
    assert cheapest([reads, writes], call(max_tokens=1000), 0.0)[0] is writes


def names(made: list[Lane], **more: object) -> list[str]:
    return [one.target.url for one in fitting(made, call(**more))]  # type: ignore[arg-type]


def test_what_does_not_fit_is_left_out() -> None:
    small, large = Made("small", context=600), Made("large", context=100_000, features={"vision", "tools"})
    anything = Made("anything", tags={"eu"})
    made = [small.lane(), large.lane(), anything.lane()]
    assert names(made) == ["http://small", "http://large", "http://anything"]
    assert names(made, text="x" * 3000) == ["http://large", "http://anything"]
    assert names(made, max_tokens=700) == ["http://large", "http://anything"]
    assert names(made, headers={"x-lyceum-tags": " eu "}) == ["http://anything"]
    assert names(made, response_format={"type": "json_schema"}) == ["http://small", "http://anything"]
    with pytest.raises(InvalidInput) as caught:
        names(made[:2], headers={"x-lyceum-tags": "us"})
    assert caught.value.code == "no_fit"


def test_a_tenants_targets_are_its_own() -> None:
    made = [Made("shared").lane(), Made("theirs", tenants={"acme"}).lane()]
    assert names(made, tenant="acme") == ["http://theirs"]
    assert names(made, tenant="other") == names(made) == ["http://shared"]


def test_needs_are_read_from_parts_not_from_words() -> None:
    picture = [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:x;base64,AAAA"}}],
        }
    ]
    assert features(call(messages=picture)) == {"vision"}
    assert features(call(text="What is an image_url?")) == frozenset()
    assert features(call(tools=[{}], response_format={"type": "json_object"})) == {"tools", "json"}
