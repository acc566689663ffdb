"""Calls that have ended, counted: known calls in, known numbers out, and labels that stay bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from lyceum.observe.calls import MOST, Calls, Ended
from lyceum.observe.metrics import Metrics


def text(*calls: Ended) -> list[str]:
    metrics = Metrics()
    counted = Calls(metrics)
    for one in calls:
        counted.opened(one.model, one.tenant, 1)
        counted(one)
        counted.opened(one.model, one.tenant, -1)
    return metrics.render({}).splitlines()


def test_a_stream_counts_everywhere() -> None:
    lines = text(
        Ended(
            path="/v1/chat/completions", model="a", tenant="t", stream=True, seconds=2.0, first=0.3, last=1.3,
            pieces=11, input=7, cached=3, output=10, facts={"cost": 0.25, "cache": "miss", "attempts": 3},
        )
    )  # fmt: skip
    for line in (
        'lyceum_gateway_calls_total{model="a",tenant="t",outcome="ok"} 1',
        'lyceum_gateway_seconds_sum{model="a"} 2.000000',
        'lyceum_gateway_first_token_seconds_bucket{model="a",le="0.25"} 0',
        'lyceum_gateway_first_token_seconds_bucket{model="a",le="0.5"} 1',
        'lyceum_gateway_token_gap_seconds_sum{model="a"} 0.100000',
        'lyceum_gateway_tokens_total{model="a",tenant="t",kind="input"} 7',
        'lyceum_gateway_tokens_total{model="a",tenant="t",kind="cached"} 3',
        'lyceum_gateway_tokens_total{model="a",tenant="t",kind="output"} 10',
        'lyceum_gateway_cost_total{model="a",tenant="t"} 0.25',
        'lyceum_gateway_cache_total{model="a",layer="miss"} 1',
        'lyceum_gateway_retries_total{model="a"} 2',
        'lyceum_gateway_open{model="a"} 0',
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [(200, "", "ok"), (200, "provider", "cut"), (200, "left", "left"), (499, "left", "left"), (400, "json", "client"),
     (401, "no_key", "refused"), (429, "rate_limit_exceeded", "limited"), (502, "provider", "upstream"),
     (503, "", "upstream"), (504, "timeout", "timeout")],
)  # fmt: skip
def test_the_class_of_an_error(status: int, error: str, outcome: str) -> None:
    assert Ended(path="", model="a", status=status, error=error).outcome == outcome


def test_tenants_and_series_stay_bounded() -> None:
    metrics = Metrics()
    counted = Calls(metrics)
    for number in range(3 * MOST):
        counted(Ended(path="", model="a", tenant=f"t{number}"))
    lines = [
        line for line in metrics.render({}).splitlines() if line.startswith("lyceum_gateway_calls_total")
    ]
    assert len(lines) == MOST + 1
    assert f'lyceum_gateway_calls_total{{model="a",tenant="other",outcome="ok"}} {2 * MOST}' in lines
    for number in range(2500):
        metrics.add("lyceum_requests_total", method="GET", route=f"/{number}", status="200")
    lines = [line for line in metrics.render({}).splitlines() if line.startswith("lyceum_requests_total")]
    assert len(lines) == 2001
    assert 'lyceum_requests_total{method="other",route="other",status="other"} 500' in lines


def test_counting_goes_on_in_a_shared_folder(tmp_path: Path) -> None:
    metrics, others = Metrics(), Metrics()
    counted = Calls(metrics)
    counted(Ended(path="", model="a"))
    metrics.share(tmp_path)
    others.share(tmp_path)
    for each in (counted, Calls(others)):
        each(Ended(path="", model="a"))
    assert 'lyceum_gateway_calls_total{model="a",tenant="",outcome="ok"} 2' in metrics.render({}).splitlines()
    metrics.close()
    others.close()
