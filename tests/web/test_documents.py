"""The pages of the documents, by a browser and without one: in, listed, read again, deleted; nothing runs in them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from lyceum.app.web.documents import LISTED, sheets
from lyceum.core.ids import digest, document_id
from lyceum.core.types import Chunk, Document
from lyceum.store.ledger import Ledger
from lyceum.store.store import Store
from tests.app.served import Server, command, served
from tests.app.shelf import add, pdf, shelf
from tests.web.conftest import EXAMPLES, PHONE, Open, seriously
from tests.web.hostile import PAYLOADS
from tests.web.test_hostile import inert

READS = {"accept": "text/html"}
WORDS = {"LYCEUM_ENCODER__KIND": "none"}
BLANK = Image.new("L", (200, 250), 255)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without documents, that searches by words alone."""
    with served(tmp_path_factory.mktemp("desk") / "home", **WORDS) as running:
        yield running


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with shelf(tmp_path_factory.mktemp("documents") / "home", LYCEUM_READER__OCR="off") as opened:
        opened.base_url = "http://127.0.0.1"  # type: ignore[assignment]
        yield opened


def read(client: TestClient, path: str) -> str:
    found = client.get(path, headers=READS)
    assert found.status_code == 200, found.text
    return str(found.text)


def settled(client: TestClient) -> None:
    """Wait until no job is left to do."""
    deadline = time.monotonic() + 30
    while any(one["state"] in ("queued", "running") for one in client.get("/api/jobs?as=hr").json()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- by a browser -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "options"), [("en-GB", {}), ("zh-CN", {"viewport": PHONE})])
def test_files_come_in_are_looked_at_and_go(
    watched: Open, desk: Server, tmp_path: Path, language: str, options: dict[str, Any]
) -> None:
    english = language == "en-GB"
    seen = watched(desk.url, locale=language, **options)
    page: Any = seen.open("/documents")
    assert page.locator(".empty").count() == 1
    seen_serious = seriously(page)
    guide = (EXAMPLES / "sensor-product-guide.pdf").read_bytes()
    files = [
        {"name": "guide.pdf", "mimeType": "application/pdf", "buffer": guide},
        {"name": "bad.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 and no more"},
        {"name": ".hidden", "mimeType": "text/plain", "buffer": b"x"},
    ]
    page.locator("#add summary").click()
    page.fill("#add [name=tags]", "spring, sensors")
    page.set_input_files("#add [name=files]", files)
    page.locator(".docs tbody tr").wait_for()
    failures = page.locator(".failures li")
    assert failures.count() == 1
    said = failures.inner_text()
    assert "bad.pdf" in said
    assert ("get another copy" in said) if english else ("请换一份副本" in said)
    assert page.locator("#jobs").is_hidden()
    assert page.locator(".docs td .chip", has_text="spring").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    seen_serious += seriously(page)
    page.locator(".docs a").click()
    page.locator(".sheets img").first.wait_for()
    assert page.locator(".sheets li").count() == 3
    first = page.locator(".passages li").first
    first.hover()
    box, paper = (
        page.locator("[data-box].lit rect").first.bounding_box(),
        page.locator(".paper").bounding_box(),
    )
    assert box["width"] > 20
    assert paper["x"] <= box["x"] <= box["x"] + box["width"] <= paper["x"] + paper["width"]
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    seen_serious += seriously(page)
    page.locator("[name=tokens]").fill("60")
    before = page.locator(".passages li").count()
    page.locator("form[action*=again] button").click()
    page.locator("body:not(:has([data-job]))").wait_for()
    assert page.locator(".passages li").count() > before
    page.locator("a[href*='/delete']").click()
    assert page.locator("form li").count() == 4
    seen_serious += seriously(page)
    page.locator("button.danger").click()
    page.locator(".empty").wait_for()
    seen.clean()
    assert seen_serious == []


def test_a_folder_keeps_its_paths_and_can_be_dropped(watched: Open, desk: Server, tmp_path: Path) -> None:
    (tmp_path / "plant" / "north").mkdir(parents=True)
    for name in ("one.txt", "north/two.txt", "north/.trash"):
        (tmp_path / "plant" / name).write_text(f"The file {name} speaks of storks.\n", "utf-8")
    seen = watched(desk.url)
    page: Any = seen.open("/documents")
    page.set_input_files("#add .folder input", str(tmp_path / "plant"))
    page.locator("a", has_text="two").wait_for()
    assert page.locator(".docs tbody tr").count() == 2
    assert page.locator("small", has_text="plant/north").count() == 1
    (tmp_path / "shed" / "east").mkdir(parents=True)
    (tmp_path / "shed" / "east" / "dropped.txt").write_text("Swans are dropped here.\n", "utf-8")
    browser = seen.context.new_cdp_session(page)
    moved = {"items": [], "files": [str(tmp_path / "shed")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": moved})
    page.locator("a", has_text="dropped").wait_for()
    assert page.locator("small", has_text="shed/east").count() == 1
    page.fill("[name=q]", "NORTH two")
    page.keyboard.press("Enter")
    page.locator("a.button", has_text="Show all").wait_for()
    assert page.locator(".docs tbody tr").count() == 1
    seen.clean()


def test_a_server_that_refuses_or_goes_is_told(watched: Open, desk: Server) -> None:
    seen = watched(desk.url)
    page: Any = seen.open("/documents")
    page.route("**/api/documents?*", lambda route: route.abort())
    page.set_input_files("#add [name=files]", [{"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"}])
    page.locator(".told.bad", has_text="does not answer").wait_for()
    page.unroute("**/api/documents?*")
    refusal = {"error": {"code": "too_large", "message": "The body is too large.", "hint": "Send less.",
                         "retryable": False}}  # fmt: skip
    page.route("**/api/documents?*", lambda route: route.fulfill(status=413, json=refusal))
    page.set_input_files("#add [name=files]", [{"name": "b.txt", "mimeType": "text/plain", "buffer": b"b"}])
    page.locator(".told.bad", has_text="Send less.").wait_for()


def test_payloads_in_names_titles_texts_readers_and_tags(watched: Open, tmp_path: Path) -> None:
    """Six places a payload, on the list, in the failures, on a document's page and before it is deleted."""
    (tmp_path / "files").mkdir()
    for number, payload in enumerate(PAYLOADS):
        name = f"{number} {payload}".replace("/", "\u2215")  # the one character of them that no name may hold
        html = f"<title>{escape(payload)}</title><p>Words {number}: {escape(payload)}</p>"
        (tmp_path / "files" / f"{name}.html").write_text(html, "utf-8")
    home = str(tmp_path / "home")
    assert command(["ingest", "--home", home, str(tmp_path / "files")], **WORDS).returncode == 0
    with served(tmp_path / "home", **WORDS) as running:
        names = ",".join(one for one in PAYLOADS if one.isprintable())
        named = {"tags": names, "readers": f"*,{names}"}
        file = {"file": ("named.txt", "Words of all names.\n")}
        sent = httpx.post(f"{running.url}/api/documents", files=file, data=named, trust_env=False)
        assert sent.status_code == 201, sent.text
        bad = {"file": ("x.txt", b"")}
        for payload in PAYLOADS:
            httpx.post(
                f"{running.url}/api/documents?wait=false",
                files=bad,
                data={"source": payload},
                trust_env=False,
            )
        seen = watched(running.url)
        page: Any = seen.open("/documents")
        page.locator(".failures li").nth(len(PAYLOADS) - 3).wait_for(state="attached")
        assert page.locator(".docs tbody tr").count() == len(PAYLOADS) + 1
        inert(seen)
        ids = [one["id"] for one in httpx.get(f"{running.url}/api/documents", trust_env=False).json()]
        for one in ids:
            seen.open(f"/documents/{one}")
            inert(seen)
        seen.open(f"/documents/{ids[0]}/delete")
        inert(seen)
        page = seen.open("/documents")
        page.set_input_files("#add [name=files]", [
            {"name": one.replace("/", " "), "mimeType": "text/plain", "buffer": b""} for one in PAYLOADS
        ])  # fmt: skip
        page.locator("#said:has-text(',')").wait_for()
        inert(seen)


# --- without scripts --------------------------------------------------------------------------------------


def test_a_form_adds_files(client: TestClient) -> None:
    sent = [
        ("files", ("storks.txt", b"Storks nest on the roof.\n")),
        ("files", ("geese.txt", b"Geese fly south.\n")),
    ]
    page = client.post("/documents", files=sent, data={"readers": "hr", "tags": "birds"}, headers=READS)
    assert page.url.path == "/documents"
    settled(client)
    assert "storks.txt" not in read(client, "/documents")
    listed = read(client, "/documents?as=hr")
    assert "storks.txt" in listed
    assert "geese.txt" in listed
    assert "birds</span>" in listed


def test_what_a_reader_may_not_see_is_not_there(client: TestClient) -> None:
    told = add(client, "salaries.txt", b"The harbour master earns 91,000.\n", readers="hr")
    assert "salaries.txt" not in read(client, "/documents?q=salaries")
    assert "salaries.txt" in read(client, "/documents?q=salaries&as=hr")
    for path in (f"/documents/{told['id']}", f"/documents/{told['id']}/delete"):
        assert client.get(path, headers=READS).status_code == 404
        assert "as=hr" in read(client, f"{path}?as=hr")
    for path in ("again", "delete"):
        assert client.post(f"/documents/{told['id']}/{path}", headers=READS).status_code == 404
    assert client.get(f"/api/documents/{told['id']}?as=hr").status_code == 200


def test_other_sites_change_nothing(desk: Server) -> None:
    sent = {"file": ("kept.txt", b"It is kept.\n")}
    told = httpx.post(f"{desk.url}/api/documents", files=sent, trust_env=False).json()
    far = READS | {"origin": "http://evil.example"}
    for path in ("", f"/{told['id']}/again", f"/{told['id']}/delete"):
        refused = httpx.post(f"{desk.url}/documents{path}", headers=far, trust_env=False)
        assert refused.status_code == 403
    assert httpx.get(f"{desk.url}/api/documents/{told['id']}", trust_env=False).status_code == 200


def test_badly_read_pages_are_marked(client: TestClient) -> None:
    told = add(client, "scan.pdf", pdf([["A page with words."], ["Another one."]], image=BLANK))
    listed = read(client, "/documents?q=scan.pdf")
    assert "read in part" in listed or "doubtful: 1" in listed
    page = read(client, f"/documents/{told['id']}")
    marked = re.findall(r'<a href="[^"]*sheet=(\d)[^"]*"[^>]* class="bad">', page)
    assert marked == ["3"]
    assert "a picture without recognised words" in page
    assert "未识别出文字的图像" in read(client, f"/documents/{told['id']}?lang=zh")
    client.cookies.clear()
    only = read(client, f"/documents/{told['id']}?only=bad&sheet=3")
    assert only.count('loading="lazy"') == 1


def test_reading_again_with_other_settings(client: TestClient) -> None:
    text = "".join(f"Sentence {number} tells of the long way to the north. " for number in range(60))
    told = add(client, "way.txt", text.encode())
    path = f"/documents/{told['id']}"

    def count() -> int:
        return len(client.get(f"/api{path}").json()["chunks"])

    before = count()
    for tokens, more in (("60", True), ("160", False)):
        client.post(f"{path}/again", data={"tokens": tokens, "ocr": "", "password": ""}, headers=READS)
        settled(client)
        assert (count() > before) is more
    assert client.post(f"{path}/again", data={"tokens": "3"}, headers=READS).status_code == 400
    client.post(f"{path}/again", data={"ocr": "off"}, headers=READS)
    settled(client)
    assert client.get(f"/api{path}/file").content == text.encode()


def test_what_vanishes_is_named_and_vanishes(client: TestClient) -> None:
    told = add(client, "herons.txt", b"Herons wait beside the pond.\n")
    page = read(client, f"/documents/{told['id']}/delete")
    assert "herons.txt" in page
    assert "1 passages" in page
    assert "the copy of the file" in page
    assert client.post("/api/search", json={"question": "herons"}).json()
    client.post(f"/documents/{told['id']}/delete", headers=READS)
    assert client.get(f"/api/documents/{told['id']}").status_code == 404
    assert not client.post("/api/search", json={"question": "herons"}).json()


def test_a_failed_upload_is_named_until_it_has_come(client: TestClient) -> None:
    assert client.post("/api/documents", files={"file": ("ibis.txt", b"")}).status_code >= 400
    assert "ibis.txt is empty. Add a file with content." in read(client, "/documents")
    add(client, "ibis.txt", b"The ibis is here.\n")
    assert "ibis.txt is empty" not in read(client, "/documents")


# --- many -------------------------------------------------------------------------------------------------


def filled(home: Path, documents: int, chunks: int = 1) -> None:
    """Write a ledger with as many documents of as many chunks."""
    home.mkdir(parents=True)
    store = Store(home, Ledger(home))
    batch = []
    for number in range(documents):
        source = f"share/folder{number % 40}/file-{number:05}.txt"
        doc_id = document_id(source)
        one = Document(id=doc_id, source=source, version="v", title=f"Report {number}", media="txt")
        held = [
            Chunk(id=digest(doc_id, str(at)), doc_id=doc_id, text=f"Row {at} of {number}")
            for at in range(chunks)
        ]
        batch.append((one, [], held))
    with ThreadPoolExecutor(1) as other:  # playwright's own loop runs in this thread
        other.submit(asyncio.run, store.put(batch)).result()


def test_ten_thousand_documents_are_paged(tmp_path: Path) -> None:
    filled(tmp_path / "home", 10_000)
    with shelf(tmp_path / "home") as client:
        began = time.process_time()
        first = read(client, "/documents")
        last = read(client, "/documents?q=report&offset=9950")
        spent = time.process_time() - began
        assert f"1–{LISTED} of 10000" in first
        assert first.count("<tr>") == LISTED + 1
        assert "9951–10000 of 10000" in last
        assert 'rel="next"' not in last
        assert "file-00777" in read(client, "/documents?q=file-00777")
        assert len(first) < 150_000
        assert spent < 3, "two pages of a long list"


def test_many_passages_are_paged(tmp_path: Path) -> None:
    filled(tmp_path / "home", 1, 25_000)
    with shelf(tmp_path / "home") as client:
        one = document_id("share/folder0/file-00000.txt")
        began = time.process_time()
        page = read(client, f"/documents/{one}?offset=24980")
        assert time.process_time() - began < 2
        assert "Row 24999 of 0" in page
        assert "Row 24979 of 0" not in page
        assert len(page) < 60_000


def test_pictures_of_pages_are_paged() -> None:
    numbers = range(1, 101)
    assert sheets(numbers, 1) == {"shown": list(range(1, 25)), "before": 0, "after": 25, "all": 100}
    assert sheets(numbers, 99)["shown"] == [97, 98, 99, 100]
    assert sheets(numbers, 99)["before"] == 73
    assert sheets([], 1) == {"shown": [], "before": 0, "after": 0, "all": 0}
    assert sheets([7, 9], 8)["shown"] == [7, 9]
