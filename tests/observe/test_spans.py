"""The span store: written when a trace ends, limited in size, silent when its disk fails, private."""

from __future__ import annotations

from pathlib import Path

from lyceum.core.trace import span, trace_id, tracing
from lyceum.observe.spans import Spans

ALL = frozenset({"*"})


def record(spans: Spans, **facts: object) -> str:
    with tracing(spans), span("root", **facts):
        with span("child", k=1):
            pass
        return trace_id()


def test_round_trip(tmp_path: Path) -> None:
    spans = Spans(tmp_path)
    found = spans.trace(record(spans), ALL)
    assert [one.name for one in found] == ["root", "child"]
    assert found[1].parent == found[0].id
    assert found[1].facts == {"k": 1}
    assert spans.trace("absent", ALL) == []
    spans.close()


def test_only_those_whose_rights_were_used(tmp_path: Path) -> None:
    spans = Spans(tmp_path)
    trace = record(spans, readers=["*", "boss"])
    assert spans.trace(trace, ALL) == []
    assert spans.trace(trace, frozenset({"boss"}))
    spans.close()


def test_size_limit(tmp_path: Path) -> None:
    spans = Spans(tmp_path, most=10)
    traces = [record(spans) for _ in range(20)]
    kept = [trace for trace in traces if spans.trace(trace, ALL)]
    assert kept == traces[-5:]
    spans.close()


def test_a_broken_file_loses_traces_not_work(tmp_path: Path) -> None:
    (tmp_path / "traces.db").write_bytes(b"not a database" * 100)
    spans = Spans(tmp_path)
    assert spans.trace(record(spans), ALL) == []
