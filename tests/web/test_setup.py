"""Settings in a browser: values with their origin as the command prints them, secrets hidden, health, sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.served import Server, command, served
from tests.web.conftest import PHONE, Open, seriously
from tests.web.hostile import PAYLOADS
from tests.web.test_hostile import inert

GIVEN = {
    "LYCEUM_CHAT__KIND": "models.openai", "LYCEUM_CHAT__MODEL": "<img src=x onerror=alert(1)>",
    "LYCEUM_CHAT__BASE_URL": "http://name:hush@127.0.0.1:9/v1", "LYCEUM_CHAT_KEY": "sk-hush",
    "LYCEUM_ENCODER__KIND": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    """A server with secrets in its environment, a value in its file, and folders of hostile names."""
    home = tmp_path_factory.mktemp("setup") / "home"
    files = home.parent / "files"
    for number, payload in enumerate(PAYLOADS):
        folder = files / f"{number} {payload}".replace("/", "\u2215").replace("\n", " ")
        folder.mkdir(parents=True)
        (folder / "note.txt").write_text(f"Note {number}.\n", "utf-8")
    assert command(["ingest", "--home", str(home), str(files)], LYCEUM_ENCODER__KIND="none").returncode == 0
    (home / "lyceum.toml").write_text("[serve]\nburst = 77\n", "utf-8")
    with served(home, **GIVEN) as running:
        yield home, running


def test_values_are_those_of_the_command(watched: Open, told: tuple[Path, Server]) -> None:
    home, server = told
    rows = json.loads(command(["config", "--json", "--home", str(home)], **GIVEN).stdout)
    seen = watched(server.url)
    page: Any = seen.open("/settings")
    shown = {
        row.locator("td").nth(0).inner_text(): row for row in page.locator("#values ~ .scroll tbody tr").all()
    }
    assert shown.keys() == rows.keys()
    assert json.loads(shown["serve.burst"].locator("td").nth(1).inner_text()) == 77
    assert shown["serve.burst"].locator("td").nth(2).inner_text() == str(home / "lyceum.toml")
    assert shown["chat.model"].locator("td").nth(2).inner_text() == "LYCEUM_CHAT__MODEL"
    assert shown["chat.key"].locator("td").nth(1).inner_text() == '"***"'
    assert "hush" not in page.content()
    page.fill("[name=find]", "burst")
    page.keyboard.press("Enter")
    page.wait_for_url("**find=burst**")
    assert page.locator("#values ~ .scroll tbody tr").count() == 1
    inert(seen)


def test_health_is_that_of_doctor_and_hostile_names_are_words(
    watched: Open, told: tuple[Path, Server]
) -> None:
    home, server = told
    lines = json.loads(command(["doctor", "--json", "--home", str(home)], **GIVEN).stdout)
    seen = watched(server.url, viewport={**PHONE, "width": 375})
    page: Any = seen.open("/settings?lang=zh&theme=dark")
    assert page.locator(".health").count() == 0, "nothing is checked before it is asked for"
    page.get_by_role("button", name="立即检查").click()
    page.locator(".health").wait_for()
    assert page.locator(".health li").count() == len(lines)
    assert page.locator(".health .chip.bad").count() == sum(one["status"] == "fail" for one in lines) == 1
    assert "hush" not in page.content()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.evaluate("scrollTo(0, 0)")
    assert seriously(page) == []
    inert(seen)


def test_sources_are_those_that_may_be_seen(watched: Open, server: Server, home: Path) -> None:
    seen = watched()
    count = "[...document.querySelectorAll('section table')][0].innerText"
    everyone = seen.open("/settings").evaluate(count)  # type: ignore[attr-defined]
    of_hr = seen.open("/settings?as=hr").evaluate(count)  # type: ignore[attr-defined]
    assert everyone != of_hr
    seen.clean()
