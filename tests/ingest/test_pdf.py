"""PDFs made here: headings, columns, running lines, hyphens, turned text, repair, passwords; hostile files."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pikepdf
import pytest
from fastapi.testclient import TestClient
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from lyceum.app.cli import main
from lyceum.app.server import create
from lyceum.app.session import opened as opened_home
from lyceum.app.settings import load
from lyceum.core.errors import ParseError
from lyceum.core.types import Document, Element, Page
from lyceum.ingest.isolate import Isolated
from lyceum.ingest.pdf import parse
from lyceum.ingest.pdf_blocks import ordered
from lyceum.ingest.pdf_file import REPAIRED, opened
from lyceum.ingest.pdf_layout import Line, read_lines, turned
from lyceum.ingest.pipeline import Job
from tests.toys import run

WIDTH, HEIGHT = A4
WORDS = "anchor chain cable harbour vessel pilot tide current beacon mooring ballast rudder".split()
Draw = Callable[[Canvas], None]


def made(*pages: Draw, **options: object) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, **options)
    for draw in pages:
        canvas.setFont("Helvetica", 10)
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def pages_of(data: bytes, *passwords: str) -> list[Page]:
    return list(parse(data, Document(id="d", source="x.pdf", version="1", meta={"passwords": passwords})))


def elements_of(data: bytes, *passwords: str) -> list[Element]:
    return [element for page in pages_of(data, *passwords) for element in page.elements]


def headings(data: bytes) -> list[tuple[int, str]]:
    return [(one.level, one.text) for one in elements_of(data) if one.kind == "heading"]


def lines(
    canvas: Canvas, x: float, top: float, texts: list[str], font: str = "Helvetica", size: float = 10
) -> float:
    """Draw lines under each other, `top` from the page's top, and return where the next one would stand."""
    canvas.setFont(font, size)
    for text in texts:
        canvas.drawString(x, HEIGHT - top - size, text)
        top += 1.2 * size
    return top


def prose(seed: int, count: int = 6, words: int = 8) -> list[str]:
    return [
        " ".join(WORDS[(seed + row * 5 + at * 7) % len(WORDS)] for at in range(words)) + f" {seed}-{row}"
        for row in range(count)
    ]


def test_headings_by_size_and_weight_but_not_labels_cells_items_or_bold_text() -> None:
    def page(number: int) -> Draw:
        def draw(canvas: Canvas) -> None:
            at = lines(canvas, 72, 90, [f"{number} The {WORDS[number]}"], "Helvetica-Bold", 16)
            at = lines(canvas, 72, at + 8, prose(number))
            at = lines(canvas, 72, at + 12, [f"{number}.1 Who may anchor?"], "Helvetica-Bold")
            at = lines(canvas, 72, at + 8, prose(number + 1))
            at = lines(canvas, 72, at + 12, ["Note"], "Helvetica-Bold")
            at = lines(canvas, 72, at + 8, [*prose(number + 2, 3), "as it is."])
            at = lines(canvas, 72, at + 12, prose(number + 3, 4), "Helvetica-Bold")
            lines(canvas, 72, at + 12, [f"Part {number}"], "Helvetica-Bold")
            at = lines(canvas, 200, at + 12, [f"Weight {number}"], "Helvetica-Bold")
            lines(canvas, 72, at + 12, prose(number + 4, 3))

        return draw

    found = headings(made(*(page(number) for number in range(1, 5))))
    wanted = [
        ((1, f"{number} The {WORDS[number]}"), (2, f"{number}.1 Who may anchor?")) for number in range(1, 5)
    ]
    assert found == [one for pair in wanted for one in pair]


def test_the_outline_gives_headings_and_levels() -> None:
    def draw(canvas: Canvas) -> None:
        at = lines(canvas, 72, 90, ["2.1 A title that stands on", "two printed lines"])
        at = lines(canvas, 72, at + 10, prose(1))
        at = lines(canvas, 72, at + 10, ["Plain words", *prose(2)])
        lines(canvas, 72, at + 20, ["Large and unlisted"], "Helvetica", 14)
        for key, title, level in (
            ("a", "A title that stands on two printed lines", 0),
            ("b", "Absent", 1),
            ("c", "Plain words", 1),
        ):
            canvas.bookmarkPage(key)
            canvas.addOutlineEntry(title, key, level)

    assert headings(made(draw)) == [
        (1, "2.1 A title that stands on two printed lines"), (2, "Plain words"), (3, "Large and unlisted"),
    ]  # fmt: skip
    with pikepdf.open(io.BytesIO(made(draw))) as pdf:
        del pdf.Root.Outlines
        out = io.BytesIO()
        pdf.save(out)
    assert headings(out.getvalue()) == [(1, "Large and unlisted")], "the control: without it only looks count"


def test_an_outline_in_a_circle_ends() -> None:
    def draw(canvas: Canvas) -> None:
        lines(canvas, 72, 90, ["Plain words", *prose(2)])
        canvas.bookmarkPage("a")
        canvas.addOutlineEntry("Plain words", "a", 0)

    with pikepdf.open(io.BytesIO(made(draw))) as pdf:
        first = pdf.Root.Outlines.First
        first.Next = first
        out = io.BytesIO()
        pdf.save(out)
    assert headings(out.getvalue())[0] == (1, "Plain words")


@pytest.mark.parametrize("right_first", [False, True])
def test_columns_stay_apart_whatever_the_stream_says(right_first: bool) -> None:
    left, right = prose(1, 40, 5), prose(3, 40, 5)
    left[-1] += " sta-"
    right[0] = "tion " + right[0]

    def draw(canvas: Canvas) -> None:
        for x, texts in ((310, right), (72, left)) if right_first else ((72, left), (310, right)):
            lines(canvas, x, 120, texts)
        lines(canvas, 72, 80, ["A title over both columns"], "Helvetica", 16)

    text = " ".join(element.text for element in elements_of(made(draw)))
    places = [text.index(one) for one in ("A title", left[0], left[20], right[1], right[30])]
    if right_first:
        assert places[1:] == sorted(places[1:])
    else:
        assert places[1:] == sorted(places[1:])
        assert "station" in text, "a word cut in two at the end of a column is whole again"


def test_text_at_the_edge_that_is_turned_is_no_heading() -> None:
    def draw(canvas: Canvas) -> None:
        at = lines(canvas, 72, 90, ["Harbour rules"], "Helvetica", 16)
        lines(canvas, 72, at + 10, prose(1))
        canvas.rotate(90)
        canvas.setFont("Helvetica", 20)
        canvas.drawString(200, -40, "Preprint 2026")

    found = elements_of(made(draw))
    assert [one.text for one in found if one.kind == "heading"] == ["Harbour rules"]
    assert "Preprint 2026" in [one.text for one in found]


def test_a_block_moves_up_only_where_geometry_says_so() -> None:
    long = "x" * 150

    def line(name: str, left: float, top: float, width: float = 200) -> Line:
        return Line(name + long, (left, top, left + width, top + 60), 10.0, False)

    footer, first, second = line("f", 50, 700), line("a", 50, 100), line("b", 50, 300)
    assert ordered([footer, first, second]) == [first, second, footer]
    left, right = line("l", 50, 100), line("r", 300, 100)
    assert ordered([right, left]) == [left, right]
    title = line("t", 50, 20, 450)
    assert ordered([left, right, title]) == [title, left, right]
    label = Line("label", (50, 20, 80, 30), 10.0, False)
    assert ordered([left, label]) == [left, label], "short pieces of a drawing stay where they are"


def test_running_lines_are_set_aside_though_they_change() -> None:
    def page(number: int) -> Draw:
        def draw(canvas: Canvas) -> None:
            lines(canvas, 72, 40, [f"{WORDS[number]} section {'I' * number}"], "Helvetica-Oblique", 9)
            lines(canvas, 72, 100, prose(number, 40))
            lines(canvas, 280, 790, [f"Page {number + 1} of 8"], size=9)

        return draw

    text = "\n".join(one.text for one in elements_of(made(*map(page, range(8)))))
    assert "section" not in text
    assert "Page" not in text
    assert all(one in text for number in range(8) for one in prose(number, 40))


def test_hyphens_at_line_ends_go_unless_the_document_writes_them() -> None:
    def draw(canvas: Canvas) -> None:
        lines(
            canvas,
            72,
            90,
            ["The harbour pilot leaves the ves-", "sel at the well-", "known beacon of the north."],
        )
        lines(canvas, 72, 200, ["A well-known beacon stands there."])

    first = elements_of(made(draw))[0]
    assert first.text == "The harbour pilot leaves the vessel at the well-known beacon of the north."
    assert len({piece.place.box for piece in first.pieces}) == 3, "a box for each printed line"


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_pages_have_boxes_as_shown(turn: int) -> None:
    def draw(canvas: Canvas) -> None:
        at = lines(canvas, 72, 90, ["Harbour rules"], "Helvetica", 16)
        lines(canvas, 72, at + 10, prose(1))

    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(made(draw))) as pdf:
        pdf.pages[0].Rotate = turn
        pdf.save(out)
    heading, text = elements_of(out.getvalue())
    assert (heading.kind, heading.text, text.text) == ("heading", "Harbour rules", " ".join(prose(1)))
    upright = (72, 90, 170, 108)
    wide, high = (WIDTH, HEIGHT) if turn % 180 == 0 else (HEIGHT, WIDTH)
    left, top, right, bottom = turned(upright, turn)
    shift = {0: (0, 0), 90: (wide, 0), 180: (wide, high), 270: (0, high)}[turn]
    box = heading.place.box
    assert box is not None
    for is_, should in zip(
        box, (left + shift[0], top + shift[1], right + shift[0], bottom + shift[1]), strict=True
    ):
        assert is_ == pytest.approx(should, abs=8)


@pytest.mark.parametrize("angle", [90, 270])
def test_text_drawn_sideways_is_read_in_order(angle: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.translate(*((WIDTH, 0) if angle == 90 else (0, HEIGHT)))
        canvas.rotate(angle)
        canvas.setFont("Helvetica", 10)
        for row, text in enumerate(prose(1)):
            canvas.drawString(72, WIDTH - 100 - row * 12, text)

    (element,) = elements_of(made(draw))
    assert element.text == " ".join(prose(1))
    boxes = [piece.place.box for piece in element.pieces]
    assert len(boxes) == len(prose(1))
    assert all(box and box[3] - box[1] > box[2] - box[0] for box in boxes), "tall lines, not wide ones"


def sample(pages: int = 6, **options: object) -> bytes:
    return made(
        *(
            lambda canvas, n=n: lines(canvas, 72, 90, [f"marker{'abcdef'[n]} stands here", *prose(n)])
            for n in range(pages)
        ),
        **options,
    )  # type: ignore[misc]


def objects_in_streams(data: bytes) -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(data)) as pdf:
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return out.getvalue()


def without_ends(data: bytes) -> bytes:
    return data[: data.rindex(b"xref\n")].replace(b"/Catalog", b"/Catalxx")


def test_a_file_without_xref_is_repaired() -> None:
    broken = (
        sample()
        .replace(b"startxref", b"startxxxx")
        .replace(b"xref\n0", b"xxxx\n0")
        .replace(b"/Root", b"/Roox")
    )
    found = pages_of(broken)
    assert len(found) == 6
    assert found[0].warnings == (REPAIRED,)
    assert "markerf" in found[5].elements[0].text
    assert pages_of(sample())[0].warnings == ()


def test_what_is_left_of_a_cut_file_is_read_in_order() -> None:
    whole = sample()
    cut = whole[: whole.rindex(b"endstream")]
    found = pages_of(without_ends(whole))
    assert [f"marker{'abcdef'[n]}" in page.elements[0].text for n, page in enumerate(found)] == [True] * 6
    assert 1 <= len([page for page in pages_of(cut) if page.elements]) <= 6


def test_pages_in_object_streams_are_found() -> None:
    packed = objects_in_streams(sample())
    found = pages_of(packed[: packed.rindex(b"startxref") - 20])
    text = " ".join(element.text for page in found for element in page.elements)
    assert found[0].warnings == (REPAIRED,)
    assert all(f"marker{'abcdef'[n]}" in text for n in range(6))


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4\n", b"%PDF-1.7\n" + bytes(5000), b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n"]
)
def test_what_holds_no_page_is_corrupt(data: bytes) -> None:
    with pytest.raises(ParseError, match="damaged") as caught:
        pages_of(data)
    assert caught.value.code == "corrupt"


def locked(user: str, revision: int = 6) -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(sample(1))) as pdf:
        pdf.save(
            out,
            encryption=pikepdf.Encryption(
                owner="owner", user=user, R=revision, aes=revision > 3, metadata=revision > 3
            ),
        )  # type: ignore[arg-type]
    return out.getvalue()


def test_a_paragraph_ends_where_the_next_word_had_room() -> None:
    form = ["Number: 17", "Weight: 40 kg", "Place: the second pier of the old harbour, behind the crane"]

    def draw(canvas: Canvas) -> None:
        lines(canvas, 72, 100, form)
        lines(canvas, 72, 300, prose(3))

    texts = [one.text for one in elements_of(made(draw))]
    assert texts[:3] == form
    assert len(texts) == 4, "full lines stay one paragraph"


@pytest.mark.parametrize("revision", [3, 4, 6])
def test_passwords_are_tried(revision: int) -> None:
    data = locked("sesame", revision)
    for given in (("wrong", "sesame"), ("owner",)):
        assert "markera" in elements_of(data, *given)[0].text
    for given in ((), ("wrong",)):
        with pytest.raises(ParseError, match="password") as caught:
            pages_of(data, *given)
        assert caught.value.code == "password"
        assert "lyceum ingest --password" in caught.value.hint
        assert ("given passwords" in caught.value.hint) == bool(given)
    assert "markera" in elements_of(locked(""))[0].text


def test_a_ruled_table_in_a_locked_file() -> None:
    def draw(canvas: Canvas) -> None:
        for x in (72, 172, 272):
            canvas.line(x, 600, x, 660)
        for y in (600, 620, 640, 660):
            canvas.line(72, y, 272, y)
        for row, y in enumerate((646, 626, 606)):
            canvas.drawString(80, y, f"part {row}")
            canvas.drawString(180, y, f"{row} kg")

    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(made(draw))) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(owner="owner", user="sesame"))
    (table,) = [one.table for one in elements_of(out.getvalue(), "sesame") if one.table]
    assert table.rows[1] == ("part 1", "1 kg")


def test_a_password_reaches_the_parser_and_stays_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    path.write_bytes(locked("sesame-4711"))
    home = tmp_path / "home"

    async def work(*passwords: str) -> tuple[str, str, str]:
        async with opened_home(load(str(home), {"LYCEUM_MODELS": str(home)})) as platform:
            job = Job(path=path, source="locked.pdf", name="locked.pdf", passwords=passwords)
            assert "sesame" not in repr(job)
            (outcome,) = await platform.ingest([job])
            return outcome.status, outcome.code, outcome.hint

    assert run(work("wrong"))[:2] == ("failed", "password")
    assert run(work("sesame-4711"))[0] == "added"
    assert run(work())[0] == "unchanged", "the version does not depend on the password"
    for file in home.rglob("*"):
        assert not file.is_file() or b"sesame" not in file.read_bytes(), file


def test_a_password_on_the_command_line_and_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LYCEUM_MODELS", str(tmp_path))
    path = tmp_path / "locked.pdf"
    path.write_bytes(locked("sesame"))
    ingest = ["ingest", "--json", "--home", str(tmp_path / "home"), str(path)]
    assert main(ingest) == 4
    assert main([*ingest, "--password", "wrong", "--password", "sesame"]) == 0
    with TestClient(create(load(str(tmp_path / "served"), {"LYCEUM_MODELS": str(tmp_path)}))) as client:
        upload = {"file": ("locked.pdf", path.read_bytes())}
        refused = client.post("/api/documents", files=upload)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "password")
        assert client.post("/api/documents", files=upload, data={"password": "sesame"}).status_code == 201


def hostile(name: str) -> Path:
    folder = os.environ.get("LYCEUM_SHARED", "")
    path = Path(folder) / "documents" / "hostile" / name
    if not folder or not path.exists():
        pytest.skip("needs the hostile files of LYCEUM_SHARED")
    return path


@pytest.mark.parametrize(
    ("name", "pages"), [("noxref.pdf", 150), ("truncated.pdf", 108), ("big1000.pdf", 1081)]
)
def test_large_files_that_are_whole_or_not_are_opened(name: str, pages: int) -> None:
    pdf, warnings = opened(hostile(name).read_bytes())
    assert len(pdf) == pages
    assert warnings == (() if name.startswith("big") else (REPAIRED,))
    with closing(pdf[pages - 1]) as page:
        assert read_lines(page)
    pdf.close()


HOSTILE = {"pageloop.pdf": "corrupt", "hugepage.pdf": "", "textbomb.pdf": "", "flatebomb.pdf": "empty"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_time(name: str) -> None:
    path = hostile(name)

    async def work() -> tuple[str, str]:
        reader = Isolated()
        try:
            await reader(path, name, Document(id="d", source=name, version="1"))
        except ParseError as problem:
            return problem.code, problem.hint
        finally:
            await reader.close()
        return "", "none needed"

    code, hint = run(work())
    assert code == HOSTILE[name]
    assert hint
