"""Nothing of what documents, models, questions or addresses say runs in a page, loads anything or leads away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from markdown_it import MarkdownIt

from tests.app.served import Server, command, served
from tests.web.conftest import PHONE, Open, Watched
from tests.web.hostile import PAYLOADS
from tests.web.standin import Standin, standin

LEADS = """[...document.querySelectorAll('[href], [src], [action], [formaction], [data], [srcdoc]')]
  .flatMap(one => ['href', 'src', 'action', 'formaction', 'data', 'srcdoc'].map(name => one.getAttribute(name)))
  .filter(one => one && !one.startsWith('/') && one !== '#main')"""
HANDLERS = """[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames())
  .filter(name => name.startsWith('on'))"""


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Standin, Server]]:
    """A server whose documents have each payload as name, title and text, and whose model says what it is told."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "files").mkdir()
    for number, payload in enumerate(PAYLOADS):
        page = f"<title>{escape(payload)}</title><p>Record R{number}00 says {escape(payload)}.</p>"
        name = f"{number} {payload}".replace("/", "\u2215")  # the one character of them that no name may hold
        (folder / "files" / f"{name}.html").write_text(page, "utf-8")
    home = folder / "home"
    words = {"LYCEUM_ENCODER__KIND": "none"}
    assert command(["ingest", "--home", str(home), str(folder / "files")], **words).returncode == 0
    with standin() as model, served(home, **model.environment(), **words) as running:
        bad = {"file": ("bad.pdf", b"%PDF-1.4")}
        httpx.post(f"{running.url}/api/documents", files=bad, data={"source": PAYLOADS[0]}, trust_env=False)
        yield model, running


def inert(seen: Watched) -> None:
    """Fail if anything ran or left, or if a part of the page could lead or run when it is touched."""
    seen.clean()
    assert seen.page.evaluate(LEADS) == []
    assert seen.page.evaluate(HANDLERS) == []


def test_each_payload_in_each_place(watched: Open, harmed: tuple[Standin, Server]) -> None:
    """Question, answer, title, file name, quoted words, source beside it, readers: seven places a payload."""
    model, server = harmed
    seen = watched(server.url)
    named = 0
    for number, payload in enumerate(PAYLOADS):
        model.pieces = [f"It says {payload} [1]\n\n{payload}"]
        asked = {
            "q": f"What does record R{number}00 say? {payload}",
            "as": payload if payload.isprintable() else "",
        }
        page: Any = seen.open(f"/?{urlencode(asked)}")
        assert page.locator(".turn").count() == 1
        inert(seen)
        shown = page.locator(".sources").inner_text()
        named += f"{number} " in shown and payload.strip()[:12] in shown
        page.locator(".sources a").first.click()
        page.locator("#source h2").wait_for()
        inert(seen)
    assert named >= len(PAYLOADS) - 4, "the documents with the payloads are those that are cited"


def test_all_payloads_in_one_stream(watched: Open, harmed: tuple[Standin, Server]) -> None:
    model, server = harmed
    model.pieces = [f"{payload} [1]\n\n" for payload in PAYLOADS]
    seen = watched(server.url, viewport=PHONE)
    page: Any = seen.open()
    page.fill("#q", f"What does record R100 say? {PAYLOADS[1]}")
    page.keyboard.press("Enter")
    page.locator(".sources").wait_for()
    inert(seen)
    page.locator("button[value=bad]").first.click()
    page.locator("[name=reason]").fill(PAYLOADS[4])
    page.locator(".why button").click()
    page.locator(".why:not([open])").wait_for()
    page.goto(server.url)  # with the earlier question kept in the browser, and a file that failed
    page.locator("#recent summary").click()
    inert(seen)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_payloads_in_addresses(watched: Open, harmed: tuple[Standin, Server]) -> None:
    _, server = harmed
    seen = watched(server.url)
    for payload in (quote(one, safe="") for one in PAYLOADS[:8]):
        for path in (
            f"/{payload}",
            f"/login?next={payload}",
            f"/source/{payload}",
            f"/?lang={payload}&theme={payload}",
        ):
            seen.open(path)
            assert (seen.foreign, seen.dialogs) == ([], [])
            assert seen.page.evaluate(LEADS) == []
            assert seen.page.evaluate(HANDLERS) == []


def test_the_markdown_file_holds_no_tag_and_no_picture(harmed: tuple[Standin, Server]) -> None:
    _, server = harmed
    for payload in PAYLOADS:
        cited = {"number": 1, "document_id": "x", "source": payload, "title": payload, "quote": payload}
        told = {
            "question": payload,
            "answer": f"{payload} [1]",
            "abstained": False,
            "trace_id": "t",
            "citations": [cited],
        }
        made = httpx.post(f"{server.url}/markdown", data={"told": json.dumps(told)}, trust_env=False)
        assert made.status_code == 200
        assert made.headers["content-disposition"].startswith("attachment")
        html = MarkdownIt("commonmark").render(made.text).lower()
        for never in ("<script", "<img", "<iframe", "<svg", "<a ", "onerror=alert(1)>"):
            assert never not in html.replace("&gt;", ""), (payload, html)


def test_control_the_payloads_would_run_and_load(browser: Any) -> None:
    """In a page without escaping and policy at least two thirds of the payloads that hold a tag do harm."""
    harm = 0
    tags = [one for one in PAYLOADS[:20] if one.startswith(("<", '"'))]
    seen = Watched(browser, "http://none.invalid", bypass_csp=True)
    for payload in tags:
        before = len(seen.foreign) + len(seen.dialogs)
        seen.page.set_content(f"<p>{payload}</p>", wait_until="commit")
        seen.page.wait_for_timeout(60)
        harm += len(seen.foreign) + len(seen.dialogs) > before
    seen.context.close()
    assert harm >= len(tags) * 2 / 3, harm


def test_long_answers_and_other_directions(watched: Open, harmed: tuple[Standin, Server]) -> None:
    model, server = harmed
    model.pieces = [f"Paragraph {n} of many words, {'very ' * 40}long [1].\n\n" for n in range(150)]
    model.pieces += [
        "مرحبا بكم في المستودع [1].\n\n",
        f"{'x' * 5000}\n\n",
        "👩‍👩‍👧‍👦 🏳️‍🌈\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    ]
    seen = watched(server.url, viewport=PHONE)
    page: Any = seen.open()
    page.fill("#q", "What does record R200 say?")
    page.keyboard.press("Enter")
    page.locator(".sources").wait_for()
    assert page.locator(".said p").count() >= 150
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    arabic = page.locator(".said p", has_text="مرحبا").bounding_box()
    start = page.evaluate("""() => {
      const words = [...document.querySelectorAll('.said p')].find(one => one.textContent.includes('مرحبا'))
      const range = document.createRange(); range.selectNodeContents(words)
      return range.getBoundingClientRect().right }""")
    assert start == pytest.approx(arabic["x"] + arabic["width"], abs=4), "it begins at the right"
    assert page.locator(".said td").count() == 2
    seen.clean()
