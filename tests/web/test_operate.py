"""The numbers of the meters in a browser, alerts, and a model that is switched and seen switched."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from lyceum.app.top import Seen, samples
from lyceum.app.web import figures, words
from lyceum.gateway import book
from tests.app.served import Server
from tests.web.conftest import PHONE, Open, seriously
from tests.web.hostile import PAYLOADS
from tests.web.standin import Standin, standin
from tests.web.test_hostile import inert


@pytest.fixture
def routed(home: Path, server: Server) -> Iterator[tuple[Standin, Standin]]:
    """Two models, each a stand-in that says its own name, and a name that means the first."""
    file = home / "gateway.toml"
    with standin() as first, standin() as second:
        first.pieces, second.pieces = ["the first"], ["the second"]
        made = "".join(
            f'[[model]]\nname = "{name}"\n' + "".join(
                f'[[model.targets]]\nurl = "http://127.0.0.1:{port}/v1"\nmodel = "m"\n' for port in ports
            )
            for name, ports in (("one", [first.port]), ("two", [second.port]), ("both", [first.port, second.port]))
        )  # fmt: skip
        used(server, file, made + '[alias]\nchat = "one"\n', "chat")
        yield first, second
        used(server, file, "", "")


def used(server: Server, file: Path, text: str, alias: str) -> None:
    """Write the gateway's file and wait until it is in use."""
    file.write_text(text, "utf-8")
    for _ in range(200):
        told = httpx.get(f"{server.url}/admin/gateway", trust_env=False).json()
        if bool(told["model"]) == bool(text) and (not alias or alias in told["alias"]):
            return
    raise AssertionError(told)


def said(server: Server, model: str) -> str:
    """Return what a model answers."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Who?"}]}
    text = httpx.post(f"{server.url}/v1/chat/completions", json=body, trust_env=False, timeout=20).text
    rows = [json.loads(row[6:]) for row in text.split("\n") if row.startswith("data: {")]
    return "".join(row["choices"][0]["delta"].get("content") or "" for row in rows if row["choices"])


def test_a_model_is_switched_and_seen_switched(
    watched: Open, server: Server, routed: tuple[Standin, Standin]
) -> None:
    assert said(server, "chat") == "the first"
    seen = watched()
    page: Any = seen.open("/operate")
    form = page.locator("form.route", has=page.locator("strong", has_text="chat"))
    form.locator("select").select_option("two")
    form.get_by_role("button").click()
    assert page.locator("[role=status]").first.inner_text().startswith("chat is switched")
    assert form.locator("select").input_value() == "two"
    assert said(server, "chat") == "the second"
    both = page.locator(".model", has=page.locator("h3", has_text="both"))
    for box, weight in zip(both.locator("[name=weight]").all(), ("0", "1"), strict=True):
        box.fill(weight)
    both.get_by_role("button", name="Set weights").click()
    assert [float(one.get_attribute("width")) for one in both.locator("svg rect").all()] == [4.0, 1000.0]
    assert {said(server, "both") for _ in range(6)} == {"the second"}
    one = page.locator(".model", has=page.locator("h3", has_text="one"))
    one.locator("[name=url]").fill(f"http://127.0.0.1:{routed[1].port}/v1")
    one.get_by_role("button", name="Change").click()
    assert said(server, "one") == "the second"
    row = page.locator("#numbers table tr", has_text="both").first
    page.reload()
    assert row.is_visible()
    page.evaluate("scrollTo(0, 0)")  # nothing under the bar at the top
    assert seriously(page) == []
    seen.clean()


def test_a_wrong_switch_changes_nothing(
    watched: Open, server: Server, routed: tuple[Standin, Standin]
) -> None:
    before = httpx.get(f"{server.url}/admin/gateway", trust_env=False).json()
    seen = watched(java_script_enabled=False)
    page: Any = seen.open("/operate?lang=zh")
    one = page.locator(".model", has=page.locator("h3", has_text="one"))
    one.locator("[name=url]").fill("ftp://nowhere")
    one.get_by_role("button").click()
    assert "网关配置有误" in page.locator("h1").inner_text()
    assert httpx.get(f"{server.url}/admin/gateway", trust_env=False).json() == before
    seen.errors.clear()
    seen.clean()


def test_another_site_switches_nothing(server: Server, routed: tuple[Standin, Standin]) -> None:
    sent = {"name": "chat", "model": "two"}
    far = {"origin": "http://evil.example"}
    assert (
        httpx.post(f"{server.url}/operate/alias", data=sent, headers=far, trust_env=False).status_code == 403
    )
    assert said(server, "chat") == "the first"


def test_the_numbers_are_those_of_the_meters(watched: Open, server: Server) -> None:
    seen = watched()
    page: Any = seen.open("/operate")

    def asked() -> int:
        return int(page.locator(".tile", has_text="Questions").locator("b").inner_text())

    def metered() -> float:
        return Seen({}, samples(httpx.get(f"{server.url}/metrics", trust_env=False).text), 1.0).rate(
            figures.ANSWERS
        )

    shown, counted = asked(), metered()
    for _ in range(3):
        body = {"question": "What is the mooring fee at Pier 9?"}
        httpx.post(f"{server.url}/api/answer", json=body, trust_env=False, timeout=20)
    page.reload()
    assert (asked() - shown, metered() - counted) == (3, 3)
    assert "/api/answer" in page.locator("#numbers").inner_text()
    seen.clean()


METERS = """
lyceum_answers_total{outcome="answered"} 90
lyceum_answers_total{outcome="timeout"} 10
lyceum_answer_seconds_bucket{le="5.0"} 10
lyceum_answer_seconds_bucket{le="10.0"} 100
lyceum_answer_seconds_bucket{le="+Inf"} 100
lyceum_gateway_calls_total{model="m",tenant="t",outcome="upstream"} 6
lyceum_gateway_calls_total{model="m",tenant="t",outcome="limited"} 30
lyceum_gateway_calls_total{model="m",tenant="t",outcome="ok"} 64
lyceum_gateway_queued{model="m"} 11
lyceum_gateway_breaker{model="m",target="u"} 1
lyceum_gateway_config_refused 1
lyceum_view_lag{view="postings"} 1001
lyceum_spans_total{result="failed"} 1
"""


def test_what_wants_attention_is_said_in_both_languages() -> None:
    found = dict(figures.alerts(Seen({}, samples(METERS), 300.0), 5_000_000))
    assert found.keys() == {
        "answers_fail", "answers_slow", "calls_fail", "limits", "queue", "left_alone", "view_behind",
        "config_refused", "spans_lost", "disk",
    }  # fmt: skip
    assert found["calls_fail"] == {"n": 6, "all": 100, "model": "m"}
    well = METERS.replace(" 10\n", " 0\n", 1).replace(" 6\n", " 5\n").replace('upstream"} 5', 'upstream"} 3')
    assert "calls_fail" not in dict(figures.alerts(Seen({}, samples(well), 300.0), 5_000_000_000))
    for language in ("en", "zh"):
        for name, told in found.items():
            assert "{" not in words.say(language, f"alert.{name}", **told)
            assert words.say(language, f"alert.{name}_do")


def test_on_a_phone_in_both_languages(watched: Open, routed: tuple[Standin, Standin]) -> None:
    seen = watched(viewport={**PHONE, "width": 375})
    for language in ("en", "zh"):
        page: Any = seen.open(f"/operate?lang={language}&theme=dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert seriously(page) == []
    seen.clean()


def test_each_payload_in_each_place(
    watched: Open, server: Server, home: Path, routed: tuple[Standin, Standin]
) -> None:
    """Name of a model, alias, key and model in the usage book, what is wrong with the file: five places a payload."""
    text = (home / "gateway.toml").read_text("utf-8")
    alias = "".join(f'{json.dumps(one)} = "one"\n' for one in PAYLOADS if one.isprintable())
    more = "".join(
        f"[[model]]\nname = {json.dumps(f'x {one}')}\n"
        f'[[model.targets]]\nurl = "http://127.0.0.1:9/v1"\nmodel = {json.dumps(one)}\n'
        for one in PAYLOADS if one.isprintable()
    )  # fmt: skip
    used(server, home / "gateway.toml", text.replace("[alias]\n", f"{more}[alias]\n{alias}"), PAYLOADS[0])
    with closing(sqlite3.connect(home / "usage.db")) as db:
        db.executescript(book.SCHEMA)
        rows = [
            ("2099-01-01", one, one, one, one, 1, 1, 1, 10**12 - n, 0, 0, 0, 0)
            for n, one in enumerate(PAYLOADS)
        ]
        db.executemany(f"INSERT OR REPLACE INTO days VALUES ({', '.join('?' * 13)})", rows)
        db.commit()
    seen = watched()
    page: Any = seen.open("/operate")
    shown = page.locator("main").inner_text()
    assert sum(" ".join(one.split()) in " ".join(shown.split()) for one in PAYLOADS) > 25
    inert(seen)
    with closing(sqlite3.connect(home / "usage.db")) as db:
        db.execute("DELETE FROM days WHERE day = '2099-01-01'")
        db.commit()
