"""Report, page pictures and the original of a document, through HTTP and the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from lyceum.app.cli import main
from lyceum.app.pages import boxes
from lyceum.core.types import Element, Piece, Place
from lyceum.ingest.drawing import PIXELS
from tests.app.served import told
from tests.app.shelf import add, dark_inside, marked, pdf, picture, shelf, turned

PAGES = [
    ["The anchor of the Kestrel weighs forty kilos.", "Its chain is made of steel and is", "eleven fathoms long."],
    ["The second page speaks of the lantern."],
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages") / "home"


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[TestClient]:
    with shelf(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def ship(client: TestClient) -> str:
    image = Image.new("RGB", (40, 50), "grey")
    return str(add(client, "ship.pdf", pdf(PAGES, image=image))["id"])


def seen(client: TestClient, ship: str, page: int = 1, **asked: str | int) -> tuple[Image.Image, int]:
    response = client.get(f"/api/documents/{ship}/pages/{page}.png", params=asked)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "private, no-cache"
    return picture(response.content), int(response.headers["x-boxes"])


def test_report(client: TestClient, ship: str) -> None:
    found = client.get(f"/api/documents/{ship}/report").json()
    assert (found["document_id"], found["pages"], found["tables"]) == (ship, 3, 0)
    assert found["characters"] == sum(len(" ".join(lines)) for lines in PAGES)
    (scan,) = found["listed"]
    assert (scan["page"], scan["score"], scan["reasons"]) == (3, 0.0, ["picture_without_text"])
    assert found["reasons"]["picture_without_text"]
    assert "report" not in client.get(f"/api/documents/{ship}").json()["meta"]


def test_a_page(client: TestClient, ship: str) -> None:
    image, lines = seen(client, ship, dpi=72)
    assert (image.size, lines) == ((400, 500), 0)
    assert marked(image) == []
    assert seen(client, ship, dpi=144)[0].size == (800, 1000)


def test_quoted_words_are_marked(client: TestClient, ship: str) -> None:
    image, lines = seen(client, ship, dpi=72, quote="KESTREL weighs forty")
    assert lines == 1
    assert {y // 20 for _, y in marked(image)} <= {2, 3}, "the first line, 60 points from the top"
    assert dark_inside(image) > 50
    assert seen(client, ship, quote="made of steel and is eleven fathoms")[1] == 2, "a quote of two lines"
    assert seen(client, ship, quote="the lantern")[1] == 0, "that stands on the second page"
    assert seen(client, ship, 2, quote="the lantern")[1] == 1
    assert seen(client, ship, quote="| . |")[1] == 0


def test_a_rotated_page_is_marked_where_its_words_are(client: TestClient) -> None:
    added = add(client, "turned.pdf", turned(pdf(PAGES), 90))["id"]
    image, lines = seen(client, added, dpi=72, quote="anchor of the Kestrel")
    assert (image.size, lines) == ((500, 400), 1)
    assert dark_inside(image) > 50


def test_how_large_a_page_is_and_where_words_stand(client: TestClient, ship: str) -> None:
    asked = {"quote": "made of steel and is eleven fathoms"}
    told = client.get(f"/api/documents/{ship}/pages/1", params=asked).json()
    assert (told["page"], told["width"], told["height"]) == (1, 400, 500)
    (first, second) = told["boxes"]
    assert first[0] == pytest.approx(50, abs=1)
    assert 440 - 20 < 500 - first[3] + 20 < 440, "on the second line, whose foot is 420 points up"
    assert second[1] > first[1]
    around = add(client, "around.pdf", turned(pdf(PAGES), 90))["id"]
    told = client.get(f"/api/documents/{around}/pages/1").json()
    assert (told["width"], told["height"], told["boxes"]) == (500, 400, [])
    assert client.get(f"/api/documents/{ship}/pages/9", params=asked).status_code == 404


def test_a_citation_leads_to_its_picture(client: TestClient, ship: str) -> None:
    asked = {"question": "What does the anchor of the Kestrel weigh?", "filters": {"document": ship}}
    answer = client.post("/api/answer", json=asked).json()
    cited = next(one for one in answer["citations"] if one["document_id"] == ship)
    response = client.get(cited["picture"])
    assert int(response.headers["x-boxes"]) == len(cited["boxes"]) == 1
    assert dark_inside(picture(response.content)) > 50
    chunk = client.get(f"/api/documents/{ship}/pages/1.png", params={"chunk": cited["chunk_id"]})
    assert int(chunk.headers["x-boxes"]) == 3


def test_a_picture_that_is_known_is_not_drawn_again(client: TestClient, ship: str) -> None:
    path = f"/api/documents/{ship}/pages/1.png"
    tag = client.get(path).headers["etag"]
    again = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(path, params={"quote": "anchor"}, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("number", ["0", "4", "-1"])
def test_pages_that_are_not_there(client: TestClient, ship: str, number: str) -> None:
    response = client.get(f"/api/documents/{ship}/pages/{number}.png")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "page")


@pytest.mark.parametrize(
    "asked", [{"dpi": "35"}, {"dpi": "301"}, {"dpi": "x"}, {"quote": "x" * 4001}, {"dpi": "NaN"}]
)
def test_wrong_wishes(client: TestClient, ship: str, asked: dict[str, str]) -> None:
    assert client.get(f"/api/documents/{ship}/pages/1.png", params=asked).status_code == 400


def test_a_format_without_pages(client: TestClient) -> None:
    note = add(client, "note.txt", b"The tide turns at noon.")["id"]
    error = client.get(f"/api/documents/{note}/pages/1.png").json()["error"]
    assert error["code"] == "not_drawn"
    assert error["hint"]


def test_a_huge_page_keeps_to_the_cap(client: TestClient) -> None:
    data = pdf([["Small words on a wide sheet."]]).replace(b"[ 0 0 400 500 ]", b"[ 0 0 14000 14000 ]")
    wide = add(client, "wide.pdf", data)["id"]
    image, _ = seen(client, wide, dpi=300)
    assert PIXELS * 0.95 < image.width * image.height <= PIXELS * 1.01


def test_the_file_as_it_was(client: TestClient, ship: str) -> None:
    data = pdf(PAGES, image=Image.new("RGB", (40, 50), "grey"))
    path = f"/api/documents/{ship}/file"
    whole = client.get(path)
    assert whole.content == data
    assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''ship.pdf"
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["x-content-type-options"] == "nosniff"
    size = len(data)
    for given, status, wanted in (
        ("bytes=0-9", 206, data[:10]), ("bytes=10-", 206, data[10:]), ("bytes=-5", 206, data[-5:]),
        (f"bytes=5-{size * 9}", 206, data[5:]), ("bytes=0-1,5-6", 200, data), ("pages=1-2", 200, data),
        ("bytes=-", 200, data), (f"bytes={size}-", 416, b""), ("bytes=9-2", 416, b""), ("bytes=-0", 416, b""),
    ):  # fmt: skip
        part = client.get(path, headers={"Range": given})
        assert (part.status_code, part.content) == (status, wanted), given
    assert client.get(path, headers={"Range": "bytes=0-9"}).headers["content-range"] == f"bytes 0-9/{size}"
    assert client.get(path, headers={"Range": "bytes=0-9", "If-Range": '"old"'}).content == data
    assert client.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


def test_the_original_goes_with_its_document(client: TestClient, home: Path) -> None:
    data, newer = pdf([["The old rudder."]]), pdf([["The new rudder."]])
    added = add(client, "../../rudder.pdf", data)["id"]
    files = home / "files"
    assert (files / hashlib.sha256(data).hexdigest()).read_bytes() == data
    assert add(client, "rudder.pdf", newer)["id"] == added
    assert not (files / hashlib.sha256(data).hexdigest()).exists()
    assert (files / hashlib.sha256(newer).hexdigest()).exists()
    assert client.delete(f"/api/documents/{added}").status_code == 204
    assert not (files / hashlib.sha256(newer).hexdigest()).exists()
    assert client.get(f"/api/documents/{added}/file").status_code == 404


def test_a_path_counts_while_its_bytes_are_those_that_were_read(home: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "log.pdf", tmp_path / "page.png"
    file.write_bytes(pdf([["The log of the Kestrel."]]))
    at = ("--home", str(tmp_path / "home"))
    (outcome,) = told("ingest", *at, str(file))[1]
    page = (*at, outcome["document_id"], "1", "--out", str(out))
    code, drawn = told("page", *page, "--quote", "log of the Kestrel", "--dpi", "72")
    assert (code, len(drawn["boxes"]), drawn["bytes"]) == (0, 1, out.stat().st_size)
    assert dark_inside(picture(out.read_bytes())) > 30
    assert not (tmp_path / "home" / "files").exists(), "the file itself is the original"
    file.write_bytes(pdf([["The log of another ship."]]))
    assert told("page", *page)[1]["error"]["code"] == "changed"
    with shelf(tmp_path / "home") as opened:
        response = opened.get(f"/api/documents/{outcome['document_id']}/file")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "changed")
    file.unlink()
    assert told("page", *page)[1]["error"]["code"] == "no_file"
    assert told("page", *page, "--dpi", "9")[0] == 1
    assert told("page", *at, "absent", "1", "--out", str(out))[1]["error"]["code"] == "not_found"


def test_the_report_on_a_screen(
    home: Path, client: TestClient, ship: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["docs", "--home", str(home), ship]) == 0
    printed = capsys.readouterr().out
    assert "read: 3 pages" in printed
    assert "a picture without recognised words" in printed


def test_a_page_that_breaks_its_drawer_harms_nothing(client: TestClient, ship: str, home: Path) -> None:
    data = pdf([["A page that goes."]])
    broken = add(client, "broken.pdf", data)["id"]
    kept = home / "files" / hashlib.sha256(data).hexdigest()
    kept.write_bytes(b"%PDF-1.7 nothing more")
    assert client.get(f"/api/documents/{broken}/pages/1.png").json()["error"]["code"] == "changed"
    assert seen(client, ship)[0].width > 0


def test_words_are_found_over_lines_cells_and_hyphens() -> None:
    line = [Piece(start=0, end=9, place=Place(page=2, box=(0, 0, 9, 9))),
            Piece(start=9, end=20, place=Place(page=2, box=(0, 10, 9, 19)))]  # fmt: skip
    part = Element(doc_id="d", kind="text", text="The mea-\nsured value", pieces=tuple(line))
    assert boxes([part], 2, "measured value") == [(0, 0, 9, 9), (0, 10, 9, 19)]
    assert boxes([part], 2, "“Value”") == [(0, 10, 9, 19)]
    assert boxes([part], 1, "value") == []
    assert boxes([part], 2, "absent") == []
    assert len(boxes([part], 2, "")) == 2
