"""`lyceum top`: differences between two readings as a table, and a real server watched once."""

from __future__ import annotations

import math
from pathlib import Path

import httpx
import pytest

from lyceum.app.top import Seen, samples, screen
from lyceum.observe.calls import Calls, Ended
from lyceum.observe.metrics import Metrics
from tests.app.served import command, served


def seen(before: list[Ended], after: list[Ended], seconds: float = 2.0) -> Seen:
    metrics = Metrics()
    counted, readings = Calls(metrics), []
    for calls in (before, after):
        for one in calls:
            counted(one)
        readings.append(
            samples(metrics.render({"lyceum_gateway_breaker": {(("model", "a"), ("target", "x")): 1}}))
        )
    return Seen(readings[0], readings[1], seconds)


def test_rates_and_quantiles_are_of_what_came_between() -> None:
    slow, quick = Ended(path="", model="a", seconds=100.0), Ended(path="", model="a", seconds=0.2)
    found = seen([slow] * 50, [quick] * 10 + [Ended(path="", model="a", status=502, seconds=0.2)] * 10)
    assert found.rate("lyceum_gateway_calls_total", model="a") == 10
    assert found.rate("lyceum_gateway_calls_total", outcome=("upstream", "cut")) == 5
    assert found.quantile(0.5, "lyceum_gateway_seconds", model="a") == pytest.approx(175)  # of 100 to 250 ms
    assert math.isnan(found.quantile(0.5, "lyceum_gateway_seconds", model="b"))
    assert math.isnan(found.quantile(0.5, "lyceum_gateway_first_token_seconds"))


def test_the_table() -> None:
    good = Ended(path="", model="a", tenant="t", seconds=0.2, input=10, output=20, facts={"cache": "miss"})
    hit = Ended(path="", model="a", tenant="t", seconds=0.2, facts={"cache": "hit-exact", "layer": "memory"})
    lines = screen(seen([good], [good, hit, hit, hit]), "here").splitlines()
    (model,) = [line.split() for line in lines if line.startswith("a ")]
    assert model == ["a", "2.0", "0.0", "%", "175", "242", "-", "15.0", "75.0", "%", "0", "0"]
    (tenant,) = [line.split() for line in lines if line.startswith("t ")]
    assert tenant == ["t", "2.0", "0.0", "%", "0.0", "%", "15.0", "0.00"]
    assert any("a x: left alone" in line for line in lines)


def test_a_server_is_watched_and_a_lost_one_is_said(tmp_path: Path) -> None:
    with served(tmp_path / "home", LYCEUM_TOKEN="sesame", LYCEUM_MODELS=str(tmp_path / "none")) as server:
        asked = ["top", "--url", server.url, "--once", "--every", "0.1", "--home", str(tmp_path / "home")]
        httpx.get(f"{server.url}/healthz", trust_env=False)
        done = command(asked, LYCEUM_TOKEN="sesame")
        assert (done.returncode, "calls 0.0/s" in done.stdout) == (0, True), done.stderr
        assert "LYCEUM_TOKEN" in command(asked, LYCEUM_TOKEN="wrong").stderr
    lost = command(asked)
    assert (lost.returncode, "Start `lyceum serve`" in lost.stderr) == (1, True)
