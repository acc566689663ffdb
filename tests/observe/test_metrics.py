"""Metrics as Prometheus text: known numbers in, known lines out."""

from __future__ import annotations

from lyceum.observe.metrics import BOUNDS, FAMILIES, Metrics


def lines(metrics: Metrics) -> list[str]:
    return metrics.render({"lyceum_open_requests": {(): 2}}).splitlines()


def test_counters_and_what_is_measured_now() -> None:
    metrics = Metrics()
    metrics.answered("answered", 0.1)
    metrics.answered("answered", 0.1)
    metrics.answered("refused", 0.1)
    text = lines(metrics)
    assert 'lyceum_answers_total{outcome="answered"} 2' in text
    assert 'lyceum_answers_total{outcome="refused"} 1' in text
    assert "lyceum_open_requests 2" in text
    assert sum(line.startswith("# TYPE") for line in text) == len(FAMILIES)


def test_a_histogram_is_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.005, 0.006, 0.3, 99.0):
        metrics.request("GET", "/x", 200, seconds)
    text = lines(metrics)
    buckets = [int(line.split()[-1]) for line in text if "_request_seconds_bucket{" in line]
    assert buckets == [1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert len(buckets) == len(BOUNDS) + 1
    assert 'lyceum_request_seconds_bucket{route="/x",le="0.005"} 1' in text
    assert 'lyceum_request_seconds_bucket{route="/x",le="+Inf"} 4' in text
    assert 'lyceum_request_seconds_sum{route="/x"} 99.311000' in text
    assert 'lyceum_request_seconds_count{route="/x"} 4' in text


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.add("lyceum_ingest_total", status='a"b', code="c\\d\ne")
    assert 'lyceum_ingest_total{status="a\\"b",code="c\\\\d\\ne"} 1' in lines(metrics)
