"""Asking in a browser: two languages, two widths, to the highlight over the quoted words; and what may go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from lyceum.evals import examples
from tests.app.served import Server, served, told
from tests.web.conftest import PHONE, WIDE, Open, seriously
from tests.web.standin import Standin, standin

BATTERY = "How long does the battery of the PolarNode P7 last?"
PROBATION = "新员工的试用期是几个月？"
PRICE = "How long is the delivery time of the FrostTag F4?"
NOWHERE = "Who painted the ceiling of the Sistine Chapel?"
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def ask(page: Any, question: str) -> Any:
    """Ask by keyboard and return the answer's article."""
    page.keyboard.press("Escape")  # a page opens in its question
    page.keyboard.press("/")
    if page.input_value("#q"):  # on a busy machine a page takes its focus late: then it was typed
        page.fill("#q", "")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    turn = page.locator(f".turn[data-question={json.dumps(question, ensure_ascii=False)}]")
    turn.wait_for()
    return turn


@pytest.mark.parametrize(
    ("question", "locale", "short", "viewport"),
    [(BATTERY, "en-GB", "6 years", WIDE), (PROBATION, "zh-CN", "试用期为三个月", PHONE)],
    ids=["en", "zh-phone"],
)
def test_from_the_question_to_the_quoted_words(
    watched: Open, server: Server, question: str, locale: str, short: str, viewport: dict[str, int]
) -> None:
    seen = watched(locale=locale, viewport=viewport)
    page: Any = seen.open()
    turn = ask(page, question)
    assert short in turn.locator(".said").inner_text()
    assert page.evaluate(FITS)
    assert seriously(page) == []
    page.keyboard.press("Escape")  # out of the question, so that arrows are for the sources
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    marks = page.locator("#source .boxes rect")
    marks.first.wait_for()
    page.locator("#source img").evaluate("one => one.decode()")
    assert_over_the_words(page, server, turn.locator(".sources a").first.get_attribute("href"))
    assert page.evaluate(FITS)
    assert seriously(page) == []
    page.keyboard.press("Escape")
    assert page.locator("#source").is_hidden()
    assert page.evaluate("document.activeElement.dataset.cite") == "1", "back where one came from"
    seen.clean()


def assert_over_the_words(page: Any, server: Server, href: str) -> None:
    """Compare each highlight with the box of the quote, over the picture of the page that the API draws."""
    asked = {name: value[0] for name, value in parse_qs(urlsplit(href).query).items()}
    document = urlsplit(href).path.rpartition("/")[2]
    address = f"{server.url}/api/documents/{document}/pages/{asked['page']}"
    given = {"quote": asked["quote"], "chunk": asked["chunk"]}
    measured = httpx.get(address, params=given, trust_env=False).json()
    drawn = httpx.get(f"{address}.png", params=given, trust_env=False)
    assert int(drawn.headers["x-boxes"]) == len(measured["boxes"]) > 0
    image = page.locator("#source img").bounding_box()
    assert image["width"] / image["height"] == pytest.approx(measured["width"] / measured["height"], rel=0.01)
    marks = page.locator("#source .boxes rect")
    assert marks.count() == len(measured["boxes"])
    scale = image["width"] / measured["width"]
    for index, (left, top, right, low) in enumerate(measured["boxes"]):
        found = marks.nth(index).bounding_box()
        wanted = (
            image["x"] + left * scale,
            image["y"] + top * scale,
            (right - left) * scale,
            (low - top) * scale,
        )
        assert (found["x"], found["y"], found["width"], found["height"]) == pytest.approx(wanted, abs=2.0)
    sheet, first = page.locator("#source .sheet").bounding_box(), marks.first.bounding_box()
    assert sheet["y"] <= first["y"] <= sheet["y"] + sheet["height"], "brought into view"


def test_a_row_of_a_sheet(watched: Open) -> None:
    seen = watched(color_scheme="dark")
    page: Any = seen.open()
    turn = ask(page, PRICE)
    assert turn.locator(".found dd b").inner_text() == "5 days"
    turn.locator(".sources a").first.click()
    row = page.locator("#source tr.marked")
    row.wait_for()
    assert row.count() == 1
    assert row.locator("mark").nth(1).inner_text() == "FrostTag F4"
    assert "sheet Sensors, row" in page.locator("#source").inner_text()
    assert seriously(page) == []
    seen.clean()


def test_a_refusal_says_why_and_what_next(watched: Open) -> None:
    seen = watched(locale="zh-CN", viewport=PHONE)
    page: Any = seen.open()
    turn = ask(page, NOWHERE)
    said = turn.locator(".abstained").inner_text()
    assert "没有回答" in said
    assert "nothing that answers this question" in said
    assert turn.locator(".sources").count() == 0
    assert seriously(page) == []
    seen.clean()


def test_a_replaced_edition_is_named(watched: Open) -> None:
    page: Any = watched(java_script_enabled=False).open(
        f"/?q={quote('What is the daily allowance for meals within Europe?')}"
    )
    assert "EUR 51" in page.locator(".said").inner_text()
    assert "version 1" in page.locator(".replaced").inner_text()


def test_sources_that_disagree(watched: Open) -> None:
    page: Any = watched().open(f"/?q={quote('How many guilders a day is the mooring fee at Pier 9?')}")
    assert "Sources 1 and 2 disagree" in page.locator(".turn").inner_text()
    assert "disagrees with 2" in page.locator(".sources a").first.inner_text()
    assert seriously(page) == []


def test_it_reads_without_javascript(watched: Open) -> None:
    seen = watched(java_script_enabled=False)
    page: Any = seen.open()
    page.fill("#q", BATTERY)
    page.click("#ask button")
    assert "6 years" in page.locator(".said").inner_text()
    page.locator(".sources a").first.click()
    assert page.locator(".boxes rect").count() == 1
    page.go_back()
    page.click("button[value=good]")
    assert "feedback.jsonl" in page.locator("main").inner_text()
    seen.clean()


def test_page_http_and_command_line_say_the_same(server: Server, home: Path) -> None:
    for question in (BATTERY, PROBATION, NOWHERE):
        shown = httpx.get(
            server.url, params={"q": question}, headers={"accept": "text/html"}, trust_env=False
        ).text
        page = hidden(shown)
        over_http = httpx.post(
            f"{server.url}/api/answer", json={"question": question}, trust_env=False
        ).json()
        with httpx.stream(
            "POST", f"{server.url}/ask", json={"question": question}, trust_env=False
        ) as events:
            last = [line for line in events.iter_lines() if line.startswith("data: ")][-1]
        streamed = hidden(json.loads(last.removeprefix("data: "))["html"])
        with ThreadPoolExecutor() as thread:  # playwright's loop runs in this one
            _, by_command = thread.submit(told, "ask", "--home", str(home), question).result()
        assert page.pop("question") == streamed.pop("question") == question
        for one in (page, streamed, over_http, by_command):
            del one["seconds"], one["trace_id"]
        assert page == streamed == over_http == by_command


def hidden(html: str) -> dict[str, Any]:
    """Return the answer that a page carries for its forms."""
    import lxml.html

    (field,) = lxml.html.fromstring(html).xpath("//input[@name='told']/@value")
    found: dict[str, Any] = json.loads(field)
    return found


def test_thumbs_become_examples(watched: Open, home: Path) -> None:
    seen = watched()
    page: Any = seen.open()
    turn = ask(page, BATTERY)
    turn.locator("button[value=good]").first.click()
    turn.locator("button[value=good][aria-pressed=true]").wait_for()
    trace = turn.get_attribute("data-trace")
    (one,) = [one for one in examples.read(home / "feedback.jsonl") if one.id == trace]
    assert (one.question, one.answers, one.meta["state"]) == (BATTERY, (("6 years",),), "accepted")
    assert (one.gold[0].page, "good" in one.tags) == (1, True)
    turn.locator("button[value=bad]").first.click()
    turn.locator("[name=reason]").fill("It says years & <months>.")
    turn.locator("[name=right]").fill("72 months")
    turn.locator(".why button").click()
    page.locator(".why:not([open])").wait_for()
    (one,) = [one for one in examples.read(home / "feedback.jsonl") if one.id == trace]
    assert (one.answers, one.meta["why"], "bad" in one.tags) == (
        (("72 months",),),
        "It says years & <months>.",
        True,
    )
    seen.clean()


def test_the_answer_as_markdown(watched: Open) -> None:
    seen = watched(locale="zh-CN", accept_downloads=True)
    page: Any = seen.open()
    turn = ask(page, BATTERY)
    with page.expect_download() as started:
        turn.locator("button[formaction]").click()
    text = Path(started.value.path()).read_text("utf-8")
    assert started.value.suggested_filename.endswith(".md")
    assert text.startswith(f"# {BATTERY}\n")
    assert "## 来源" in text
    assert "sensor-product-guide.pdf，第 1 页" in text.replace(", ", "，")
    seen.clean()


def test_earlier_questions_stay_in_this_browser(watched: Open) -> None:
    seen = watched()
    page: Any = seen.open()
    ask(page, BATTERY)
    page.goto(seen.url)
    page.locator("#recent summary").click()
    page.locator("#recent a").click()
    page.locator(".sources").wait_for()
    page.locator("#recent button").click()
    assert page.locator("#recent").is_hidden()
    assert page.evaluate("localStorage.length") == 0
    seen.clean()


def test_a_follow_up_is_asked_with_the_turns_before(watched: Open) -> None:
    seen = watched()
    page: Any = seen.open()
    ask(page, BATTERY)
    with page.expect_request("**/ask") as sent:
        ask(page, "And that of the PolarNode P9?")
    assert sent.value.post_data_json["history"][0] == {"role": "user", "content": BATTERY}
    assert "42 months" in page.locator(".turn .said").nth(1).inner_text()
    seen.clean()


def test_readers_see_what_is_theirs(watched: Open) -> None:
    question = "What is the salary of the harbour master?"
    page: Any = watched().open(f"/?q={quote(question)}")
    assert "91,000" not in page.content()
    page = watched().open("/?as=hr")
    turn = ask(page, question)
    assert "91,000 guilders" in turn.locator(".said").inner_text()
    turn.locator(".sources a").click()
    page.locator("#source mark").wait_for()
    assert "as=hr" in page.url


@pytest.fixture(scope="module")
def written(home: Path) -> Iterator[tuple[Standin, Server]]:
    """A server whose answers a model writes, over the same home."""
    with standin() as model, served(home, **model.environment()) as running:
        yield model, running


def test_a_written_answer_comes_piece_by_piece(watched: Open, written: tuple[Standin, Server]) -> None:
    model, server = written
    model.pieces, model.pause = ["The **battery** lasts ", "6 years [1].\n\n", "- one\n", "- two\n"], 0.3
    seen = watched(server.url)
    page: Any = seen.open()
    page.fill("#q", BATTERY)
    page.keyboard.press("Enter")
    page.locator(".coming", has_text="battery").wait_for()
    assert page.locator(".sources").count() == 0, "it is not complete yet"
    page.locator(".sources").wait_for()
    assert page.locator(".said strong").inner_text() == "battery"
    assert page.locator(".said li").count() == 2
    assert page.locator(".said a.cite").count() == 1
    seen.clean()


def test_stopped_by_hand(watched: Open, written: tuple[Standin, Server]) -> None:
    model, server = written
    model.pieces, model.pause = ["The battery lasts "] * 40, 0.25
    seen = watched(server.url)
    page: Any = seen.open()
    page.fill("#q", BATTERY)
    page.keyboard.press("Enter")
    page.locator(".coming", has_text="battery").wait_for()
    page.click(".stop")
    assert "Stopped" in page.locator("[role=alert]").inner_text()
    assert "The battery lasts" in page.locator(".coming").inner_text()
    seen.clean()


def test_a_model_that_fails_is_said(watched: Open, written: tuple[Standin, Server]) -> None:
    model, server = written
    model.status = 400
    page: Any = watched(server.url, locale="zh-CN").open()
    page.fill("#q", BATTERY)
    page.keyboard.press("Enter")
    page.locator("[role=alert]", has_text="模型服务器").wait_for()
    model.status = 200


def test_the_server_goes_in_the_middle(watched: Open, written: tuple[Standin, Server]) -> None:
    """The last of this module: nobody answers afterwards."""
    model, server = written
    model.pieces, model.pause = ["The battery lasts "] * 200, 0.1
    seen = watched(server.url)
    page: Any = seen.open()
    page.fill("#q", BATTERY)
    page.keyboard.press("Enter")
    page.locator(".coming", has_text="battery").wait_for()
    server.process.kill()
    page.locator("[role=alert]", has_text="connection broke").wait_for()
    assert "The battery lasts" in page.locator(".coming").inner_text(), "what came is kept"
    page.click("[role=alert] button")
    page.locator("[role=alert]", has_text="The server does not answer").wait_for()
    assert (seen.foreign, seen.dialogs) == ([], [])
