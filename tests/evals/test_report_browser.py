"""report.html in Chromium, from disk and without a network: nothing leaves, nothing runs, everything can be read."""

from __future__ import annotations

import html
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from lyceum.evals import report
from tests.evals import reported
from tests.evals.reported import Harm, harmless

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update")  # fmt: skip
OPEN_ALL = """document.querySelectorAll('details').forEach(one => {
  one.open = true; one.style.contentVisibility = 'visible' })"""
SEEN = "name => [...document.querySelectorAll(`body [lang=${name}]`)].filter(one => one.checkVisibility()).length"
CHARTS = "svg.chart, svg.whisker, .shares i, .level"
WIDER = """width => [...document.querySelectorAll('body *')].filter(one =>
  one.getBoundingClientRect().right > width + 1
  && getComputedStyle(one).opacity !== '0').map(one => one.outerHTML.slice(0, 200))"""
BOXES = "wanted => [...document.querySelectorAll(wanted)].map(one => one.getBoundingClientRect().toJSON())"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        yield started.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("page"), Harm())


def written(folder: Path, words: Any) -> Path:
    others = [reported.run(folder / "theirs", words, shift=2)]
    return report.write(
        reported.run(folder / "mine", words), others, reported.autopsy(words), reported.comparison(words)
    )


class Watched:
    """A page that was opened, with all that it tried to load, said and asked."""

    def __init__(self, browser: Browser, file: Path, width: int = 1200, dark: bool = False) -> None:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", offline=True
        )
        self.requests: list[str] = []
        self.forbidden: list[str] = []
        self.said: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("request", lambda one: self.requests.append(one.url))
        self.page.on("requestfailed", self._failed)
        self.page.on("console", lambda one: self.said.append(one.text))
        self.page.on("pageerror", lambda one: self.said.append(str(one)))
        self.page.on("dialog", lambda one: (self.said.append("dialog"), one.dismiss()))
        self.page.goto(file.as_uri())

    def _failed(self, request: Request) -> None:
        if request.failure == "csp":
            self.forbidden.append(request.url)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1200, 360])
def test_it_opens_from_disk_in_both_languages(browser: Browser, file: Path, width: int, dark: bool) -> None:
    watched = Watched(browser, file, width, dark)
    page = watched.page
    page.evaluate(OPEN_ALL)
    for chosen, other, said in (("en", "zh", "All questions"), ("zh", "en", "全部问题")):
        page.click(f"label[for={'english' if chosen == 'en' else 'chinese'}]")
        page.wait_for_timeout(50)
        assert said in page.inner_text("main")
        assert page.evaluate(SEEN, chosen) == page.locator(f"body [lang={chosen}]").count() > 60
        assert page.evaluate(SEEN, other) == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "it can be moved sideways"
        assert not page.evaluate(WIDER, width)
    for box in page.evaluate(BOXES, CHARTS):
        assert box["width"] > 2, box
        assert box["height"] > 2, box
    assert watched.requests == [file.as_uri()]
    assert watched.said == []


def test_questions_can_be_picked_and_opened_without_script(browser: Browser, tmp_path: Path) -> None:
    page = Watched(browser, written(tmp_path, harmless)).page
    rows = page.locator(".list > details:visible")
    assert rows.count() == len(reported.STATES) + 1
    page.click("label[for=only-wrong]")
    assert rows.count() == reported.STATES.count("wrong")
    assert page.locator("text=gold document not found >> visible=true").count() == 0
    rows.first.locator("summary").click()
    assert page.locator("text=gold document not found >> visible=true").count() == 1
    page.click("label[for=only-all]")
    assert rows.count() == len(reported.STATES) + 1


def test_keys_reach_the_language_and_the_filter(browser: Browser, tmp_path: Path) -> None:
    page = Watched(browser, written(tmp_path, harmless)).page
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert "全部问题" in page.inner_text("main")
    page.focus("#only-all")
    page.keyboard.press("ArrowRight")
    assert page.locator(".list > details:visible").count() == reported.STATES.count("failed")


def test_it_is_printed_on_white_in_the_chosen_language(browser: Browser, file: Path) -> None:
    page = Watched(browser, file, dark=True).page
    page.click("label[for=chinese]")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.locator("nav:visible, .filters label:visible").count() == 0
    assert page.locator(".list > details:visible").count() == len(reported.STATES) + 1
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("policy", [True, False])
def test_a_page_that_escapes_nothing_would_be_caught(
    browser: Browser, file: Path, tmp_path: Path, policy: bool
) -> None:
    """The control: unescaped, these words leave the page and run; the policy alone stops all but a refresh."""
    told = html.unescape(file.read_text(encoding="utf-8"))
    told = told.replace("http-equiv='refresh'", "").replace("<!--", "")  # these would end the page early
    if not policy:
        told = told.replace('http-equiv="Content-Security-Policy"', "")
    (tmp_path / "raw.html").write_text(told, encoding="utf-8")
    watched = Watched(browser, tmp_path / "raw.html")
    watched.page.wait_for_timeout(100)
    tried = {one for one in watched.requests if "192.0.2.1" in one}
    assert {"http://192.0.2.1/x.png", "http://192.0.2.1/y"} <= tried, "Chromium reports what it was kept from"
    assert bool(tried - {*watched.forbidden}) is not policy
    assert any("Content Security Policy" in one for one in watched.said) is policy
    assert ("dialog" in watched.said) is not policy
