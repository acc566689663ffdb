"""The page of a question's way: its stages, where a document was lost, settings side by side, a pipeline kept."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from fastapi.testclient import TestClient

from lyceum.app import settings as reading
from lyceum.app import xray
from lyceum.app.eval_run import pipeline
from lyceum.core.errors import InvalidInput
from lyceum.core.types import Query
from tests.app.served import Server, command, served, told
from tests.app.shelf import add, shelf
from tests.web.conftest import PHONE, Open, seriously
from tests.web.hostile import PAYLOADS
from tests.web.test_hostile import inert

READS = {"accept": "text/html"}
QUESTION = "When does the north gate of the harbour open?"
WEIGHT = "retriever.retriever.retriever.weight"
FLEET = {
    "gates.txt": "The north gate of the harbour opens at seven in the morning.\n",
    "lamps.txt": "The lamps on the pier are lit at dusk.\n",
    "crew.txt": "A crew of nine sails the pilot boat.\n",
    **{f"gate{number}.txt": f"Gate {number} of the harbour is painted blue.\n" for number in range(20)},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with shelf(tmp_path_factory.mktemp("xray") / "home") as opened:
        for name, text in FLEET.items():
            add(opened, name, text.encode())
        add(opened, "secret.txt", b"The north gate of the harbour opens by night for the hr.\n", readers="hr")
        old = "Gate rules, version 1. Valid from 1 March 2020.\n\nThe south gate of the harbour closes at nine.\n"
        new = "Gate rules, version 2. Valid from 1 March 2024.\n\nThe south gate of the harbour closes at ten.\n"
        add(opened, "gate-rules-v1.txt", old.encode())
        add(opened, "gate-rules-v2.txt", new.encode())
        yield opened


def read(client: TestClient, **asked: Any) -> str:
    found = client.get(f"/xray?{urlencode(asked)}", headers=READS)
    assert found.status_code == 200, found.text
    return str(found.text)


def lost(client: TestClient, document: str, question: str = QUESTION, **asked: Any) -> str:
    page = read(client, q=question, document=document, **asked)
    return re.findall(r'data-stage="(\w+)"', page)[0]


def test_where_a_document_was_lost(client: TestClient) -> None:
    assert lost(client, "gates.txt") == "cited"
    assert lost(client, "nowhere.txt") == "unknown"
    assert lost(client, "secret.txt") == "visible"
    assert lost(client, "secret.txt", **{"as": "hr"}) in ("read", "cited")
    assert lost(client, "crew.txt") == "candidates"
    assert lost(client, "gates.txt", filters="type=pdf") == "filter"
    stages = {lost(client, f"gate{number}.txt") for number in range(0, 20, 3)}
    assert stages == {"read", "fuse"}, "some are among the hits that are read, some fell behind them"
    assert lost(client, "gate-rules-v1.txt", "When does the south gate of the harbour close?") == "edition"


def test_the_change_that_was_tried_is_told(client: TestClient) -> None:
    page = read(client, q=QUESTION, document="secret.txt")
    assert "readers = " in page
    assert "hr" in page
    assert "filters = none" in read(client, q=QUESTION, document="gates.txt", filters="type=pdf")


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    with shelf(tmp_path / "home") as client:
        for name, text in list(FLEET.items())[:6]:
            add(client, name, text.encode())
        add(client, "hidden.txt", b"The north gate of the harbour is closed.\n", readers="hr")
        page = {name: lost(client, name) for name in ("gates.txt", "crew.txt", "hidden.txt")}
    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadPoolExecutor(1) as other,
    ):  # playwright's loop runs in this one
        patch.setenv("LYCEUM_MODELS", str(tmp_path / "no-models"))
        for name, stage in page.items():
            _, found = other.submit(
                told, "eval why", QUESTION, name, "--home", str(tmp_path / "home")
            ).result()
            assert found["lost"] == ("" if stage == "cited" else stage)


def test_ranks_and_scores_are_those_of_the_search(client: TestClient) -> None:
    page = read(client, q=QUESTION)
    hits = client.post("/api/search", json={"question": QUESTION, "top_k": 15}).json()
    rows = re.findall(r'<th scope="row">.*?dir="auto">([^<]+)</a>.*?</tr>', page, re.S)
    cells = [
        re.findall(r"<td>(\d+)<small>([-\d.]+)</small>", row) for row in page.split('<th scope="row">')[1:]
    ]
    listed = {name: row for name, row in zip(rows, cells, strict=False) if row}
    assert len(listed) >= 15
    for rank, hit in enumerate(hits[:10], 1):
        assert (str(rank), f"{hit['score']:.3f}") in listed[hit["source"]], hit["source"]
    answer = client.post("/api/answer", json={"question": QUESTION}).json()
    assert answer["answer"] in page
    assert "<svg" in page
    assert "Choose the answer" in page


def test_a_change_is_seen_beside_and_only_there(client: TestClient) -> None:
    path = "answerer.threshold"
    page = read(client, q=QUESTION, **{f"set.{path}": "0.999"})
    assert page.count('class="side"') == 2
    now, other = page.split('class="side"')[1:]
    assert "opens at seven" in now.split("ranks")[0]
    assert 'class="chip warn">No answer' not in now
    assert 'class="chip warn">No answer' in other
    assert read(client, q=QUESTION, **{f"set.{path}": "0.3"}).count('class="side"') == 1, (
        "it is as configured"
    )
    assert "opens at seven" in client.post("/api/answer", json={"question": QUESTION}).json()["answer"]


def test_a_setting_that_cannot_be_is_told_on_its_side(client: TestClient) -> None:
    page = read(client, q=QUESTION, base="bm25", **{"set.answerer.threshold": "0.3"})
    assert page.count('class="side"') in (1, 2)
    bad = client.get(f"/xray?q=x&set.answerer.threshold={quote('much')}", headers=READS)
    assert bad.status_code == 400
    assert "no number" in bad.text
    assert (
        read(client, q=QUESTION, base="../../etc/passwd", **{"set.no.such": "1"}).count('class="side"') == 1
    )


def test_a_pipeline_is_kept_and_the_command_line_takes_it(client: TestClient) -> None:
    home = client.app.state.settings.home  # type: ignore[attr-defined]
    form = {"q": QUESTION, "base": "default", "set.answerer.threshold": "0.05", "set.answerer.hits": "7"}
    page = client.post("/xray/save", data={**form, "name": "bolder"}, headers=READS)
    assert page.status_code == 200
    assert "--pipeline bolder" in page.text
    file = home / "pipelines" / "bolder.toml"
    kept = tomllib.loads(file.read_text("utf-8"))
    assert kept == {"answerer": {"kind": "answer.extractive", "threshold": 0.05, "hits": 7}}
    loaded = pipeline("bolder", reading.load(str(home), {}))
    assert loaded.tables["answerer"]["threshold"] == 0.05
    assert "<option>bolder</option>" in read(client, q=QUESTION)
    assert read(client, q=QUESTION, base="bolder").count('class="side"') == 2
    for name, said in (("bolder", "already"), ("../x", "no name"), ("a/b", "no name")):
        refused = client.post("/xray/save", data={**form, "name": name}, headers=READS)
        assert refused.status_code == 400
        assert said in refused.text
    plain = client.post("/xray/save", data={"q": QUESTION, "name": "same"}, headers=READS)
    assert plain.status_code == 400
    assert sorted(one.name for one in (home / "pipelines").iterdir()) == ["bolder.toml"]


def test_secrets_are_not_kept(tmp_path: Path) -> None:
    settings = reading.load(str(tmp_path), {})
    over = {
        "retriever": {"kind": "search.reranked", "reranker": {"kind": "models.rerank_api", "key": "hush"}}
    }
    other = reading.overlaid(settings, over, "test")
    file = xray.save(tmp_path, "quiet", xray.difference(settings, other))
    assert "hush" not in file.read_text("utf-8")
    assert "models.rerank_api" in file.read_text("utf-8")
    with pytest.raises(InvalidInput):
        xray.save(tmp_path, "quiet", {"answerer": {}})


def test_what_a_reader_may_not_see_is_not_listed(client: TestClient) -> None:
    assert "secret.txt" not in read(client, q=QUESTION)
    assert "secret.txt" in read(client, q=QUESTION, **{"as": "hr"})


def test_numbers_follow_the_makers(tmp_path: Path) -> None:
    settings = reading.load(str(tmp_path), {"LYCEUM_RETRIEVER__RETRIEVER__RETRIEVER__WEIGHT": "0.25"})
    found = xray.numbers(settings)
    assert found[WEIGHT] == 0.25
    assert found["answerer.hits"] == 15
    other = xray.changed(settings, {WEIGHT: "0.75", "answerer.hits": "15"})
    assert xray.numbers(other)[WEIGHT] == 0.75
    assert set(xray.difference(settings, other)) == {"retriever"}


def test_few_pipelines_are_kept(client: TestClient) -> None:
    state = client.app.state  # type: ignore[attr-defined]
    tried = xray.Tried(state.platform, state.settings)
    made = {tried(xray.changed(state.settings, {"answerer.hits": str(n)})) is not None for n in range(1, 9)}
    assert made == {True}
    assert len(tried._built) == xray.KEPT
    again = xray.changed(state.settings, {"answerer.hits": "8"})
    assert tried(again) is tried(again)
    assert tried(state.settings) is state.platform
    assert tried(again).store is state.platform.store


# --- by a browser -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "options"), [("en-GB", {}), ("zh-CN", {"viewport": PHONE})])
def test_the_whole_way(watched: Open, language: str, options: dict[str, Any]) -> None:
    seen = watched(locale=language, **options)
    page: Any = seen.open("/xray")
    assert page.locator(".empty").count() == 1
    page.fill("[name=q]", "How long does the battery of the PolarNode P7 last?")
    page.keyboard.press("Enter")
    page.locator(".ranks").wait_for()
    assert page.locator(".ranks tr.cited").count() == 1
    assert page.locator(".trace svg rect").count() >= 5
    serious = seriously(page)
    page.fill("[name=document]", "driver-training-slides.pptx")
    page.locator("#why button").click()
    page.locator(".lost").wait_for()
    assert page.locator(".lost").get_attribute("data-stage") in ("candidates", "fuse", "read")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.locator(".change summary").click()
    page.locator(f"#xray [name='set.{WEIGHT}']").fill("1")
    page.locator("#xray button.first").click()
    page.locator(".side").nth(1).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    serious += seriously(page)
    page.fill(".save [name=name]", f"by-meaning-{language[:2]}")
    page.locator(".save button").click()
    page.locator(".note code", has_text="--pipeline").wait_for()
    seen.clean()
    assert serious == []


def test_payloads_in_questions_names_chunks_and_settings(watched: Open, tmp_path: Path) -> None:
    """Five places a payload: question, title, file name, passage, the name that is asked for."""
    (tmp_path / "files").mkdir()
    for number, payload in enumerate(PAYLOADS):
        name = f"{number} {payload}".replace("/", "\u2215")  # the one character of them that no name may hold
        text = f"<title>{escape(payload)}</title><p>Record R{number}00 says {escape(payload)}.</p>"
        (tmp_path / "files" / f"{name}.html").write_text(text, "utf-8")
    words, home = {"LYCEUM_ENCODER__KIND": "none"}, str(tmp_path / "home")
    assert command(["ingest", "--home", home, str(tmp_path / "files")], **words).returncode == 0
    with served(tmp_path / "home", **words) as running:
        seen = watched(running.url)
        for number, payload in enumerate(PAYLOADS):
            asked = {
                "q": f"What does record R{number}00 say? {payload}",
                "document": payload,
                "base": payload,
            }
            page: Any = seen.open(f"/xray?{urlencode(asked)}")
            assert page.locator(".ranks tbody tr").count() > 0
            inert(seen)


def test_saving_comes_from_this_site_alone(server: Server) -> None:
    form = {"name": "far", "set.answerer.hits": "3"}
    far = READS | {"origin": "http://evil.example"}
    assert httpx.post(f"{server.url}/xray/save", data=form, headers=far, trust_env=False).status_code == 403


def test_watching_changes_no_answer(client: TestClient) -> None:
    """What X-ray sees is what `ask` answers."""
    platform = client.app.state.platform  # type: ignore[attr-defined]
    query = Query(text=QUESTION)
    looked = client.portal.call(xray.look, platform, query)  # type: ignore[union-attr]
    plain = client.portal.call(platform.answerer, query)  # type: ignore[union-attr]
    assert (looked.answer.text, looked.answer.confidence) == (plain.text, plain.confidence)
    assert [hit.chunk.id for hit in looked.answer.hits] == [hit.chunk.id for hit in plain.hits]
    assert looked.spans[0].name == "ask"
