"""Sets, runs and comparisons in a browser: begun, watched, stopped, compared; hidden from who may not see them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lyceum.app import eval_started
from lyceum.core.types import EVERYONE, Answer, Chunk, Document, Example, Gold, Hit, Score
from lyceum.evals.records import Outcome, Summary, write_outcomes, write_summary
from lyceum.evals.run import summarise
from tests.app.served import Server, command
from tests.app.shelf import shelf
from tests.web.conftest import PHONE, Open, seriously
from tests.web.hostile import PAYLOADS
from tests.web.test_hostile import inert

QUESTIONS = """question,answer,document
How long does the battery of the PolarNode P7 last?,seven years,sensor-product-guide.pdf
What is the mooring fee at Pier 9?,12 guilders,harbour-fees.txt
"""


def written(
    home: Path, name: str, right: Sequence[bool], *, pipeline: str = "", say: Sequence[str] = (),
    readers: Sequence[str] = (), dataset: str = "drawn",
) -> str:  # fmt: skip
    """Write a run as an evaluation does: which questions it gets right, which words stand in them."""
    outcomes = []
    for number, good in enumerate(right):
        words = say[number % len(say)] if say else f"words {number}"
        document = Document(
            id=f"d{number}", source=f"{words.replace('/', ' ')}.txt", version="1", media="txt"
        )
        chunk = Chunk(id=f"c{number}", number=number, doc_id=document.id, text=words)
        example = Example(
            id=f"{number} {words}", question=f"Question {number} {words}", answers=((f"{words} {number}",),),
            gold=(Gold(document=document.source),), tags=(f"tag {words}",),
            readers=frozenset((EVERYONE, *readers)),
        )  # fmt: skip
        answer = Answer(
            text=f"{words} {'yes' if good else 'no'}", hits=(Hit(chunk=chunk, document=document, score=1.0),)
        )
        outcomes.append(
            Outcome(example=example, answer=answer, scores={"correct": Score(value=float(good))}, seconds=0.1)
            if good or number % 5 else
            Outcome(example=example, error=f"provider: {words}", scores={"correct": Score(value=0.0)})
        )  # fmt: skip
    head = Summary(
        id=name, dataset=dataset, data="0" * 12, pipeline=pipeline or name, configuration="", code="",
        models={"encoder": say[0] if say else "none"}, date=f"2026-01-0{len(name) % 9 + 1}T00:00:00+00:00", n=0,
        failed=0, metrics={},
    )  # fmt: skip
    folder = home / "runs" / name
    folder.mkdir(parents=True)
    write_outcomes(folder / "examples.jsonl", outcomes)
    write_summary(folder, summarise(head, outcomes, {}))
    return name


@pytest.fixture(scope="module")
def runs(home: Path) -> list[str]:
    """Two runs of which the second is better, and one that hr asked."""
    many = 120
    first = written(home, "aaaa1", [n % 3 == 0 for n in range(many)], pipeline="before")
    second = written(home, "bbbbb2", [n % 3 != 1 for n in range(many)], pipeline="after")
    return [first, second, written(home, "ccc3", [True, False], readers=["hr"], dataset="secret")]


def by_command(name: str, home: Path, *more: str) -> Any:
    return json.loads(command(["eval", name, "--json", "--home", str(home), *more]).stdout)


def ended(home: Path, state: str) -> eval_started.Started:
    deadline = time.monotonic() + 60
    while (found := eval_started.listed(home)[0]).state in eval_started.OPEN and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found.state == state, (found, *[one.read_text() for one in (home / "started").glob("*.log")])
    return found


def test_a_set_is_added_measured_and_compared_as_the_command_does(
    watched: Open, server: Server, home: Path, tmp_path: Path
) -> None:
    seen = watched()
    page: Any = seen.open("/evaluate")
    file = tmp_path / "harbour.csv"
    file.write_text(QUESTIONS, "utf-8")
    page.set_input_files("[name=file]", file)
    page.get_by_role("button", name="Add", exact=True).click()
    page.select_option("[name=dataset]", "harbour.csv")
    page.check("[name=pipeline][value=bm25]")
    page.get_by_role("button", name="Start").click()
    page.locator("#measuring .job").wait_for()
    made = ended(home, "done").runs
    page.locator(".board h3", has_text="harbour").wait_for(timeout=30_000)
    board = page.locator(".board", has=page.locator("h3", has_text="harbour"))
    assert board.locator("tbody tr").count() == len(made) == 2
    listed = by_command("leaderboard", home, "harbour")
    (rows,) = listed.values()
    for row, shown in zip(rows, board.locator("tbody tr").all_inner_texts(), strict=True):
        assert f"{row['correct']:.3f}" in shown
    for box in board.locator("tbody input").all():
        box.check()
    page.get_by_role("button", name="Compare the two ticked").filter(visible=True).first.click()
    page.wait_for_url("**/evaluate/compare?**")
    compared = by_command("compare", home, *re.findall(r"run=(\w+)", page.url)[::-1])
    text = page.locator("main").inner_text()
    for one in compared["differences"]:
        assert f"{one['difference']:+.3f}" in text
        assert f"[{one['low']:+.3f}, {one['high']:+.3f}]" in text
    seen.clean()


def test_what_is_measured_is_stopped_and_goes_on(watched: Open, home: Path) -> None:
    seen = watched(java_script_enabled=False)
    page: Any = seen.open("/evaluate")
    page.select_option("[name=dataset]", "examples")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Stop").click()
    assert "stopp" in page.locator("#measuring").inner_text()
    ended(home, "stopped")
    page.reload()
    assert "goes on from there" in page.locator("#measuring").inner_text()
    seen.clean()


def test_a_process_that_was_killed_is_told_from_one_that_works(home: Path) -> None:
    one = eval_started.begin(home, ["run", str(home / "datasets" / "nothing")])
    assert eval_started.listed(home)[0].state == "waiting"
    eval_started._children[-1].kill()
    eval_started._children[-1].wait()
    assert next(found for found in eval_started.listed(home) if found.id == one.id).state == "broken"
    failing = eval_started.begin(home, ["run", str(home / "datasets" / "nothing")])
    found = ended(home, "failed")
    eval_started._children[-1].wait()
    assert (found.id, found.error["code"] if found.error else "") == (failing.id, "not_found")


def test_compared_with_intervals_won_and_lost(watched: Open, runs: list[str]) -> None:
    seen = watched()
    page: Any = seen.open(f"/evaluate/compare?run={runs[1]}&run={runs[0]}")
    assert page.locator(".verdict").first.inner_text().startswith("better")
    assert page.locator("#won").inner_text() == "Won: 40 (Right answers)"
    drawn = page.locator(".ranks svg .bar").bounding_box()
    scale = page.locator("td.drawn svg").bounding_box()
    assert drawn["x"] > scale["x"] + scale["width"] / 2, "all of the interval is above 0"
    row = page.locator(".list details").first
    row.locator("summary").click()
    assert row.locator(".two").inner_text().count("Question") == 0
    assert row.locator(".two .chip.good").count() == row.locator(".two .chip.bad").count() == 1
    assert seriously(page) == []
    page.locator(".swap").click()
    assert page.locator(".verdict").first.inner_text().startswith("worse")
    page.goto(f"{seen.url}/evaluate/compare?run={runs[0]}")
    assert "Two runs compare." in page.locator("h1").inner_text()
    seen.errors.clear()
    seen.clean()


def test_a_run_its_questions_and_its_waterfall(watched: Open, runs: list[str], home: Path) -> None:
    falls = [["parse", 1.0, 120], ["fuse", 0.75, 120], ["read", 0.5, 120]]
    cause = {
        "example": "1 words 1",
        "stage": "fuse",
        "with": ["read"],
        "lost": "fuse",
        "facts": "facts",
        "fix": "mend",
    }
    told = json.dumps({"waterfall": falls, "causes": [cause]})
    (home / "runs" / runs[0] / "autopsy.json").write_text(told, "utf-8")
    seen = watched()
    page: Any = seen.open(f"/evaluate/run/{runs[0]}")
    lost = [float(one.get_attribute("width")) for one in page.locator(".falls svg .lost").all()]
    assert lost == [0.0, 250.0, 250.0]
    assert page.locator(".falls tbody tr").nth(1).inner_text().split() == ["Merge", "75.0%", "−30"]
    assert page.locator("#questions ~ .list details").count() == 50
    page.get_by_role("link", name="Next").click()
    page.get_by_role("link", name="Next").click()
    assert page.locator("#questions ~ .list details").count() == 20
    page.locator(".tile", has_text="wrong").click()
    assert page.locator("#questions ~ .list .chip").all_inner_texts() == ["wrong"] * 50
    assert seriously(page) == []
    seen.clean()


def test_what_others_asked_is_not_shown(watched: Open, runs: list[str]) -> None:
    seen = watched()
    page: Any = seen.open(f"/evaluate/run/{runs[2]}")
    assert "words 1" not in page.content()
    assert "2 questions were asked with rights" in page.locator("main").inner_text()
    page = seen.open(f"/evaluate/run/{runs[2]}?as=hr")
    assert "words 1" in page.content()
    seen.clean()


def test_on_a_phone_in_both_languages(watched: Open, runs: list[str]) -> None:
    seen = watched(viewport={**PHONE, "width": 375})
    for path in (
        "/evaluate?",
        f"/evaluate/run/{runs[2]}?",
        f"/evaluate/compare?run={runs[1]}&run={runs[0]}&",
    ):
        for language in ("en", "zh"):
            page: Any = seen.open(f"{path}lang={language}&theme=dark&as=hr")
            assert page.evaluate("document.documentElement.scrollWidth") <= 375
        assert seriously(page) == []
    seen.clean()


def test_a_run_that_cannot_be_read_is_said(watched: Open, home: Path, runs: list[str]) -> None:
    bad = home / "runs" / "ffff6"
    bad.mkdir()
    (bad / "summary.json").write_text("{}", "utf-8")
    seen = watched()
    page: Any = seen.open("/evaluate")
    assert "is no summary of a run" in page.locator("main > .note.bad").inner_text()
    assert page.get_by_role("button", name="Start").is_visible()
    (bad / "summary.json").unlink()
    bad.rmdir()
    page.reload()
    assert page.locator("main > .note.bad").count() == 0
    seen.clean()


def test_ten_thousand_questions_are_paged(tmp_path: Path) -> None:
    name = written(tmp_path / "home", "f" * 10, [n % 3 == 0 for n in range(10_000)], say=["alpha", "beta"])
    with shelf(tmp_path / "home") as client:
        began = time.process_time()
        first = client.get(f"/evaluate/run/{name}").text
        last = client.get(f"/evaluate/run/{name}?at=9950").text
        spent = time.process_time() - began
    assert "1 to 50 of 10000" in first
    assert "9951 to 10000 of 10000" in last
    assert len(first) < 150_000
    assert spent < 6, "read once, and two pages of it"


def test_names_from_outside_stay_inside(watched: Open, server: Server, runs: list[str]) -> None:
    page: Any = watched().page
    for path in ("/evaluate/run/%2e%2e%2fruns", "/evaluate/run/x%00", "/evaluate/run/*"):
        assert page.request.get(server.url + path).status in (400, 404), path
    for form in (
        {"dataset": "../../etc/passwd", "pipeline": "bm25"},
        {"dataset": "examples", "pipeline": "/etc/x.toml"},
    ):
        assert page.request.post(f"{server.url}/evaluate/start", form=form).status == 400, form
    for name in ("../up.csv", "x.exe", ".jsonl", "a b.csv"):
        sent = {"file": {"name": name, "mimeType": "text/csv", "buffer": QUESTIONS.encode()}}
        status = page.request.post(f"{server.url}/evaluate/datasets", multipart=sent, max_redirects=0).status
        assert status == (303 if name == "../up.csv" else 400), name
    bad = {"file": {"name": "bad.csv", "mimeType": "text/csv", "buffer": b"no,columns\n1,2\n"}}
    assert page.request.post(f"{server.url}/evaluate/datasets", multipart=bad).status == 400


def test_each_payload_in_each_place(watched: Open, home: Path) -> None:
    """Question, answer, gold, file, tag, error, example, facts, pipeline, model, set: eleven places a payload."""
    many = len(PAYLOADS)
    a = written(
        home,
        "ddd4",
        [n % 2 == 0 for n in range(many)],
        say=PAYLOADS,
        pipeline=PAYLOADS[3],
        dataset=PAYLOADS[0],
    )
    b = written(
        home,
        "eeee5",
        [n % 2 != 0 for n in range(many)],
        say=PAYLOADS,
        pipeline=PAYLOADS[19],
        dataset=PAYLOADS[0],
    )
    causes = [
        {"example": f"{n} {one}", "stage": "fuse", "with": [], "lost": "fuse", "facts": one, "fix": one}
        for n, one in enumerate(PAYLOADS)
    ]
    told = json.dumps({"waterfall": [["parse", 1.0, many]], "causes": causes})
    (home / "runs" / a / "autopsy.json").write_text(told, "utf-8")
    seen = watched()
    for path in ("/evaluate", f"/evaluate/run/{a}", f"/evaluate/compare?run={a}&run={b}"):
        page: Any = seen.open(path)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        text = page.locator("main").inner_text()
        if path != "/evaluate":
            shown = sum(" ".join(one.split()) in " ".join(text.split()) for one in PAYLOADS)
            assert shown > 25, f"{path} shows {shown} as text"
        inert(seen)
    for run in (a, b):
        for file in (home / "runs" / run).iterdir():
            file.unlink()
        (home / "runs" / run).rmdir()
