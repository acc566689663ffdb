"""The files of ops/: rules and dashboard by promtool, and a real Prometheus in which an alert fires on real errors.

Grafana itself is not at hand: its file is checked by shape, and every expression in it is parsed by promtool.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lyceum.observe.metrics import FAMILIES, HISTOGRAMS
from tests.app.served import free_port, served
from tests.gateway.upstream import played, reply
from tests.toys import run

OPS = Path(__file__).parents[2] / "ops"
RULES = yaml.safe_load((OPS / "alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
BOARD = json.loads((OPS / "grafana.json").read_text(encoding="utf-8"))
PANELS = [one for one in BOARD["panels"] if one["type"] != "row"]
MADE_UP = {"$__rate_interval": "5m", "$model": ".*", "$tenant": ".*"}
needs_prometheus = pytest.mark.skipif(
    not (shutil.which("promtool") and shutil.which("prometheus")),
    reason="no Prometheus: apt install prometheus",
)


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=OPS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def checked(folder: Path, expressions: list[str]) -> str:
    """Let promtool parse expressions, as rules that record them."""
    rules = [{"record": f"parsed:{number}", "expr": one} for number, one in enumerate(expressions)]
    file = folder / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "parsed", "rules": rules}]}), encoding="utf-8")
    return promtool("check", "rules", str(file))


@needs_prometheus
def test_rules_pass_their_own_tests() -> None:
    promtool("test", "rules", "alerts_test.yml")
    promtool("check", "config", "prometheus.yml")
    tested = (OPS / "alerts_test.yml").read_text(encoding="utf-8")
    assert [one["alert"] for one in RULES if f"alertname: {one['alert']}\n" not in tested] == []


def test_every_alert_says_what_to_do() -> None:
    for one in RULES:
        assert one["labels"]["severity"] in ("page", "warn")
        assert {"summary", "do"} == set(one["annotations"])


def expressions() -> Iterator[str]:
    for panel in PANELS:
        for target in panel["targets"]:
            text: str = target["expr"]
            for name, said in MADE_UP.items():
                text = text.replace(name, said)
            yield text


def test_rules_and_dashboard_ask_for_what_there_is() -> None:
    known = {*FAMILIES, *(f"{one}_bucket" for one in HISTOGRAMS)}
    asked = [*expressions(), *(one["expr"] for one in RULES)]
    assert {name for text in asked for name in re.findall(r"lyceum_\w+", text)} <= known
    shown = " ".join(expressions())
    assert [name for name in FAMILIES if name.startswith("lyceum_gateway") and name not in shown] == [
        "lyceum_gateway_config_refused"  # an alert, no curve
    ]


@needs_prometheus
def test_promtool_parses_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    assert f"{len(list(expressions()))} rules found" in checked(tmp_path, list(expressions()))
    with pytest.raises(AssertionError, match="parse error"):
        checked(tmp_path, ["sum(rate(x[5m])"])


def test_the_dashboard_has_the_shape_of_one() -> None:
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= set(BOARD)
    numbers = [one["id"] for one in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
    variables = {one["name"] for one in BOARD["templating"]["list"]}
    for panel in PANELS:
        assert panel["type"] in ("timeseries", "stat")
        assert panel["fieldConfig"]["defaults"]["unit"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(panel))) - {"__rate_interval"}
        assert used <= variables


def hastened(folder: Path, port: int) -> Path:
    """Write a Prometheus's configuration whose rules are ours with minutes made seconds: nobody waits for five."""
    text = (OPS / "alerts.yml").read_text(encoding="utf-8")
    text = re.sub(r"for: \d+m", "for: 1s", re.sub(r"\[\d+m\]", "[5s]", text))
    (folder / "alerts.yml").write_text(text, encoding="utf-8")
    made: dict[str, Any] = yaml.safe_load((OPS / "prometheus.yml").read_text(encoding="utf-8"))
    made["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms", "scrape_timeout": "500ms"}
    made["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(made), encoding="utf-8")
    return file


@needs_prometheus
def test_an_alert_fires_when_calls_fail(tmp_path: Path) -> None:
    """Our rules in a real Prometheus that reads a real server, whose one model fails and whose other one does not."""

    async def failing(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b'{"error": {"message": "made up"}}', "500 Oops"))

    async def answering(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b'{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}'))

    async def play() -> None:
        async with played(failing) as bad, played(answering) as good:
            home = tmp_path / "home"
            home.mkdir()
            (home / "gateway.toml").write_text(
                "".join(
                    f'[[model]]\nname = "{name}"\nretries = 0\ntargets = [{{url = "{one.url}/v1"}}]\n'
                    for name, one in (("bad", bad), ("good", good))
                )
            )
            with served(home, LYCEUM_MODELS=str(tmp_path / "none")) as server:
                await watched(server.url, server.port)

    async def watched(url: str, port: int) -> None:
        mine = free_port()
        command = ["prometheus", f"--config.file={hastened(tmp_path, port)}", f"--storage.tsdb.path={tmp_path}/data",
                   f"--web.listen-address=127.0.0.1:{mine}", "--log.level=error"]  # fmt: skip
        process = await asyncio.create_subprocess_exec(*command)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
                alerts = await fired(http, url, f"http://127.0.0.1:{mine}/api/v1")
            assert {one["labels"].get("model") for one in alerts} == {"bad"}
        finally:
            process.terminate()
            await process.wait()

    async def fired(http: httpx.AsyncClient, url: str, prometheus: str) -> list[dict[str, Any]]:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for name in ("bad", "good"):
                asked = {"model": name, "messages": []}
                found = await http.post(f"{url}/v1/chat/completions", json=asked)
                assert (found.status_code < 400) == (name == "good")
            await asyncio.sleep(0.1)
            try:
                told = (await http.get(f"{prometheus}/alerts")).json()["data"]["alerts"]
                loaded = (await http.get(f"{prometheus}/rules")).json()["data"]["groups"]
            except (httpx.TransportError, KeyError, ValueError):
                continue  # it is not up yet
            firing = [one for one in told if one["state"] == "firing"]
            failing = [one for one in firing if one["labels"]["alertname"] == "LyceumCallsFail"]
            if failing:
                assert [len(group["rules"]) for group in loaded] == [len(RULES)]
                return failing
        raise AssertionError("no alert fired")

    run(play())
