"""Lines of JSON about calls: no content unless asked for, and a file that does not grow for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lyceum.observe.calls import Ended
from lyceum.observe.logs import Logs


def written(folder: Path, *calls: Ended, **options: float | bool) -> list[dict[str, object]]:
    logs = Logs(folder, **options)  # type: ignore[arg-type]
    for one in calls:
        logs(one)
    logs.close()
    return [json.loads(line) for line in logs.path.read_text().splitlines()]


@pytest.mark.parametrize("contents", [False, True])
def test_a_call_is_a_line(tmp_path: Path, contents: bool) -> None:
    one = Ended(
        path="/v1/embeddings", model="m", tenant="t", status=502, error="provider", start=1e9, seconds=0.5,
        asked=b"secret", said=b"\xff", facts={"cost": 0.5, "other": object()},
    )  # fmt: skip
    (line,) = written(tmp_path, one, contents=contents)
    assert line["time"] == "2001-09-09T01:46:40.000+00:00"
    assert (line["model"], line["outcome"], line["seconds"], line["cost"]) == ("m", "upstream", 0.5, 0.5)
    assert ("asked" in line, "secret" in str(line)) == (contents, contents)


def test_a_full_file_makes_way(tmp_path: Path) -> None:
    one = Ended(path="", model="m")
    for _ in range(3):
        logs = Logs(tmp_path, megabytes=0.0001)
        logs(one)
        logs.close()
    assert [file.name for file in tmp_path.iterdir()] == ["calls.jsonl.1"]
    assert len((tmp_path / "calls.jsonl.1").read_text().splitlines()) == 1


def test_a_file_that_cannot_be_written_loses_lines_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "calls.jsonl").mkdir()
    logs = Logs(tmp_path)
    logs(Ended(path="", model="m"))
    logs.close()
    assert "1 calls were not written" in caplog.text
