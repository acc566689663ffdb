"""From nothing to the first cited answer in a browser, through the door of a server that has a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.served import Server, served
from tests.app.shelf import pdf
from tests.web.conftest import PHONE, Open, seriously

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("first") / "home"
    with served(home, LYCEUM_TOKEN=TOKEN, LYCEUM_ENCODER__KIND="none") as running:
        yield running


def enter(page: Any) -> None:
    page.fill("[name=token]", TOKEN)
    page.keyboard.press("Enter")
    page.locator("#ask").wait_for()


def test_from_nothing_to_the_first_answer(watched: Open, empty: Server, tmp_path: Path) -> None:
    file = tmp_path / "锚.pdf"
    file.write_bytes(
        pdf([["The anchor of the Kestrel weighs forty kilos."], ["Its chain is eleven fathoms long."]])
    )
    seen = watched(empty.url, viewport=PHONE, locale="zh-CN")
    page: Any = seen.open("/?lang=zh")
    assert page.url.startswith(f"{empty.url}/login?next=")
    page.fill("[name=token]", "guessed")
    page.keyboard.press("Enter")
    assert "令牌不正确" in page.locator("[role=alert]").inner_text()
    seen.errors.clear()  # the browser's own line about 401
    assert seriously(page) == []
    enter(page)
    assert page.locator(".steps li[aria-current]").inner_text().endswith("添加文档")
    assert seriously(page) == []
    page.set_input_files("[name=files]", file)
    page.locator("form[enctype] button").click()
    page.locator(".greet").wait_for()
    assert seriously(page) == []
    page.fill("#q", "How much does the anchor of the Kestrel weigh?")
    page.keyboard.press("Enter")
    page.locator(".sources a").first.click()
    page.locator("#source .boxes rect").first.wait_for()
    assert "锚.pdf" in page.locator("#source").inner_text()
    seen.clean()


def test_the_examples_are_queued_with_one_click(watched: Open, tmp_path: Path) -> None:
    """Without a script: it leads back to a page that says how far they are, and asks for itself again."""
    with served(tmp_path / "home", LYCEUM_ENCODER__KIND="none") as running:
        seen = watched(running.url, java_script_enabled=False)
        page: Any = seen.open()
        page.locator("form[action='/welcome'] button.first").click()
        assert "of 36 read" in page.locator("#first").inner_text()
        assert page.locator("noscript").count() == 1
        seen.clean()


def test_the_session_ends(watched: Open, empty: Server) -> None:
    seen = watched(empty.url)
    page: Any = seen.open()
    enter(page)
    page.locator(".menu summary").click()
    page.locator("form[action='/logout'] button").click()
    page.locator("[name=token]").wait_for()
    page.goto(empty.url)
    assert "/login" in page.url
    seen.clean()
